//! One field line: what heads, trailers and responses have in common (RFC 9110, section 5).

use core::fmt;
use core::ops::Range;

/// Whether `byte` may stand in a token (RFC 9110, section 5.6.2): a method, a field name.
pub const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether `bytes` is a token: not empty, token bytes only.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// The elements of a comma-separated list (RFC 9110, section 5.6.1), trimmed, without the empty ones.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Whether the field name belongs to framing or routing and so must not stand in a trailer section
/// (RFC 9110, section 6.5.1).
pub(crate) fn is_forbidden_in_trailers(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
    NAMES.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

/// Whether a response of ours must not have a field of that name in its trailer section: recipients
/// that merge trailers into the head would believe it (RFC 9110, section 6.5.1).
pub(crate) fn is_forbidden_in_our_trailers(name: &str) -> bool {
    const NAMES: [&str; 24] = [
        // Framing, routing and the connection.
        "Connection",
        "Content-Length",
        "Host",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        // How the body is to be read.
        "Content-Encoding",
        "Content-Range",
        "Content-Type",
        // Authentication and state.
        "Authentication-Info",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Set-Cookie",
        "WWW-Authenticate",
        // What a client does with the response before it has read it.
        "Age",
        "Cache-Control",
        "Date",
        "Expires",
        "Location",
        "Retry-After",
        "Vary",
        "Warning",
    ];
    NAMES.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

/// What is wrong with a field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldLineError {
    /// No colon: mongoose#2293 took such a line for a field.
    MissingColon,
    /// The name is empty or has a byte that no token has; a space before the colon is one (RFC 9112,
    /// section 5.1: proxies differ in what they make of it).
    InvalidName,
    /// The line starts with a space or a tab: an obsolete line fold (RFC 9112, section 5.2).
    Fold,
    /// A carriage return without a line feed (RFC 9112, section 2.2).
    BareCr,
    /// A line feed without a carriage return: where others see no line end.
    BareLf,
    /// A control byte in the line.
    ControlByte(u8),
}

impl fmt::Display for FieldLineError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::MissingColon => f.write_str("a field line has no colon"),
            Self::InvalidName => {
                f.write_str("a field name is empty or has a character that no field name has")
            }
            Self::Fold => f.write_str("a field line starts with a space: folded lines are refused"),
            Self::BareCr => f.write_str("a CR without LF"),
            Self::BareLf => f.write_str("a line ends in LF without CR"),
            Self::ControlByte(byte) => write!(f, "control byte 0x{byte:02x} in a field line"),
        }
    }
}

impl core::error::Error for FieldLineError {}

/// Finds the end of the line that starts at `bytes[0]`: the index of its CR, followed by LF.
///
/// `*scanned` is how far earlier calls have looked, so that a line dripped byte by byte is looked at
/// once. `None` means that the line goes on.
pub(crate) fn line_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, FieldLineError> {
    loop {
        let Some(offset) = first_control(&bytes[*scanned..]) else {
            *scanned = bytes.len();
            return Ok(None);
        };
        *scanned += offset;
        match (bytes[*scanned], bytes.get(*scanned + 1)) {
            (b'\t', _) => *scanned += 1,
            (b'\r', Some(b'\n')) => return Ok(Some(*scanned)),
            (b'\r', None) => return Ok(None),
            (b'\r', Some(_)) => return Err(FieldLineError::BareCr),
            (b'\n', _) => return Err(FieldLineError::BareLf),
            (byte, _) => return Err(FieldLineError::ControlByte(byte)),
        }
    }
}

/// Splits a line, without its CRLF and known to have no control bytes, into name and value.
pub(crate) fn split_line(line: &[u8]) -> Result<(Range<usize>, Range<usize>), FieldLineError> {
    if let [b' ' | b'\t', ..] = line {
        return Err(FieldLineError::Fold);
    }
    let Some(colon) = line.iter().position(|&byte| !is_token_byte(byte)) else {
        return Err(FieldLineError::MissingColon);
    };
    if line[colon] != b':' || colon == 0 {
        return Err(match line.contains(&b':') {
            true => FieldLineError::InvalidName,
            false => FieldLineError::MissingColon,
        });
    }
    let value = trim_start(&line[colon + 1..]);
    let start = line.len() - value.len();
    Ok((0..colon, start..start + trim(value).len()))
}

/// The bytes without spaces and tabs around them (RFC 9110, section 5.6.3).
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// The index of the first byte below 0x20, or DEL. Eight bytes a step: values are most of a head.
pub(super) fn first_control(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES * 0x80;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let del = word ^ (ONES * 0x7f);
        // A subtraction borrows beyond a byte only if that byte is a hit: the lowest hit is exact.
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let hits = (below_space | (del.wrapping_sub(ONES) & !del)) & HIGH;
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let tail = rest.iter().position(|&byte| byte < 0x20 || byte == 0x7f)?;
    Some(words.len() * 8 + tail)
}

const TOKEN: [bool; 256] = alphanumerics_and(b"!#$%&'*+-.^_`|~");

/// By byte, whether it is a letter or a digit of ASCII or one of `marks`.
pub(super) const fn alphanumerics_and(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < marks.len() {
        table[marks[index] as usize] = true;
        index += 1;
    }
    table
}
