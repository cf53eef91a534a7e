//! Server-sent events: a response that goes on as long as somebody listens.

use alloc::vec::Vec;

use super::chunks::Chunks;
use super::reply::Body;
use super::request::Request;
use super::response::Response;
use super::task::Wait;
use crate::error::{Error, Result};
use crate::proto::event_stream::{self, StreamEvent};
use crate::proto::method::Method;

/// A stream of server-sent events, begun by [`Response::event_stream`].
///
/// ```
/// # use esp_http_server::{Request, Result, StreamEvent};
/// # use core::time::Duration;
/// fn ticks(req: &mut Request) -> Result {
///     // Where a client goes on that has lost its connection.
///     let last: u32 = req.header("Last-Event-ID").and_then(|id| id.parse().ok()).unwrap_or(0);
///     let mut events = req.respond().event_stream()?;
///     for number in last + 1..=100 {
///         events.request().sleep(Duration::from_secs(1))?;
///         events.send(StreamEvent::new().id(&number.to_string()).data("tick"))?;
///     }
///     events.finish()
/// }
/// ```
///
/// That a listener has left shows when something is sent to it: then the call fails with
/// [`Error::Closed`], and so does a wait that is under way. A stream that may be silent for long sends a
/// [`comment`](Self::comment) now and then.
#[must_use = "a stream without `finish` is cut off"]
pub struct EventStream<'r, 't> {
    chunks: Chunks<'r, 't>,
    /// An event that is being encoded; kept for its memory.
    buffer: Vec<u8>,
}

impl<'r, 't> EventStream<'r, 't> {
    pub(super) fn begin(mut response: Response<'r, 't>) -> Result<Self> {
        let request = response.request();
        if request.method() == Method::Head {
            request.link_mut().conn_mut().keep_alive = false;
        }
        Ok(Self { chunks: response.chunked()?, buffer: Vec::new() })
    }

    /// Sends an event, or a text as an event without a name, and waits until it has left.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidField`] if its name or its id is more than one line, with nothing sent;
    /// [`Error::Closed`] when nobody listens any more, or ever did (HEAD); [`Error::TimedOut`] if the
    /// client takes nothing.
    pub fn send<'e>(&mut self, event: impl Into<StreamEvent<'e>>) -> Result {
        self.buffer.clear();
        event_stream::encode(&mut self.buffer, &event.into())
            .map_err(|error| Error::InvalidField(error.field().into()))?;
        self.send_buffer()
    }

    /// Sends a line, or several, that clients skip: it keeps the connection from looking idle to what is
    /// in between, and finds out whether anybody listens.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] and [`Error::TimedOut`] as [`send`](Self::send).
    pub fn comment(&mut self, text: &str) -> Result {
        self.buffer.clear();
        event_stream::encode_comment(&mut self.buffer, text);
        self.send_buffer()
    }

    /// The request, to wait in between.
    pub fn request(&mut self) -> &mut Request<'t> {
        self.chunks.request()
    }

    /// Ends the stream. A browser connects again; to keep it from doing so, answer that request with
    /// status 204.
    ///
    /// # Errors
    ///
    /// As [`Chunks::finish`].
    pub fn finish(self) -> Result {
        self.chunks.finish()
    }

    fn send_buffer(&mut self) -> Result {
        // Nobody would ever end a handler that goes on sending what is dropped.
        if self.chunks.body() == Body::Dropped {
            return Err(Error::Closed);
        }
        self.chunks.send(&self.buffer)?;
        self.chunks.request().link_mut().wait(Wait::Flushed)
    }
}
