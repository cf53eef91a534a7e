//! Any bytes to a TLS session, before its handshake and after it: nothing that was not encrypted by
//! the client is ever given to the application, and what was is given once and in order.
#![no_main]

use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use esp_tls::{TlsConfig, TlsErrorKind, TlsSession};
use fuzz::Cuts;
use libfuzzer_sys::fuzz_target;
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    RootCertStore, SupportedCipherSuite,
};

fuzz_target!(|data: &[u8]| {
    let [choice, cuts, at, input @ ..] = data else { return };
    let mut cuts = Cuts::new(*cuts);
    let age = if choice & 128 == 0 { Age::New } else { Age::Settled };
    match choice % 5 {
        0 => handshake(input, &mut cuts),
        1 => garbage(connected(age), input, &mut cuts),
        2 => data_comes(connected(age), input, &mut cuts),
        3 => data_is_tampered_with(connected(age), input, *at, &mut cuts),
        _ => anything_is_said(connected(age), input, &mut cuts),
    }
});

/// How long a session goes on.
#[derive(PartialEq)]
enum Age {
    /// Its handshake is over.
    New,
    /// The server has sent something twice.
    Settled,
}

static SERVER: LazyLock<TlsConfig> = LazyLock::new(|| {
    TlsConfig::new(
        include_bytes!("../../examples/certs/server.pem"),
        include_bytes!("../../examples/certs/server.key"),
    )
    .expect("a good certificate and its key")
});

static CLIENT: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let ca = CertificateDer::from_pem_slice(include_bytes!("../../examples/certs/ca.pem"));
    let mut roots = RootCertStore::empty();
    roots.add(ca.expect("a certificate")).expect("an authority");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    Arc::new(config)
});

/// The first bytes of a connection: the session is in the same state however they are cut.
fn handshake(input: &[u8], cuts: &mut Cuts) {
    let whole = feed(&mut session(), input, |left| left);
    let cut = feed(&mut session(), input, |left| cuts.next_len(left));
    assert_eq!(whole.0, cut.0);
    assert_eq!((whole.1, cut.1), (vec![], vec![]), "nobody has encrypted anything");
}

/// Bytes behind the handshake that the client has not encrypted.
fn garbage((_, mut session): Ends, input: &[u8], cuts: &mut Cuts) {
    let (_, plain) = feed(&mut session, input, |left| cuts.next_len(left));
    assert_eq!(plain, []);
}

/// What the client says, and what it is told.
fn data_comes((mut client, mut session): Ends, input: &[u8], cuts: &mut Cuts) {
    client.writer().write_all(input).expect("a client has room");
    let wire = take(&mut client);
    let (error, plain) = feed(&mut session, &wire, |left| cuts.next_len(left));
    assert_eq!((error, plain.as_slice()), (None, input));

    let mut wire = Vec::new();
    session.send(input, &mut wire).expect("a session that is open sends");
    session.close(&mut wire);
    assert_eq!(give(&mut client, &wire), input);
}

/// One wrong bit ends the session, and nothing wrong comes before.
fn data_is_tampered_with((mut client, mut session): Ends, input: &[u8], at: u8, cuts: &mut Cuts) {
    client.writer().write_all(input).expect("a client has room");
    let mut wire = take(&mut client);
    let Some(place) = wire.len().checked_sub(1 + usize::from(at) % wire.len().max(1)) else {
        return;
    };
    // An encrypted record's type and version are the same for all, and mean nothing: the real type is
    // inside, and the version must not be looked at (RFC 8446, sections 5.1 and 5.2).
    if is_type_or_version(&wire, place) {
        return;
    }
    wire[place] ^= 1 << (at % 8);
    let (_, plain) = feed(&mut session, &wire, |left| cuts.next_len(left));
    assert!(input.starts_with(&plain) && (plain.len() < input.len() || input.is_empty()));
}

/// Records of any type and content, well encrypted by a client that has the keys: what was said as data
/// before the first that may not come is heard, and nothing else.
fn anything_is_said((client, mut session): Ends, input: &[u8], cuts: &mut Cuts) {
    let Some(SupportedCipherSuite::Tls13(suite)) = client.negotiated_cipher_suite() else {
        panic!("TLS 1.3 is spoken where both can");
    };
    let (mut sequence, secrets) = client.dangerous_extract_secrets().expect("allowed").tx;
    let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else {
        panic!("the server prefers AES-128-GCM");
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv);
    let (mut wire, mut said) = (Vec::new(), Vec::new());
    let mut rest = input;
    // In front of each content are its type and its length.
    while let [content_type, len, behind @ ..] = rest {
        let (content, behind) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = behind;
        let message = OutboundPlainMessage {
            typ: ContentType::from(*content_type),
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(content),
        };
        wire.extend(encrypter.encrypt(message, sequence).expect("good keys").encode());
        sequence += 1;
        said.extend_from_slice(data_in(*content_type, content));
    }
    let (_, plain) = feed(&mut session, &wire, |left| cuts.next_len(left));
    assert!(said.starts_with(&plain), "something else was heard");
    session.close(&mut Vec::new());
}

/// What a record says as data. One of type 0 is padding behind whatever type and content are in it.
fn data_in(content_type: u8, mut content: &[u8]) -> &[u8] {
    let mut real_type = content_type;
    while let (0, [front @ .., last]) = (real_type, content) {
        (real_type, content) = (*last, front);
    }
    if real_type == u8::from(ContentType::ApplicationData) { content } else { &[] }
}

/// Whether the type or the version of a record stands in this place.
fn is_type_or_version(mut wire: &[u8], mut place: usize) -> bool {
    while let [_, _, _, high, low, ..] = *wire {
        let len = 5 + usize::from(u16::from_be_bytes([high, low]));
        if place < len {
            return place < 3;
        }
        place -= len;
        wire = &wire[len..];
    }
    false
}

fn session() -> TlsSession {
    TlsSession::new(&SERVER)
}

type Ends = (ClientConnection, TlsSession);

/// Both ends of a connection whose handshake is done.
fn connected(age: Age) -> Ends {
    let name = ServerName::try_from("localhost").expect("a host name");
    let mut client = ClientConnection::new(CLIENT.clone(), name).expect("a client");
    let mut session = session();
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    while client.is_handshaking() || session.is_handshaking() {
        session.recv(&mut take(&mut client), &mut plain, &mut out).expect("a good client");
        give(&mut client, &std::mem::take(&mut out));
    }
    for said in ["one", "two"].iter().filter(|_| age == Age::Settled) {
        let mut wire = Vec::new();
        session.send(said.as_bytes(), &mut wire).expect("a session that is open sends");
        assert_eq!(give(&mut client, &wire), said.as_bytes());
    }
    (client, session)
}

/// What the client hears.
fn give(client: &mut ClientConnection, mut wire: &[u8]) -> Vec<u8> {
    let mut heard = Vec::new();
    while !wire.is_empty() {
        client.read_tls(&mut wire).expect("a client that reads on");
        client.process_new_packets().expect("good records");
        let _ = client.reader().read_to_end(&mut heard);
    }
    heard
}

/// What the client has to say.
fn take(client: &mut ClientConnection) -> Vec<u8> {
    let mut wire = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut wire).expect("a vector takes everything");
    }
    wire
}

/// How the session ended, if it did, and what it gave to the application.
fn feed(
    session: &mut TlsSession,
    input: &[u8],
    mut next_len: impl FnMut(usize) -> usize,
) -> (Option<String>, Vec<u8>) {
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    let mut rest = input;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(next_len(rest.len()));
        rest = behind;
        if let Err(error) = session.recv(&mut piece.to_vec(), &mut plain, &mut out) {
            // It is over for good, and says so again.
            let again = session.recv(&mut [22], &mut plain, &mut out).expect_err("it is over");
            assert_eq!(again.kind().to_string(), error.kind().to_string());
            assert!(!matches!(error.kind(), TlsErrorKind::Handshaking | TlsErrorKind::Closed));
            return (Some(error.kind().to_string()), plain);
        }
        assert!(!session.is_handshaking() || plain.is_empty());
    }
    (None, plain)
}
