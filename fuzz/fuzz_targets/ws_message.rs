//! Any bytes as what a WebSocket client sends, with and without compression: the same messages and the
//! same end however they are cut, within the limits.
#![no_main]

use esp_http_server::proto::ws::WsError;
use esp_http_server::proto::ws::deflate::DeflateConfig;
use esp_http_server::proto::ws::message::{End, Event, Limits, MessageDecoder, MessageKind};
use fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { message_len: 200, fragment_count: 6, empty_fragment_count: 2 };

fuzz_target!(|data: &[u8]| {
    let [choice, cuts, input @ ..] = data else { return };
    let coding = if choice & 1 == 0 { Coding::Plain } else { Coding::Deflate };
    let whole = decode(coding, input, |left| left);
    let mut cuts = Cuts::new(*cuts);
    let cut = decode(coding, input, |left| cuts.next_len(left));
    assert_eq!(cut, whole);
    for message in &whole.messages {
        assert!(message.payload.len() as u64 <= LIMITS.message_len);
        if message.kind == Some(MessageKind::Text) {
            assert!(std::str::from_utf8(&message.payload).is_ok());
        }
    }
});

/// Whether messages may be compressed.
#[derive(Clone, Copy, Debug)]
enum Coding {
    Plain,
    Deflate,
}

#[derive(Debug, PartialEq)]
struct Stream {
    messages: Vec<Message>,
    end: Result<(), WsError>,
}

/// Text or binary, or else a control frame.
#[derive(Debug, PartialEq)]
struct Message {
    kind: Option<MessageKind>,
    payload: Vec<u8>,
}

fn decode(coding: Coding, input: &[u8], mut next_len: impl FnMut(usize) -> usize) -> Stream {
    let mut decoder = match coding {
        Coding::Plain => MessageDecoder::new(LIMITS),
        Coding::Deflate => MessageDecoder::with_deflate(LIMITS, DeflateConfig::default().client),
    };
    let mut messages = Vec::new();
    let mut payload = Vec::new();
    // What is received and not consumed; unmasked in place, as a connection's buffer is.
    let mut buffer = Vec::new();
    let mut received = 0;
    let end = loop {
        let decoded = match decoder.decode_into(&mut buffer, &mut payload) {
            Err(error) => {
                let again = decoder.decode_into(&mut buffer, &mut payload);
                assert_eq!(again, Err(error), "an error is final");
                break Err(error);
            }
            Ok(decoded) => decoded,
        };
        assert!(decoded.consumed <= buffer.len());
        let used: Vec<u8> = buffer.drain(..decoded.consumed).collect();
        match decoded.event {
            None if decoded.consumed > 0 => {}
            None if received == input.len() => break Ok(()),
            None => {
                let len = next_len(input.len() - received);
                buffer.extend_from_slice(&input[received..received + len]);
                received += len;
            }
            Some(Event::Frame(head)) => assert!(!head.opcode.is_control()),
            Some(Event::Data { kind, end: End::Message, .. }) => {
                let payload = std::mem::take(&mut payload);
                messages.push(Message { kind: Some(kind), payload });
            }
            Some(Event::Data { .. }) => {
                assert!(payload.len() as u64 <= LIMITS.message_len);
            }
            Some(Event::Ping(data) | Event::Pong(data) | Event::Close(data)) => {
                messages.push(Message { kind: None, payload: used[data].to_vec() });
            }
        }
    };
    Stream { messages, end }
}
