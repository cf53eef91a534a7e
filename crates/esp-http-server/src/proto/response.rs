//! Encoding of responses (RFC 9112, sections 4 to 7): every function appends to `out`.
//!
//! What user code hands over (a reason, a field) is checked before anything is written: a CR or LF in
//! it would let whoever chose the text write the rest of the response (CWE-113).

use alloc::vec::Vec;
use core::fmt;

use super::field::{first_control, is_token};
use super::head::Version;
use super::status::Status;

/// Status line of an HTTP/1.x response: `HTTP/1.1 404 Not Found`. The version is the server's own,
/// also towards HTTP/1.0 clients (RFC 9110, section 6.2); those who must see 1.0 can be given it.
pub fn status_line(out: &mut Vec<u8>, version: Version, status: Status) {
    // A registered reason breaks no rule.
    write_status_line(out, version, status, status.reason().as_bytes());
}

/// As [`status_line`], with a reason of the caller's: `418 I'm a teapot`.
///
/// # Errors
///
/// [`FieldError::InvalidValue`] when the reason has a control character; nothing is written.
pub fn status_line_with_reason(
    out: &mut Vec<u8>,
    version: Version,
    status: Status,
    reason: &str,
) -> Result<(), FieldError> {
    check_reason(reason)?;
    write_status_line(out, version, status, reason.as_bytes());
    Ok(())
}

/// Checks a reason as [`status_line_with_reason`] does, for callers that keep it for later.
///
/// # Errors
///
/// [`FieldError::InvalidValue`].
pub fn check_reason(reason: &str) -> Result<(), FieldError> {
    match is_field_value(reason.as_bytes()) {
        true => Ok(()),
        false => Err(FieldError::InvalidValue),
    }
}

/// Why a field or a reason is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldError {
    /// The name is empty or has a character that no field name has.
    InvalidName,
    /// The value has a control character other than a tab: CR, LF and NUL among them.
    InvalidValue,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidName => "the field name is empty or has a character that no name has",
            Self::InvalidValue => "the field value has a control character",
        })
    }
}

impl core::error::Error for FieldError {}

/// Checks a field as [`field`] does, for callers that keep it for later.
///
/// # Errors
///
/// [`FieldError`].
pub fn check_field(name: &str, value: &[u8]) -> Result<(), FieldError> {
    if !is_token(name.as_bytes()) {
        return Err(FieldError::InvalidName);
    }
    if !is_field_value(value) {
        return Err(FieldError::InvalidValue);
    }
    Ok(())
}

/// One header or trailer field.
///
/// ```
/// use esp_http_server::proto::response;
///
/// let mut out = Vec::new();
/// response::field(&mut out, "Location", b"/login")?;
/// assert!(response::field(&mut out, "Location", b"/x\r\nSet-Cookie: a=b").is_err());
/// assert_eq!(out, b"Location: /login\r\n");
/// # Ok::<(), response::FieldError>(())
/// ```
///
/// # Errors
///
/// [`FieldError`]; nothing is written.
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), FieldError> {
    check_field(name, value)?;
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `Content-Type`, with a value that [`is_field_value`] has found to be one.
pub(crate) fn content_type(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(b"Content-Type: ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `Content-Length`, in bytes.
pub fn content_length(out: &mut Vec<u8>, len: u64) {
    out.extend_from_slice(b"Content-Length: ");
    decimal(out, len);
    out.extend_from_slice(b"\r\n");
}

/// `Transfer-Encoding: chunked`.
pub fn transfer_encoding_chunked(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
}

/// The empty line behind the last field.
pub fn end_of_head(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// What stands before the data of a chunk; [`chunk_end`] stands behind it. `len`, in bytes, must not
/// be 0: that is the last chunk.
pub fn chunk_head(out: &mut Vec<u8>, len: u64) {
    debug_assert_ne!(len, 0, "an empty chunk ends the body");
    hexadecimal(out, len);
    out.extend_from_slice(b"\r\n");
}

/// What stands behind the data of a chunk.
pub fn chunk_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// The last chunk and the end of the body, with `trailers` in between: what [`field`] wrote, or
/// nothing.
pub fn last_chunk(out: &mut Vec<u8>, trailers: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

/// A number in decimal digits.
pub fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// A number in lower-case hexadecimal digits.
pub fn hexadecimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 16];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// An IMF-fixdate (RFC 9110, section 5.6.7), the value of `Date`: `Sun, 06 Nov 1994 08:49:37 GMT`.
/// `unix_seconds` since 1970 UTC; the form has four digits for the year, so times behind the end of
/// 9999 are that end.
pub fn date(unix_seconds: u64) -> [u8; 29] {
    const END_OF_9999: u64 = 253_402_300_799;
    const WEEKDAYS: &[u8] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let seconds = unix_seconds.min(END_OF_9999);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);

    let mut text = *b"Www, 00 Mmm 0000 00:00:00 GMT";
    let weekday = (days % 7) as usize * 3;
    text[..3].copy_from_slice(&WEEKDAYS[weekday..weekday + 3]);
    two_digits(&mut text[5..7], day);
    let month = month as usize * 3;
    text[8..11].copy_from_slice(&MONTHS[month..month + 3]);
    two_digits(&mut text[12..14], year / 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], second / 3600);
    two_digits(&mut text[20..22], second / 60 % 60);
    two_digits(&mut text[23..25], second % 60);
    text
}

/// Year, month from 0, and day from 1, of the Gregorian calendar.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    // Counted in years that begin in March, the leap day is the last day of its year, and months
    // follow the pattern 31 30 31 30 31 of 153 days. 719,468 days lie between 1 March 0 and 1970.
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    (year, month, day)
}

fn two_digits(out: &mut [u8], value: u64) {
    out[0] = b'0' + (value / 10) as u8;
    out[1] = b'0' + (value % 10) as u8;
}

fn write_status_line(out: &mut Vec<u8>, version: Version, status: Status, reason: &[u8]) {
    let mut start = *b"HTTP/1.1 000 ";
    if version == Version::Http10 {
        start[7] = b'0';
    }
    let code = status.code();
    for (digit, value) in start[9..12].iter_mut().zip([code / 100, code / 10 % 10, code % 10]) {
        *digit += value as u8;
    }
    // Its space stands even before an empty reason.
    out.extend_from_slice(&start);
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

/// Whether a field may have this value: no control character but tabs.
pub(crate) fn is_field_value(mut value: &[u8]) -> bool {
    while let Some(at) = first_control(value) {
        if value[at] != b'\t' {
            return false;
        }
        value = &value[at + 1..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::random::many;
    use alloc::format;
    use alloc::string::{String, ToString};

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        encode(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_response_head_is_encoded() {
        let head = encoded(|out| {
            status_line(out, Version::Http11, Status::NOT_FOUND);
            field(out, "Content-Type", b"text/plain").unwrap();
            field(out, "X-Empty", b"").unwrap();
            content_length(out, 1234567890);
            end_of_head(out);
        });
        assert_eq!(
            head,
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nX-Empty: \r\n\
             Content-Length: 1234567890\r\n\r\n"
        );
    }

    #[test]
    fn a_status_line_keeps_its_space_before_an_empty_reason() {
        let unknown = Status::new(599).unwrap();
        let line = encoded(|out| status_line(out, Version::Http10, unknown));
        assert_eq!(line, "HTTP/1.0 599 \r\n");
    }

    #[test]
    fn a_reason_can_be_the_callers() {
        let teapot = Status::new(418).unwrap();
        let mut out = Vec::new();
        status_line_with_reason(&mut out, Version::Http11, teapot, "I'm a teapot").unwrap();
        assert_eq!(out, b"HTTP/1.1 418 I'm a teapot\r\n");
    }

    #[test]
    fn nothing_is_injected_into_a_head() {
        let mut out = Vec::new();
        for text in ["a\rb", "a\nb", "a\0b", "\r\n", "a\r\nSet-Cookie: x=y", "\u{7f}", "\u{1b}[2J"]
        {
            let value = field(&mut out, "X", text.as_bytes());
            assert_eq!(value, Err(FieldError::InvalidValue), "{text:?}");
            assert_eq!(field(&mut out, text, b"v"), Err(FieldError::InvalidName), "{text:?}");
            let reason = status_line_with_reason(&mut out, Version::Http11, Status::OK, text);
            assert_eq!(reason, Err(FieldError::InvalidValue), "{text:?}");
        }
        for name in ["", "a b", "a:", "a ", "é", "a\tb", "(a)"] {
            assert_eq!(field(&mut out, name, b"v"), Err(FieldError::InvalidName), "{name:?}");
        }
        assert_eq!(out, b"", "nothing is written");
        assert_eq!(field(&mut out, "X-Y_z", "tab\t, caf\u{e9} and \"quotes\"".as_bytes()), Ok(()));
    }

    #[test]
    fn chunks_are_encoded() {
        let body = encoded(|out| {
            chunk_head(out, 0x1f);
            out.extend_from_slice(&[b'x'; 0x1f]);
            chunk_end(out);
            last_chunk(out, b"");
        });
        assert_eq!(body, format!("1f\r\n{}\r\n0\r\n\r\n", "x".repeat(31)));
    }

    #[test]
    fn numbers_are_those_of_the_standard_library() {
        for shift in (0..64).step_by(if cfg!(miri) { 9 } else { 1 }) {
            let power = 1_u64 << shift;
            for value in [power - 1, power, power / 10 * 10, u64::MAX - power, u64::MAX / power] {
                assert_eq!(encoded(|out| decimal(out, value)), format!("{value}"));
                assert_eq!(encoded(|out| hexadecimal(out, value)), format!("{value:x}"));
            }
        }
    }

    #[test]
    fn dates_are_imf_fixdates() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (2_147_483_648, "Tue, 19 Jan 2038 03:14:08 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(date(seconds).escape_ascii().to_string(), expected);
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_day_before() {
        let (mut year, mut month, mut day) = (1970, 0, 1);
        for days in 0..many(146_097) as u64 {
            assert_eq!(civil_date(days), (year, month, day));
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let feb = if is_leap { 29 } else { 28 };
            let len = [31, feb, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize];
            day += 1;
            if day > len {
                (month, day) = (month + 1, 1);
            }
            if month == 12 {
                (year, month) = (year + 1, 0);
            }
        }
    }
}
