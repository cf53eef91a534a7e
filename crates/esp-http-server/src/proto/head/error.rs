//! What can be wrong with a head, and which status says so.

use core::fmt;

use crate::proto::field::FieldLineError;
use crate::proto::status::{ErrorCode, Status};

/// Why a head is refused. After the answer the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// A TLS handshake on a port that speaks plain text: somebody wrote `https://` for `http://`.
    TlsOnPlainPort,
    /// The connection preface of HTTP/2 (RFC 9113, section 3.4), without ALPN or upgrade.
    Http2Preface,
    /// The request line isn't method, space, target, space, version.
    RequestLine,
    /// The method is a token that this server doesn't know.
    UnknownMethod,
    /// The target is longer than the limit, in bytes.
    UriTooLong {
        /// [`Limits::uri_len`](super::Limits::uri_len).
        limit: usize,
    },
    /// The target has a fragment; clients keep those to themselves.
    Fragment,
    /// The target is in no form that fits the method, has an invalid percent-encoding, an invalid
    /// host, or a character that no URI has.
    InvalidTarget,
    /// A version that is neither HTTP/1.0 nor HTTP/1.1; the digits as ASCII.
    UnsupportedVersion {
        /// The digit before the dot.
        major: u8,
        /// The digit behind the dot.
        minor: u8,
    },
    /// A line breaks the grammar.
    Line(FieldLineError),
    /// The head is longer than the limit, in bytes.
    HeadTooLong {
        /// [`Limits::head_len`](super::Limits::head_len).
        limit: usize,
    },
    /// The head has more fields than the limit.
    TooManyFields {
        /// [`Limits::field_count`](super::Limits::field_count).
        limit: usize,
    },
    /// HTTP/1.1 without `Host`.
    MissingHost,
    /// A second `Host`.
    DuplicateHost,
    /// `Host` isn't `host` or `host:port`.
    InvalidHost,
    /// `Content-Length` isn't a number of bytes in decimal digits, or doesn't fit into 64 bits.
    InvalidContentLength,
    /// A second `Content-Length`, even an equal one.
    DuplicateContentLength,
    /// `Transfer-Encoding` is something else than `chunked`.
    UnknownTransferEncoding,
    /// A second `Transfer-Encoding`.
    DuplicateTransferEncoding,
    /// `Transfer-Encoding` in HTTP/1.0, which doesn't have it.
    TransferEncodingInHttp10,
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndTransferEncoding,
    /// `Expect` is something else than `100-continue`.
    Expectation,
}

impl HeadError {
    /// The status of the answer.
    pub const fn status(self) -> Status {
        match self {
            Self::UnknownMethod | Self::UnknownTransferEncoding => Status::NOT_IMPLEMENTED,
            Self::UriTooLong { .. } => Status::URI_TOO_LONG,
            Self::UnsupportedVersion { .. } | Self::Http2Preface => {
                Status::HTTP_VERSION_NOT_SUPPORTED
            }
            Self::HeadTooLong { .. } | Self::TooManyFields { .. } => {
                Status::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Expectation => Status::EXPECTATION_FAILED,
            _ => Status::BAD_REQUEST,
        }
    }

    /// The error handler that answers it; `None` for 417, for which upstream has none.
    pub fn code(self) -> Option<ErrorCode> {
        ErrorCode::from_status(self.status())
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::TlsOnPlainPort => {
                f.write_str("this port speaks plain HTTP, the client speaks TLS: use http://")
            }
            Self::Http2Preface => f.write_str("the client speaks HTTP/2, this server HTTP/1.1"),
            Self::RequestLine => f.write_str("the request line is not `METHOD target HTTP/1.1`"),
            Self::UnknownMethod => f.write_str("the method is not known here"),
            Self::UriTooLong { limit } => write!(f, "the URI is longer than {limit} bytes"),
            Self::Fragment => f.write_str("the request target has a fragment (`#`)"),
            Self::InvalidTarget => {
                f.write_str("the request target is not a valid URI for this method")
            }
            Self::UnsupportedVersion { major, minor } => write!(
                f,
                "HTTP/{}.{} is not supported, HTTP/1.1 and HTTP/1.0 are",
                char::from(*major),
                char::from(*minor)
            ),
            Self::Line(error) => error.fmt(f),
            Self::HeadTooLong { limit } => write!(f, "the head is longer than {limit} bytes"),
            Self::TooManyFields { limit } => write!(f, "the head has more than {limit} fields"),
            Self::MissingHost => f.write_str("Host is missing"),
            Self::DuplicateHost => f.write_str("Host stands in the head twice"),
            Self::InvalidHost => f.write_str("Host is not `host` or `host:port`"),
            Self::InvalidContentLength => {
                f.write_str("Content-Length is not a decimal number of bytes below 2^64")
            }
            Self::DuplicateContentLength => f.write_str("Content-Length stands in the head twice"),
            Self::UnknownTransferEncoding => {
                f.write_str("the only Transfer-Encoding known here is `chunked`")
            }
            Self::DuplicateTransferEncoding => {
                f.write_str("Transfer-Encoding stands in the head twice")
            }
            Self::TransferEncodingInHttp10 => f.write_str("HTTP/1.0 has no Transfer-Encoding"),
            Self::LengthAndTransferEncoding => {
                f.write_str("Content-Length and Transfer-Encoding exclude each other")
            }
            Self::Expectation => f.write_str("the only expectation known here is `100-continue`"),
        }
    }
}

impl core::error::Error for HeadError {}

impl From<FieldLineError> for HeadError {
    fn from(error: FieldLineError) -> HeadError {
        HeadError::Line(error)
    }
}
