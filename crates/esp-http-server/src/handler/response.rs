//! The response to a request: set, then sent once, in pieces, or as one of the usual kinds.
//!
//! What its head says in the end is decided in `reply.rs`; a body in pieces is in `chunks.rs`, events
//! are in `events.rs`. Who writes the bytes of a whole response himself finds `raw.rs`.

use super::chunks::Chunks;
use super::errors::always_closes;
use super::events::EventStream;
use super::reply::{Body, By, Framing, Lead, begin, leaves_too_much, write_status};
use super::request::Request;
use super::task::{Link, Wait};
use crate::error::{Error, Result};
use crate::proto::head::Version;
use crate::proto::response as encode;
use crate::proto::status::{ErrorCode, Status};
use crate::proto::uri;
use crate::server::Reply;

/// A response that is being set. Nothing is sent before one of the methods that end it.
///
/// Its methods are of two kinds:
/// - [`status`](Self::status), [`content_type`](Self::content_type), [`header`](Self::header) and the
///   like set it, in any order;
/// - [`send`](Self::send), [`chunked`](Self::chunked), [`sized`](Self::sized),
///   [`event_stream`](Self::event_stream), [`redirect`](Self::redirect), [`send_err`](Self::send_err)
///   and their kin send it. What was wrong with the setting is told there, so that a response reads as
///   one sentence, and then nothing is sent:
///
/// ```
/// # use esp_http_server::{Request, Result, Status};
/// fn gone(req: &mut Request) -> Result {
///     req.respond().status(Status::GONE).header("X-Since", "2024").send("it was here once")
/// }
/// ```
///
/// The server adds `Date`, `Connection`, and what tells the end of the body. The answer to HEAD, and
/// responses with status 204, 205 or 304, have no body; one that is sent with them is dropped.
#[must_use = "nothing is sent before `send` or `chunked`"]
pub struct Response<'r, 't> {
    request: &'r mut Request<'t>,
    lead: Lead<'r>,
    error: Option<Error>,
}

/// What sets a response.
impl<'r, 't> Response<'r, 't> {
    pub(super) fn new(request: &'r mut Request<'t>) -> Self {
        let io = request.link_mut().conn_mut().io_mut();
        let error = (io.reply != Reply::None).then_some(Error::ResponseStarted);
        if error.is_none() {
            io.fields.truncate(io.server_fields_len);
        }
        let lead = Lead {
            status: Status::OK,
            reason: None,
            content_type: "text/html",
            content_type_by: By::Server,
            date_by: By::Server,
        };
        Self { request, lead, error }
    }

    /// Sets the status; 200 otherwise (upstream's `httpd_resp_set_status`).
    pub fn status(mut self, status: Status) -> Self {
        self.lead.status = status;
        self.lead.reason = None;
        self
    }

    /// Sets a status as upstream's `httpd_resp_set_status` takes it: three digits, and behind a space
    /// a reason of your own. Without that space the reason is that of the registry.
    ///
    /// ```
    /// # use esp_http_server::{Request, Result};
    /// fn brew(req: &mut Request) -> Result {
    ///     req.respond().custom_status("418 I'm a teapot").send("short and stout")
    /// }
    /// ```
    ///
    /// Anything else is an [`Error::InvalidStatus`], and so is a control character in the reason.
    pub fn custom_status(mut self, status: &'r str) -> Self {
        match parse_status(status) {
            Some((status, reason)) => {
                self.lead.status = status;
                self.lead.reason = reason;
            }
            None => self.fail(Error::InvalidStatus(status.into())),
        }
        self
    }

    /// Sets the content type; `text/html` otherwise (upstream's `httpd_resp_set_type`).
    pub fn content_type(mut self, content_type: &'r str) -> Self {
        self.lead.content_type = content_type;
        self
    }

    /// Adds a header field (upstream's `httpd_resp_set_hdr`). A second one of the same name stands
    /// beside the first, as `Set-Cookie` needs it. A `Date` takes the place of the server's, and a
    /// `Content-Type` that of [`content_type`](Self::content_type); `Content-Length`,
    /// `Transfer-Encoding` and `Connection` are the server's alone.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if self.error.is_some() {
            return self;
        }
        let io = self.request.link_mut().conn_mut().io_mut();
        if is_framing(name) || encode::field(&mut io.fields, name, value.as_ref()).is_err() {
            self.error = Some(Error::InvalidField(name.into()));
        } else if name.eq_ignore_ascii_case("date") {
            self.lead.date_by = By::Handler;
        } else if name.eq_ignore_ascii_case("content-type") {
            self.lead.content_type_by = By::Handler;
        }
        self
    }

    /// Keeps the first mistake.
    fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }
}

/// What sends it.
impl<'r, 't> Response<'r, 't> {
    /// Sends the response with this body (upstream's `httpd_resp_send`). It leaves in one write,
    /// and over TLS in one record, if it fits.
    ///
    /// With status 304 the length of the body is announced, and the body dropped: what a 200 would
    /// have had. An empty one announces nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidField`], [`Error::InvalidStatus`] or [`Error::ResponseStarted`], with nothing
    /// sent; [`Error::Closed`] and [`Error::TimedOut`] if the client does not take it.
    pub fn send(self, body: impl AsRef<[u8]>) -> Result {
        let bytes = body.as_ref();
        let link = self.request.link_mut();
        if self.error.is_none() {
            let keeps_alive = !leaves_too_much(link.conn());
            link.conn_mut().keep_alive &= keeps_alive;
        }
        let (link, body) = self.begin(Framing::Length(bytes.len() as u64))?;
        if body == Body::Follows {
            link.write(bytes)?;
        }
        link.conn_mut().io_mut().reply = Reply::Done;
        Ok(())
    }

    /// Sends the head, and lets the body follow in pieces of any length (upstream's
    /// `httpd_resp_send_chunk`). An HTTP/1.0 client gets the pieces bare, and the connection is
    /// closed behind them.
    ///
    /// A GET handler answers HEAD, too, where pieces are taken and dropped: one that sends without end
    /// looks at [`Request::method`].
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

    /// Begins a stream of server-sent events: `text/event-stream`, with `Cache-Control: no-store`.
    ///
    /// HEAD is answered with the head alone, and the connection closes behind it.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn event_stream(self) -> Result<EventStream<'r, 't>> {
        let response = self.content_type("text/event-stream").header("Cache-Control", "no-store");
        EventStream::begin(response)
    }

    /// Sends the client elsewhere: 301, 302, 303, 307 or 308, with `location` as the `Location`. The
    /// fields that were set before go with it.
    ///
    /// ```
    /// # use esp_http_server::{Request, Result, Status};
    /// fn logout(req: &mut Request) -> Result {
    ///     req.respond().header("Set-Cookie", "session=; Max-Age=0").redirect(Status::SEE_OTHER, "/")
    /// }
    /// ```
    ///
    /// `location` is a URI or a path, percent-encoded where it must be (RFC 9110, section 10.2.2). Who
    /// lets a client choose it lets others choose where that client goes.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidField`] if `location` has a byte that no URI has, a space and a CR among them, or
    /// is empty; [`Error::InvalidStatus`] for another status; those of [`send`](Self::send).
    pub fn redirect(mut self, status: Status, location: &str) -> Result {
        if !status.is_redirect() {
            self.fail(Error::InvalidStatus(alloc::format!("{status}")));
        } else if !uri::is_reference(location.as_bytes()) {
            self.fail(Error::InvalidField("Location".into()));
        }
        let response = self.status(status).header("Location", location);
        response.content_type(PLAIN_TEXT).send(location)
    }

    /// Sends 401, for which a browser asks its user for a name and a password and comes back with them
    /// (RFC 7617). `realm` is what they are for; the browser may show it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidField`] if `realm` has a control character; those of [`send`](Self::send).
    pub fn ask_for_password(self, realm: &str) -> Result {
        let realm = realm.replace('\\', r"\\").replace('"', "\\\"");
        let challenge = alloc::format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        let response = self.header("WWW-Authenticate", challenge);
        response.send_err(ErrorCode::Unauthorized, None)
    }

    /// Sends an error, now and without the error handler for it (upstream's `httpd_resp_send_err`),
    /// with `text` as its body or else the code's default text. The fields that were set before go with
    /// it: the `WWW-Authenticate` of a 401. [`Request::handle_err`] is the way that asks the error
    /// handler; returning [`Error::Refused`] does so, too.
    ///
    /// If the handler then returns `Ok` the session stays open, except behind
    /// [`InternalServerError`](ErrorCode::InternalServerError) and
    /// [`RequestTimeout`](ErrorCode::RequestTimeout).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_err(self, code: ErrorCode, text: Option<&str>) -> Result {
        if self.error.is_none() {
            self.request.link_mut().conn_mut().keep_alive &= !always_closes(code);
        }
        let text = text.unwrap_or(code.default_text());
        self.status(code.status()).content_type(PLAIN_TEXT).send(text)
    }

    /// Sends an error of any status with any text, now and without an error handler (upstream's
    /// `httpd_resp_send_custom_err`). `status` is what [`custom_status`](Self::custom_status) takes.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_custom_err(self, status: &'r str, text: &str) -> Result {
        self.custom_status(status).content_type(PLAIN_TEXT).send(text)
    }

    /// Sends an interim response at once, its status and header fields, before the one response
    /// (RFC 9110, section 15.2): 103 with `Link` fields, or 102 now and then for a client that would
    /// lose its patience. There may be several.
    ///
    /// ```
    /// # use esp_http_server::{Request, Result, Status};
    /// fn page(req: &mut Request) -> Result {
    ///     let link = "</style.css>; rel=preload; as=style";
    ///     req.respond().status(Status::EARLY_HINTS).header("Link", link).interim()?;
    ///     req.respond().send("<!doctype html>…")
    /// }
    /// ```
    ///
    /// HTTP/1.0 has none: its clients are sent nothing. `100 Continue` is sent only to a client that
    /// waits for it; reading the body does that by itself.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidStatus`] for what is not 1xx, and for 101, which would end HTTP here; those of
    /// [`send`](Self::send).
    pub fn interim(mut self) -> Result {
        let status = self.lead.status;
        if !status.is_informational() || status == Status::SWITCHING_PROTOCOLS {
            self.fail(Error::InvalidStatus(alloc::format!("{status}")));
        }
        let Self { request, lead, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let link = request.link_mut();
        let io = link.conn_mut().io_mut();
        let is_wanted = io.head.version() == Version::Http11
            && (status != Status::CONTINUE || core::mem::take(&mut io.continue_due));
        if is_wanted {
            let out = io.tx.storage();
            write_status(out, &lead);
            out.extend_from_slice(&io.fields[io.server_fields_len..]);
            encode::end_of_head(out);
        }
        if is_wanted { link.wait(Wait::Flushed) } else { Ok(()) }
    }

    pub(super) fn request(&mut self) -> &mut Request<'t> {
        self.request
    }

    fn stream(self, framing: Framing) -> Result<Chunks<'r, 't>> {
        let Self { request, lead, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let body = begin(request.link_mut(), &lead, framing)?;
        Ok(Chunks::new(request, framing, body))
    }

    fn begin(self, framing: Framing) -> Result<(&'r mut Link<'t>, Body)> {
        let Self { request, lead, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let link = request.link_mut();
        let body = begin(link, &lead, framing)?;
        Ok((link, body))
    }
}

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

fn is_framing(name: &str) -> bool {
    ["Content-Length", "Transfer-Encoding", "Connection"]
        .iter()
        .any(|framing| framing.eq_ignore_ascii_case(name))
}

/// A status and its reason in the form of upstream's `httpd_resp_set_status`.
fn parse_status(text: &str) -> Option<(Status, Option<&str>)> {
    let (code, reason) = match text.split_once(' ') {
        Some((code, reason)) => (code, Some(reason)),
        None => (text, None),
    };
    // `parse` alone would take a sign.
    let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    let status = Status::new(code.parse().ok().filter(|_| is_code)?)?;
    encode::check_reason(reason.unwrap_or_default()).ok()?;
    Some((status, reason))
}
