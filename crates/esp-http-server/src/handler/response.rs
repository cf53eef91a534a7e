//! The response to a request: set, then sent once or in chunks.

use super::request::Request;
use super::task::Link;
use crate::error::{Error, Result};
use crate::proto::head::{BodyLen, Version};
use crate::proto::method::Method;
use crate::proto::response as encode;
use crate::proto::status::Status;
use crate::server::{Conn, Reply};

/// A response that is being set. Nothing is sent before [`send`](Self::send) or
/// [`chunked`](Self::chunked).
///
/// What is wrong with a header is told there too, so that setting reads as one sentence:
///
/// ```
/// # use esp_http_server::{Request, Result, Status};
/// fn gone(req: &mut Request) -> Result {
///     req.respond().status(Status::GONE).header("X-Since", "2024").send("it was here once")
/// }
/// ```
#[must_use = "nothing is sent before `send` or `chunked`"]
pub struct Response<'r, 't> {
    request: &'r mut Request<'t>,
    status: Status,
    content_type: &'r str,
    error: Option<Error>,
}

/// How the end of a response's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    /// By closing, for HTTP/1.0 clients.
    Close,
}

impl<'r, 't> Response<'r, 't> {
    pub(super) fn new(request: &'r mut Request<'t>) -> Self {
        let io = request.link_mut().conn_mut().io_mut();
        let error = (io.reply != Reply::None).then_some(Error::ResponseStarted);
        if error.is_none() {
            io.fields.truncate(io.server_fields_len);
        }
        Self { request, status: Status::OK, content_type: "text/html", error }
    }

    /// Sets the status; 200 otherwise (upstream's `httpd_resp_set_status`).
    pub fn status(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    /// Sets the content type; `text/html` otherwise (upstream's `httpd_resp_set_type`).
    pub fn content_type(mut self, content_type: &'r str) -> Self {
        self.content_type = content_type;
        self
    }

    /// Adds a header field (upstream's `httpd_resp_set_hdr`). `Content-Length`,
    /// `Transfer-Encoding` and `Connection` are the server's.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if self.error.is_none() && !is_framing(name) {
            let io = self.request.link_mut().conn_mut().io_mut();
            let written = encode::field(&mut io.fields, name, value.as_ref());
            self.error = written.err().map(|_| Error::InvalidField(name.into()));
        } else if self.error.is_none() {
            self.error = Some(Error::InvalidField(name.into()));
        }
        self
    }

    /// Sends the response with this body (upstream's `httpd_resp_send`). It leaves in one write,
    /// and over TLS in one record, if it fits.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidField`] or [`Error::ResponseStarted`], with nothing sent; [`Error::Closed`]
    /// and [`Error::TimedOut`] if the client does not take it.
    pub fn send(self, body: impl AsRef<[u8]>) -> Result {
        let body = body.as_ref();
        let (link, has_body) = self.begin(Framing::Length(body.len() as u64))?;
        if has_body {
            link.write(body)?;
        }
        link.conn_mut().io_mut().reply = Reply::Done;
        Ok(())
    }

    /// Sends the head, and lets the body follow in pieces of any length (upstream's
    /// `httpd_resp_send_chunk`). An HTTP/1.0 client gets the pieces bare, and the connection is
    /// closed behind them.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn chunked(self) -> Result<Chunks<'r, 't>> {
        let framing = match self.request.version() {
            Version::Http11 => Framing::Chunked,
            Version::Http10 => Framing::Close,
        };
        self.stream(framing)
    }

    /// Sends the head with this `Content-Length`, and lets the body follow in pieces.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn sized(self, len: u64) -> Result<Chunks<'r, 't>> {
        self.stream(Framing::Length(len))
    }

    fn stream(self, framing: Framing) -> Result<Chunks<'r, 't>> {
        let Self { request, status, content_type, error } = self;
        let has_body = begin(request.link_mut(), status, content_type, error, framing)?;
        let left = match framing {
            Framing::Length(len) => len,
            _ => u64::MAX,
        };
        Ok(Chunks { request, framing, left, has_body })
    }

    fn begin(self, framing: Framing) -> Result<(&'r mut Link<'t>, bool)> {
        let Self { request, status, content_type, error } = self;
        let link = request.link_mut();
        let keeps_alive = !leaves_too_much(link.conn());
        link.conn_mut().keep_alive &= keeps_alive;
        let has_body = begin(link, status, content_type, error, framing)?;
        Ok((link, has_body))
    }
}

/// The body of a response, in pieces.
///
/// Without [`finish`](Self::finish) the response is incomplete: the client sees that by the
/// connection's end.
#[must_use = "a response without `finish` is cut off"]
pub struct Chunks<'r, 't> {
    request: &'r mut Request<'t>,
    framing: Framing,
    /// How many bytes of an announced length are missing.
    left: u64,
    /// The answer to HEAD, a 204 and a 304 have no body; pieces are taken and dropped.
    has_body: bool,
}

impl<'t> Chunks<'_, 't> {
    /// Sends a piece; an empty one sends nothing.
    ///
    /// # Errors
    ///
    /// [`Error::BodyLength`] if more is sent than was announced, [`Error::Closed`],
    /// [`Error::TimedOut`].
    pub fn send(&mut self, piece: impl AsRef<[u8]>) -> Result {
        let piece = piece.as_ref();
        if let Framing::Length(announced) = self.framing {
            let left = self.left.checked_sub(piece.len() as u64);
            self.left = left.ok_or(Error::BodyLength { announced })?;
        }
        if piece.is_empty() || !self.has_body {
            return Ok(());
        }
        let link = self.request.link_mut();
        if self.framing != Framing::Chunked {
            return link.write(piece);
        }
        encode::chunk_head(link.conn_mut().io_mut().tx.storage(), piece.len() as u64);
        link.write(piece)?;
        encode::chunk_end(link.conn_mut().io_mut().tx.storage());
        Ok(())
    }

    /// Offers the network what was sent so far, for pieces that the client should see now and not
    /// when the next one comes. A client that is slow to take them is not waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn flush(&mut self) -> Result {
        self.request.sleep(core::time::Duration::ZERO)
    }

    /// The request, to read more of its body in between.
    pub fn request(&mut self) -> &mut Request<'t> {
        self.request
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// [`Error::BodyLength`] if less was sent than was announced.
    pub fn finish(self) -> Result {
        let io = self.request.link_mut().conn_mut().io_mut();
        match self.framing {
            Framing::Length(announced) if self.left > 0 && self.has_body => {
                return Err(Error::BodyLength { announced });
            }
            Framing::Chunked if self.has_body => encode::last_chunk(io.tx.storage()),
            _ => {}
        }
        io.reply = Reply::Done;
        Ok(())
    }
}

#[cfg(feature = "std")]
impl std::io::Write for Chunks<'_, '_> {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        self.send(piece).map_err(std::io::Error::other)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Chunks::flush(self).map_err(std::io::Error::other)
    }
}

/// Writes the head of a response; says whether its body may follow.
fn begin(
    link: &mut Link<'_>,
    status: Status,
    content_type: &str,
    error: Option<Error>,
    framing: Framing,
) -> Result<bool> {
    if let Some(error) = error {
        return Err(error);
    }
    let conn = link.conn_mut();
    if encode::check_field("Content-Type", content_type.as_bytes()).is_err() {
        return Err(Error::InvalidField("Content-Type".into()));
    }
    if status.is_informational() {
        return Err(Error::Config(alloc::format!("{status} is no final status")));
    }
    Ok(write_head(conn, status, content_type, framing))
}

fn write_head(conn: &mut Conn, status: Status, content_type: &str, framing: Framing) -> bool {
    conn.keep_alive &= framing != Framing::Close && !awaits_continue(conn);
    let keep_alive = conn.keep_alive;
    let io = conn.io_mut();
    let version = io.head.version();
    let out = io.tx.storage();
    if let Framing::Length(len) = framing {
        // One allocation at most, however the head and the body grow the buffer.
        let body_len = usize::try_from(len).unwrap_or(usize::MAX);
        out.reserve(body_len.min(crate::server::TX_HIGH));
    }
    encode::status_line(out, Version::Http11, status);
    let mut field = |name, value: &[u8]| {
        // Both were checked before anything was written.
        encode::field(out, name, value).expect("a checked header field");
    };
    if status.may_have_body() {
        field("Content-Type", content_type.as_bytes());
    }
    match (keep_alive, version) {
        (false, _) => field("Connection", b"close"),
        (true, Version::Http10) => field("Connection", b"keep-alive"),
        (true, Version::Http11) => {}
    }
    match framing {
        Framing::Length(len) if status.may_have_body() => encode::content_length(out, len),
        Framing::Chunked if status.may_have_body() => encode::transfer_encoding_chunked(out),
        _ => {}
    }
    out.extend_from_slice(&io.fields);
    encode::end_of_head(out);
    io.reply = Reply::Open;
    io.status = status;
    status.may_have_body() && io.head.method() != Method::Head
}

/// Writes a whole response without a handler: errors, mostly.
pub(crate) fn write_simple(conn: &mut Conn, status: Status, text: &str) {
    conn.keep_alive &= !leaves_too_much(conn);
    let has_body =
        write_head(conn, status, "text/plain; charset=utf-8", Framing::Length(text.len() as u64));
    let io = conn.io_mut();
    if has_body {
        io.tx.storage().extend_from_slice(text.as_bytes());
    }
    io.reply = Reply::Done;
}

/// Whether the client waits for `100 Continue`, which can't be sent behind a response: it may send
/// its body or not, and there is no telling where its next request would begin.
fn awaits_continue(conn: &Conn) -> bool {
    conn.io().continue_due && !conn.io().body.is_done()
}

/// Whether more of the body is unread than the server would drop to keep the session open. Asked
/// only for whole responses: who answers in pieces may still read.
fn leaves_too_much(conn: &Conn) -> bool {
    let io = conn.io();
    matches!(io.head.body_len(), BodyLen::Length(_))
        && io.body.remaining_hint() > conn.shared.config.purge_len as u64
}

fn is_framing(name: &str) -> bool {
    ["Content-Length", "Transfer-Encoding", "Connection"]
        .iter()
        .any(|framing| framing.eq_ignore_ascii_case(name))
}
