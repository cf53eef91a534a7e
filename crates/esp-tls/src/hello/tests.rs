use alloc::vec;

use super::*;

/// A ClientHello by its parts, each of which a test can replace.
struct Sketch {
    version: u16,
    session_id: Vec<u8>,
    cipher_suites: Vec<u16>,
    compression_methods: Vec<u8>,
    /// `None` leaves out even the length.
    extensions: Option<Vec<(u16, Vec<u8>)>>,
}

impl Default for Sketch {
    fn default() -> Self {
        Self {
            version: 0x0303,
            session_id: vec![7; 32],
            cipher_suites: vec![0x1301, 0xC02B],
            compression_methods: vec![0],
            extensions: Some(vec![
                (0x0A0A, vec![]),
                (0, server_name(b"Www.Example.org")),
                (13, vec16(&[4, 3, 8, 4])),
                (16, vec16(b"\x02h2\x08http/1.1")),
                (43, vec8(&[3, 4, 3, 3])),
                (51, vec![1, 2, 3]),
            ]),
        }
    }
}

impl Sketch {
    fn with_extensions(extensions: Vec<(u16, Vec<u8>)>) -> Self {
        Self { extensions: Some(extensions), ..Self::default() }
    }

    fn message(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([9; 32]);
        body.extend(vec8(&self.session_id));
        let suites: Vec<u8> = self.cipher_suites.iter().flat_map(|id| id.to_be_bytes()).collect();
        body.extend(vec16(&suites));
        body.extend(vec8(&self.compression_methods));
        if let Some(extensions) = &self.extensions {
            let extensions: Vec<u8> = extensions
                .iter()
                .flat_map(|(number, data)| [&number.to_be_bytes()[..], &vec16(data)].concat())
                .collect();
            body.extend(vec16(&extensions));
        }
        message(&body)
    }
}

fn message(body: &[u8]) -> Vec<u8> {
    let [.., high, middle, low] = body.len().to_be_bytes();
    [&[CLIENT_HELLO, high, middle, low], body].concat()
}

fn vec8(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}

fn vec16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    vec16(&[&[0], &vec16(name)[..]].concat())
}

fn record(payload: &[u8]) -> Vec<u8> {
    [&[HANDSHAKE_RECORD, 3, 1], &vec16(payload)[..]].concat()
}

mod a_message {
    use super::*;

    #[test]
    fn says_what_the_client_wants() {
        let message = Sketch::default().message();
        let hello = ClientHello::parse(&message).unwrap();
        assert_eq!(hello.server_name(), Some("www.example.org"));
        assert_eq!(hello.cipher_suites().collect::<Vec<_>>(), [0x1301, 0xC02B]);
        assert_eq!(hello.versions().collect::<Vec<_>>(), [0x0304, 0x0303]);
        assert_eq!(
            hello.signature_schemes().collect::<Vec<_>>(),
            [SignatureScheme::ECDSA_SECP256R1_SHA256, SignatureScheme::RSA_PSS_RSAE_SHA256]
        );
        assert_eq!(hello.alpn_protocols().collect::<Vec<_>>(), [&b"h2"[..], b"http/1.1"]);
    }

    #[test]
    fn may_have_no_extensions() {
        for extensions in [None, Some(vec![])] {
            let message = Sketch { extensions, version: 0x0302, ..Sketch::default() }.message();
            let hello = ClientHello::parse(&message).unwrap();
            assert_eq!(hello.server_name(), None);
            assert_eq!(hello.versions().collect::<Vec<_>>(), [0x0302], "that and below");
            assert_eq!(hello.signature_schemes().count() + hello.alpn_protocols().count(), 0);
        }
    }

    #[test]
    fn cut_anywhere_is_no_message() {
        let message = Sketch::default().message();
        for cut in 0..message.len() {
            assert_eq!(ClientHello::parse(&message[..cut]), None, "cut at {cut}");
        }
        let longer = [&message[..], &[0]].concat();
        assert_eq!(ClientHello::parse(&longer), None);
    }

    #[test]
    fn with_a_damaged_byte_never_panics() {
        let message = Sketch::default().message();
        for at in 0..message.len() {
            for value in [0, 1, 2, 0x7F, 0x80, 0xFF, message[at] ^ 1, message[at].wrapping_add(1)] {
                let mut damaged = message.clone();
                damaged[at] = value;
                if let Some(hello) = ClientHello::parse(&damaged) {
                    hello.alpn_protocols().for_each(|name| assert!(!name.is_empty()));
                    assert!(hello.versions().count() > 0 && hello.cipher_suites().count() > 0);
                }
            }
        }
    }

    #[test]
    fn with_a_field_out_of_its_limits_is_refused() {
        let refused = |sketch: Sketch| ClientHello::parse(&sketch.message()).is_none();
        assert!(refused(Sketch { session_id: vec![1; 33], ..Sketch::default() }));
        assert!(refused(Sketch { cipher_suites: vec![], ..Sketch::default() }));
        assert!(refused(Sketch { compression_methods: vec![], ..Sketch::default() }));
        assert!(!refused(Sketch { session_id: vec![], ..Sketch::default() }));

        for (number, data) in [
            (0, vec![]),
            (0, vec16(&[])),
            (0, server_name(b"")),
            (0, server_name(b"not a name")),
            (0, server_name(b"*.example.org")),
            (0, vec16(&[&[0, 0, 1, b'a'][..], &[0, 0, 1, b'b']].concat())),
            (0, [&server_name(b"a")[..], &[0]].concat()),
            (13, vec16(&[])),
            (13, vec16(&[4, 3, 8])),
            (13, [&vec16(&[4, 3])[..], &[0]].concat()),
            (16, vec16(&[])),
            (16, vec16(&[0])),
            (16, vec16(b"\x02h2\x00")),
            (16, vec16(b"\x09http/1.1")),
            (43, vec8(&[])),
            (43, vec8(&[3, 4, 3])),
            (43, vec16(&[3, 4])),
        ] {
            assert!(refused(Sketch::with_extensions(vec![(number, data.clone())])), "{data:?}");
        }
    }

    #[test]
    fn with_an_extension_twice_is_refused() {
        for (number, data) in Sketch::default().extensions.unwrap() {
            let twice = Sketch::with_extensions(vec![(number, data.clone()), (number, data)]);
            let is_ours = [0, 13, 16, 43].contains(&number);
            assert_eq!(ClientHello::parse(&twice.message()).is_none(), is_ours, "{number}");
        }
    }

    #[test]
    fn that_asks_for_an_address_asks_for_no_name() {
        for address in [&b"192.0.2.1"[..], b"2001:db8::1"] {
            let message = Sketch::with_extensions(vec![(0, server_name(address))]).message();
            assert_eq!(ClientHello::parse(&message).unwrap().server_name(), None);
        }
    }

    #[test]
    fn with_a_name_of_an_unknown_type_behind_the_first_has_the_first() {
        let list = [&[0, 0, 1, b'a'][..], &[99, 1, 2, 3]].concat();
        let message = Sketch::with_extensions(vec![(0, vec16(&list))]).message();
        assert_eq!(ClientHello::parse(&message).unwrap().server_name(), Some("a"));
    }
}

mod records {
    use super::*;

    fn hear(received: &[u8]) -> Heard<'_> {
        HelloScan::default().hear(received)
    }

    #[test]
    fn a_message_in_one_record_is_read_where_it_lies() {
        let message = Sketch::default().message();
        let wire = [&record(&message)[..], &record(b"more")].concat();
        assert!(matches!(hear(&wire), Heard::Message(Cow::Borrowed(found)) if found == message));
    }

    #[test]
    fn a_message_in_many_records_is_put_together_however_it_comes() {
        let message = Sketch::default().message();
        for fragment_len in [1, 2, 3, 4, 5, 50, 100] {
            let wire: Vec<u8> = message.chunks(fragment_len).flat_map(record).collect();
            assert_eq!(hear(&wire), Heard::Message(message.clone().into()));

            let mut scan = HelloScan::default();
            for end in 0..wire.len() {
                assert_eq!(scan.hear(&wire[..end]), Heard::Incomplete, "{end} bytes");
            }
            assert_eq!(scan.hear(&wire), Heard::Message(message.clone().into()));
        }
    }

    #[test]
    fn what_follows_in_the_same_record_is_no_part_of_the_message() {
        let message = Sketch::default().message();
        let wire = record(&[&message[..], b"another"].concat());
        assert_eq!(hear(&wire), Heard::Message(message.into()));
    }

    #[test]
    fn the_largest_message_is_heard() {
        let long = message(&vec![0; 0xFF_FFFF]);
        let wire: Vec<u8> = long.chunks(MAX_FRAGMENT_LEN).flat_map(record).collect();
        assert_eq!(hear(&wire[..wire.len() - 1]), Heard::Incomplete);
        assert_eq!(hear(&wire), Heard::Message(long.into()));
    }

    #[test]
    fn anything_else_is_told_as_early_as_it_can_be() {
        let hello = record(&Sketch::default().message());
        let half = record(&Sketch::default().message()[..20]);
        for other in [
            &b"G"[..],
            b"GET / HTTP/1.1\r\n",
            &[HANDSHAKE_RECORD, 2],
            &[HANDSHAKE_RECORD, 3, 1, 0, 0],
            &[HANDSHAKE_RECORD, 3, 1, 0x40, 1],
            &record(&[2, 0, 0, 0]),
            &[21, 3, 3, 0, 2, 1, 0],
            &[&half[..], &[20]].concat(),
            &[&half[..], &[21, 3, 3, 0, 2, 1, 0], &hello].concat(),
            &[&half[..], &[HANDSHAKE_RECORD, 3, 1, 0, 0]].concat(),
        ] {
            assert_eq!(hear(other), Heard::NotAHello, "{other:?}");
        }
        assert_eq!(hear(&[]), Heard::Incomplete);
        assert_eq!(hear(&[HANDSHAKE_RECORD, 3, 1, 0x40, 0]), Heard::Incomplete);
    }

    #[test]
    fn a_scan_looks_at_each_record_once() {
        let wire: Vec<u8> = message(&[0; 3_000]).iter().flat_map(|byte| record(&[*byte])).collect();
        let mut scan = HelloScan::default();
        for end in (0..wire.len()).step_by(6) {
            scan.hear(&wire[..end]);
            assert_eq!(scan.at, end);
        }
    }
}
