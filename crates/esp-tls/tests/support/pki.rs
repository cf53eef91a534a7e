//! Certificates for the tests, made when they are needed so that they never expire.

use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

/// A certificate and its key in both encodings.
pub struct Issued {
    pub cert_pem: String,
    pub cert_der: Vec<u8>,
    pub key_pem: String,
    pub key_der: Vec<u8>,
}

/// Everything the tests present to each other.
pub struct Pki {
    pub ca: Issued,
    /// For `localhost`, of `ca`.
    pub server: Issued,
    /// A client certificate of `ca`.
    pub client: Issued,
    /// A client certificate of `ca` whose validity ended in 2001.
    pub expired_client: Issued,
    /// A client certificate of a CA that nobody configured.
    pub stranger: Issued,
}

/// The one set of certificates of a test program.
pub fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let ca = Authority::new("test CA");
        let client = || purpose(ExtendedKeyUsagePurpose::ClientAuth);
        let mut expired = client();
        expired.not_before = date_time_ymd(2000, 1, 1);
        expired.not_after = date_time_ymd(2001, 1, 1);
        Pki {
            server: ca.issue(purpose(ExtendedKeyUsagePurpose::ServerAuth)),
            client: ca.issue(client()),
            expired_client: ca.issue(expired),
            stranger: Authority::new("a stranger's CA").issue(client()),
            ca: ca.issued,
        }
    })
}

/// A self-signed server certificate valid from one year to another, with a key of its own.
pub fn self_signed(not_before_year: i32, not_after_year: i32) -> Issued {
    let mut params = params();
    params.not_before = date_time_ymd(not_before_year, 1, 1);
    params.not_after = date_time_ymd(not_after_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    issued(&params.self_signed(&key).unwrap(), &key)
}

/// A certificate of the test CA for a key of the test's own.
pub fn for_key(key_pem: &str) -> String {
    let key = KeyPair::from_pem(key_pem).unwrap();
    params().self_signed(&key).unwrap().pem()
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    issued: Issued,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        // Two CAs of one name are one whose signature is wrong.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issued = issued(&params.self_signed(&key).unwrap(), &key);
        Self { issuer: Issuer::new(params, key), issued }
    }

    fn issue(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        issued(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }
}

fn params() -> CertificateParams {
    CertificateParams::new(vec!["localhost".into()]).unwrap()
}

fn purpose(purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = params();
    params.extended_key_usages = vec![purpose];
    params
}

fn issued(certificate: &rcgen::Certificate, key: &KeyPair) -> Issued {
    Issued {
        cert_pem: certificate.pem(),
        cert_der: certificate.der().to_vec(),
        key_pem: key.serialize_pem(),
        key_der: key.serialize_der(),
    }
}
