//! Tests of the way in. Every message goes through [`inflate`], which also feeds it cut at every byte
//! and with room of all sizes.

use alloc::vec;

use super::*;
use crate::proto::random;
use crate::proto::ws::deflate::support::{Bits, compression};

const ON: Compression = compression(15, ContextTakeover::On);
const OFF: Compression = compression(15, ContextTakeover::Off);

/// Inflates messages, each of them in pieces of `piece_len` with so much room per call.
fn inflate_in_pieces(
    compression: Compression,
    messages: &[&[u8]],
    piece_len: usize,
    room_len: usize,
) -> Result<Vec<Vec<u8>>, WsError> {
    let mut inflater = Inflater::new(compression);
    let mut all = Vec::new();
    for message in messages {
        let (mut inflated, mut at) = (Vec::new(), 0);
        loop {
            let end = message.len().min(at + piece_len);
            let rest = if end == message.len() { Rest::Ended } else { Rest::Follows };
            let mut room = vec![0; room_len];
            let step = inflater.inflate(&message[at..end], rest, &mut room)?;
            inflated.extend_from_slice(&room[..step.produced]);
            at += step.consumed;
            if step.is_done {
                assert_eq!(at, message.len());
                break;
            }
            assert!(step.consumed > 0 || step.produced > 0, "it goes on");
        }
        all.push(inflated);
    }
    Ok(all)
}

pub(in crate::proto::ws::deflate) fn inflate(
    compression: Compression,
    messages: &[&[u8]],
) -> Result<Vec<Vec<u8>>, WsError> {
    let at_once = inflate_in_pieces(compression, messages, usize::MAX / 2, 1 << 20);
    let longest = messages.iter().map(|message| message.len()).max().unwrap_or(0);
    for piece_len in (1..=longest.min(20)).chain([longest.max(1)]) {
        for room_len in [1, 2, 3, 5, 1 << 20] {
            let in_pieces = inflate_in_pieces(compression, messages, piece_len, room_len);
            assert_eq!(in_pieces, at_once, "pieces of {piece_len}, room for {room_len}");
        }
    }
    at_once
}

fn hellos(compression: Compression, messages: &[&[u8]]) {
    let expected = vec![b"Hello".to_vec(); messages.len()];
    assert_eq!(inflate(compression, messages), Ok(expected), "{messages:x?}");
}

/// "Hello" as section 7.2.3 has it: in a block with a fixed code, ...
const FIXED: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
/// ... pointing back to the one before, ...
const SHARED: &[u8] = b"\xf2\x00\x11\x00\x00";
/// ... in a block without compression, ...
const STORED: &[u8] = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
/// ... in a block that says it is the last one, ...
const LAST: &[u8] = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
/// ... and in two blocks.
const TWO: &[u8] = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";

#[test]
fn the_examples_of_the_rfc_are_inflated() {
    hellos(OFF, &[FIXED]);
    hellos(ON, &[FIXED, SHARED]);
    hellos(ON, &[FIXED, FIXED]);
    hellos(OFF, &[STORED]);
    hellos(OFF, &[LAST]);
    hellos(OFF, &[TWO]);
    assert_eq!(inflate(OFF, &[b"\x00"]), Ok(vec![vec![]]));
}

#[test]
fn the_window_outlives_what_ends_a_stream_or_says_nothing() {
    hellos(ON, &[LAST, SHARED, LAST, FIXED, SHARED, TWO, STORED, SHARED]);
    assert_eq!(
        inflate(ON, &[FIXED, b"\x00", b"", SHARED]),
        Ok(vec![b"Hello".to_vec(), vec![], vec![], b"Hello".to_vec()])
    );
    // Two streams in one message, the second of which points back into the first.
    let message = [&LAST[..7], SHARED].concat();
    assert_eq!(inflate(OFF, &[&message]), Ok(vec![b"HelloHello".to_vec()]));
}

#[test]
fn without_context_takeover_each_message_stands_for_itself() {
    hellos(OFF, &[FIXED, LAST, STORED, TWO, FIXED]);
    assert_eq!(inflate(OFF, &[FIXED, SHARED]), Err(WsError::NotDeflate));
}

#[test]
fn broken_messages_are_refused() {
    for broken in [
        &b"\x06"[..],                        // a block of the reserved type
        b"\x00\x05\x00\xfa\xfe",             // a stored length that does not match its complement
        b"\x02\x00\x11\x00\x00",             // points before the first byte
        b"\xff\xff\xff\xff\xff",             // noise
        b"\xed\xfd\x01\x01\x00\x00\x00\x80", // a code that is not complete
        b"\x00\x05\x00\xfa\xff\x48\x65",     // breaks off in a stored block
        &LAST[..7],                          // nothing behind the last block
        b"\x00\x00\x00\xff\xff",             // the tail was left on, but nothing before it
    ] {
        assert_eq!(inflate(OFF, &[broken]), Err(WsError::NotDeflate), "{broken:x?}");
        assert_eq!(inflate(ON, &[FIXED, broken]), Err(WsError::NotDeflate), "{broken:x?}");
    }
    assert_eq!(WsError::NotDeflate.close_code().code(), 1007);
}

#[test]
fn a_message_that_breaks_off_is_refused() {
    for message in [FIXED, STORED, LAST, TWO] {
        for len in 1..message.len() {
            let result = inflate(OFF, &[&message[..len]]);
            // Cut behind a flush it is a shorter message, and a zero byte alone an empty one. Where
            // just the tail's four bytes are missing of a stored block, the tail is what it gets:
            // section 7.2.2 has the receiver append it, whatever the message is.
            let is_whole = matches!((message, len), (TWO, 4) | (STORED, 1 | 6));
            assert_eq!(result.is_ok(), is_whole, "{len} bytes of {message:x?}: {result:x?}");
        }
    }
}

#[test]
fn it_never_writes_more_than_there_is_room_for() {
    let bomb = Bits::default().literal(0).repeat(1, 258, 4_000).end();
    let mut inflater = Inflater::new(OFF);
    let mut room = [1; 100];
    let step = inflater.inflate(&bomb, Rest::Ended, &mut room[..60]).unwrap();
    assert_eq!((step.produced, step.is_done), (60, false));
    assert_eq!(room[..60], [0; 60]);
    assert_eq!(room[60..], [1; 40]);
    // Nothing moves without room.
    let step = inflater.inflate(&bomb[step.consumed..], Rest::Ended, &mut []).unwrap();
    assert_eq!(step.produced, 0);
    assert!(!step.is_done);
}

#[test]
fn data_may_point_as_far_back_as_the_window_and_no_further() {
    for bits in 8..=15 {
        let window_len = 1 << bits;
        for sent in [window_len, window_len + 1, 2 * window_len - 1, 2 * window_len + 77] {
            let plain: Vec<u8> = (0..sent).map(|index| (index % 139) as u8).collect();
            let message = |distance| {
                let bits = plain.iter().fold(Bits::default(), |bits, &byte| bits.literal(byte));
                bits.repeat(distance, 3, 1).end()
            };
            let pieces = |message: &[u8]| {
                let compression = compression(bits, ContextTakeover::Off);
                inflate_in_pieces(compression, &[message], 1_000, 500)
            };
            let at = sent - window_len;
            let expected = [&plain[..], &plain[at..at + 3]].concat();
            assert_eq!(
                pieces(&message(window_len)),
                Ok(vec![expected]),
                "{bits} bits, {sent} bytes"
            );
            if bits < 15 {
                let too_far = pieces(&message(window_len + 1));
                assert_eq!(too_far, Err(WsError::NotDeflate), "{bits} bits, {sent} bytes");
            }
        }
    }
}

#[test]
fn nothing_points_before_the_first_byte() {
    for sent in [1, 2, 255, 1_023, 1_024, 1_025, 5_000] {
        let message = |distance| {
            let bits =
                (0..sent).fold(Bits::default(), |bits, index| bits.literal((index % 7) as u8));
            bits.repeat(distance, 3, 1).end()
        };
        assert!(inflate_in_pieces(OFF, &[&message(sent)], 100, 100).is_ok(), "{sent}");
        let before = inflate_in_pieces(OFF, &[&message(sent + 1)], 100, 100);
        assert_eq!(before, Err(WsError::NotDeflate), "{sent}");
    }
}

#[test]
fn between_messages_it_holds_what_was_agreed() {
    let mut room = vec![0; 1 << 20];
    let held = |inflater: &Inflater| (inflater.window.capacity(), inflater.decompressor.is_some());

    let mut inflater = Inflater::new(OFF);
    assert_eq!(held(&inflater), (0, false));
    inflater.inflate(&FIXED[..3], Rest::Follows, &mut room).unwrap();
    assert_eq!(held(&inflater), (1_024, true));
    inflater.inflate(&FIXED[3..], Rest::Ended, &mut room).unwrap();
    assert_eq!(held(&inflater), (0, false));

    let mut inflater = Inflater::new(compression(10, ContextTakeover::On));
    let long = Bits::default().literal(0).repeat(1, 258, 100).end();
    for message in [FIXED, &long, FIXED] {
        assert!(inflater.inflate(message, Rest::Ended, &mut room).unwrap().is_done);
        assert_eq!(held(&inflater), (1_024, false));
    }
    let mut inflater = Inflater::new(ON);
    for (message, window_len) in [(FIXED, 1_024), (&long, 32_768), (FIXED, 32_768)] {
        assert!(inflater.inflate(message, Rest::Ended, &mut room).unwrap().is_done);
        assert_eq!(held(&inflater), (window_len, false));
    }
    assert!(size_of::<DecompressorOxide>() <= 10_752, "as documented");
}

#[test]
fn random_bytes_never_panic_and_never_depend_on_the_cut() {
    let mut next = random::numbers();
    for _ in 0..random::ROUNDS / 30 {
        let mut message = [TWO, FIXED, STORED, LAST][next(4)].to_vec();
        for _ in 0..=next(3) {
            let at = next(message.len());
            match next(3) {
                0 => drop(message.remove(at)),
                1 => message.insert(at, next(256) as u8),
                _ => message[at] ^= 1 << next(8),
            }
        }
        let compression = [ON, OFF, compression(8, ContextTakeover::On)][next(3)];
        let _ = inflate(compression, &[FIXED, &message, FIXED]);
    }
}
