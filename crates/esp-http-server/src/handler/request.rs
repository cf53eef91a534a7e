//! A request, as its handler holds it.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::response::Response;
use super::task::{Link, Wait};
use crate::error::{Error, Result};
use crate::proto::auth::BasicAuth;
use crate::proto::body::Copied;
use crate::proto::cookie;
use crate::proto::head::{BodyLen, Version};
use crate::proto::method::Method;
use crate::proto::status::Status;
use crate::proto::uri::query_value;
use crate::server::{Peer, Reply, ServerHandle, SessionId};

/// An HTTP request: what the client sent, its body as it arrives, and the way to answer.
///
/// Its methods are of three kinds:
/// - what the head says ([`method`](Self::method), [`path`](Self::path), [`header`](Self::header), …)
///   is there at once;
/// - [`recv`](Self::recv) and its kin read the body and wait for the peer when they must;
/// - [`respond`](Self::respond) begins the one response.
///
/// Waiting looks like blocking, but it holds up nobody else: other handlers run meanwhile, on the
/// same thread. So don't hold a lock while you wait. A second handler that wants it would block the
/// thread, and with it the first one, which alone could unlock.
pub struct Request<'t> {
    pub(super) link: Link<'t>,
}

impl<'t> Request<'t> {
    pub(crate) fn new(link: Link<'t>) -> Self {
        Self { link }
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.link.conn().io().head.method()
    }

    /// The request target as it was sent: path and query (upstream's `httpd_req_t::uri`).
    pub fn uri(&self) -> &str {
        self.link.conn().io().head.target()
    }

    /// The path, still percent-encoded.
    pub fn path(&self) -> &str {
        self.link.conn().io().head.path()
    }

    /// What stands behind the question mark, still encoded (upstream's `httpd_req_get_url_query_str`).
    pub fn query(&self) -> Option<&str> {
        self.link.conn().io().head.query()
    }

    /// The value that the query has for `key`, still encoded (upstream's `httpd_query_key_value`).
    pub fn query_value(&self, key: &str) -> Option<&str> {
        query_value(self.query()?, key)
    }

    /// Whom the request is for, `host[:port]`: by its `Host` field, or by the target if that is a whole
    /// URI. It has the form of an authority, and is what the client claims, nothing more. `None` if an
    /// HTTP/1.0 client did not say.
    pub fn authority(&self) -> Option<&str> {
        self.link.conn().io().head.authority()
    }

    /// The version of HTTP that the client speaks.
    pub fn version(&self) -> Version {
        self.link.conn().io().head.version()
    }

    /// The first header field of that name, in any case of letters, if its value is UTF-8
    /// (upstream's `httpd_req_get_hdr_value_str`).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.link.conn().io().head.field_str(name)
    }

    /// As [`header`](Self::header), whatever bytes the value has (upstream's
    /// `httpd_req_get_hdr_value_len` is its length).
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.link.conn().io().head.field(name)
    }

    /// The values of all header fields of that name, in any case of letters, in the order in which they
    /// were sent.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.link.conn().io().head.values(name)
    }

    /// All header fields, names and values, in the order in which they were sent.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.link.conn().io().head.fields()
    }

    /// The value of the first cookie of that name (upstream's `httpd_req_get_cookie_val`), as it was
    /// sent, quotes and `%` included: cookies have no encoding of their own. Names are case-sensitive.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// All cookies, names and values, in the order in which they were sent. One that is not UTF-8 is
    /// skipped.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.header_values("Cookie").flat_map(cookie::pairs)
    }

    /// Who the client says it is, if it says so by `Authorization: Basic` (RFC 7617), once and by its
    /// rules. Whoever gets no such answer is asked by
    /// [`ask_for_password`](crate::Response::ask_for_password).
    ///
    /// ```
    /// # use esp_http_server::{Request, Result};
    /// fn settings(req: &mut Request) -> Result {
    ///     if !req.basic_auth().is_some_and(|auth| auth.matches("admin", "correct horse")) {
    ///         return req.respond().ask_for_password("settings");
    ///     }
    ///     req.respond().send("<h1>Settings</h1>")
    /// }
    /// ```
    pub fn basic_auth(&self) -> Option<BasicAuth> {
        let mut values = self.header_values("Authorization");
        let auth = BasicAuth::parse(values.next()?);
        auth.filter(|_| values.next().is_none())
    }

    /// The head as it was sent, from the method to the empty line (upstream's
    /// `httpd_get_raw_req_data`); empty for a head that could not be read.
    pub fn raw_head(&self) -> &[u8] {
        self.link.conn().io().head.raw()
    }

    /// The fields that came behind a chunked body, names and values (RFC 9110, section 6.5). There are
    /// none before all of the body was read. They may repeat or contradict the head, and mean nothing to
    /// the server.
    pub fn trailers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.link.conn().io().body.trailers()
    }

    /// How long the body is, as far as the head tells (upstream's `httpd_req_t::content_len`).
    pub fn body_len(&self) -> BodyLen {
        self.link.conn().io().head.body_len()
    }

    /// The `Content-Length`, in bytes; 0 for a request without a body.
    ///
    /// # Errors
    ///
    /// A chunked body does not tell its length: [`Error::Refused`] with 411, for handlers that can't
    /// do without it to pass on.
    pub fn content_len(&self) -> Result<u64> {
        match self.body_len() {
            BodyLen::None => Ok(0),
            BodyLen::Length(len) => Ok(len),
            BodyLen::Chunked => {
                let why = "this resource takes no chunked body; send a Content-Length";
                Err(Error::Refused(Status::LENGTH_REQUIRED, String::from(why)))
            }
        }
    }

    /// The client's session.
    pub fn session(&self) -> SessionId {
        self.link.conn().id
    }

    /// The client's address, if the network tells it.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.link.conn().peer_addr
    }

    /// The server.
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(self.link.conn().shared.reach.clone())
    }

    /// Reads from the body into `buf` (upstream's `httpd_req_recv`): all that is there and fits, of as many
    /// chunks as that takes; waits while nothing is there. Says how many bytes; 0 when the body has ended
    /// or `buf` is empty.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] after `recv_wait_timeout`, [`Error::BodyIncomplete`], [`Error::BadBody`],
    /// [`Error::Closed`].
    pub fn recv(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            let conn = self.link.conn_mut();
            let limits = conn.shared.config.body_limits();
            let io = conn.io_mut();
            if io.body.is_done() || buf.is_empty() {
                return Ok(0);
            }
            let copied = io.body.copy_into(io.rx.as_slice(), buf, &limits);
            let Copied { consumed, len } = copied.map_err(Error::BadBody)?;
            io.rx.consume(consumed);
            if len > 0 {
                return Ok(len);
            }
            if io.rx.is_empty() && !io.body.is_done() {
                self.wait_for_body()?;
            }
        }
    }

    fn wait_for_body(&mut self) -> Result {
        let conn = self.link.conn_mut();
        if conn.peer != Peer::Sending {
            return Err(Error::BodyIncomplete);
        }
        let io = conn.io_mut();
        if core::mem::take(&mut io.continue_due) && io.reply == Reply::None {
            io.tx.storage().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.link.wait(Wait::Readable)
    }

    /// Fills `buf` from the body.
    ///
    /// # Errors
    ///
    /// [`Error::BodyIncomplete`] if the body ends before that; those of [`recv`](Self::recv).
    pub fn recv_exact(&mut self, mut buf: &mut [u8]) -> Result {
        while !buf.is_empty() {
            match self.recv(buf)? {
                0 => return Err(Error::BodyIncomplete),
                len => buf = &mut buf[len..],
            }
        }
        Ok(())
    }

    /// Reads the rest of the body, which may have `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// [`Error::BodyTooLong`] above `limit`, before reading where the head already tells; those of
    /// [`recv`](Self::recv).
    pub fn recv_all(&mut self, limit: usize) -> Result<Vec<u8>> {
        if matches!(self.body_len(), BodyLen::Length(len) if len > limit as u64) {
            return Err(Error::BodyTooLong { limit });
        }
        let mut body = Vec::new();
        let mut piece = [0; 1024];
        loop {
            match self.recv(&mut piece)? {
                0 => return Ok(body),
                len if body.len() + len > limit => return Err(Error::BodyTooLong { limit }),
                len => body.extend_from_slice(&piece[..len]),
            }
        }
    }

    /// Waits for `duration`, or until the session ends.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub fn sleep(&mut self, duration: Duration) -> Result {
        self.link.wait(Wait::For(duration))
    }

    /// Begins the response.
    pub fn respond(&mut self) -> Response<'_, 't> {
        Response::new(self)
    }

    pub(super) fn link(&self) -> &Link<'t> {
        &self.link
    }

    pub(super) fn link_mut(&mut self) -> &mut Link<'t> {
        &mut self.link
    }
}

#[cfg(feature = "std")]
impl std::io::Read for Request<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        Ok(self.recv(buf)?)
    }
}

impl core::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Request({} {} of session {})", self.method(), self.uri(), self.session())
    }
}
