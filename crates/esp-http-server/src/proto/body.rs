//! The body of a request as it arrives: `Content-Length` and chunks (RFC 9112, sections 6 and 7).

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::field::{self, FieldLineError};
use super::head::BodyLen;
use super::status::Status;
use super::uri::hex_digit;

#[cfg(test)]
mod tests;

/// Bounds on the framing of a chunked body, enforced while it arrives. How much data there may be is
/// for whoever reads it to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a chunk's first line, size and extensions, without its CRLF. Beyond: 400.
    pub chunk_line_len: usize,
    /// The most bytes of framing in the whole body beyond what is fair: 16 bytes for each chunk, and
    /// twice its data. Beyond: 400. Extensions mean nothing to anybody; they are skipped, and without
    /// this bound small chunks with long ones would be a way to send for ever and say nothing.
    pub excess_len: usize,
    /// The most bytes of the trailer section. Beyond: 431.
    pub trailers_len: usize,
    /// The most fields of the trailer section. Beyond: 431.
    pub trailer_count: usize,
}

impl Default for Limits {
    /// 256 bytes for a chunk's line, 16 kB of framing beyond what is fair, 16 trailers of 1 kB.
    fn default() -> Limits {
        Limits { chunk_line_len: 256, excess_len: 16 * 1024, trailers_len: 1024, trailer_count: 16 }
    }
}

/// Bytes of framing that every chunk may have besides twice its data.
const FAIR_FRAMING_LEN: usize = 16;

/// Tells the data of a body from its framing.
///
/// It owns nothing but the trailers: data stays in the caller's buffer and is pointed at, or is copied from
/// there to another one.
///
/// ```
/// use esp_http_server::proto::{body::{BodyDecoder, Limits}, head::BodyLen};
///
/// let limits = Limits::default();
/// let mut received = &b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET / HTTP/1.1\r\n"[..];
/// let mut decoder = BodyDecoder::new(BodyLen::Chunked);
/// let mut body = Vec::new();
/// while !decoder.is_done() {
///     let decoded = decoder.decode(received, &limits)?;
///     body.extend_from_slice(&received[decoded.data]);
///     received = &received[decoded.consumed..];
/// }
/// assert_eq!(body, b"hello world");
/// assert!(received.starts_with(b"GET /"));
/// # Ok::<(), esp_http_server::proto::body::BodyError>(())
/// ```
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    /// Bytes of chunk framing beyond what is fair, so far.
    excess_len: usize,
    trailers: Trailers,
}

/// What [`BodyDecoder::decode`] found in its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are used up, data and framing.
    pub consumed: usize,
    /// Where in the input data stands. Empty when only framing was found.
    pub data: Range<usize>,
}

/// What [`BodyDecoder::copy_into`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of the input that are used up, data and framing.
    pub consumed: usize,
    /// Bytes of data at the start of the buffer.
    pub len: usize,
}

/// ```text
/// Data ──▶ Done
///
/// ChunkSize ──▶ Extension ──▶ SizeLf ──▶ ChunkData ──▶ DataCr ──▶ DataLf
///     ▲ └──────────────────────▲ │                                   │
///     │                          └──▶ Trailers ──▶ Done              │
///     └──────────────────────────────────────────────────────────────┘
/// ```
/// Any state may end in `Failed`, which answers its error again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of a body with `Content-Length` are missing.
    Data(u64),
    /// In the digits of a chunk size.
    ChunkSize {
        size: u64,
        digits: u8,
    },
    /// In the extensions of a chunk; `line_len` counts its first line.
    Extension {
        size: u64,
        line_len: usize,
        quote: Quote,
    },
    /// The LF behind a chunk's first line.
    SizeLf {
        size: u64,
    },
    /// So many bytes of a chunk are missing.
    ChunkData(u64),
    /// The CR behind a chunk's data.
    DataCr,
    /// The LF behind a chunk's data.
    DataLf,
    /// In the trailer section.
    Trailers,
    Done,
    Failed(BodyError),
}

/// The first line of a chunk without extensions.
struct PlainLine {
    size: u64,
    digits: usize,
    /// Bytes of the line with its CRLF, and with that of the data before it.
    len: usize,
}

impl PlainLine {
    const MOST_DIGITS: usize = 8;
}

/// Where in a quoted string of a chunk extension the decoder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

/// Trailer lines as they came, each with its CRLF, and how far they are judged.
#[derive(Debug, Default)]
struct Trailers {
    raw: Vec<u8>,
    line_start: usize,
    scanned: usize,
    count: usize,
}

impl BodyDecoder {
    /// A decoder for the body that a head announced.
    pub fn new(len: BodyLen) -> BodyDecoder {
        let state = match len {
            BodyLen::None | BodyLen::Length(0) => State::Done,
            BodyLen::Length(len) => State::Data(len),
            BodyLen::Chunked => State::ChunkSize { size: 0, digits: 0 },
        };
        BodyDecoder { state, excess_len: 0, trailers: Trailers::default() }
    }

    /// Reads on. Call it with what is received and not yet consumed; it takes framing, at most one
    /// run of data, and the framing behind it, so that the end of the body is known with its last
    /// byte. Nothing is consumed only if the input is empty or the body is done.
    ///
    /// # Errors
    ///
    /// [`BodyError`]. It is final: where the body ends is unknown, and with it where the next request
    /// starts, so the connection must close. Data that stood before the fault in the same input is
    /// not delivered; [`copy_into`](Self::copy_into) delivers it.
    pub fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<Decoded, BodyError> {
        let start = self.framing(input, 0, limits)?;
        let end = start + self.run_len(input.len() - start);
        self.take_data(end - start);
        let consumed = match end > start {
            true => self.framing(input, end, limits)?,
            false => end,
        };
        Ok(Decoded { consumed, data: start..end })
    }

    /// As [`decode`](Self::decode), but copies data to the start of `buf`: as much as there is room for, of
    /// as many chunks as it takes, so that chunks of a byte cost little more than one of the same bytes. It
    /// consumes nothing also if `buf` is empty and data comes next.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode), but data that stood before the fault is delivered first.
    pub fn copy_into(
        &mut self,
        input: &[u8],
        buf: &mut [u8],
        limits: &Limits,
    ) -> Result<Copied, BodyError> {
        let mut copied = Copied { consumed: 0, len: 0 };
        loop {
            match self.framing(input, copied.consumed, limits) {
                Ok(at) => copied.consumed = at,
                Err(error) if copied.len == 0 => return Err(error),
                // What is left of the input is answered with it again.
                Err(_) => return Ok(copied),
            }
            let Copied { consumed: at, len } = copied;
            let run = self.run_len(input.len() - at).min(buf.len() - len);
            if run == 0 {
                return Ok(copied);
            }
            buf[len..][..run].copy_from_slice(&input[at..][..run]);
            self.take_data(run);
            copied = Copied { consumed: at + run, len: len + run };
        }
    }

    /// How many bytes of data follow at once, if so many bytes are there.
    fn run_len(&self, input_len: usize) -> usize {
        // At most the input's length: it fits.
        input_len.min(usize::try_from(self.remaining_hint()).unwrap_or(usize::MAX))
    }

    /// So many bytes of data are read.
    fn take_data(&mut self, len: usize) {
        if let State::Data(left) | State::ChunkData(left) = &mut self.state {
            *left -= len as u64;
        }
        match self.state {
            State::Data(0) => self.state = State::Done,
            State::ChunkData(0) => self.state = State::DataCr,
            _ => {}
        }
    }

    /// Whether the body has ended; what follows in the input is the next request.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes of data are known to come: of the whole body with `Content-Length`, of the
    /// current chunk otherwise.
    pub fn remaining_hint(&self) -> u64 {
        match self.state {
            State::Data(left) | State::ChunkData(left) => left,
            _ => 0,
        }
    }

    /// How much memory it holds, in bytes: what has come of the trailers.
    pub fn capacity(&self) -> usize {
        self.trailers.raw.capacity()
    }

    /// The trailer fields of a chunked body that is done, values without the spaces around them.
    pub fn trailers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let lines = if self.is_done() { &*self.trailers.raw } else { &[] };
        // Lines were judged when they came, so this never skips one.
        lines.split_inclusive(|&byte| byte == b'\n').filter_map(|line| {
            let (name, value) = field::split_line(line.strip_suffix(b"\r\n")?).ok()?;
            Some((core::str::from_utf8(&line[name]).ok()?, &line[value]))
        })
    }

    /// Takes framing from `at` on, up to data, the end of the body, or the end of the input; gives
    /// how far it came.
    fn framing(
        &mut self,
        input: &[u8],
        mut at: usize,
        limits: &Limits,
    ) -> Result<usize, BodyError> {
        while let Some(&byte) = input.get(at) {
            if matches!(self.state, State::Data(_) | State::ChunkData(_) | State::Done) {
                break;
            }
            let (state, len) = match self.plain_line(&input[at..]) {
                Some(PlainLine { size, digits, len }) => {
                    let state = match size {
                        0 => State::Trailers,
                        _ => State::ChunkData(size),
                    };
                    (self.chunk_line(size, digits, limits).map(|_| state), len)
                }
                None => (self.framing_byte(byte, limits), 1),
            };
            match state {
                Ok(state) => self.state = state,
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
            at += len;
        }
        Ok(at)
    }

    /// What nearly all framing is, read at once: the CRLF behind a chunk's data, and a size of a few
    /// digits with its own. `None` for anything else, about which the state machine decides, and if
    /// not all of it is there.
    fn plain_line(&self, input: &[u8]) -> Option<PlainLine> {
        let start = match (self.state, input) {
            (State::DataCr, [b'\r', b'\n', ..]) => 2,
            (State::ChunkSize { digits: 0, .. }, _) => 0,
            _ => return None,
        };
        let mut size = 0;
        for (digits, &byte) in input[start..].iter().take(PlainLine::MOST_DIGITS + 1).enumerate() {
            match hex_digit(byte) {
                Some(digit) => size = size << 4 | u64::from(digit),
                None if digits > 0 && input[start + digits..].starts_with(b"\r\n") => {
                    return Some(PlainLine { size, digits, len: start + digits + 2 });
                }
                None => return None,
            }
        }
        None
    }

    /// The state machine of chunked framing.
    fn framing_byte(&mut self, byte: u8, limits: &Limits) -> Result<State, BodyError> {
        match (self.state, byte) {
            (State::ChunkSize { digits: digits @ 1.., size }, b'\r') => {
                self.chunk_line(size, digits.into(), limits)
            }
            (State::ChunkSize { digits: digits @ 1.., size }, b';') => {
                Ok(State::Extension { size, line_len: digits as usize + 1, quote: Quote::Outside })
            }
            (State::ChunkSize { digits, size }, _) => {
                let digit = hex_digit(byte).ok_or(BodyError::ChunkSize)?;
                if digits == 16 {
                    return Err(BodyError::ChunkSize);
                }
                Ok(State::ChunkSize { size: size << 4 | u64::from(digit), digits: digits + 1 })
            }

            (State::Extension { quote: Quote::Outside, size, line_len }, b'\r') => {
                self.chunk_line(size, line_len, limits)
            }
            (State::Extension { line_len, .. }, _) if line_len >= limits.chunk_line_len => {
                Err(BodyError::ChunkLineTooLong { limit: limits.chunk_line_len })
            }
            (State::Extension { size, line_len, quote }, _) => {
                let quote = match (quote, byte) {
                    (_, 0..0x20 | 0x7f) if byte != b'\t' => return Err(BodyError::Extension),
                    (Quote::Outside, b'"') => Quote::Inside,
                    (Quote::Inside, b'"') | (Quote::Outside, _) => Quote::Outside,
                    (Quote::Inside, b'\\') => Quote::Escaped,
                    (Quote::Inside | Quote::Escaped, _) => Quote::Inside,
                };
                Ok(State::Extension { size, line_len: line_len + 1, quote })
            }

            (State::SizeLf { size: 0 }, b'\n') => Ok(State::Trailers),
            (State::SizeLf { size }, b'\n') => Ok(State::ChunkData(size)),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::ChunkSize { size: 0, digits: 0 }),
            (State::SizeLf { .. } | State::DataCr | State::DataLf, _) => {
                Err(BodyError::ChunkTerminator)
            }

            (State::Trailers, _) => self.trailers.push(byte, limits),
            (state @ (State::Data(_) | State::ChunkData(_) | State::Done), _) => Ok(state),
            (State::Failed(error), _) => Err(error),
        }
    }

    /// The line of a chunk of `size` bytes has ended; it had `line_len` without its CRLF.
    fn chunk_line(
        &mut self,
        size: u64,
        line_len: usize,
        limits: &Limits,
    ) -> Result<State, BodyError> {
        // That CRLF, and the one behind the data.
        let framing_len = line_len + 4;
        let data_len = usize::try_from(size).unwrap_or(usize::MAX);
        let fair_len = data_len.saturating_mul(2).saturating_add(FAIR_FRAMING_LEN);
        self.excess_len += framing_len.saturating_sub(fair_len);
        match self.excess_len <= limits.excess_len {
            true => Ok(State::SizeLf { size }),
            false => Err(BodyError::TooMuchFraming { limit: limits.excess_len }),
        }
    }
}

impl Trailers {
    fn push(&mut self, byte: u8, limits: &Limits) -> Result<State, BodyError> {
        // The empty line that ends the section counts for nothing.
        let line_len = self.raw.len() - self.line_start;
        let is_terminator = line_len < 2 && (byte == b'\r' || byte == b'\n');
        if self.raw.len() >= limits.trailers_len && !is_terminator {
            return Err(BodyError::TrailersTooLong { limit: limits.trailers_len });
        }
        self.raw.push(byte);
        let line = &self.raw[self.line_start..];
        let Some(end) = field::line_end(line, &mut self.scanned)? else {
            return Ok(State::Trailers);
        };
        if end == 0 {
            self.raw.truncate(self.line_start);
            return Ok(State::Done);
        }
        if self.count >= limits.trailer_count {
            return Err(BodyError::TooManyTrailers { limit: limits.trailer_count });
        }
        let (name, _) = field::split_line(&line[..end])?;
        if field::is_forbidden_in_trailers(&line[name]) {
            return Err(BodyError::ForbiddenTrailer);
        }
        self.count += 1;
        self.line_start = self.raw.len();
        self.scanned = 0;
        Ok(State::Trailers)
    }
}

/// Why a body is refused. The connection closes after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// A chunk size isn't 1 to 16 hexadecimal digits: no sign, no `0x`, no space, no overflow.
    ChunkSize,
    /// A control byte in a chunk extension; a bare CR or LF is one.
    Extension,
    /// A chunk's first line is longer than the limit.
    ChunkLineTooLong {
        /// [`Limits::chunk_line_len`].
        limit: usize,
    },
    /// The chunks have more framing than their data explains.
    TooMuchFraming {
        /// [`Limits::excess_len`].
        limit: usize,
    },
    /// A chunk's line or data isn't followed by CRLF.
    ChunkTerminator,
    /// A trailer line breaks the grammar of a field line.
    TrailerLine(FieldLineError),
    /// A trailer field that would change framing or routing: `Content-Length`, `Host` and the like.
    ForbiddenTrailer,
    /// The trailer section is longer than the limit.
    TrailersTooLong {
        /// [`Limits::trailers_len`].
        limit: usize,
    },
    /// The trailer section has more fields than the limit.
    TooManyTrailers {
        /// [`Limits::trailer_count`].
        limit: usize,
    },
}

impl BodyError {
    /// The status of the answer, if none has been sent.
    pub const fn status(self) -> Status {
        match self {
            Self::TrailersTooLong { .. } | Self::TooManyTrailers { .. } => {
                Status::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            _ => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::ChunkSize => f.write_str("a chunk size is not 1 to 16 hexadecimal digits"),
            Self::Extension => f.write_str("a control character in a chunk extension"),
            Self::ChunkLineTooLong { limit } => {
                write!(f, "a chunk's size and extensions are longer than {limit} bytes")
            }
            Self::TooMuchFraming { limit } => {
                write!(f, "the chunks have {limit} bytes more of framing than their data explains")
            }
            Self::ChunkTerminator => f.write_str("a chunk does not end in CRLF"),
            Self::TrailerLine(error) => write!(f, "in the trailers: {error}"),
            Self::ForbiddenTrailer => {
                f.write_str("a field that decides framing or routing stands in the trailers")
            }
            Self::TrailersTooLong { limit } => {
                write!(f, "the trailers are longer than {limit} bytes")
            }
            Self::TooManyTrailers { limit } => write!(f, "there are more than {limit} trailers"),
        }
    }
}

impl core::error::Error for BodyError {}

impl From<FieldLineError> for BodyError {
    fn from(error: FieldLineError) -> BodyError {
        BodyError::TrailerLine(error)
    }
}
