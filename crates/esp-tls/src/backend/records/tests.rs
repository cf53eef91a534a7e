//! What can't be had from outside: a cipher that is soon used up.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::io::Read;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    CipherSuiteCommon, ClientConfig, ClientConnection, RootCertStore, ServerConfig,
    SupportedCipherSuite, Tls13CipherSuite,
};

use super::super::connection::Connection;
use super::super::settings::Terms;
use super::{HEADER_LEN, MAX_FRAGMENT_LEN, Records, provider};
use crate::config::TlsConfig;

/// A session whose keys may seal `limit` records, and its client.
fn settled(limit: u64) -> (Records, ClientConnection) {
    let mut provider = (**provider::provider()).clone();
    let suite = provider.cipher_suites[0].tls13().unwrap();
    provider.cipher_suites =
        alloc::vec![SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
            common: CipherSuiteCommon { confidentiality_limit: limit, ..suite.common },
            quic: None,
            ..*suite
        })))];
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert([CertificateDer::from(made.cert.der().to_vec())].into(), key)
        .unwrap();
    server.enable_secret_extraction = true;
    server.send_tls13_tickets = 0;
    let terms = Terms {
        server: Arc::new(server),
        max_fragment_len: MAX_FRAGMENT_LEN,
        reverification: None,
    };
    let counted_by = TlsConfig::new(made.cert.pem(), made.signing_key.serialize_pem()).unwrap();
    let mut connection =
        Connection::new(terms, counted_by, None, None).unwrap_or_else(|_| panic!());
    let mut client = client_of(made.cert.der());
    while client.is_handshaking() || connection.is_handshaking() {
        let (mut wire, mut out) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let taken = connection.process(&mut wire, &mut Vec::new(), &mut out);
        assert_eq!(taken.unwrap_or_else(|_| panic!()), wire.len());
        give(&mut client, &out);
    }
    (connection.into_records().unwrap_or_else(|_| panic!()), client)
}

fn client_of(server: &CertificateDer<'_>) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(server.clone().into_owned()).unwrap();
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// What the client hears of records that it must find good.
fn give(client: &mut ClientConnection, mut wire: &[u8]) -> Vec<u8> {
    let mut heard = Vec::new();
    while !wire.is_empty() {
        client.read_tls(&mut wire).unwrap();
        client.process_new_packets().unwrap();
        let _ = client.reader().read_to_end(&mut heard);
    }
    heard
}

/// The lengths of the contents of records.
fn lens(mut wire: &[u8]) -> Vec<usize> {
    let mut lens = Vec::new();
    while let [_, _, _, high, low, ..] = wire {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        lens.push(len - 17);
        wire = &wire[HEADER_LEN + len..];
    }
    lens
}

#[test]
fn a_key_that_has_sealed_as_many_records_as_it_may_is_replaced() {
    const LIMIT: u64 = 4;
    let (mut records, mut client) = settled(LIMIT);
    let mut out = Vec::new();
    for _ in 0..8 {
        records.encrypt(b"data", &mut out).unwrap_or_else(|_| panic!());
    }
    // The KeyUpdate of five bytes is the fourth that each key seals.
    assert_eq!(lens(&out), [4, 4, 4, 5, 4, 4, 4, 5, 4, 4]);
    assert_eq!(give(&mut client, &out), b"data".repeat(8));

    // The same in the middle of what is sent at once.
    let (mut records, mut client) = settled(LIMIT);
    let (said, mut out) = (alloc::vec![7; 5 * MAX_FRAGMENT_LEN], Vec::new());
    records.encrypt(&said, &mut out).unwrap_or_else(|_| panic!());
    records.close_notify(&mut out).unwrap_or_else(|_| panic!());
    assert_eq!(lens(&out).len(), 5 + 1 + 1);
    assert_eq!(give(&mut client, &out), said);
}
