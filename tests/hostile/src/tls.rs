//! TLS as clients see it: rustls for those who keep to the protocol, and its keys for one who doesn't.

use std::path::PathBuf;
use std::sync::Arc;
use std::{fs, process};

use ring::aead;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, ConnectionTrafficSecrets, ProtocolVersion,
    RootCertStore,
};

/// What a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Versions {
    Any,
    Tls12,
    Tls13,
}

/// A client that verifies the testbed's certificate and resumes nothing, so that every handshake is
/// a whole one.
pub(crate) fn config(versions: Versions) -> Arc<ClientConfig> {
    // The one suite for which this module can encrypt by itself.
    let mut provider = provider::default_provider();
    provider.cipher_suites.retain(|suite| {
        matches!(
            suite.suite(),
            CipherSuite::TLS13_AES_128_GCM_SHA256
                | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        )
    });
    build(provider, versions).unwrap_or_else(|problem| {
        eprintln!("hostile: {problem}");
        process::exit(2)
    })
}

fn build(provider: CryptoProvider, versions: Versions) -> Result<Arc<ClientConfig>, String> {
    let versions = match versions {
        Versions::Any => rustls::ALL_VERSIONS,
        Versions::Tls12 => &[&rustls::version::TLS12],
        Versions::Tls13 => &[&rustls::version::TLS13],
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/certs/ca.pem");
    let pem = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let ca = CertificateDer::from_pem_slice(&pem).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    roots.add(ca).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// A client's side of a new connection.
pub(crate) fn connection(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a host name");
    ClientConnection::new(config.clone(), name).expect("a configuration that was built")
}

/// The bytes of a ClientHello, records and all.
pub(crate) fn client_hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let mut hello = Vec::new();
    connection(config).write_tls(&mut hello).expect("a vector takes everything");
    hello
}

/// The content type of handshake messages.
pub(crate) const HANDSHAKE: u8 = 22;
/// Bytes of a record's header.
pub(crate) const HEADER_LEN: usize = 5;

/// The sending half of a connection that was taken from rustls after its handshake, to say what
/// rustls would not.
pub(crate) struct Keys {
    version: ProtocolVersion,
    key: aead::LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Keys {
    /// Takes the keys of a connection whose handshake is done.
    pub(crate) fn take(connection: ClientConnection) -> Option<Keys> {
        let version = connection.protocol_version()?;
        let secrets = connection.dangerous_extract_secrets().ok()?;
        let (sequence, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
            return None;
        };
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, key.as_ref()).ok()?;
        let iv = iv.as_ref().try_into().ok()?;
        Some(Keys { version, key: aead::LessSafeKey::new(key), iv, sequence })
    }

    /// An encrypted record of any type (RFC 5246, section 6.2.3.3, with RFC 5288; RFC 8446, section
    /// 5.2).
    pub(crate) fn encrypt(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        match self.version {
            ProtocolVersion::TLSv1_2 => self.encrypt_tls12(content_type, payload),
            _ => self.encrypt_tls13(content_type, payload),
        }
    }

    fn encrypt_tls12(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.to_be_bytes();
        let payload_len = (payload.len() as u16).to_be_bytes();
        let mut associated = sequence.to_vec();
        associated.extend_from_slice(&[content_type, 3, 3]);
        associated.extend_from_slice(&payload_len);
        // The nonce's second part travels with the record, and may be the sequence number.
        let mut nonce = self.iv;
        nonce[4..].copy_from_slice(&sequence);
        let sealed = self.seal(nonce, &associated, payload);
        let len = (sequence.len() + sealed.len()) as u16;
        let mut record = vec![content_type, 3, 3];
        record.extend_from_slice(&len.to_be_bytes());
        record.extend_from_slice(&sequence);
        record.extend_from_slice(&sealed);
        record
    }

    fn encrypt_tls13(&mut self, content_type: u8, payload: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, sequence) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= sequence;
        }
        let inner = [payload, &[content_type]].concat();
        let len = (inner.len() + aead::AES_128_GCM.tag_len()) as u16;
        let mut record = vec![23, 3, 3];
        record.extend_from_slice(&len.to_be_bytes());
        let sealed = self.seal(nonce, &record, &inner);
        record.extend_from_slice(&sealed);
        record
    }

    fn seal(&mut self, nonce: [u8; 12], associated: &[u8], payload: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let mut sealed = payload.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(nonce, aead::Aad::from(associated), &mut sealed)
            .expect("a record is far below the cipher's limit");
        sealed
    }
}
