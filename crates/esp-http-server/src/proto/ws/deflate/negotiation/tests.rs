//! Tests of the negotiation.

use alloc::format;
use alloc::string::{String, ToString};

use super::*;
use crate::proto::ws::handshake::tests::get;

const BOTH_WAYS: DeflateConfig = config(15, ContextTakeover::On, 15, ContextTakeover::On);

const fn side(bits: u8, context_takeover: ContextTakeover) -> Compression {
    Compression { window_bits: WindowBits::new(bits).unwrap(), context_takeover }
}

const fn config(
    server_bits: u8,
    server: ContextTakeover,
    client_bits: u8,
    client: ContextTakeover,
) -> DeflateConfig {
    DeflateConfig { server: side(server_bits, server), client: side(client_bits, client) }
}

fn agreed(offers: &str, config: &DeflateConfig) -> Option<Agreed> {
    negotiate(&get(&format!("Sec-WebSocket-Extensions: {offers}\r\n")), config)
}

/// The answer, without the extension's name.
fn answer(offers: &str, config: &DeflateConfig) -> Option<String> {
    let text = agreed(offers, config)?.to_string();
    Some(text.strip_prefix("permessage-deflate").expect("its name").to_string())
}

/// Every parameter of section 7.1: what is offered, what is answered, and how each side compresses.
#[test]
fn parameters_are_answered_as_the_rfc_says() {
    use ContextTakeover::{Off, On};
    let yielding = BOTH_WAYS;
    let sparing = config(10, Off, 9, Off);
    for (offer, config, answer, server, client) in [
        ("", yielding, "", side(15, On), side(15, On)),
        (
            "server_no_context_takeover",
            yielding,
            "server_no_context_takeover",
            side(15, Off),
            side(15, On),
        ),
        (
            "client_no_context_takeover",
            yielding,
            "client_no_context_takeover",
            side(15, On),
            side(15, Off),
        ),
        (
            "server_max_window_bits=10",
            yielding,
            "server_max_window_bits=10",
            side(10, On),
            side(15, On),
        ),
        (
            "server_max_window_bits=15",
            yielding,
            "server_max_window_bits=15",
            side(15, On),
            side(15, On),
        ),
        (
            "server_max_window_bits=8",
            yielding,
            "server_max_window_bits=8",
            side(8, On),
            side(15, On),
        ),
        ("client_max_window_bits", yielding, "", side(15, On), side(15, On)),
        ("client_max_window_bits=15", yielding, "", side(15, On), side(15, On)),
        (
            "client_max_window_bits=11",
            yielding,
            "client_max_window_bits=11",
            side(15, On),
            side(11, On),
        ),
        (
            "client_max_window_bits=8",
            yielding,
            "client_max_window_bits=8",
            side(15, On),
            side(8, On),
        ),
        (
            "client_max_window_bits; server_max_window_bits=12; client_no_context_takeover; server_no_context_takeover",
            yielding,
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            side(12, Off),
            side(15, Off),
        ),
        // The server wants less than the client does.
        (
            "client_max_window_bits",
            sparing,
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
            side(10, Off),
            side(9, Off),
        ),
        (
            "client_max_window_bits=8; server_max_window_bits=9",
            sparing,
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=8",
            side(9, Off),
            side(8, Off),
        ),
        (
            "server_max_window_bits=14; client_max_window_bits=14",
            sparing,
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
            side(10, Off),
            side(9, Off),
        ),
    ] {
        let separator = if offer.is_empty() { "" } else { "; " };
        let agreed = agreed(&format!("permessage-deflate{separator}{offer}"), &config).unwrap();
        let separator = if answer.is_empty() { "" } else { "; " };
        assert_eq!(agreed.to_string(), format!("permessage-deflate{separator}{answer}"), "{offer}");
        assert_eq!((agreed.server(), agreed.client()), (server, client), "{offer}");
    }
}

#[test]
fn nothing_is_kept_between_messages_by_default() {
    let answer = answer("permessage-deflate; client_max_window_bits", &DeflateConfig::default());
    let expected = "; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer.as_deref(), Some(expected));
}

#[test]
fn invalid_offers_are_declined() {
    for offer in [
        "permessage-deflate; x",
        "permessage-deflate; x=1",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover=true",
        "permessage-deflate; client_no_context_takeover=0",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=10; client_max_window_bits",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; Server_max_window_bits=10",
        "Permessage-deflate",
        "permessage-deflates",
        "x-webkit-deflate-frame",
    ] {
        assert_eq!(answer(offer, &BOTH_WAYS), None, "{offer}");
    }
    for bits in
        ["7", "16", "0", "08", "010", "1", "150", "+9", "-9", "9.", "a", "0x9", "99999999999"]
    {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            let offer = format!("permessage-deflate; {name}={bits}");
            assert_eq!(answer(&offer, &BOTH_WAYS), None, "{offer}");
        }
    }
}

#[test]
fn the_first_offer_that_is_possible_is_taken() {
    let offers = "x-other, permessage-deflate; server_max_window_bits=7, \
                  permessage-deflate; server_max_window_bits=10, permessage-deflate";
    assert_eq!(answer(offers, &BOTH_WAYS).as_deref(), Some("; server_max_window_bits=10"));
    let fields = "permessage-deflate; x\r\nSec-WebSocket-Extensions: permessage-deflate";
    assert_eq!(answer(fields, &BOTH_WAYS).as_deref(), Some(""));
    assert_eq!(negotiate(&get(""), &BOTH_WAYS), None);
    assert_eq!(answer(",", &BOTH_WAYS), None);
}

#[test]
fn quoted_values_count() {
    let offer = r#"permessage-deflate; server_max_window_bits="10"; client_max_window_bits="\11""#;
    let expected = "; server_max_window_bits=10; client_max_window_bits=11";
    assert_eq!(answer(offer, &BOTH_WAYS).as_deref(), Some(expected));
    assert_eq!(answer(r#"permessage-deflate; server_max_window_bits="010""#, &BOTH_WAYS), None);
}

/// A server that has promised its memory a smaller window can't take a client that was not told.
#[test]
fn a_client_that_cannot_be_limited_is_declined_by_a_server_that_must() {
    let small = config(15, ContextTakeover::On, 14, ContextTakeover::On);
    assert_eq!(answer("permessage-deflate", &small), None);
    let offers =
        "permessage-deflate; server_max_window_bits=9, permessage-deflate; client_max_window_bits";
    assert_eq!(answer(offers, &small).as_deref(), Some("; client_max_window_bits=14"));
}

#[test]
fn the_field_of_the_response_is_one_line() {
    let mut out = Vec::new();
    agreed("permessage-deflate", &BOTH_WAYS).unwrap().encode_field(&mut out);
    assert_eq!(out, b"Sec-WebSocket-Extensions: permessage-deflate\r\n");
}

#[test]
fn window_bits_are_8_to_15() {
    for bits in 0..=255 {
        assert_eq!(WindowBits::new(bits).is_some(), (8..=15).contains(&bits), "{bits}");
    }
    assert_eq!((WindowBits::MIN.window_len(), WindowBits::MAX.window_len()), (256, 32_768));
}
