//! Receiving frame by frame, in parts, and control frames that the handler sees.

use super::support::*;
use super::ws::{
    BINARY, CLOSE, PING, PONG, TEXT, answer_close, expect_close, expect_frame, frame, frames,
    upgrade,
};
use crate::server::HttpConfig;
use crate::{CloseCode, ControlFrames, Message, Opcode, Result, UriHandler, WsRequest};

fn with_handler(
    log: &Log,
    handler: impl Fn(&Log, &mut WsRequest<'_>) -> Result + Send + Sync + 'static,
) -> (Engine, Client) {
    with_control_frames(ControlFrames::Server, log, handler)
}

fn with_control_frames(
    whose: ControlFrames,
    log: &Log,
    handler: impl Fn(&Log, &mut WsRequest<'_>) -> Result + Send + Sync + 'static,
) -> (Engine, Client) {
    let noted = log.clone();
    let handler = move |ws: &mut WsRequest<'_>| handler(&noted, ws);
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.uri_handler(UriHandler::ws("/ws", handler).control_frames(whose))
    });
    let client = engine.connect();
    upgrade(&client, "/ws");
    (engine, client)
}

/// Notes every frame of a message, read whole.
fn note_frames(log: &Log, ws: &mut WsRequest<'_>) -> Result {
    loop {
        let frame = ws.frame(100)?;
        let text = String::from_utf8_lossy(&frame.payload).into_owned();
        log.note(format!("{:?} {} {text}", frame.opcode, frame.fin));
        if frame.fin {
            return Ok(());
        }
    }
}

#[test]
fn fragments_are_read_one_by_one_with_pings_answered_between_them() {
    let log = Log::default();
    let (_, client) = with_handler(&log, note_frames);
    client.send([frame(0x01, b"one"), frame(PING, b"p"), frame(0x00, b"")].concat());
    assert_eq!(log.take(), ["Text false one", "Continuation false "]);
    expect_frame(&client, PONG, "p");
    client.send([frame(0x80, b"two"), frame(BINARY, b"three")].concat());
    assert_eq!(log.take(), ["Continuation true two", "Binary true three"]);
    client.send(frame(TEXT, b""));
    assert_eq!(log.take(), ["Text true "]);
}

#[test]
fn a_frame_over_its_limit_is_1009_by_its_head() {
    let log = Log::default();
    let (_, client) = with_handler(&log, note_frames);
    client.send(frame(BINARY, &[b'x'; 100]));
    assert_eq!(log.take().len(), 1);
    client.send(&frame(BINARY, &[b'x'; 101])[..9]);
    expect_close(&client, 1009);
    client.expect_lingering();
}

/// Reads a message in parts of `N` bytes, and notes the length that each frame has announced.
fn note_parts<const N: usize>(log: &Log, ws: &mut WsRequest<'_>) -> Result {
    let mut part = [0; N];
    loop {
        let head = ws.frame_head()?;
        log.note(format!("{:?} of {}", head.opcode, head.len));
        loop {
            match ws.recv(&mut part)? {
                0 => break,
                len => log.note(String::from_utf8_lossy(&part[..len])),
            }
        }
        assert_eq!(ws.recv(&mut part)?, 0, "the end is told as often as it is asked for");
        if head.fin {
            return Ok(());
        }
    }
}

#[test]
fn the_length_comes_first_and_the_payload_in_parts_of_the_callers_size() {
    let log = Log::default();
    let (_, client) = with_handler(&log, note_parts::<4>);
    client.send(&frame(BINARY, b"0123456789")[..6]);
    assert_eq!(log.take(), ["Binary of 10"]);
    client.send(&frame(BINARY, b"0123456789")[6..9]);
    assert_eq!(log.take(), ["012"]);
    client.send(&frame(BINARY, b"0123456789")[9..]);
    assert_eq!(log.take(), ["3456", "789"]);
    client.send([frame(0x02, b"ab"), frame(0x80, b"")].concat());
    assert_eq!(log.take(), ["Binary of 2", "ab", "Continuation of 0"]);
}

#[test]
fn parts_are_the_same_however_the_bytes_come() {
    let stream = [frame(0x02, b"abc"), frame(PING, b""), frame(0x80, b"defgh")].concat();
    for split in 0..=stream.len() {
        let log = Log::default();
        let (_, client) = with_handler(&log, note_parts::<64>);
        client.send(&stream[..split]);
        client.send(&stream[split..]);
        let noted = log.take();
        let heads = noted.iter().filter(|line| line.contains(" of "));
        assert_eq!(heads.collect::<Vec<_>>(), ["Binary of 3", "Continuation of 5"], "{split}");
        let parts: String = noted.iter().filter(|line| !line.contains(" of ")).cloned().collect();
        assert_eq!(parts, "abcdefgh", "{split}");
    }
}

#[test]
fn what_is_left_of_a_frame_is_dropped_when_the_next_one_is_asked_for() {
    let log = Log::default();
    let (_, client) = with_handler(&log, |log, ws| {
        for _ in 0..2 {
            let head = ws.frame_head()?;
            let mut part = [0; 2];
            let len = ws.recv(&mut part)?;
            log.note(format!("{} {}", head.len, String::from_utf8_lossy(&part[..len])));
        }
        Ok(())
    });
    client.send([frame(0x02, b"abcdef"), frame(0x80, b"ghi")].concat());
    assert_eq!(log.take(), ["6 ab", "3 gh"]);
    client.send([frame(0x01, b"jk"), frame(0x80, b"lm")].concat());
    assert_eq!(log.take(), ["2 jk", "2 lm"]);
}

#[test]
fn a_message_is_what_was_not_read_of_it_before() {
    let log = Log::default();
    let (_, client) = with_handler(&log, |log, ws| {
        let mut part = [0; 3];
        ws.recv(&mut part)?;
        log.note(format!("{:?}", ws.message(10)?));
        Ok(())
    });
    client.send([frame(0x01, b"abcd"), frame(0x80, b"ef")].concat());
    assert_eq!(log.take(), [format!("{:?}", Message::from("def"))]);
    // The cut goes through a character, and the rest alone is no text.
    client.send(frame(TEXT, "abßcd".as_bytes()));
    assert_eq!(log.take(), [format!("{:?}", Message::Binary(b"\x9fcd".to_vec()))]);
    // The limit counts what was read.
    client.send(frame(TEXT, b"0123456789x"));
    expect_close(&client, 1009);
}

#[test]
fn short_and_long_text_and_the_rest_of_it_are_taken_for_what_they_are() {
    let log = Log::default();
    let (_, client) = with_handler(&log, |log, ws| {
        let mut first = [0; 1];
        ws.recv(&mut first)?;
        let kind = match ws.message(10_000)? {
            Message::Text(_) => "text",
            Message::Binary(_) => "bytes",
        };
        log.note(kind);
        Ok(())
    });
    for len in [255, 256, 257, 5000] {
        let rest = "x".repeat(len - 1);
        client.send(frame(TEXT, format!("a{rest}ß").as_bytes()));
        client.send(frame(TEXT, format!("ß{rest}").as_bytes()));
        client.send(frame(BINARY, format!("a{rest}ß").as_bytes()));
        client.send(frame(TEXT, format!("a{rest}").as_bytes()));
        assert_eq!(log.take(), ["text", "bytes", "bytes", "text"], "{len}");
    }
}

#[test]
fn text_is_checked_also_in_parts() {
    let log = Log::default();
    let (_, client) = with_handler(&log, note_parts::<2>);
    client.send([frame(0x01, b"\xc3"), frame(0x80, b"\x9f")].concat());
    assert_eq!(log.take().len(), 4);
    client.send(frame(TEXT, b"ab\xff"));
    expect_close(&client, 1007);
}

#[test]
fn reading_in_parts_has_the_timeout_of_reading() {
    let (engine, client) = with_handler(&Log::default(), note_parts::<8>);
    client.send(&frame(BINARY, b"0123456789")[..8]);
    engine.advance(secs(5));
    expect_close(&client, 1008);
    client.send(&frame(BINARY, b"0123456789")[8..]);
    answer_close(&client, 1008);
}

#[test]
fn a_handler_that_wants_control_frames_is_started_for_them_and_answers_itself() {
    let log = Log::default();
    let (engine, client) = with_control_frames(ControlFrames::Handler, &log, |log, ws| {
        let frame = ws.frame(125)?;
        log.note(format!("{:?}", frame.opcode));
        match frame.opcode {
            Opcode::Ping => ws.pong(format!("seen {}", frame.payload.len())),
            Opcode::Close => {
                ws.close(CloseCode::GOING_AWAY, "bye");
                Ok(())
            }
            _ => Ok(()),
        }
    });
    client.send(frame(PING, b"abc"));
    expect_frame(&client, PONG, "seen 3");
    client.send(frame(PONG, b""));
    client.expect_nothing();
    assert_eq!(engine.lent(), 0);
    client.send(frame(CLOSE, &1000_u16.to_be_bytes()));
    expect_frame(&client, CLOSE, b"\x03\xe9bye");
    client.expect_lingering();
    assert_eq!(log.take(), ["Ping", "Pong", "Close"]);
}

#[test]
fn control_frames_in_parts_are_like_all_frames() {
    let log = Log::default();
    let (_, client) = with_control_frames(ControlFrames::Handler, &log, note_parts::<4>);
    client.send(frame(PING, b"012345"));
    assert_eq!(log.take(), ["Ping of 6", "0123", "45"]);
    client.expect_nothing();
}

#[test]
fn a_control_frame_between_fragments_comes_in_its_place() {
    let log = Log::default();
    let (_, client) = with_control_frames(ControlFrames::Handler, &log, |log, ws| {
        for _ in 0..3 {
            log.note(format!("{:?}", ws.frame(100)?.opcode));
        }
        Ok(())
    });
    client.send([frame(0x01, b"a"), frame(PING, b"b"), frame(0x80, b"c")].concat());
    assert_eq!(log.take(), ["Text", "Ping", "Continuation"]);
}

#[test]
fn what_a_handler_leaves_of_control_frames_the_server_deals_with() {
    let log = Log::default();
    let (_, client) = with_control_frames(ControlFrames::Handler, &log, |log, _| {
        log.note("started");
        Ok(())
    });
    client.send(frame(PING, b"abc"));
    expect_frame(&client, PONG, "abc");
    client.send(frame(CLOSE, &1000_u16.to_be_bytes()));
    expect_close(&client, 1000);
    client.expect_lingering();
    assert_eq!(log.take(), ["started"; 2]);
}

#[test]
fn a_close_that_a_handler_has_read_is_answered_when_it_has_returned() {
    let log = Log::default();
    let (_, client) = with_control_frames(ControlFrames::Handler, &log, |log, ws| {
        let frame = ws.frame(125)?;
        log.note(format!("{:?}", frame.opcode));
        ws.send("one more thing")
    });
    client.send(frame(CLOSE, &1000_u16.to_be_bytes()));
    let expected = [(TEXT, b"one more thing".to_vec()), (CLOSE, b"\x03\xe8".to_vec())];
    assert_eq!(frames(&client.received()), expected);
    client.expect_lingering();
    assert_eq!(log.take(), ["Close"]);
}

#[test]
fn a_whole_message_leaves_control_frames_to_the_server() {
    let log = Log::default();
    let (_, client) = with_control_frames(ControlFrames::Handler, &log, |_, ws| {
        let message = ws.message(100)?;
        ws.send(message)
    });
    client.send([frame(PING, b"p"), frame(0x01, b"a"), frame(PING, b"q")].concat());
    assert_eq!(frames(&client.received()), [(PONG, b"p".to_vec()), (PONG, b"q".to_vec())]);
    client.send(frame(0x80, b"b"));
    expect_frame(&client, TEXT, "ab");
}

#[test]
fn the_limit_of_a_message_that_was_given_up_does_not_hold_for_what_is_left_of_it() {
    let log = Log::default();
    let (engine, client) = with_handler(&log, |log, ws| {
        log.note(format!("{:?}", ws.message(10)));
        Ok(())
    });
    client.send(frame(0x02, b"0123"));
    engine.advance(secs(5));
    assert_eq!(log.take(), ["Err(the peer was silent for too long)"]);
    client.send([frame(0x80, &[0; 100]), frame(TEXT, b"next")].concat());
    client.expect_open();
    assert_eq!(log.take(), [format!("Ok({:?})", Message::from("next"))]);
}
