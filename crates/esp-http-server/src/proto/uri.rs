//! Request targets (RFC 9112, section 3.2), URI templates, percent-encoding and queries.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;
use core::str;

use super::field;
use super::method::Method;

pub(crate) mod template;
#[cfg(test)]
mod tests;

/// Path and query of a request target: `/a?b` gives `/a` and `b`.
///
/// The path is empty for an absolute target without one and for the authority that `CONNECT` asks
/// for; [`Head::path`](super::head::Head::path) says what those mean.
pub fn split_target(target: &str) -> (&str, Option<&str>) {
    let target = match target.as_bytes() {
        [b'/' | b'*', ..] => target,
        _ => match strip_scheme(target) {
            Some(rest) => &rest[authority_len(rest)..],
            None => "",
        },
    };
    // Byte by byte: most targets are shorter than the general search takes to set out.
    match target.bytes().position(|byte| byte == b'?') {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}

/// The authority in a target of absolute or authority form, `host[:port]`.
pub fn authority(target: &str) -> Option<&str> {
    match target.as_bytes() {
        [] | [b'/' | b'*', ..] => None,
        _ => Some(match strip_scheme(target) {
            Some(rest) => &rest[..authority_len(rest)],
            None => target,
        }),
    }
}

/// Whether `template` matches `path`, by the rules of ESP-IDF's `httpd_uri_match_wildcard`.
///
/// Only the end of the template is special. `*` there stands for anything, also nothing. `?` makes
/// the character before it optional. `?*` and `*?` do both: the character before them is optional,
/// and only behind it anything may follow.
///
/// | template | matches | doesn't match |
/// |---|---|---|
/// | `/path` | `/path` | `/path/` |
/// | `/path/*` | `/path/`, `/path/a` | `/path` |
/// | `/path/?` | `/path`, `/path/` | `/path/a` |
/// | `/path/?*` | `/path`, `/path/`, `/path/a` | `/patha` |
/// | `*` | everything | |
/// | `?`, `?*` | | everything: nothing there to be optional |
///
/// ```
/// use esp_http_server::proto::uri::match_wildcard;
///
/// assert!(match_wildcard("/files/*", "/files/a/b"));
/// assert!(match_wildcard("/files/?*", "/files"));
/// assert!(!match_wildcard("/files/?*", "/filesystem"));
/// ```
pub fn match_wildcard(template: &str, path: &str) -> bool {
    let (template, path) = (template.as_bytes(), path.as_bytes());
    let (required, optional, open_end) = match template {
        [before @ .., b'?', b'*'] | [before @ .., b'*', b'?'] => match before {
            [required @ .., optional] => (required, Some(optional), true),
            [] => return false,
        },
        [required @ .., b'*'] => (required, None, true),
        [required @ .., optional, b'?'] => (required, Some(optional), false),
        [b'?'] => return false,
        required => (required, None, false),
    };
    let Some(rest) = path.strip_prefix(required) else {
        return false;
    };
    match (optional, rest) {
        (_, []) => true,
        (Some(optional), [first, rest @ ..]) => first == optional && (open_end || rest.is_empty()),
        (None, _) => open_end,
    }
}

/// Why a percent-encoded text can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A `%` without two hexadecimal digits behind it.
    InvalidEscape,
    /// The decoded bytes aren't UTF-8.
    NotUtf8,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidEscape => "a `%` is not followed by two hexadecimal digits",
            Self::NotUtf8 => "the decoded bytes are not UTF-8",
        })
    }
}

impl core::error::Error for DecodeError {}

/// Decodes `%XX` (RFC 3986, section 2.1); borrows when there is nothing to decode.
///
/// The result may have any byte in it: `%2e%2e%2f`, `%00` and `%0d%0a` are the classic ones. Check
/// paths after decoding, not before.
///
/// # Errors
///
/// [`DecodeError::InvalidEscape`].
pub fn percent_decode(encoded: &str) -> Result<Cow<'_, [u8]>, DecodeError> {
    decode(encoded.as_bytes(), Plus::IsPlus)
}

/// As [`percent_decode`], into text.
///
/// # Errors
///
/// [`DecodeError`].
pub fn percent_decode_str(encoded: &str) -> Result<Cow<'_, str>, DecodeError> {
    into_text(percent_decode(encoded)?)
}

/// Decodes a name or value of `application/x-www-form-urlencoded`, the form of queries and posted
/// forms: `%XX`, and `+` for a space.
///
/// # Errors
///
/// [`DecodeError`].
pub fn form_decode(encoded: &str) -> Result<Cow<'_, str>, DecodeError> {
    into_text(decode(encoded.as_bytes(), Plus::IsSpace)?)
}

/// The pairs of a query or form, encoded as they were sent; a name without `=` has an empty value.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// The value of the first pair whose name is, as it was sent, `key`; still encoded. What ESP-IDF's
/// `httpd_query_key_value` gives.
pub fn query_value<'q>(query: &'q str, key: &str) -> Option<&'q str> {
    query_pairs(query).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// The decoded value of the first pair whose decoded name is `key`.
///
/// ```
/// use esp_http_server::proto::uri::query_value_decoded;
///
/// assert_eq!(query_value_decoded("q=%C3%A9t%C3%A9+2024&n=1", "q")?, Some("été 2024".into()));
/// # Ok::<(), esp_http_server::proto::uri::DecodeError>(())
/// ```
///
/// # Errors
///
/// [`DecodeError`] when that pair's value can't be decoded. Pairs with other names don't matter.
pub fn query_value_decoded<'q>(
    query: &'q str,
    key: &str,
) -> Result<Option<Cow<'q, str>>, DecodeError> {
    query_pairs(query)
        .find(|(name, _)| form_decode(name).is_ok_and(|name| name == key))
        .map(|(_, value)| form_decode(value))
        .transpose()
}

/// Whether `byte` may stand in a request target: visible ASCII without `#`, `"`, `<` and `>`. That is
/// more than RFC 3986 lets through, as browsers send `|`, `^`, `{` and their like in queries as they are.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'#' | b'"' | b'<' | b'>')
}

/// Whether `bytes` could be a URI reference, such as a `Location` has it: nothing but the characters of
/// RFC 3986 (section 2), whatever they say.
pub(crate) fn is_reference(bytes: &[u8]) -> bool {
    let is_allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_allowed) && has_valid_escapes(bytes)
}

/// Whether `target`, made of target bytes, is in a form that fits the method, and its escapes and
/// its authority are valid.
pub(crate) fn is_target(target: &[u8], method: Method) -> bool {
    match (method, target) {
        (Method::Connect, _) => has_port(target) && is_authority(target),
        (_, [b'/', ..]) => has_valid_escapes(target) && has_plain_path(target),
        (_, b"*") => method == Method::Options,
        _ => str::from_utf8(target).ok().and_then(strip_scheme).is_some_and(|rest| {
            is_authority(&rest.as_bytes()[..authority_len(rest)])
                && has_valid_escapes(target)
                && has_plain_path(target)
        }),
    }
}

/// Whether the path has no backslash, which browsers and some proxies take for a slash. In a query,
/// browsers send it.
fn has_plain_path(target: &[u8]) -> bool {
    target.iter().take_while(|&&byte| byte != b'?').all(|&byte| byte != b'\\')
}

/// Whether `bytes` is `host` or `host:port` (RFC 3986, section 3.2.2). Refused beyond the grammar:
/// an empty host (RFC 9110, section 4.2.1), and a comma, which is what a proxy makes of two `Host`s.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    let (host_is_valid, port) = match bytes {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else {
                return false;
            };
            let address = str::from_utf8(&rest[..end]).ok();
            let is_ipv6 = address.is_some_and(|text| text.parse::<Ipv6Addr>().is_ok());
            (is_ipv6, &rest[end + 1..])
        }
        _ => {
            // What ends a host and is no colon is found to be no port.
            let end = bytes.iter().position(|&byte| !is_host_byte(byte)).unwrap_or(bytes.len());
            let (host, port) = bytes.split_at(end);
            (!host.is_empty() && has_valid_escapes(host), port)
        }
    };
    let port_is_valid = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            let number = str::from_utf8(digits).ok().and_then(|text| text.parse::<u16>().ok());
            digits.iter().all(u8::is_ascii_digit) && number.is_some()
        }
        _ => false,
    };
    host_is_valid && port_is_valid
}

const fn is_host_byte(byte: u8) -> bool {
    HOST[byte as usize]
}

fn has_port(authority: &[u8]) -> bool {
    authority.last().is_some_and(u8::is_ascii_digit)
        && authority.iter().rev().find(|byte| !byte.is_ascii_digit()) == Some(&b':')
}

/// What follows `http://` or `https://`, the schemes that this server can answer for.
fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let is_ours = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    is_ours.then_some(rest)
}

fn authority_len(rest: &str) -> usize {
    rest.find(['/', '?']).unwrap_or(rest.len())
}

fn has_valid_escapes(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(percent) = rest.iter().position(|&byte| byte == b'%') {
        match &rest[percent + 1..] {
            [high, low, behind @ ..] if hex_digit(*high).is_some() && hex_digit(*low).is_some() => {
                rest = behind;
            }
            _ => return false,
        }
    }
    true
}

const HOST: [bool; 256] = field::alphanumerics_and(b"-._~%!$&'()*+;=");

/// What a `+` means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    IsPlus,
    IsSpace,
}

fn decode(encoded: &[u8], plus: Plus) -> Result<Cow<'_, [u8]>, DecodeError> {
    let is_special = |&byte: &u8| byte == b'%' || (byte == b'+' && plus == Plus::IsSpace);
    if !encoded.iter().any(is_special) {
        return Ok(Cow::Borrowed(encoded));
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    loop {
        rest = match rest {
            [] => return Ok(Cow::Owned(decoded)),
            [b'%', high, low, behind @ ..] => {
                let high = hex_digit(*high).ok_or(DecodeError::InvalidEscape)?;
                let low = hex_digit(*low).ok_or(DecodeError::InvalidEscape)?;
                decoded.push(high << 4 | low);
                behind
            }
            [b'%', ..] => return Err(DecodeError::InvalidEscape),
            [b'+', behind @ ..] if plus == Plus::IsSpace => {
                decoded.push(b' ');
                behind
            }
            [byte, behind @ ..] => {
                decoded.push(*byte);
                behind
            }
        };
    }
}

fn into_text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, DecodeError> {
    match bytes {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).map(Cow::Borrowed).ok(),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).ok(),
    }
    .ok_or(DecodeError::NotUtf8)
}

/// The value of one hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
