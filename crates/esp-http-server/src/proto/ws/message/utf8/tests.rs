//! Tests of UTF-8 that comes in pieces.

use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::proto::random;

/// Whether the text is taken when it comes in pieces that end at `ends`.
fn is_text(bytes: &[u8], ends: impl Iterator<Item = usize>) -> bool {
    let (mut stream, mut at) = (Utf8Stream::default(), 0);
    for end in ends {
        if stream.push(&bytes[at..end]).is_err() {
            return false;
        }
        at = end;
    }
    stream.finish().is_ok()
}

#[test]
fn invalid_text_fails_with_its_first_byte() {
    let mut stream = Utf8Stream::default();
    assert_eq!(stream.push(b"ok \xf4"), Ok(()));
    assert_eq!(stream.push(b""), Ok(()));
    // Beyond U+10FFFF: known before the character is whole.
    assert_eq!(stream.push(b"\x90"), Err(WsError::NotUtf8));
}

#[test]
fn a_broken_end_of_text_does_not_reach_the_next_message() {
    let mut stream = Utf8Stream::default();
    stream.push(b"\xe2\x82").unwrap();
    assert_eq!(stream.finish(), Err(WsError::NotUtf8));
    assert_eq!(stream.push("€".as_bytes()).and_then(|()| stream.finish()), Ok(()));
}

#[test]
fn every_character_is_taken_in_every_piece() {
    let step = if cfg!(miri) { 4_999 } else { 1 };
    for character in (0..=u32::from(char::MAX)).step_by(step).filter_map(char::from_u32) {
        let mut bytes = [0; 4];
        let len = character.encode_utf8(&mut bytes).len();
        assert!(is_text(&bytes[..len], 1..=len), "{character:?}");
    }
}

#[test]
fn random_bytes_in_random_pieces_are_judged_as_a_whole_is() {
    let mut next = random::numbers();
    for _ in 0..random::ROUNDS {
        // Mostly text, so that both answers are frequent.
        let mut bytes = (0..next(60))
            .filter_map(|_| {
                char::from_u32([0x7f, 0x7ff, 0xffff, 0x10ffff][next(4)] - next(0x60) as u32)
            })
            .collect::<String>()
            .into_bytes();
        for _ in 0..next(2) {
            let at = next(bytes.len() + 1);
            bytes.insert(at, next(256) as u8);
        }
        let mut ends: Vec<usize> = (0..next(5)).map(|_| next(bytes.len() + 1)).collect();
        ends.push(bytes.len());
        ends.sort_unstable();
        let expected = core::str::from_utf8(&bytes).is_ok();
        assert_eq!(is_text(&bytes, ends.into_iter()), expected, "{}", bytes.escape_ascii());
    }
}
