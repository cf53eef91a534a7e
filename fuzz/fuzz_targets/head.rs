//! Any bytes as a request's head: the same answer however they are cut, the limits hold, and what a
//! complete head says of itself agrees with itself.
#![no_main]

use esp_http_server::proto::head::{BodyLen, Head, HeadError, Limits, Parsed, Version};
use esp_http_server::proto::ws::handshake;
use fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [cuts, limits, input @ ..] = data else { return };
    let limits = match limits % 3 {
        0 => Limits { head_len: 64, uri_len: 16, field_count: 3 },
        1 => Limits { head_len: 1024, uri_len: 128, field_count: 16 },
        _ => Limits { head_len: usize::MAX, uri_len: usize::MAX, field_count: usize::MAX },
    };
    let mut whole = Head::new();
    let answer = whole.parse(input, &limits);
    let mut cut = Head::new();
    assert_eq!(parse_cut(&mut cut, input, &limits, *cuts), answer);
    if let Ok(Parsed::Complete { len }) = answer {
        check(&whole, len, input, &limits);
        assert_eq!(cut.raw(), whole.raw());
        assert!(cut.fields().eq(whole.fields()));
    } else {
        assert_eq!((whole.target(), whole.fields().count()), ("", 0));
    }
    if let Err(error) = answer {
        // It stays what it is, and there is a status for it.
        assert_eq!(whole.parse(input, &limits), Err(error));
        assert!(error.status().is_error());
    }
    // The buffers are used again, and nothing of this head is left in the next one.
    whole.clear();
    assert_eq!(whole.parse(input, &limits), answer);
});

/// Gives the head more and more of the input, as connections do.
fn parse_cut(
    head: &mut Head,
    input: &[u8],
    limits: &Limits,
    cuts: u8,
) -> Result<Parsed, HeadError> {
    let mut cuts = Cuts::new(cuts);
    let mut len = 0;
    loop {
        len += cuts.next_len(input.len() - len);
        match head.parse(&input[..len], limits)? {
            Parsed::Partial if len < input.len() => {}
            answer => return Ok(answer),
        }
    }
}

fn check(head: &Head, len: usize, input: &[u8], limits: &Limits) {
    let raw = head.raw();
    assert!(len <= input.len() && raw.len() <= limits.head_len);
    assert_eq!(&input[len - raw.len()..len], raw);
    assert!(raw.ends_with(b"\r\n\r\n"));
    assert!(head.target().len() <= limits.uri_len);
    assert!(head.fields().count() <= limits.field_count);
    // What smuggling is made of is not there.
    assert!(!raw.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r'));
    assert!(!raw.contains(&0));
    let has = |name| head.values(name).count();
    match head.body_len() {
        BodyLen::None => assert_eq!(has("content-length") + has("transfer-encoding"), 0),
        BodyLen::Length(_) => assert_eq!((has("content-length"), has("transfer-encoding")), (1, 0)),
        BodyLen::Chunked => assert_eq!((has("content-length"), has("transfer-encoding")), (0, 1)),
    }
    if head.version() == Version::Http11 {
        assert_eq!(has("host"), 1);
        assert!(head.authority().is_some());
    }
    // Everything there is to ask for.
    let _ = (head.path(), head.query(), head.keep_alive(), head.expect_continue());
    let _ = handshake::accept(head).map(|accept| accept.as_str().len());
    let _ = handshake::choose_subprotocol(head, &["chat", "superchat"]);
}
