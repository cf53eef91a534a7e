//! Tests of frame heads, masks and close payloads.

use alloc::string::String;
use alloc::vec;

use super::*;
use crate::proto::random;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn parse(input: &[u8]) -> Result<Option<(FrameHead, usize)>, WsError> {
    parse_head(input, Sender::Client, Rsv::NONE)
}

/// The error, which must not depend on how much follows once it is known.
fn error(input: &[u8]) -> WsError {
    let error = parse(input).expect_err("refused");
    assert_eq!(parse(&[input, &[0; 20]].concat()), Err(error), "{}", input.escape_ascii());
    error
}

/// RFC 6455, section 5.7: the bytes, who sends them, and what they are.
#[test]
fn the_examples_of_the_rfc_are_read_and_written() {
    let binary = |head: &[u8], len: usize| [head, &vec![0x5a; len]].concat();
    let examples = [
        (b"\x81\x05Hello".to_vec(), true, Opcode::Text, None, &b"Hello"[..]),
        (
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".into(),
            true,
            Opcode::Text,
            Some(KEY),
            b"Hello",
        ),
        (b"\x01\x03Hel".into(), false, Opcode::Text, None, b"Hel"),
        (b"\x80\x02lo".into(), true, Opcode::Continuation, None, b"lo"),
        (b"\x89\x05Hello".into(), true, Opcode::Ping, None, b"Hello"),
        (
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".into(),
            true,
            Opcode::Pong,
            Some(KEY),
            b"Hello",
        ),
        (binary(b"\x82\x7e\x01\x00", 256), true, Opcode::Binary, None, &[0x5a; 256]),
        (
            binary(b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 65_536),
            true,
            Opcode::Binary,
            None,
            &[0x5a; 65_536],
        ),
    ];
    for (bytes, fin, opcode, mask, payload) in examples {
        let sender = if mask.is_some() { Sender::Client } else { Sender::Server };
        let (head, head_len) = parse_head(&bytes, sender, Rsv::NONE).unwrap().unwrap();
        let len = payload.len() as u64;
        assert_eq!(head, FrameHead { fin, rsv: Rsv::NONE, opcode, len, mask });
        let mut received = bytes[head_len..].to_vec();
        apply_mask(&mut received, mask.unwrap_or_default(), 0);
        assert_eq!(received, payload);

        let mut out = Vec::new();
        encode_head(&mut out, &head);
        assert_eq!(out, bytes[..head_len]);
        if fin && sender == Sender::Server && opcode != Opcode::Continuation {
            out.clear();
            encode_frame(&mut out, opcode, payload);
            assert_eq!(out, bytes);
        }
    }
}

#[test]
fn heads_survive_the_way_out_and_back_and_need_every_byte() {
    for opcode in [
        Opcode::Continuation,
        Opcode::Text,
        Opcode::Binary,
        Opcode::Close,
        Opcode::Ping,
        Opcode::Pong,
    ] {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, (1 << 32) + 5, (1 << 63) - 1] {
            if opcode.is_control() && len > 125 {
                continue;
            }
            for (sender, mask) in [(Sender::Client, Some(KEY)), (Sender::Server, None)] {
                let head = FrameHead { fin: true, rsv: Rsv::NONE, opcode, len, mask };
                let mut out = Vec::new();
                encode_head(&mut out, &head);
                assert!(out.len() <= HEAD_LEN);
                let head_len = out.len();
                for cut in 0..head_len {
                    assert_eq!(parse_head(&out[..cut], sender, Rsv::NONE), Ok(None));
                }
                out.extend_from_slice(b"payload");
                assert_eq!(parse_head(&out, sender, Rsv::NONE), Ok(Some((head, head_len))));
            }
        }
    }
}

#[test]
fn lengths_have_one_form() {
    // What fits into 7 bits in 16, what fits into 16 bits in 64, and a sign bit.
    for len in [0_u16, 1, 125] {
        assert_eq!(error(&[&[0x82, 0xfe][..], &len.to_be_bytes()].concat()), WsError::Length);
    }
    for len in [0_u64, 5, 126, 65_535, 1 << 63, (1 << 63) + 5, u64::MAX] {
        assert_eq!(error(&[&[0x82, 0xff][..], &len.to_be_bytes()].concat()), WsError::Length);
    }
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [0x8, 0x9, 0xa] {
        for second in [0xfe, 0xff] {
            assert_eq!(error(&[0x80 | opcode, second]), WsError::ControlFrame);
        }
        assert_eq!(error(&[opcode, 0x80]), WsError::ControlFrame);
        assert_eq!(parse(&[0x80 | opcode, 0x80 | 125]), Ok(None));
    }
}

#[test]
fn reserved_opcodes_and_bits_are_refused() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(error(&[0x80 | opcode, 0x80]), WsError::ReservedOpcode(opcode));
    }
    for bits in [0x10, 0x20, 0x40, 0x70] {
        assert_eq!(error(&[0x81 | bits, 0x80]), WsError::ReservedBits);
    }
    let compressed = &[0xc1, 0x80, 0, 0, 0, 0];
    let (head, _) = parse_head(compressed, Sender::Client, Rsv::RSV1).unwrap().unwrap();
    assert_eq!(head.rsv, Rsv::RSV1);
    let more = parse_head(&[0xe1, 0x80], Sender::Client, Rsv::RSV1);
    assert_eq!(more, Err(WsError::ReservedBits));
}

#[test]
fn only_the_first_frame_of_a_message_may_say_that_it_is_compressed() {
    for first in [0xc0, 0x40, 0xc8, 0xc9, 0xca] {
        let refused = parse_head(&[first, 0x80], Sender::Client, Rsv::RSV1);
        assert_eq!(refused, Err(WsError::ReservedBits), "{first:#x}");
    }
    for first in [0xc1, 0xc2, 0x41, 0x42] {
        assert_eq!(parse_head(&[first, 0x80], Sender::Client, Rsv::RSV1), Ok(None), "{first:#x}");
    }
}

#[test]
fn clients_mask_and_servers_do_not() {
    assert_eq!(error(&[0x81, 0x05]), WsError::Mask);
    assert_eq!(parse_head(&[0x81, 0x85], Sender::Server, Rsv::NONE), Err(WsError::Mask));
    assert_eq!(WsError::Mask.close_code(), CloseCode::PROTOCOL_ERROR);
}

#[test]
fn a_mask_is_applied_the_same_in_any_pieces() {
    let plain: Vec<u8> = (0..100).collect();
    let masked: Vec<u8> =
        plain.iter().enumerate().map(|(index, byte)| byte ^ KEY[index % 4]).collect();
    for cut in 0..=plain.len() {
        let mut data = plain.clone();
        let (first, second) = data.split_at_mut(cut);
        apply_mask(first, KEY, 0);
        apply_mask(second, KEY, cut as u64);
        assert_eq!(data, masked, "cut at {cut}");
    }
    let mut data = masked;
    apply_mask(&mut data, KEY, u64::MAX - 3);
    assert_eq!(data, plain, "far into a frame");
}

#[test]
fn a_mask_is_applied_the_same_in_random_pieces_of_any_alignment() {
    let mut next = random::numbers();
    for _ in 0..random::ROUNDS / 10 {
        let key = [next(256), next(256), next(256), next(256)].map(|byte| byte as u8);
        let start = next(16);
        let plain: Vec<u8> = (0..start + next(300)).map(|_| next(256) as u8).collect();
        let mut data = plain.clone();
        let (mut rest, mut offset) = (&mut data[start..], 0);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at_mut(1 + next(rest.len()));
            apply_mask(piece, key, offset);
            offset += piece.len() as u64;
            rest = behind;
        }
        let unmasked = data[start..].iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]);
        assert!(unmasked.eq(plain[start..].iter().copied()));
        assert_eq!(data[..start], plain[..start]);
    }
}

#[test]
fn whole_frames_are_encoded() {
    let mut out = Vec::new();
    encode_frame(&mut out, Opcode::Text, b"Hello");
    assert_eq!(out, b"\x81\x05Hello");
    out.clear();
    // The longest 16-bit length; upstream takes the 64-bit form here.
    encode_frame(&mut out, Opcode::Binary, &vec![0; 65_535]);
    assert_eq!(out[..4], [0x82, 126, 0xff, 0xff]);
}

#[test]
fn close_codes_are_those_that_may_be_sent() {
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(CloseCode::new(code).map(CloseCode::code), Some(code));
        assert!(parse_close(&code.to_be_bytes()).is_ok());
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_eq!(CloseCode::new(code), None, "{code}");
        assert_eq!(parse_close(&code.to_be_bytes()), Err(WsError::ClosePayload), "{code}");
    }
}

#[test]
fn close_payloads_are_read() {
    assert_eq!(parse_close(b""), Ok(None));
    assert_eq!(parse_close(b"\x03"), Err(WsError::ClosePayload));
    assert_eq!(parse_close(b"\x03\xe8"), Ok(Some((CloseCode::NORMAL, ""))));
    assert_eq!(parse_close(b"\x03\xe9bye"), Ok(Some((CloseCode::GOING_AWAY, "bye"))));
    assert_eq!(parse_close(b"\x03\xe8\xff"), Err(WsError::NotUtf8));
}

#[test]
fn a_close_reason_is_cut_at_a_character_to_what_fits() {
    let close = |reason: &str| {
        let mut out = Vec::new();
        encode_close(&mut out, CloseCode::GOING_AWAY, reason);
        let (head, head_len) = parse_head(&out, Sender::Server, Rsv::NONE).unwrap().unwrap();
        assert_eq!(head.len as usize, out.len() - head_len);
        let (code, reason) = parse_close(&out[head_len..]).unwrap().unwrap();
        assert_eq!(code, CloseCode::GOING_AWAY);
        String::from(reason)
    };
    assert_eq!(close("bye"), "bye");
    for len in [122, 123] {
        assert_eq!(close(&"x".repeat(len)).len(), len);
    }
    assert_eq!(close(&"x".repeat(124)).len(), 123);
    assert_eq!(close(&"é".repeat(62)), "é".repeat(61));
}
