//! The server's and the client's certificate: who they name and what they may be used for.

use std::fmt;
use std::net::IpAddr;

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use rustls_pki_types::DnsName;

use crate::Validity;

/// The server's certificate and key.
pub(crate) const SERVER: [&str; 2] = ["server.pem", "server.key"];
/// The client's certificate and key.
pub(crate) const CLIENT: [&str; 2] = ["client.pem", "client.key"];
/// The files of both.
pub(crate) const FILES: [&str; 4] = [SERVER[0], SERVER[1], CLIENT[0], CLIENT[1]];

/// Whom a certificate is for.
pub(crate) enum Identity<'a> {
    /// A server that is reached under these names and addresses.
    Server(&'a [Name]),
    /// A client of this common name.
    Client(&'a str),
}

impl Identity<'_> {
    /// The certificate's content: the extensions of RFC 5280 section 4.2 that TLS peers check.
    pub(crate) fn params(&self, valid: Validity) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.not_before = valid.from;
        params.not_after = valid.until;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let (common_name, usage) = match self {
            Self::Server(names) => {
                params.subject_alt_names = names.iter().map(Name::san).collect();
                (names[0].to_string(), ExtendedKeyUsagePurpose::ServerAuth)
            }
            Self::Client(name) => ((*name).to_owned(), ExtendedKeyUsagePurpose::ClientAuth),
        };
        params.extended_key_usages = vec![usage];
        params.distinguished_name.remove(DnType::CommonName);
        // RFC 5280 appendix A.1 ends a common name at 64 characters, and OpenSSL insists.
        // Peers read a server's name from the alternative names, which have no such limit.
        let common_name: String = common_name.chars().take(MAX_COMMON_NAME).collect();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params
    }
}

/// A certificate and its key, in PEM form.
pub(crate) struct Leaf {
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
}

/// Where a server is reached.
#[derive(Clone)]
pub(crate) enum Name {
    /// A DNS name, perhaps with `*` as its first label.
    Dns(Ia5String),
    /// An address.
    Ip(IpAddr),
}

impl Name {
    fn san(&self) -> SanType {
        match self {
            Self::Dns(name) => SanType::DnsName(name.clone()),
            Self::Ip(address) => SanType::IpAddress(*address),
        }
    }

    /// How it stands in a URL (RFC 3986 section 3.2.2).
    pub(crate) fn in_url(&self) -> String {
        match self {
            Self::Dns(name) => name.as_str().replacen('*', "www", 1),
            Self::Ip(IpAddr::V4(address)) => address.to_string(),
            Self::Ip(IpAddr::V6(address)) => format!("[{address}]"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name.as_str()),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// Reads a name as clients would match it: what no client can match is an error here, not a
/// puzzling refusal in a browser later.
pub(crate) fn parse_name(text: &str) -> Result<Name, String> {
    if let Ok(address) = text.parse() {
        return Ok(Name::Ip(address));
    }
    if text.contains("://") || text.contains('/') {
        return Err("expected a DNS name or an IP address alone, not a URL".to_owned());
    }
    if !text.is_ascii() {
        return Err(
            "write international names in their ASCII form, like xn--bcher-kva.example".to_owned()
        );
    }
    // A wildcard stands for exactly one whole label (RFC 6125 section 6.4.3).
    let base = text.strip_prefix("*.").unwrap_or(text);
    DnsName::try_from(base)
        .map_err(|_| "expected a DNS name or an IP address, without a port".to_owned())?;
    Ia5String::try_from(text).map(Name::Dns).map_err(|error| error.to_string())
}

/// The longest common name, in characters (RFC 5280 appendix A.1, `ub-common-name`).
const MAX_COMMON_NAME: usize = 64;

/// Reads the client's common name.
pub(crate) fn parse_common_name(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("a client needs a name".to_owned()),
        1..=MAX_COMMON_NAME => Ok(text.to_owned()),
        len => Err(format!("{len} characters; a common name has at most {MAX_COMMON_NAME}")),
    }
}
