//! A response whose every byte is the handler's.

use super::reply::awaits_continue;
use super::request::Request;
use super::task::Wait;
use crate::error::{Error, Result};
use crate::proto::method::Method;
use crate::proto::status::Status;
use crate::server::Reply;

/// The bytes of a response as they are (upstream's `httpd_send`), begun by [`Request::raw_response`]:
/// status line, fields, framing, body.
///
/// The server does not look at them. Whether the session can go on is for the handler to say:
/// [`finish`](Self::finish) vouches that what was sent is one whole response, as its client reads it,
/// and without `finish` the connection closes behind it.
///
/// ```
/// # use esp_http_server::{Request, Result};
/// fn saved(req: &mut Request) -> Result {
///     let mut raw = req.raw_response()?;
///     raw.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")?;
///     raw.send("saved")?;
///     raw.finish()
/// }
/// ```
///
/// As long as nothing was sent, the handler can still fail with an answer of the server's.
#[must_use = "without `finish` the connection closes"]
pub struct RawResponse<'r, 't> {
    request: &'r mut Request<'t>,
    has_begun: bool,
}

impl<'t> Request<'t> {
    /// Begins a response whose every byte the handler sends: see [`RawResponse`].
    ///
    /// # Errors
    ///
    /// [`Error::ResponseStarted`].
    pub fn raw_response(&mut self) -> Result<RawResponse<'_, 't>> {
        match self.link().conn().io().reply {
            Reply::None => Ok(RawResponse { request: self, has_begun: false }),
            Reply::Open | Reply::Done => Err(Error::ResponseStarted),
        }
    }
}

impl<'t> RawResponse<'_, 't> {
    /// Sends bytes; waits while the client has too much to take.
    ///
    /// # Errors
    ///
    /// [`Error::ResponseStarted`] if [`request`](Self::request) was answered meanwhile;
    /// [`Error::Closed`], [`Error::TimedOut`].
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result {
        let bytes = bytes.as_ref();
        if bytes.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.request.link_mut().write(bytes)
    }

    /// Waits until what was sent so far has left.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::TimedOut`].
    pub fn flush(&mut self) -> Result {
        self.request.link_mut().wait(Wait::Flushed)
    }

    /// The request, to read more of its body in between.
    pub fn request(&mut self) -> &mut Request<'t> {
        self.request
    }

    /// Vouches that what was sent is one whole response to this request, which does not announce that
    /// the connection closes; then the session goes on. A client of HTTP/1.0 expects no chunks, and
    /// that of HEAD no body: since HEAD goes to the handler for GET, which may not think of it, the
    /// session does not go on behind the answer to HEAD.
    ///
    /// If nothing was sent, the request is still without a response.
    ///
    /// # Errors
    ///
    /// None yet; a `Result`, so that a handler can end with it.
    pub fn finish(self) -> Result {
        if self.has_begun {
            self.request.link_mut().conn_mut().io_mut().reply = Reply::Done;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result {
        if self.has_begun {
            return Ok(());
        }
        let conn = self.request.link_mut().conn_mut();
        if conn.io().reply != Reply::None {
            return Err(Error::ResponseStarted);
        }
        conn.keep_alive &= !awaits_continue(conn) && conn.io().head.method() != Method::Head;
        let io = conn.io_mut();
        io.reply = Reply::Open;
        // What it really is, only the handler knows.
        io.status = Status::OK;
        self.has_begun = true;
        Ok(())
    }
}

#[cfg(feature = "std")]
impl std::io::Write for RawResponse<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.send(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(RawResponse::flush(self)?)
    }
}
