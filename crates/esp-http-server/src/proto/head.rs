//! The head of a request: request line and header fields (RFC 9112, sections 2 to 5).
//!
//! The parser is our own and not a general one, for three reasons. What general parsers forgive (a
//! bare line feed, a second `Content-Length`, a space before a colon) is what request smuggling is
//! made of; every limit must hold while the head is still arriving; and a head that drips in byte by
//! byte must cost one pass, not one pass per byte. So every byte is judged once, in order, and the
//! answer to a head never depends on how the network cut it.
//!
//! The fields that decide framing and routing are understood here too (`semantics`): a head that
//! parsed has one valid body length, and one valid `Host` if it is HTTP/1.1.

use alloc::vec::Vec;
use core::str;

use super::field::{self, FieldLineError};
use super::method::Method;
use super::uri;

mod error;
mod semantics;
#[cfg(test)]
mod tests;

pub use error::HeadError;
use semantics::Semantics;

/// Bounds on a head, enforced while it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a whole head, from the method to the empty line. Beyond: 431.
    pub head_len: usize,
    /// The most bytes of the request target. Beyond: 414.
    pub uri_len: usize,
    /// The most header fields. Beyond: 431.
    pub field_count: usize,
}

/// What [`Head::parse`] made of the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head is whole; `len` bytes of the input belong to it, empty lines before it included.
    Complete {
        /// Bytes of the input to consume.
        len: usize,
    },
    /// More bytes are needed.
    Partial,
}

/// The version of the request (RFC 9110, section 2.5). Every other version is answered with 505.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: closes by default, knows no chunks and no interim answers.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// How long the request's body is (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLen {
    /// No body: neither `Content-Length` nor `Transfer-Encoding`.
    #[default]
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// One request head, in buffers that are reused for the next one.
///
/// [`parse`](Head::parse) fills it; the other methods describe the head once `parse` has answered
/// [`Parsed::Complete`] and until `parse` or [`clear`](Head::clear) is called again. Before that they
/// describe an empty head.
///
/// ```
/// use esp_http_server::proto::head::{Head, Limits, Parsed};
///
/// let limits = Limits { head_len: 1024, uri_len: 512, field_count: 32 };
/// let mut head = Head::new();
/// let received = b"GET /a?b=c HTTP/1.1\r\nHost: example.org\r\n\r\n";
/// // Half of it: call again with the same bytes and more behind them.
/// assert_eq!(head.parse(&received[..20], &limits)?, Parsed::Partial);
/// assert_eq!(head.parse(received, &limits)?, Parsed::Complete { len: received.len() });
/// assert_eq!((head.path(), head.query()), ("/a", Some("b=c")));
/// assert_eq!(head.field_str("host"), Some("example.org"));
/// # Ok::<(), esp_http_server::proto::head::HeadError>(())
/// ```
#[derive(Debug, Default)]
pub struct Head {
    /// The bytes from the method to the empty line; every span points into it.
    raw: Vec<u8>,
    fields: Vec<Field>,
    method: Method,
    target: Span,
    version: Version,
    semantics: Semantics,
    cursor: Cursor,
}

/// A header field: name and trimmed value.
#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
}

/// A range of [`Head::raw`]. Half the size of a `Range<usize>`; a head is far below 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// Where the next byte to judge stands.
#[derive(Debug, Default)]
struct Cursor {
    state: State,
    /// Bytes of empty lines before the head.
    skipped: usize,
    /// Where the element being read starts, counted from the method's first byte.
    start: usize,
    /// Bytes of that element already judged.
    scanned: usize,
}

/// ```text
/// EmptyLines ──▶ Method ──▶ Target ──▶ Version ──▶ Fields ──▶ Complete
///                                                   ▲   │
///                                                   └───┘
/// ```
/// Any state but `Complete` may end in `Failed`, which answers its error again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    EmptyLines,
    Method,
    Target,
    Version,
    Fields,
    Complete,
    Failed(HeadError),
}

/// An element of the head was judged to its end, or needs more bytes.
enum Step {
    Next(State),
    Partial,
}

/// The most bytes of empty lines before a head (RFC 9112, section 2.2, asks for "at least one"): two
/// lines, what sloppy clients send behind a body. More would be a way to keep a parser busy.
const EMPTY_LINES_LEN: usize = 4;

/// The first byte of a TLS record that carries a handshake message.
const TLS_HANDSHAKE: u8 = 0x16;

impl Head {
    /// An empty head. It allocates with the first field that arrives.
    pub fn new() -> Head {
        Head::default()
    }

    /// Reads a head from `input`, which starts where the last request ended.
    ///
    /// While the answer is [`Parsed::Partial`], call again with the same bytes and more behind them:
    /// what was judged before is not looked at again. After [`Parsed::Complete`] the head owns a copy
    /// of its bytes and the next call starts a new head. An error is final: the connection must close
    /// after the answer, as nobody can know where the next request starts (RFC 9112, section 11.2).
    ///
    /// # Errors
    ///
    /// [`HeadError`] says what is wrong and which status answers it.
    ///
    /// # Panics
    ///
    /// If `input` is shorter than it was when the answer was [`Parsed::Partial`].
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Parsed, HeadError> {
        if self.cursor.state == State::Complete {
            self.clear();
        }
        // Nothing behind the limit is looked at, so one large read and many small ones agree.
        let head_limit = limits.head_len.min(u32::MAX as usize);
        loop {
            let input = &input[self.cursor.skipped.min(input.len())..];
            let window = &input[..input.len().min(head_limit)];
            let step = match self.cursor.state {
                State::EmptyLines => self.empty_lines(window),
                State::Method => self.method_token(window),
                State::Target => self.request_target(window, limits),
                State::Version => self.version_name(window),
                State::Fields => self.field_line(window, limits),
                State::Failed(error) => Err(error),
                State::Complete => {
                    let len = self.cursor.start;
                    self.raw.extend_from_slice(&window[..len]);
                    return Ok(Parsed::Complete { len: self.cursor.skipped + len });
                }
            };
            match step {
                Ok(Step::Next(state)) => self.cursor.state = state,
                Ok(Step::Partial) if window.len() < head_limit => return Ok(Parsed::Partial),
                Ok(Step::Partial) => {
                    return self.fail(HeadError::HeadTooLong { limit: limits.head_len });
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Forgets the head and keeps its buffers for the next one.
    pub fn clear(&mut self) {
        let (mut raw, mut fields) =
            (core::mem::take(&mut self.raw), core::mem::take(&mut self.fields));
        raw.clear();
        fields.clear();
        *self = Head { raw, fields, ..Head::default() };
    }

    /// How much memory it holds, in bytes.
    pub fn capacity(&self) -> usize {
        self.raw.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    /// Gives up on a head that is bad or won't become whole: of what it has said, only the method and
    /// the version stay, and it has no body.
    pub fn abandon(&mut self) {
        self.fields.clear();
        self.target = Span::default();
        self.semantics = Semantics::default();
    }

    /// Whether [`parse`](Head::parse) has answered `Partial` for bytes of a head: a peer that is
    /// silent now is in the middle of a request.
    pub fn has_begun(&self) -> bool {
        !matches!(self.cursor.state, State::EmptyLines | State::Complete)
    }

    fn fail(&mut self, error: HeadError) -> Result<Parsed, HeadError> {
        self.abandon();
        self.cursor.state = State::Failed(error);
        Err(error)
    }
}

/// What the head says.
impl Head {
    /// The request's method; `GET` as long as it is not known.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The request's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The request target as it was sent, ASCII without spaces and control characters.
    pub fn target(&self) -> &str {
        self.text(self.target)
    }

    /// The path of the target, percent-encoded as it was sent: `/` for an absolute target without
    /// path, `*` for `OPTIONS` of a whole server, empty for `CONNECT` (RFC 9112, section 3.2) and
    /// without a target.
    pub fn path(&self) -> &str {
        let target = self.target();
        match (uri::split_target(target), self.method) {
            (("", _), _) if target.is_empty() => "",
            (("", _), Method::Connect) => "",
            (("", None), Method::Options) => "*",
            (("", _), _) => "/",
            ((path, _), _) => path,
        }
    }

    /// The target's query, without its `?`, encoded as it was sent. `Some("")` for a bare `?`.
    pub fn query(&self) -> Option<&str> {
        uri::split_target(self.target()).1
    }

    /// Whom the request is for, `host[:port]`: the authority in the target if it has one, else
    /// `Host` (RFC 9112, section 3.3). `None` is possible in HTTP/1.0 only.
    pub fn authority(&self) -> Option<&str> {
        uri::authority(self.target()).or_else(|| self.field_str("host"))
    }

    /// The header fields in the order in which they came; values without the spaces around them.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.whole_fields().iter().map(|field| (self.text(field.name), self.bytes(field.value)))
    }

    /// The value of the first field of that name, in any case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// As [`field`](Head::field), as text; `None` also when the value is not UTF-8.
    pub fn field_str(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.field(name)?).ok()
    }

    /// The values of all fields of that name, in any case, in the order in which they came.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let wanted = move |field: &&Field| {
            (field.name.end - field.name.start) as usize == name.len()
                && self.bytes(field.name).eq_ignore_ascii_case(name.as_bytes())
        };
        self.whole_fields().iter().filter(wanted).map(|field| self.bytes(field.value))
    }

    /// Whether one of the comma-separated elements of the fields of that name is `token`, both in
    /// any case: `contains_token("upgrade", "websocket")`.
    pub fn contains_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(field::list)
            .any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// How long the body is.
    pub fn body_len(&self) -> BodyLen {
        self.semantics.body_len()
    }

    /// Whether the client wants to use the connection again (RFC 9112, section 9.3): HTTP/1.1 unless
    /// it says `close`, HTTP/1.0 only if it says `keep-alive`.
    pub fn keep_alive(&self) -> bool {
        self.semantics.keep_alive(self.version)
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110, section
    /// 10.1.1). Never for HTTP/1.0, whose clients wait for no interim answer, or without a body.
    pub fn expect_continue(&self) -> bool {
        self.semantics.expect_continue(self.version)
    }

    /// The bytes of the head from the method to the empty line, as they came.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// None while the head is still arriving: the bytes that they point at are not here yet.
    fn whole_fields(&self) -> &[Field] {
        if self.cursor.state == State::Complete { &self.fields } else { &[] }
    }

    fn bytes(&self, span: Span) -> &[u8] {
        // Empty while the head is still arriving, for the same reason.
        self.raw.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn text(&self, span: Span) -> &str {
        // Only names and the target are asked for, and those are ASCII since they were judged.
        str::from_utf8(self.bytes(span)).unwrap_or_default()
    }
}

/// One function per state. `window` starts at the method and ends at the latest at the head's limit.
impl Head {
    fn empty_lines(&mut self, window: &[u8]) -> Result<Step, HeadError> {
        match window {
            [] | [b'\r'] => Ok(Step::Partial),
            [b'\r', b'\n', ..] if self.cursor.skipped == EMPTY_LINES_LEN => {
                Err(HeadError::RequestLine)
            }
            [b'\r', b'\n', ..] => {
                self.cursor.skipped += 2;
                Ok(Step::Next(State::EmptyLines))
            }
            [b'\r', ..] => Err(HeadError::Line(FieldLineError::BareCr)),
            [b'\n', ..] => Err(HeadError::Line(FieldLineError::BareLf)),
            [TLS_HANDSHAKE, ..] => Err(HeadError::TlsOnPlainPort),
            _ => Ok(Step::Next(State::Method)),
        }
    }

    fn method_token(&mut self, window: &[u8]) -> Result<Step, HeadError> {
        while let Some(&byte) = window.get(self.cursor.scanned) {
            if byte == b' ' && self.cursor.scanned > 0 {
                let name = &window[..self.cursor.scanned];
                self.method = Method::parse(name).ok_or(match name {
                    b"PRI" => HeadError::Http2Preface,
                    _ => HeadError::UnknownMethod,
                })?;
                self.next_element(self.cursor.scanned + 1);
                return Ok(Step::Next(State::Target));
            }
            if !field::is_token_byte(byte) {
                return Err(HeadError::RequestLine);
            }
            if self.cursor.scanned == Method::MAX_LEN {
                return Err(HeadError::UnknownMethod);
            }
            self.cursor.scanned += 1;
        }
        Ok(Step::Partial)
    }

    fn request_target(&mut self, window: &[u8], limits: &Limits) -> Result<Step, HeadError> {
        let Cursor { start, scanned, .. } = self.cursor;
        let element = &window[start..];
        let end = element[scanned..].iter().position(|&byte| !uri::is_target_byte(byte));
        let len = end.map_or(element.len(), |end| scanned + end);
        if len > limits.uri_len {
            return Err(HeadError::UriTooLong { limit: limits.uri_len });
        }
        self.cursor.scanned = len;
        match element.get(len) {
            None => Ok(Step::Partial),
            Some(b' ') => {
                if !uri::is_target(&element[..len], self.method) {
                    return Err(HeadError::InvalidTarget);
                }
                self.target = Span::new(start, len);
                self.next_element(len + 1);
                Ok(Step::Next(State::Version))
            }
            Some(b'#') => Err(HeadError::Fragment),
            // The request line of HTTP/0.9 ends here.
            Some(b'\r' | b'\n') => Err(HeadError::RequestLine),
            Some(_) => Err(HeadError::InvalidTarget),
        }
    }

    fn version_name(&mut self, window: &[u8]) -> Result<Step, HeadError> {
        const USUAL: &[u8] = b"HTTP/1.1\r\n";
        const LEN: usize = USUAL.len();
        let element = &window[self.cursor.start..];
        if element.starts_with(USUAL) {
            self.version = Version::Http11;
            self.next_element(LEN);
            return Ok(Step::Next(State::Fields));
        }
        let element = &element[..element.len().min(LEN)];
        for (index, &byte) in element.iter().enumerate().skip(self.cursor.scanned) {
            let expected = match index {
                5 | 7 => byte.is_ascii_digit(),
                _ => byte == b"HTTP/_._\r\n"[index],
            };
            if !expected {
                return Err(HeadError::RequestLine);
            }
            if index == 7 {
                self.version = match (element[5], byte) {
                    (b'1', b'1') => Version::Http11,
                    (b'1', b'0') => Version::Http10,
                    (major, minor) => return Err(HeadError::UnsupportedVersion { major, minor }),
                };
            }
        }
        self.cursor.scanned = element.len();
        if element.len() < LEN {
            return Ok(Step::Partial);
        }
        self.next_element(LEN);
        Ok(Step::Next(State::Fields))
    }

    fn field_line(&mut self, window: &[u8], limits: &Limits) -> Result<Step, HeadError> {
        let start = self.cursor.start;
        let rest = &window[start..];
        let Some(end) = field::line_end(rest, &mut self.cursor.scanned)? else {
            return Ok(Step::Partial);
        };
        self.next_element(end + 2);
        if end == 0 {
            self.semantics.finish(self.version)?;
            return Ok(Step::Next(State::Complete));
        }
        if self.fields.len() == limits.field_count {
            return Err(HeadError::TooManyFields { limit: limits.field_count });
        }
        let line = &rest[..end];
        let (name, value) = field::split_line(line)?;
        self.semantics.field(&line[name.clone()], &line[value.clone()], self.version)?;
        self.fields.push(Field {
            name: Span::new(start + name.start, name.len()),
            value: Span::new(start + value.start, value.len()),
        });
        Ok(Step::Next(State::Fields))
    }

    fn next_element(&mut self, len: usize) {
        self.cursor.start += len;
        self.cursor.scanned = 0;
    }
}

impl Span {
    /// Both fit: no byte behind the head's limit, capped at `u32::MAX`, is ever judged.
    fn new(start: usize, len: usize) -> Span {
        Span { start: start as u32, end: (start + len) as u32 }
    }
}
