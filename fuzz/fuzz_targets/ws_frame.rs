//! Any bytes as a WebSocket frame's head and as a close frame's payload: what is read and written
//! again is what was there.
#![no_main]

use esp_http_server::proto::ws::frame::{self, Rsv, Sender};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [choice, input @ ..] = data else { return };
    let sender = if choice & 1 == 0 { Sender::Client } else { Sender::Server };
    let rsv = if choice & 2 == 0 { Rsv::NONE } else { Rsv::RSV1 };
    let answer = frame::parse_head(input, sender, rsv);
    if let Ok(Some((head, len))) = answer {
        assert!(len <= frame::HEAD_LEN && len <= input.len());
        assert!(head.rsv.is_within(rsv) && head.len < 1 << 63);
        assert_eq!(head.mask.is_some(), sender == Sender::Client);
        assert!(!head.opcode.is_control() || (head.fin && head.len <= frame::CONTROL_LEN as u64));
        let mut again = Vec::new();
        frame::encode_head(&mut again, &head);
        assert_eq!(again, input[..len]);
        unmask(&mut input[len..].to_vec(), head.mask.unwrap_or_default(), *choice);
    }
    // Fewer bytes never make another answer: only none yet, or the same error earlier.
    for len in 0..input.len().min(frame::HEAD_LEN) {
        match frame::parse_head(&input[..len], sender, rsv) {
            Ok(None) => {}
            earlier => assert_eq!(earlier, answer),
        }
    }
    close(input);
});

/// Masking in two parts is masking at once, and masking twice is nothing.
fn unmask(payload: &mut [u8], key: [u8; 4], choice: u8) {
    let before = payload.to_vec();
    frame::apply_mask(payload, key, 0);
    let at = usize::from(choice).min(payload.len());
    let mut in_two = before.clone();
    frame::apply_mask(&mut in_two[..at], key, 0);
    frame::apply_mask(&mut in_two[at..], key, at as u64);
    assert_eq!(in_two, payload);
    frame::apply_mask(payload, key, 0);
    assert_eq!(payload, before);
}

fn close(payload: &[u8]) {
    if payload.len() <= frame::CONTROL_LEN
        && let Ok(Some((code, reason))) = frame::parse_close(payload)
    {
        let mut again = Vec::new();
        frame::encode_close(&mut again, code, reason);
        assert_eq!(again[2..], *payload);
    }
}
