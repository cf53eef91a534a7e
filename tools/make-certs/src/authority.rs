//! The local certificate authority: made once, then loaded again on every later run.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::X509Certificate;

use crate::leaf::{Identity, Leaf};
use crate::{Error, Folder, Validity};

/// The authority's certificate.
pub(crate) const CERT: &str = "ca.pem";
/// The authority's private key.
const KEY: &str = "ca.key";
/// Both files, certificate first.
pub(crate) const FILES: [&str; 2] = [CERT, KEY];

/// The shortest life of an authority. Trusting it is a manual step, so it outlives many leaves.
const DAYS: i64 = 3650;

/// A CA that can sign.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
    name: String,
    until: OffsetDateTime,
}

impl Authority {
    /// Makes an authority that outlives a certificate with the validity `leaf`.
    pub(crate) fn new(leaf: Validity) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        // Clients find an issuer by its name, so two authorities of one person must differ in it.
        let id: String =
            params.key_identifier(&key)[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("Local development CA {id}");
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name.as_str());
        params.not_before = leaf.from;
        params.not_after = leaf.until.max(leaf.from + Duration::days(DAYS));
        // It signs end entities only: no intermediate below it is valid.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let until = params.not_after;
        let cert_pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), cert_pem, name, until })
    }

    /// Loads the authority that an earlier run left in `folder`, if it can sign a certificate
    /// with the validity `leaf`.
    pub(crate) fn load(folder: &Folder<'_>, leaf: Validity) -> Result<Self, Error> {
        let (cert_pem, key_pem) = (folder.read(CERT)?, folder.read(KEY)?);
        let (cert_path, key_path) = (folder.path(CERT), folder.path(KEY));
        let (cert_path, key_path) = (cert_path.display(), key_path.display());

        let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes())
            .map_err(|error| format!("{cert_path} has no certificate in PEM form: {error}"))?;
        let cert = pem
            .parse_x509()
            .map_err(|error| format!("the certificate in {cert_path} is malformed: {error}"))?;
        let key = KeyPair::from_pem(&key_pem)
            .map_err(|error| format!("{key_path} has no usable private key: {error}"))?;

        if cert.public_key().raw != key.subject_public_key_info() {
            return Err(format!("{key_path} is not the key of {cert_path}. {REPLACE}").into());
        }
        if !may_sign(&cert) {
            return Err(format!("{cert_path} is not the certificate of a CA. {REPLACE}").into());
        }
        let until = cert.validity().not_after.to_datetime();
        if until < leaf.until {
            return Err(format!(
                "the authority in {cert_path} ends on {}, before the new certificates would on \
                 {}: lower --days. {REPLACE}",
                until.date(),
                leaf.until.date()
            )
            .into());
        }

        let name = match cert.subject().iter_common_name().next() {
            Some(name) => name.as_str().unwrap_or_default().to_owned(),
            None => cert.subject().to_string(),
        };
        Ok(Self { issuer: Issuer::from_ca_cert_pem(&cert_pem, key)?, cert_pem, name, until })
    }

    /// Signs a new certificate with a new key for `identity`.
    pub(crate) fn issue(&self, identity: Identity<'_>, valid: Validity) -> Result<Leaf, Error> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let cert = identity.params(valid).signed_by(&key, &self.issuer)?;
        // The chain a server sends may leave out the root (RFC 8446 section 4.4.2), and the
        // authority is a root: this one certificate is the whole chain.
        Ok(Leaf { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }

    pub(crate) fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The common name, by which browsers list it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn until(&self) -> OffsetDateTime {
        self.until
    }
}

const REPLACE: &str = "--new-ca --force makes a new authority, which clients have to trust anew";

/// RFC 5280 sections 4.2.1.3 and 4.2.1.9.
fn may_sign(cert: &X509Certificate<'_>) -> bool {
    let usage = cert.key_usage().ok().flatten();
    cert.is_ca() && usage.is_none_or(|usage| usage.value.key_cert_sign())
}
