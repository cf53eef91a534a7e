//! Receiving: whole messages, frames, and frames in parts.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use super::WsRequest;
use super::message::Message;
use super::queue::{answer_close, send_close, send_control};
use super::state::{Closing, ControlFrames, Reading, WsClosedBy, WsFrame, WsState};
use crate::error::{Error, Result};
use crate::handler::Wait;
use crate::proto::ws::WsError;
use crate::proto::ws::frame::{self, FrameHead, Opcode, Rsv};
use crate::proto::ws::message::{Decoded, End, Event, MessageKind, Payload};
use crate::server::{Conn, Peer};

impl WsRequest<'_> {
    /// Receives a whole message of at most `limit` bytes, put together from its fragments, and
    /// inflated if it was compressed. Pings in between are answered. Of a message of which some was
    /// [read](Self::recv) before it is the rest, as bytes if that is no text by itself; the limit
    /// then holds for all of it.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocket`] if the client breaks the protocol or the limit, after it was sent the
    /// close code; [`Error::Closed`] if it closes; [`Error::TimedOut`].
    pub fn message(&mut self, limit: usize) -> Result<Message> {
        self.limit_message(limit as u64)?;
        let mut payload = Vec::new();
        let kind = self.collect(&mut payload);
        // Also of what is left of a message for which the handler did not wait.
        self.limit_message(u64::MAX)?;
        Ok(Message::new(kind?, payload))
    }

    /// Receives a frame: of a message the next fragment, which often is all of it (upstream's
    /// `httpd_ws_recv_frame`). Its payload may have `limit` bytes, inflated if it was compressed.
    /// Text is checked, but a fragment may end inside a character.
    ///
    /// With [`ControlFrames::Handler`] it may be a ping, a pong or a close.
    ///
    /// # Errors
    ///
    /// Those of [`message`](Self::message).
    pub fn frame(&mut self, limit: usize) -> Result<WsFrame> {
        let head = self.frame_head()?;
        let is_compressed = head.rsv != Rsv::NONE;
        if !is_compressed && head.len > limit as u64 {
            return Err(self.too_long(limit));
        }
        let mut payload = Vec::new();
        loop {
            match &mut self.link.conn_mut().ws_mut().reading {
                Reading::Nothing => break,
                Reading::Control { payload: control, at } => {
                    payload = control.split_off(*at);
                    self.link.conn_mut().ws_mut().reading = Reading::Nothing;
                }
                Reading::Data { .. } => {
                    self.next(&mut Sink::Append(&mut payload))?;
                    if payload.len() > limit {
                        return Err(self.too_long(limit));
                    }
                }
            }
        }
        Ok(WsFrame { opcode: head.opcode, fin: head.fin, payload })
    }

    /// The head of the next frame: its length, which is the compressed one if the message is
    /// compressed, before its payload (upstream's `httpd_ws_recv_frame` with a length of 0). What is
    /// left of the frame before is dropped.
    ///
    /// ```
    /// # use esp_http_server::{Result, WsRequest};
    /// /// Counts the bytes of a message of any length.
    /// fn count(ws: &mut WsRequest) -> Result {
    ///     let mut part = [0; 1024];
    ///     let mut sum = 0;
    ///     loop {
    ///         let head = ws.frame_head()?;
    ///         loop {
    ///             match ws.recv(&mut part)? {
    ///                 0 => break,
    ///                 len => sum += len,
    ///             }
    ///         }
    ///         if head.fin {
    ///             return ws.send(format!("{sum} bytes"));
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`message`](Self::message).
    pub fn frame_head(&mut self) -> Result<FrameHead> {
        let mut pieces = 0;
        loop {
            // What a little inflates to may be much, and others want to be served as well.
            if pieces == DROPPED_AT_ONCE {
                self.link.wait(Wait::For(Duration::ZERO))?;
                pieces = 0;
            }
            pieces += 1;
            let ws = self.link.conn_mut().ws_mut();
            if let Some(asked) = ws.asked.take() {
                let WsFrame { opcode, fin, payload } = *asked;
                if opcode == Opcode::Close {
                    let code = frame::parse_close(&payload).ok().flatten().map(|(code, _)| code);
                    ws.close_due = Some(code);
                }
                let len = payload.len() as u64;
                ws.reading = Reading::Control { payload, at: 0 };
                return Ok(FrameHead { fin, rsv: Rsv::NONE, opcode, len, mask: None });
            }
            if let Reading::Data { head, is_told } = &mut ws.reading
                && !core::mem::replace(is_told, true)
            {
                return Ok(*head);
            }
            self.next(&mut Sink::Drop)?;
        }
    }

    /// Receives payload of the frame that has begun into `buf` (upstream's
    /// `httpd_ws_recv_frame_part`), and waits while nothing is there. Says how many bytes; 0 when the
    /// frame has ended or `buf` is empty. [`frame_head`](Self::frame_head) goes on to the next one.
    ///
    /// # Errors
    ///
    /// Those of [`message`](Self::message).
    pub fn recv(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let ws = self.link.conn_mut().ws_mut();
            match &mut ws.reading {
                Reading::Nothing => return Ok(0),
                Reading::Control { payload, at } => {
                    let rest = &payload[*at..];
                    let len = rest.len().min(buf.len());
                    buf[..len].copy_from_slice(&rest[..len]);
                    *at += len;
                    if len == 0 {
                        ws.reading = Reading::Nothing;
                    }
                    return Ok(len);
                }
                Reading::Data { .. } => {
                    if let Received::Part { len: len @ 1.., .. } =
                        self.next(&mut Sink::Fill(buf))?
                    {
                        return Ok(len);
                    }
                }
            }
        }
    }

    /// Appends payload up to the end of a message.
    fn collect(&mut self, payload: &mut Vec<u8>) -> Result<MessageKind> {
        loop {
            let received = self.next(&mut Sink::Append(payload))?;
            if let Received::Part { kind, end: End::Message, .. } = received {
                return Ok(kind);
            }
            // The server deals with control frames that come before the message ends.
        }
    }

    /// Waits for what comes next. Control frames that the handler is not to see are dealt with.
    fn next(&mut self, sink: &mut Sink<'_>) -> Result<Received> {
        loop {
            let conn = self.link.conn_mut();
            let received = receive(conn, sink)?;
            if self.link.conn().io().tx.len() > self.link.conn().shared.config.send_high() {
                self.link.wait(Wait::Writable)?;
            }
            match received {
                Received::Closed => return Err(Error::Closed),
                Received::NeedMore if self.link.conn().peer != Peer::Sending => {
                    return Err(Error::Closed);
                }
                Received::NeedMore => self.link.wait(Wait::Readable)?,
                Received::Control => {}
                received => return Ok(received),
            }
        }
    }

    fn limit_message(&mut self, limit: u64) -> Result {
        let conn = self.link.conn_mut();
        let limited = conn.ws_mut().decoder.set_message_len(limit);
        limited.map_err(|error| violation(conn, error))
    }

    fn too_long(&mut self, limit: usize) -> Error {
        violation(self.link.conn_mut(), WsError::MessageTooLong { limit: limit as u64 })
    }
}

/// Where payload goes.
pub(crate) enum Sink<'s> {
    /// Nowhere.
    Drop,
    /// Behind what is there.
    Append(&'s mut Vec<u8>),
    /// Into a buffer that is not empty, from its start.
    Fill(&'s mut [u8]),
}

/// What [`receive`] found.
pub(crate) enum Received {
    /// Nothing yet.
    NeedMore,
    /// A message begins.
    Begun,
    /// Another frame of a message begins.
    Continued,
    /// So many bytes of a message, and what ends with them.
    Part { kind: MessageKind, len: usize, end: End },
    /// A control frame, which was dealt with.
    Control,
    /// A control frame for the handler.
    Asked,
    /// The peer's close frame, which was answered; or whatever comes behind one.
    Closed,
}

/// How much of a compressed message is inflated at once only to be dropped, in bytes, and how often
/// before others have their turn.
const DROP_LEN: usize = 2048;
const DROPPED_AT_ONCE: usize = 64;

/// Takes one event from the received bytes.
pub(crate) fn receive(conn: &mut Conn, sink: &mut Sink<'_>) -> Result<Received> {
    let ws = conn.ws_mut();
    if ws.closing == Closing::Done {
        return Ok(Received::Closed);
    }
    if let Some(unread) = ws.asked.take() {
        let WsFrame { opcode, payload, .. } = *unread;
        return Ok(deal_with(conn, opcode, &payload));
    }
    if let Some(code) = ws.close_due.take() {
        answer_close(conn, code);
        return Ok(Received::Closed);
    }
    let (ws, io) = conn.ws_and_io();
    let decoded = match decode(ws, io.rx.as_mut_slice(), sink) {
        Ok(decoded) => decoded,
        Err(error) => return Err(violation(conn, error)),
    };
    let Decoded { consumed, event } = decoded;
    let received = match event {
        None => Received::NeedMore,
        Some(Event::Frame(head)) => {
            ws.reading = Reading::Data { head, is_told: false };
            match head.opcode {
                Opcode::Continuation => Received::Continued,
                _ => Received::Begun,
            }
        }
        Some(Event::Data { kind, payload, end }) => {
            if end != End::No {
                ws.reading = Reading::Nothing;
            }
            if end == End::Message {
                io.recv_spent = Duration::ZERO;
            }
            let (Payload::Input(data) | Payload::Room(data)) = payload;
            Received::Part { kind, len: data.len(), end }
        }
        Some(Event::Ping(payload)) => return control(conn, Opcode::Ping, payload, consumed),
        Some(Event::Pong(payload)) => return control(conn, Opcode::Pong, payload, consumed),
        Some(Event::Close(payload)) => return control(conn, Opcode::Close, payload, consumed),
    };
    io.rx.consume(consumed);
    Ok(received)
}

/// As [`receive`], if what comes next is a control frame that is the server's to deal with.
pub(crate) fn receive_control(conn: &mut Conn) -> Option<Result<Received>> {
    let (ws, io) = conn.ws_and_io();
    let is_control = io.rx.as_slice().first().is_some_and(|first| first & 0x08 != 0);
    let is_ours = ws.control_frames == ControlFrames::Server && ws.closing != Closing::Done;
    let is_next = is_ours && is_control && matches!(ws.reading, Reading::Nothing);
    is_next.then(|| receive(conn, &mut Sink::Drop))
}

fn decode(ws: &mut WsState, input: &mut [u8], sink: &mut Sink<'_>) -> Result<Decoded, WsError> {
    match sink {
        Sink::Append(payload) => ws.decoder.decode_into(input, payload),
        Sink::Drop if ws.decoder.needs_room() => {
            // What later messages may point back to.
            ws.decoder.decode(input, &mut [0; DROP_LEN])
        }
        Sink::Drop => ws.decoder.decode(input, &mut []),
        Sink::Fill(buf) => {
            let inside = ws.decoder.frame_remaining() > 0 && !ws.decoder.needs_room();
            let input_len = if inside { input.len().min(buf.len()) } else { input.len() };
            let decoded = ws.decoder.decode(&mut input[..input_len], buf)?;
            if let Some(Event::Data { payload: Payload::Input(data), .. }) = &decoded.event {
                buf[..data.len()].copy_from_slice(&input[data.clone()]);
            }
            Ok(decoded)
        }
    }
}

/// A whole control frame: for the handler, or to be dealt with.
fn control(
    conn: &mut Conn,
    opcode: Opcode,
    payload: Range<usize>,
    consumed: usize,
) -> Result<Received> {
    let (ws, io) = conn.ws_and_io();
    let mut copy = [0; frame::CONTROL_LEN];
    let copy = &mut copy[..payload.len()];
    copy.copy_from_slice(&io.rx.as_slice()[payload]);
    io.rx.consume(consumed);
    if ws.is_between_messages() {
        io.recv_spent = Duration::ZERO;
    }
    if opcode != Opcode::Close && !ws.control_budget.spend() {
        let limit = conn.shared.config.ws_control_frames_per_sec;
        return Err(violation(conn, WsError::TooManyControlFrames { limit }));
    }
    if opcode == Opcode::Close && ws.closing == Closing::No {
        let (code, reason) = frame::parse_close(copy).ok().flatten().unzip();
        ws.note_closed(WsClosedBy::Client, code, reason.unwrap_or_default());
    }
    if ws.control_frames == ControlFrames::Handler && ws.closing == Closing::No {
        ws.asked = Some(Box::new(WsFrame { opcode, fin: true, payload: copy.to_vec() }));
        return Ok(Received::Asked);
    }
    Ok(deal_with(conn, opcode, copy))
}

/// Does what is the server's to do about a control frame.
fn deal_with(conn: &mut Conn, opcode: Opcode, payload: &[u8]) -> Received {
    match opcode {
        Opcode::Close => {
            let code = frame::parse_close(payload).ok().flatten().map(|(code, _)| code);
            answer_close(conn, code);
            return Received::Closed;
        }
        Opcode::Ping if conn.ws().closing == Closing::No => {
            send_control(conn, Opcode::Pong, payload);
        }
        _ => {}
    }
    Received::Control
}

/// Tells the peer what it did wrong.
fn violation(conn: &mut Conn, error: WsError) -> Error {
    let code = error.close_code();
    log::debug!("session {}: {error}; closing with {}", conn.id, code.code());
    send_close(conn, code, "");
    conn.ws_mut().closing = Closing::Done;
    Error::WebSocket(code)
}
