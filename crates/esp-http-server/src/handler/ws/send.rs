//! Sending from a handler: whole messages, messages in fragments, pings, the close.

use alloc::borrow::Cow;
use core::marker::PhantomData;
use core::time::Duration;

use super::WsRequest;
use super::message::Message;
use super::queue::{release, send_close, send_control};
use super::state::Closing;
use crate::error::{Error, Result};
use crate::handler::ws::queue::Sending;
use crate::proto::ws::frame::{self, CONTROL_LEN, CloseCode, FrameHead, Opcode, Rsv};

impl<'t> WsRequest<'t> {
    /// Sends a message as one frame (upstream's `httpd_ws_send_frame`), compressed if that was agreed
    /// on and makes it shorter; waits while the client has too much to take.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::TimedOut`]; [`Error::MessageStarted`] while [`Fragments`] are not
    /// finished.
    pub fn send(&mut self, message: impl Into<Message>) -> Result {
        let message = message.into();
        self.check_open()?;
        let (payload, rsv) = self.compressed(message.payload());
        self.send_frame(message.opcode(), Fin::Yes, rsv, &payload)
    }

    /// Begins a text message that is sent in fragments; see [`Fragments`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::MessageStarted`] while others are not finished.
    pub fn text_fragments(&mut self) -> Result<Fragments<'_, 't, str>> {
        self.check_open()?;
        Ok(Fragments::new(self, Opcode::Text))
    }

    /// Begins a binary message that is sent in fragments; see [`Fragments`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`]; [`Error::MessageStarted`] while others are not finished.
    pub fn binary_fragments(&mut self) -> Result<Fragments<'_, 't, [u8]>> {
        self.check_open()?;
        Ok(Fragments::new(self, Opcode::Binary))
    }

    /// Sends a ping with a payload of 125 bytes at most; what is longer is cut.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn ping(&mut self, payload: impl AsRef<[u8]>) -> Result {
        self.control(Opcode::Ping, payload.as_ref())
    }

    /// Sends a pong, as an answer to a ping that the handler has read, or unasked as a sign of life.
    /// Its payload has 125 bytes at most; what is longer is cut.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn pong(&mut self, payload: impl AsRef<[u8]>) -> Result {
        self.control(Opcode::Pong, payload.as_ref())
    }

    /// Begins to close the session with this code; the handler has nothing more to do then. The
    /// reason is cut at a character to the 123 bytes that fit. The client has `ws_close_timeout` to
    /// answer.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        send_close(self.link.conn_mut(), code, reason);
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Result {
        if self.link.conn().ws().closing != Closing::No {
            return Err(Error::Closed);
        }
        send_control(self.link.conn_mut(), opcode, &payload[..payload.len().min(CONTROL_LEN)]);
        Ok(())
    }

    fn check_open(&mut self) -> Result {
        let conn = self.link.conn_mut();
        if conn.ws().closing != Closing::No {
            return Err(Error::Closed);
        }
        match conn.ws().outbox.sending {
            Sending::Nothing => Ok(()),
            Sending::Frame | Sending::Message => Err(Error::MessageStarted),
        }
    }

    #[cfg(feature = "deflate")]
    fn compressed<'p>(&mut self, payload: &'p [u8]) -> (Cow<'p, [u8]>, Rsv) {
        let deflate = self.link.conn_mut().ws_mut().deflate.as_mut();
        match deflate.and_then(|deflate| deflate.compress(payload)) {
            Some(compressed) => (Cow::Owned(compressed), Rsv::RSV1),
            None => (Cow::Borrowed(payload), Rsv::NONE),
        }
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "it is asked with the feature `deflate`")]
    fn compressed<'p>(&mut self, payload: &'p [u8]) -> (Cow<'p, [u8]>, Rsv) {
        (Cow::Borrowed(payload), Rsv::NONE)
    }

    fn send_frame(&mut self, opcode: Opcode, fin: Fin, rsv: Rsv, payload: &[u8]) -> Result {
        let conn = self.link.conn_mut();
        let len = payload.len() as u64;
        let head = FrameHead { fin: fin == Fin::Yes, rsv, opcode, len, mask: None };
        let most = conn.shared.config.send_capacity();
        conn.io_mut().tx.reserve_within(frame::HEAD_LEN, most);
        frame::encode_head(conn.io_mut().tx.storage(), &head);
        conn.ws_mut().outbox.sending = Sending::Frame;
        self.link.write(payload)?;
        let conn = self.link.conn_mut();
        conn.ws_mut().outbox.sending = match fin {
            Fin::Yes => Sending::Nothing,
            Fin::No => Sending::Message,
        };
        release(conn);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fin {
    Yes,
    No,
}

/// A message that its handler sends in fragments, without knowing its length: of text, each of which
/// is text, or of bytes (RFC 6455, section 5.4).
///
/// No other message gets between them. Those from elsewhere wait until it is finished; only pings,
/// pongs and a close pass. Without [`finish`](Self::finish) the session is closed with code 1011 when
/// the handler has returned.
///
/// If compression was agreed on, each fragment leaves with all that was sent before it, so that many
/// small ones compress badly. Without context takeover each stands for itself, and the message goes as
/// it is unless its first fragment becomes shorter.
///
/// ```
/// # use esp_http_server::{Result, WsRequest};
/// fn count_down(ws: &mut WsRequest) -> Result {
///     ws.message(16)?;
///     let mut message = ws.text_fragments()?;
///     for number in (0..10_000).rev() {
///         message.send(&format!("{number}\n"))?;
///     }
///     message.finish()
/// }
/// ```
#[must_use = "a message without `finish` closes the session"]
pub struct Fragments<'r, 't, P: ?Sized + AsRef<[u8]>> {
    ws: &'r mut WsRequest<'t>,
    /// Of the next fragment.
    next: Opcode,
    /// Whether the first fragment went compressed, and so all of them must.
    #[cfg(feature = "deflate")]
    is_compressed: bool,
    pieces: PhantomData<fn(&P)>,
}

impl<'r, 't, P: ?Sized + AsRef<[u8]>> Fragments<'r, 't, P> {
    fn new(ws: &'r mut WsRequest<'t>, opcode: Opcode) -> Self {
        Self {
            ws,
            next: opcode,
            #[cfg(feature = "deflate")]
            is_compressed: false,
            pieces: PhantomData,
        }
    }

    /// Sends a fragment as a frame of its own; waits while the client has too much to take. An empty
    /// one sends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::TimedOut`]; [`Error::MessageStarted`] if this is the first one and
    /// others, which were begun meanwhile, are not finished.
    pub fn send(&mut self, fragment: &P) -> Result {
        let fragment = fragment.as_ref();
        if fragment.is_empty() {
            return Ok(());
        }
        self.send_frame(Fin::No, fragment)
    }

    /// Offers the network what was sent so far, for fragments that the client should see now. A
    /// client that is slow to take them is not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn flush(&mut self) -> Result {
        self.sleep(Duration::ZERO)
    }

    /// Waits for `duration`, or until the session ends; see [`WsRequest::sleep`].
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn sleep(&mut self, duration: Duration) -> Result {
        self.ws.sleep(duration)
    }

    /// The session, to receive from meanwhile.
    pub fn ws(&mut self) -> &mut WsRequest<'t> {
        self.ws
    }

    /// Ends the message.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn finish(mut self) -> Result {
        self.send_frame(Fin::Yes, &[])
    }

    fn send_frame(&mut self, fin: Fin, piece: &[u8]) -> Result {
        match self.next {
            Opcode::Continuation if self.ws.link.conn().ws().closing != Closing::No => {
                return Err(Error::Closed);
            }
            Opcode::Continuation => {}
            _ => self.ws.check_open()?,
        }
        let (payload, rsv) = self.compressed(piece);
        self.ws.send_frame(self.next, fin, rsv, &payload)?;
        self.next = Opcode::Continuation;
        Ok(())
    }

    #[cfg(feature = "deflate")]
    fn compressed<'p>(&mut self, piece: &'p [u8]) -> (Cow<'p, [u8]>, Rsv) {
        // What ends the message is no part of it.
        if piece.is_empty() {
            return (Cow::Borrowed(piece), Rsv::NONE);
        }
        if self.next != Opcode::Continuation {
            let (payload, rsv) = self.ws.compressed(piece);
            self.is_compressed = rsv == Rsv::RSV1;
            return (payload, rsv);
        }
        match &mut self.ws.link.conn_mut().ws_mut().deflate {
            Some(deflate) if self.is_compressed => {
                (Cow::Owned(deflate.compress_more(piece)), Rsv::NONE)
            }
            _ => (Cow::Borrowed(piece), Rsv::NONE),
        }
    }

    #[cfg(not(feature = "deflate"))]
    #[expect(clippy::unused_self, reason = "it is asked with the feature `deflate`")]
    fn compressed<'p>(&mut self, piece: &'p [u8]) -> (Cow<'p, [u8]>, Rsv) {
        (Cow::Borrowed(piece), Rsv::NONE)
    }
}

impl<P: ?Sized + AsRef<[u8]>> core::fmt::Debug for Fragments<'_, '_, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Fragments(session {})", self.ws.session())
    }
}
