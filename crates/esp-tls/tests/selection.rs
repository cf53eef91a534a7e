//! Which certificate a client gets to see: selectors and the table of names.

mod support;

use std::sync::{Arc, Mutex};

use esp_tls::{
    Alert, AlertCode, Blame, CertifiedKey, ClientAuth, ClientCa, ClientHello, ConfigProblem,
    FailureClass, Input, PrivateKey, Refusal, SelectCertificate, Selection, SignatureScheme,
    SniTable, SystemClock, TlsConfig, TlsErrorKind,
};
use rustls::AlertDescription;
use support::raw::{self, record};
use support::{ClientSetup, Issued, Pair, TLS12, TLS13, pki, recv, server_config};

fn certified(issued: &Issued) -> CertifiedKey {
    CertifiedKey::new(&issued.cert_pem, PrivateKey::new(&issued.key_pem).unwrap()).unwrap()
}

fn certified_for(names: &[&str]) -> CertifiedKey {
    certified(&pki().authority.server(names))
}

fn selecting(selector: impl SelectCertificate + 'static) -> TlsConfig {
    TlsConfig::from_selector(selector, SystemClock).unwrap()
}

/// A client that wants to talk to `name`. It verifies that it does.
fn connect(config: &TlsConfig, name: &str) -> Result<Pair, esp_tls::TlsError> {
    let mut pair = Pair::of(name, config, &ClientSetup::default().build());
    pair.handshake()?;
    assert!(!pair.client.tls.is_handshaking(), "the client is content");
    Ok(pair)
}

/// The client's end of a refusal. The alert must be the one that the server names.
fn refused(config: &TlsConfig, name: &str, setup: ClientSetup<'_>) -> esp_tls::TlsError {
    let mut pair = Pair::of(name, config, &setup.build());
    let error = pair.handshake().unwrap_err();
    let seen = pair.client.tls.process_new_packets().unwrap_err();
    let code = error.alert().expect("an alert was sent").code();
    assert_eq!(seen, rustls::Error::AlertReceived(AlertDescription::from(code.0)));
    error
}

mod a_selector {
    use super::*;

    #[test]
    fn sees_what_the_client_says_and_chooses() {
        let certificates = certified_for(&["one.example"]);
        let (seen, noted) = (Arc::new(Mutex::new(Vec::new())), certificates.clone());
        let notes = Arc::clone(&seen);
        let config = selecting(move |hello: &ClientHello<'_>| {
            notes.lock().unwrap().push((
                hello.server_name().map(str::to_string),
                hello.alpn_protocols().map(<[u8]>::to_vec).collect::<Vec<_>>(),
                hello.versions().collect::<Vec<_>>(),
            ));
            let schemes: Vec<SignatureScheme> = hello.signature_schemes().collect();
            assert!(schemes.contains(&SignatureScheme::ECDSA_SECP256R1_SHA256));
            assert!(hello.cipher_suites().any(|suite| suite == 0x1301));
            Selection::of(&noted)
        });
        let client = ClientSetup::alpn(&["h2", "http/1.1"]).build();
        let mut pair = Pair::of("One.Example", &config, &client);
        pair.handshake().unwrap();
        assert_eq!(pair.server.server_name(), Some("one.example"));
        let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let versions = vec![0x0304, 0x0303];
        assert_eq!(*seen.lock().unwrap(), [(Some("one.example".into()), alpn, versions)]);
    }

    #[test]
    fn is_asked_once_per_handshake_however_the_hello_is_cut() {
        let hello = support::Client::new(&ClientSetup::default().build()).take();
        for fragment_len in [1, 7, 10_000] {
            let asked = Arc::new(Mutex::new(0));
            let count = Arc::clone(&asked);
            let config = server_config()
                .selector(move |_: &ClientHello<'_>| {
                    *count.lock().unwrap() += 1;
                    Selection::own()
                })
                .unwrap();
            let mut session = esp_tls::TlsSession::new(&config);
            let mut out = Vec::new();
            for part in hello[5..].chunks(fragment_len) {
                for byte in record(raw::HANDSHAKE, part) {
                    session.recv(&mut [byte], &mut Vec::new(), &mut out).unwrap();
                }
            }
            assert_eq!(raw::records(&out)[0].0, raw::HANDSHAKE, "a ServerHello");
            assert_eq!(*asked.lock().unwrap(), 1);
        }
    }

    #[test]
    fn can_refuse() {
        for (refusal, alert) in [
            (Refusal::UnrecognizedName, AlertCode::UNRECOGNIZED_NAME),
            (Refusal::MissingName, AlertCode::MISSING_EXTENSION),
            (Refusal::AccessDenied, AlertCode::ACCESS_DENIED),
        ] {
            for versions in [TLS12, TLS13] {
                let config = server_config()
                    .selector(move |_: &ClientHello<'_>| Selection::refuse(refusal))
                    .unwrap();
                let error = refused(&config, "localhost", ClientSetup::versions(versions));
                assert_eq!(error.kind(), &TlsErrorKind::Refused(refusal));
                assert_eq!(error.alert(), Some(Alert::Sent(alert)));
                assert_eq!(error.blame(), Blame::Peer);
                assert_eq!(error.kind().class(), FailureClass::Refused);
                assert_eq!(error.esp_code(), 0x801A);
            }
        }
    }

    #[test]
    fn that_leaves_it_to_a_server_without_a_certificate_is_a_mistake() {
        let config = selecting(|_: &ClientHello<'_>| Selection::own());
        let error = refused(&config, "localhost", ClientSetup::default());
        assert_eq!(error.kind(), &TlsErrorKind::NoCertificate);
        assert_eq!(error.blame(), Blame::Config);
    }

    #[test]
    fn that_panics_costs_one_session() {
        let config = server_config()
            .certified_key(certified_for(&["localhost", "127.0.0.1"]))
            .unwrap()
            .selector(|hello: &ClientHello<'_>| {
                assert_ne!(hello.server_name(), Some("localhost"), "a defect");
                Selection::own()
            })
            .unwrap();
        let mut pair = Pair::new(&config, &ClientSetup::default().build());
        assert_eq!(pair.handshake().unwrap_err().kind(), &TlsErrorKind::Panicked);
        let mut other = Pair::of("127.0.0.1", &config, &ClientSetup::default().build());
        other.handshake().unwrap();
        assert_eq!(other.server.server_name(), None);
    }

    #[test]
    fn can_choose_another_client_ca() {
        let stranger_ca = support::pki::Authority::new("another CA");
        let stranger = stranger_ca.issue(support::pki::client_params("stranger"));
        let other =
            ClientCa::new(stranger_ca.certificate().cert_pem, ClientAuth::Required).unwrap();
        let config = server_config()
            .client_ca(&pki().ca.cert_pem, ClientAuth::Required)
            .unwrap()
            .selector(move |hello: &ClientHello<'_>| match hello.server_name() {
                Some("localhost") => Selection::own(),
                Some("open.example") => Selection::own().no_client_ca(),
                _ => Selection::own().client_ca(&other),
            })
            .unwrap();
        let outcome = |name: &str, identity: &Issued| {
            let mut pair = Pair::of(name, &config, &ClientSetup::identity(identity).build());
            let result = pair.handshake().map(|()| pair.server.peer_certificates().count());
            // The certificate isn't for all these names; the client's protest comes afterwards.
            result.map_err(|error| error.kind().class())
        };
        let alert = Err(FailureClass::AlertReceived);
        assert_eq!(outcome("localhost", &pki().client), Ok(1));
        assert_eq!(outcome("localhost", &stranger), Err(FailureClass::CertificateIssuer));
        // The client refuses this server's certificate before it shows its own.
        assert_eq!(outcome("other.example", &stranger), alert);

        let both = certified_for(&["other.example", "open.example"]);
        let config = config.certified_key(both).unwrap();
        let outcome = |name: &str, identity: &Issued| {
            let mut pair = Pair::of(name, &config, &ClientSetup::identity(identity).build());
            let result = pair.handshake().map(|()| pair.server.peer_certificates().count());
            result.map_err(|error| error.kind().class())
        };
        assert_eq!(outcome("other.example", &stranger), Ok(1));
        assert_eq!(outcome("other.example", &pki().client), Err(FailureClass::CertificateIssuer));
        assert_eq!(outcome("open.example", &pki().client), Ok(0), "none was asked for");
    }

    #[test]
    fn cannot_be_got_around() {
        // What isn't a plain ClientHello for us must not end in a handshake by the library.
        let hello = support::Client::new(&ClientSetup::default().build()).take();
        let warning = record(raw::ALERT, &[1, 0]);
        let config = server_config()
            .selector(|_: &ClientHello<'_>| Selection::refuse(Refusal::AccessDenied))
            .unwrap();
        for prefix in [&warning[..], &record(raw::CHANGE_CIPHER_SPEC, &[1])] {
            let mut session = esp_tls::TlsSession::new(&config);
            let (result, received) = recv(&mut session, &[prefix, &hello].concat());
            assert!(result.is_err());
            assert!(raw::records(&received.out).iter().all(|(kind, _)| *kind == raw::ALERT));
        }
        for at in 0..hello.len() {
            let mut damaged = hello.clone();
            damaged[at] ^= 0x55;
            let mut session = esp_tls::TlsSession::new(&config);
            let (_, received) = recv(&mut session, &damaged);
            assert!(raw::records(&received.out).iter().all(|(kind, _)| *kind == raw::ALERT));
        }
    }
}

mod our_reading_of_a_damaged_hello {
    use super::*;

    /// What a ClientHello says, by either reader.
    #[derive(Debug, PartialEq)]
    struct Said {
        server_name: Option<String>,
        alpn: Vec<Vec<u8>>,
        schemes: Vec<u16>,
        suites: Vec<u16>,
    }

    fn by_us(hello: &ClientHello<'_>) -> Said {
        Said {
            server_name: hello.server_name().map(str::to_string),
            alpn: hello.alpn_protocols().map(<[u8]>::to_vec).collect(),
            schemes: hello.signature_schemes().map(|scheme| scheme.0).collect(),
            suites: hello.cipher_suites().collect(),
        }
    }

    /// The reading of rustls' own front door, if it lets the hello in.
    fn by_rustls(mut wire: &[u8]) -> Option<Said> {
        let mut acceptor = rustls::server::Acceptor::default();
        while !wire.is_empty() {
            acceptor.read_tls(&mut wire).unwrap();
            match acceptor.accept() {
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    return Some(Said {
                        server_name: hello.server_name().map(str::to_string),
                        alpn: hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect(),
                        schemes: hello.signature_schemes().iter().map(|s| u16::from(*s)).collect(),
                        suites: hello.cipher_suites().iter().map(|s| u16::from(*s)).collect(),
                    });
                }
                Ok(None) => {}
                Err(_) => return None,
            }
        }
        None
    }

    #[test]
    fn is_that_of_the_library_or_the_client_is_refused() {
        let setup = ClientSetup::alpn(&["h2", "http/1.1"]);
        let hello = support::Client::new(&setup.build()).take();
        let asked = Arc::new(Mutex::new(None));
        let notes = Arc::clone(&asked);
        let config = server_config()
            .selector(move |hello: &ClientHello<'_>| {
                *notes.lock().unwrap() = Some(by_us(hello));
                Selection::own()
            })
            .unwrap();
        let (mut rng, mut accepted, mut refused) = (support::Rng::new(5), 0, 0);
        for _ in 0..20_000 {
            let mut wire = hello.clone();
            for _ in 0..rng.within(1..=2) {
                // The random and the session id in front of it would swallow a third of the damage.
                let at = rng.within(5..=wire.len() - 1);
                match rng.within(0..=3) {
                    0 => wire[at] ^= 1 << rng.within(0..=7),
                    1 => wire[at] = rng.within(0..=255) as u8,
                    2 => wire[at] = wire[at].wrapping_add(1),
                    _ => wire.swap(at, 5),
                }
            }
            *asked.lock().unwrap() = None;
            let mut session = esp_tls::TlsSession::new(&config);
            let (result, received) = recv(&mut session, &wire);
            let ours = asked.lock().unwrap().take();
            match by_rustls(&wire) {
                Some(theirs) => {
                    if let Some(ours) = ours {
                        assert_eq!(ours, theirs);
                        accepted += 1;
                    } else {
                        result.expect_err("what we don't understand is refused");
                    }
                }
                None => {
                    let is_answered =
                        raw::records(&received.out).iter().any(|(kind, _)| *kind != raw::ALERT);
                    assert!(!is_answered);
                    refused += 1;
                }
            }
        }
        assert!(accepted > 3_000 && refused > 3_000, "{accepted} accepted, {refused} refused");
    }
}

mod a_table_of_names {
    use super::*;

    fn table() -> SniTable {
        SniTable::new()
            .entry("gateway.example", certified_for(&["gateway.example"]))
            .and_then(|table| table.entry("*.example", certified_for(&["a.example", "b.example"])))
            .and_then(|table| table.entry("A.Example", certified_for(&["a.example"])))
            .and_then(|table| table.entry("*.deep.example", certified_for(&["x.deep.example"])))
            .unwrap()
    }

    fn leaf(pair: &Pair) -> Vec<u8> {
        pair.client.tls.peer_certificates().unwrap()[0].to_vec()
    }

    #[test]
    fn has_a_certificate_for_each_name() {
        let config = selecting(table());
        for versions in [TLS12, TLS13] {
            let client = ClientSetup::versions(versions).build();
            let mut seen = Vec::new();
            for name in ["gateway.example", "a.example", "b.example", "x.deep.example"] {
                let mut pair = Pair::of(name, &config, &client);
                pair.handshake().unwrap();
                assert!(!pair.client.tls.is_handshaking(), "{name}");
                seen.push(leaf(&pair));
            }
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), 4, "an exact name goes before a wildcard");
        }
    }

    #[test]
    fn refuses_other_names_unless_there_is_a_default() {
        let config = selecting(table());
        for name in ["example", "other.org", "x.b.example", "deep.example.org", "y.x.deep.example"]
        {
            let error = refused(&config, name, ClientSetup::default());
            assert_eq!(error.kind(), &TlsErrorKind::Refused(Refusal::UnrecognizedName), "{name}");
        }
        let error = refused(&config, "192.0.2.1", ClientSetup::default());
        assert_eq!(error.kind(), &TlsErrorKind::Refused(Refusal::MissingName));

        let all = certified_for(&["other.org", "192.0.2.1"]);
        let config = selecting(table().default_entry(all));
        connect(&config, "other.org").unwrap();
        connect(&config, "192.0.2.1").unwrap();
    }

    #[test]
    fn takes_no_name_that_a_client_could_not_ask_for() {
        for name in
            ["", ".", "*", "*.", "192.0.2.1", "a.*.example", "**.example", "w*.example", "a b"]
        {
            let error = SniTable::new().entry(name, Selection::own()).unwrap_err();
            assert_eq!(error.input(), Input::ServerName, "{name}");
            assert!(matches!(error.problem(), ConfigProblem::NotAHostName(_)), "{name}");
        }
        let error = SniTable::new().entry("a.*", Selection::own()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "SNI table: \"a.*\" is neither a host name nor a wildcard for one label (*.example.org)"
        );
    }

    #[test]
    fn can_have_a_client_ca_of_its_own_for_a_name() {
        let ca = ClientCa::new(&pki().ca.cert_pem, ClientAuth::Required).unwrap();
        let admin = Selection::of(&certified_for(&["admin.example"])).client_ca(&ca);
        let config = selecting(table().entry("admin.example", admin).unwrap());
        connect(&config, "gateway.example").unwrap();
        let error = refused(&config, "admin.example", ClientSetup::default());
        assert_eq!(error.kind().class(), FailureClass::CertificateMissing);
        let client = ClientSetup::identity(&pki().client).build();
        let mut pair = Pair::of("admin.example", &config, &client);
        pair.handshake().unwrap();
        assert_eq!(pair.server.peer_certificates().count(), 1);
    }
}
