//! What can go wrong, sorted by who can do something about it.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::proto::body::BodyError;
use crate::proto::method::Method;
use crate::proto::status::Status;
use crate::proto::ws::frame::CloseCode;

/// The result of this crate's calls, and of a handler.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// Whatever error a handler ends with. [`Error`]s in it, also as a
/// [`source`](core::error::Error::source), decide what the client is told; any other error is 500.
pub type HandlerError = Box<dyn core::error::Error + Send + Sync>;

/// Why a call into the server failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    // The peer.
    /// The peer sent nothing for `recv_wait_timeout`, or took nothing for `send_wait_timeout`
    /// (upstream's `HTTPD_SOCK_ERR_TIMEOUT`). Passed on by a handler: 408.
    TimedOut,
    /// The peer is gone, the session was evicted, or the server stops.
    Closed,
    /// The body ended before its announced length.
    BodyIncomplete,
    /// The body breaks the protocol. Passed on by a handler: 400.
    BadBody(BodyError),
    /// The request can't be served as it is. Passed on by a handler: that status.
    Refused(Status, String),
    /// The peer broke the WebSocket protocol, and was told so with this code.
    WebSocket(CloseCode),

    // A limit.
    /// The body is longer than the handler takes. Passed on by a handler: 413.
    BodyTooLong {
        /// The most bytes that the handler takes.
        limit: usize,
    },
    /// The worker has as much work queued as `work_queue_len` allows.
    WorkQueueFull {
        /// `work_queue_len`.
        limit: usize,
    },
    /// The handler table holds as many as `max_uri_handlers` allows
    /// (`ESP_ERR_HTTPD_HANDLERS_FULL`).
    HandlersFull {
        /// `max_uri_handlers`.
        limit: usize,
    },

    // The caller.
    /// A handler for this URI and method is registered already (`ESP_ERR_HTTPD_HANDLER_EXISTS`).
    HandlerExists {
        /// The method; `None` for any.
        method: Option<Method>,
        /// The URI template.
        uri: String,
    },
    /// A second response to one request.
    ResponseStarted,
    /// A header field whose name is no token, or whose value has a CR, LF or NUL in it
    /// (CWE-113). Nothing was sent.
    InvalidField(String),
    /// More or less body than the announced `Content-Length`.
    BodyLength {
        /// What was announced, in bytes.
        announced: u64,
    },
    /// No such session: the client has left.
    NoSession,
    /// The session is no WebSocket.
    NotWebSocket,
    /// The server stops or has stopped.
    Stopping,
    /// The configuration can't work; the text says which field and why.
    Config(String),

    // The system.
    /// The server could not start; the text says what failed.
    #[cfg(feature = "std")]
    Io(String, std::io::Error),
}

impl Error {
    /// What a client is told when a handler ends with this error before its response has begun;
    /// `None` if the connection is of no use any more.
    pub fn status(&self) -> Option<Status> {
        Some(match self {
            Self::TimedOut => Status::REQUEST_TIMEOUT,
            Self::Closed | Self::WebSocket(_) => return None,
            Self::BodyIncomplete => Status::BAD_REQUEST,
            Self::BadBody(error) => error.status(),
            Self::Refused(status, _) => *status,
            Self::BodyTooLong { .. } => Status::CONTENT_TOO_LARGE,
            _ => Status::INTERNAL_SERVER_ERROR,
        })
    }

    /// The error of ours that a handler's error is or was caused by.
    pub(crate) fn find<'e>(error: &'e (dyn core::error::Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the peer was silent for too long"),
            Self::Closed => f.write_str("the session is closed"),
            Self::BodyIncomplete => f.write_str("the peer closed before the end of the body"),
            Self::BadBody(error) => write!(f, "the body of the request is malformed: {error}"),
            Self::Refused(status, why) => write!(f, "refused with {status}: {why}"),
            Self::WebSocket(code) => {
                write!(f, "the peer broke the WebSocket protocol (close code {})", code.code())
            }
            Self::BodyTooLong { limit } => {
                write!(f, "the body is longer than the {limit} bytes that are accepted here")
            }
            Self::WorkQueueFull { limit } => {
                write!(f, "the work queue is full (work_queue_len = {limit})")
            }
            Self::HandlersFull { limit } => {
                write!(f, "no room for another URI handler (max_uri_handlers = {limit})")
            }
            Self::HandlerExists { method: Some(method), uri } => {
                write!(f, "there is a handler for {method} {uri} already")
            }
            Self::HandlerExists { method: None, uri } => {
                write!(f, "there is a handler for any method of {uri} already")
            }
            Self::ResponseStarted => f.write_str("the response to this request has begun already"),
            Self::InvalidField(name) => {
                write!(f, "header field {name:?} has a character that must not stand in a header")
            }
            Self::BodyLength { announced } => {
                write!(f, "the body does not have the announced length of {announced} bytes")
            }
            Self::NoSession => f.write_str("no such session; its client has left"),
            Self::NotWebSocket => f.write_str("the session is no WebSocket"),
            Self::Stopping => f.write_str("the server is stopping"),
            Self::Config(what) => f.write_str(what),
            #[cfg(feature = "std")]
            Self::Io(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::BadBody(error) => Some(error),
            #[cfg(feature = "std")]
            Self::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        Self::BadBody(error)
    }
}
