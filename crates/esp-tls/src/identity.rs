//! Who a client is, by the certificate that it was verified with.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::asn1::AnyRef;
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName as SubjectAltNames;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};
use x509_cert::name::Name;

use crate::backend;
use crate::error::CertificateProblem;

/// A client's identity: what its verified certificate says (RFC 5280, section 4.1).
///
/// The texts come from the certificate and may hold anything its CA let through; names of the two
/// distinguished names are escaped as RFC 4514 says, control characters included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerIdentity {
    /// The subject as text (RFC 4514), its most specific part first: `CN=sensor 7,O=Example`.
    pub subject: String,
    /// The subject's common name, the most specific if there are several.
    pub common_name: Option<String>,
    /// The issuer as text.
    pub issuer: String,
    /// The issuer's common name.
    pub issuer_common_name: Option<String>,
    /// The subject's other names, in their order. Kinds that aren't here are left out.
    pub alt_names: Vec<AltName>,
    /// The serial number, big-endian and without leading zeros. With the issuer it names the
    /// certificate.
    pub serial: Vec<u8>,
    /// First second of its validity, since 1970 (UTC).
    pub not_before: Duration,
    /// Last second of its validity, since 1970 (UTC).
    pub not_after: Duration,
    /// SHA-256 of the certificate's DER.
    pub fingerprint: [u8; 32],
    /// The certificates that the client presented, as DER, its own first.
    pub chain: Vec<Vec<u8>>,
}

impl PeerIdentity {
    /// The identity that a chain of certificates (DER, the client's own first) stands for; none if
    /// there is no certificate in it. Whether to believe it is up to whoever verified the chain.
    ///
    /// # Errors
    ///
    /// [`CertificateProblem::Malformed`].
    pub fn of_chain<'a>(
        chain: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Option<Self>, CertificateProblem> {
        let chain: Vec<Vec<u8>> = chain.into_iter().map(<[u8]>::to_vec).collect();
        match chain.first() {
            Some(_) => Self::parse(chain).map(Some).map_err(|_| CertificateProblem::Malformed),
            None => Ok(None),
        }
    }

    fn parse(chain: Vec<Vec<u8>>) -> x509_cert::der::Result<Self> {
        let leaf = &chain[0];
        // The profile that judges least: whether it is good was decided by the verifier.
        let certificate = CertificateInner::<Raw>::from_der(leaf)?;
        let certificate = certificate.tbs_certificate();
        let serial = certificate.serial_number().as_bytes();
        let first = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
        let mut alt_names = Vec::new();
        for extension in certificate.extensions().into_iter().flatten() {
            if extension.extn_id == SubjectAltNames::OID {
                alt_names = parse_alt_names(extension.extn_value.as_bytes())?;
            }
        }
        Ok(Self {
            subject: certificate.subject().to_string(),
            common_name: common_name(certificate.subject()),
            issuer: certificate.issuer().to_string(),
            issuer_common_name: common_name(certificate.issuer()),
            alt_names,
            serial: serial[first..].to_vec(),
            not_before: certificate.validity().not_before.to_unix_duration(),
            not_after: certificate.validity().not_after.to_unix_duration(),
            fingerprint: backend::sha256(leaf),
            chain,
        })
    }

    /// The DNS names among the other names.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.alt_names.iter().filter_map(|name| match name {
            AltName::Dns(name) => Some(&name[..]),
            _ => None,
        })
    }

    /// The serial number in hexadecimal, as `openssl x509 -serial` prints it.
    pub fn serial_hex(&self) -> String {
        hex(&self.serial)
    }

    /// The fingerprint in hexadecimal.
    pub fn fingerprint_hex(&self) -> String {
        hex(&self.fingerprint)
    }
}

/// Says who it is and who says so: `CN=sensor 7 (issued by CN=Example CA)`.
impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, issuer, .. } = self;
        match (&subject[..], self.alt_names.first()) {
            ("", Some(name)) => write!(f, "{name} (issued by {issuer})"),
            _ => write!(f, "{subject} (issued by {issuer})"),
        }
    }
}

/// One of a subject's other names (RFC 5280, section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AltName {
    /// A host name, perhaps with a wildcard.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A URI, such as a SPIFFE ID.
    Uri(String),
    /// A mail address.
    Email(String),
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AltName::Dns(name) => write!(f, "DNS:{}", name.escape_default()),
            AltName::Ip(address) => write!(f, "IP:{address}"),
            AltName::Uri(uri) => write!(f, "URI:{}", uri.escape_default()),
            AltName::Email(address) => write!(f, "email:{}", address.escape_default()),
        }
    }
}

/// The names of the kinds that we know, each on its own: one of a strange kind spoils no other.
fn parse_alt_names(der: &[u8]) -> x509_cert::der::Result<Vec<AltName>> {
    let names = Vec::<AnyRef<'_>>::from_der(der)?;
    Ok(names.iter().filter_map(|name| alt_name(name)).collect())
}

fn alt_name(name: &AnyRef<'_>) -> Option<AltName> {
    let name = GeneralName::from_der(&name.to_der().ok()?).ok()?;
    Some(match name {
        GeneralName::DnsName(name) => AltName::Dns(name.as_str().into()),
        GeneralName::UniformResourceIdentifier(uri) => AltName::Uri(uri.as_str().into()),
        GeneralName::Rfc822Name(address) => AltName::Email(address.as_str().into()),
        GeneralName::IpAddress(address) => match address.as_bytes().len() {
            4 => AltName::Ip(<[u8; 4]>::try_from(address.as_bytes()).ok()?.into()),
            16 => AltName::Ip(<[u8; 16]>::try_from(address.as_bytes()).ok()?.into()),
            _ => return None,
        },
        _ => return None,
    })
}

fn common_name(name: &Name) -> Option<String> {
    const COMMON_NAME: x509_cert::der::oid::ObjectIdentifier =
        x509_cert::der::oid::ObjectIdentifier::new_unwrap("2.5.4.3");
    let common_names = name.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    let value = &common_names.last()?.value;
    Some(match value.decode_as::<DirectoryString>().ok()? {
        DirectoryString::PrintableString(text) => text.as_str().into(),
        DirectoryString::TeletexString(text) => text.as_str().into(),
        DirectoryString::Utf8String(text) => text,
        DirectoryString::BmpString(text) => text.to_string(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| alloc::format!("{byte:02X}")).collect()
}
