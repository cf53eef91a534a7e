//! Certificates for the tests, made when they are needed so that they never expire.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, SignatureAlgorithm, date_time_ymd,
};

/// A certificate and its key in both encodings.
pub struct Issued {
    pub cert_pem: String,
    pub cert_der: Vec<u8>,
    pub key_pem: String,
    pub key_der: Vec<u8>,
    pub serial: u64,
}

/// Everything the tests present to each other.
pub struct Pki {
    pub authority: Authority,
    /// The certificate of `authority`.
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
        let authority = Authority::new("test CA");
        let mut expired = client_params("expired client");
        expired.not_before = date_time_ymd(2000, 1, 1);
        expired.not_after = date_time_ymd(2001, 1, 1);
        Pki {
            server: authority.server(&["localhost"]),
            client: authority.issue(client_params("client")),
            expired_client: authority.issue(expired),
            stranger: Authority::new("a stranger's CA").issue(client_params("stranger")),
            ca: authority.certificate(),
            authority,
        }
    })
}

/// A self-signed server certificate valid from one year to another, with a key of its own.
pub fn self_signed(not_before_year: i32, not_after_year: i32) -> Issued {
    let mut params = params(&["localhost"]);
    params.not_before = date_time_ymd(not_before_year, 1, 1);
    params.not_after = date_time_ymd(not_after_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let serial = number(&mut params);
    issued(&params.self_signed(&key).unwrap(), &key, serial)
}

/// A self-signed certificate for a key of the test's own.
pub fn for_key(key_pem: &str) -> String {
    let key = KeyPair::from_pem(key_pem).unwrap();
    params(&["localhost"]).self_signed(&key).unwrap().pem()
}

/// What a client certificate says, to be changed by the test.
pub fn client_params(common_name: &str) -> CertificateParams {
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A CA.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
    cert_der: Vec<u8>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = params(&[]);
        // Two CAs of one name are one whose signature is wrong.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            cert_pem: certificate.pem(),
            cert_der: certificate.der().to_vec(),
            issuer: Issuer::new(params, key),
        }
    }

    pub fn certificate(&self) -> Issued {
        let key = self.issuer.key();
        Issued {
            cert_pem: self.cert_pem.clone(),
            cert_der: self.cert_der.clone(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
            serial: 0,
        }
    }

    pub fn issue(&self, params: CertificateParams) -> Issued {
        self.issue_for(params, KeyPair::generate().unwrap())
    }

    /// A certificate for a key of this kind.
    pub fn issue_with(
        &self,
        params: CertificateParams,
        kind: &'static SignatureAlgorithm,
    ) -> Issued {
        self.issue_for(params, KeyPair::generate_for(kind).unwrap())
    }

    /// A certificate for this key.
    pub fn issue_for(&self, mut params: CertificateParams, key: KeyPair) -> Issued {
        let serial = number(&mut params);
        issued(&params.signed_by(&key, &self.issuer).unwrap(), &key, serial)
    }

    /// A server certificate for these names.
    pub fn server(&self, names: &[&str]) -> Issued {
        self.issue(server_params(names))
    }

    /// A CRL (PEM) with these certificates, valid until the year given.
    pub fn crl(&self, revoked: &[&Issued], until_year: i32) -> String {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until_year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|issued| RevokedCertParams {
                    serial_number: SerialNumber::from(issued.serial),
                    revocation_time: date_time_ymd(2020, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// What a server certificate says, to be changed by the test.
pub fn server_params(names: &[&str]) -> CertificateParams {
    let mut params = params(names);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    CertificateParams::new(names).unwrap()
}

/// Gives the certificate a serial number that no other has.
fn number(params: &mut CertificateParams) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1000);
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    params.serial_number = Some(SerialNumber::from(serial));
    serial
}

fn issued(certificate: &rcgen::Certificate, key: &KeyPair, serial: u64) -> Issued {
    Issued {
        cert_pem: certificate.pem(),
        cert_der: certificate.der().to_vec(),
        key_pem: key.serialize_pem(),
        key_der: key.serialize_der(),
        serial,
    }
}
