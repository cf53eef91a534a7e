//! Tests of extension lists.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::proto::random;
use crate::proto::ws::handshake::tests::get;

/// The offers, written in one form, as far as they are read.
fn read(fields: &str) -> (Vec<String>, Result<(), Malformed>) {
    let (mut read, mut result) = (Vec::new(), Ok(()));
    let head = get(fields);
    for offer in offers(&head) {
        match offer {
            Ok(offer) => read.push(text(&offer)),
            Err(malformed) => result = Err(malformed),
        }
    }
    (read, result)
}

fn text(offer: &Offer) -> String {
    let params = offer.params().map(|param| match param.value {
        Some(value) => format!(";{}={value}", param.name),
        None => format!(";{}", param.name),
    });
    offer.name().to_string() + &params.collect::<String>()
}

fn of_value(value: &str) -> (Vec<String>, Result<(), Malformed>) {
    read(&format!("Sec-WebSocket-Extensions: {value}\r\n"))
}

#[test]
fn offers_are_read_in_order_over_several_fields() {
    let fields = "Sec-WebSocket-Extensions: a; x=1; y, b\r\n\
                  Other: c\r\n\
                  sec-websocket-extensions: c;z=\"2\"\r\n";
    let expected = ["a;x=1;y", "b", "c;z=2"].map(String::from).to_vec();
    assert_eq!(read(fields), (expected, Ok(())));
    assert_eq!(read(""), (Vec::new(), Ok(())));
}

#[test]
fn spaces_and_empty_elements_are_left_aside() {
    for value in ["a;x=1,b", "a ; x = 1 , b", "\ta\t;\tx\t=\t1\t,\tb", ",, a;x=1, ,\t,b,"] {
        assert_eq!(of_value(value), (["a;x=1", "b"].map(String::from).to_vec(), Ok(())), "{value}");
    }
    for value in ["", ",", ", ,\t,,"] {
        assert_eq!(of_value(value), (Vec::new(), Ok(())), "{value:?}");
    }
}

#[test]
fn quoted_values_are_tokens_without_their_quotes() {
    for value in [r#"a;x="10""#, r#"a;x="1\0""#, r#"a;x="\1\0""#, r#"a ; x = "\10""#] {
        assert_eq!(of_value(value), (["a;x=10"].map(String::from).to_vec(), Ok(())), "{value}");
    }
    for value in [r#"a;x="""#, r#"a;x="1 0""#, r#"a;x="1,0""#, r#"a;x="\"""#, r#"a;x="\,""#] {
        assert_eq!(of_value(value), (Vec::new(), Err(Malformed)), "{value}");
    }
}

#[test]
fn malformed_offers_end_the_list() {
    for value in [
        "a b",
        "a;",
        "a;;x",
        "a;x=",
        "a;x=1=2",
        "a;=1",
        "=1",
        ";x",
        "a;x 1",
        r#"a;x="1"#,
        r#"a;x="1\"#,
        r#"a;x="1"2"#,
        r#""a""#,
        "a/b",
        "ä",
        "a;x=é",
    ] {
        assert_eq!(of_value(value), (Vec::new(), Err(Malformed)), "{value}");
        let behind = format!("good, {value}");
        assert_eq!(of_value(&behind), (["good".to_string()].to_vec(), Err(Malformed)), "{value}");
    }
    let two = "Sec-WebSocket-Extensions: a;\r\nSec-WebSocket-Extensions: b\r\n";
    assert_eq!(read(two), (Vec::new(), Err(Malformed)));
}

#[test]
fn long_lists_are_read_to_their_end() {
    const LEN: usize = random::many(10_000);
    let (read, result) = of_value(&"a;x=1,".repeat(LEN / 6));
    assert_eq!((read.len(), result), (LEN / 6, Ok(())));
    let (read, result) = of_value(&format!("a;x=\"{}\"", "1".repeat(LEN)));
    assert_eq!((read[0].len(), result), (LEN + 4, Ok(())));
    assert_eq!(of_value(&",".repeat(LEN)), (Vec::new(), Ok(())));
}

#[test]
fn random_lists_never_panic_and_what_is_read_reads_the_same_again() {
    let alphabet = b"ab01;;==,,\"\"\\ \t-\xc3/";
    let mut next = random::numbers();
    for _ in 0..random::ROUNDS {
        let value: Vec<u8> = (0..next(24)).map(|_| alphabet[next(alphabet.len())]).collect();
        let mut cursor = Cursor(&value);
        while let Ok(Some(offer)) = cursor.offer() {
            let written = text(&offer);
            let mut again = Cursor(written.as_bytes());
            assert_eq!(
                again.offer().map(|offer| offer.map(|offer| text(&offer))),
                Ok(Some(written.clone()))
            );
        }
    }
}
