//! What can go wrong, sorted by who can do something about it.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::proto::body::BodyError;
use crate::proto::method::Method;
use crate::proto::status::Status;
use crate::proto::ws::frame::CloseCode;

/// The result of this crate's calls, and of a handler or a `main` that uses them.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// Whatever error a handler ends with. An [`Error`] decides what the client is told; any other error
/// is 500.
pub type HandlerError = Box<dyn core::error::Error + Send + Sync>;

/// Why a call into the server failed, or what else went wrong in a handler.
///
/// Every other error turns into one with `?`, so that handlers and `main` need no error type of
/// their own. For that to be possible it does not implement [`core::error::Error`] itself, but turns
/// into a [`HandlerError`], which does. Handlers may return any other type that does so, too.
#[non_exhaustive]
pub enum Error {
    // The peer.
    /// The peer sent nothing for `recv_wait_timeout`, or took nothing for `send_wait_timeout`
    /// (upstream's `HTTPD_SOCK_ERR_TIMEOUT`). Passed on by a handler: 408, or for a WebSocket
    /// close code 1008.
    TimedOut,
    /// The peer is gone, the session was evicted, or the server stops.
    Closed,
    /// The body ended before its announced length.
    BodyIncomplete,
    /// The body breaks the protocol. Passed on by a handler: 400.
    BadBody(BodyError),
    /// The request can't be served as it is. Passed on by a handler: that status, with this text for
    /// the client if it is 4xx. A status that is no error, not 4xx or 5xx, is a mistake of the
    /// handler: 500.
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
    /// The client has as many bytes of WebSocket messages waiting as `ws_queue_len` allows, or this
    /// message was dropped for newer ones: see [`WsQueuePolicy`](crate::WsQueuePolicy).
    WsQueueFull {
        /// `ws_queue_len`, in bytes.
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
    /// No handler is registered for this URI and method (`ESP_ERR_NOT_FOUND`).
    NoHandler {
        /// The method; `None` for any.
        method: Option<Method>,
        /// The URI template.
        uri: String,
    },
    /// The URI template of the handler has no parameter of this name.
    NoParam(String),
    /// A second response to one request.
    ResponseStarted,
    /// A header field whose name is no token, or whose value has a CR, LF or NUL in it
    /// (CWE-113), or can't be the value of that field; or such a field of a server-sent event. Nothing
    /// was sent.
    InvalidField(String),
    /// A status that a response can't have, or not this kind of response. Nothing was sent.
    InvalidStatus(String),
    /// More or less body than the announced `Content-Length`.
    BodyLength {
        /// What was announced, in bytes.
        announced: u64,
    },
    /// No such session: the client has left.
    NoSession,
    /// The session is no WebSocket.
    NotWebSocket,
    /// A WebSocket message in fragments is not finished.
    MessageStarted,
    /// The server stops or has stopped.
    Stopping,
    /// The request is detached: the thread that has it has the session, too.
    #[cfg(feature = "std")]
    Detached,
    /// A detached request was given back without a response, or with a part of one.
    #[cfg(feature = "std")]
    Unanswered,
    /// The call would have blocked a thread that drives a server, which may be what it would have
    /// waited for.
    #[cfg(feature = "std")]
    WouldBlockWorker,
    /// The configuration can't work; the text says which field and why.
    Config(String),

    // The system.
    /// The server could not start; the text says what failed.
    #[cfg(feature = "std")]
    Io(String, std::io::Error),

    /// A worker of the server ended by a panic in the server itself, which is a bug of ours; what it
    /// said stands on standard error. Its sessions were lost, and the server has stopped.
    #[cfg(feature = "std")]
    WorkerPanicked,

    // The application.
    /// Another error, of a handler or below the server. Passed on by a handler: 500.
    Other(HandlerError),
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
            Self::Refused(status, _) if status.is_error() => *status,
            Self::BodyTooLong { .. } => Status::CONTENT_TOO_LARGE,
            _ => Status::INTERNAL_SERVER_ERROR,
        })
    }

    /// What a handler ended with, as an error of ours.
    #[cfg(feature = "std")]
    pub(crate) fn of_handler(error: HandlerError) -> Self {
        match error.downcast::<Boxed>() {
            Ok(ours) => ours.0,
            Err(other) => Self::Other(other),
        }
    }

    /// The error of ours in what a handler ended with.
    pub(crate) fn find(error: &HandlerError) -> Option<&Self> {
        let boxed = error.downcast_ref::<Boxed>();
        // It may have passed through `std::io::Read` or `Write`.
        #[cfg(feature = "std")]
        let boxed = boxed
            .or_else(|| error.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<Boxed>());
        boxed.map(|Boxed(error)| error)
    }
}

/// Makes a standard error of ours.
struct Boxed(Error);

impl<E: core::error::Error + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Other(Box::new(error))
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        match error {
            Error::Other(error) => error,
            error => Box::new(Boxed(error)),
        }
    }
}

/// For [`std::io::Read`] and [`std::io::Write`]. A handler that passes it on ends as with the error
/// itself.
#[cfg(feature = "std")]
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;
        let kind = match &error {
            Error::TimedOut => ErrorKind::TimedOut,
            Error::Closed => ErrorKind::ConnectionAborted,
            Error::BodyIncomplete => ErrorKind::UnexpectedEof,
            Error::BadBody(_) => ErrorKind::InvalidData,
            Error::BodyLength { .. } | Error::ResponseStarted => ErrorKind::InvalidInput,
            _ => ErrorKind::Other,
        };
        match HandlerError::from(error).downcast::<Self>() {
            Ok(error) => *error,
            Err(error) => Self::new(kind, error),
        }
    }
}

impl From<Error> for Box<dyn core::error::Error> {
    fn from(error: Error) -> Self {
        HandlerError::from(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("the peer was silent for too long"),
            Self::Closed => f.write_str("the session is closed"),
            Self::BodyIncomplete => f.write_str("the peer closed before the end of the body"),
            Self::BadBody(error) => write!(f, "the body of the request is malformed: {error}"),
            Self::Refused(_, why) => f.write_str(why),
            Self::WebSocket(code) => {
                write!(f, "the peer broke the WebSocket protocol (close code {})", code.code())
            }
            Self::BodyTooLong { limit } => {
                write!(f, "the body is longer than the {limit} bytes that are accepted here")
            }
            Self::WorkQueueFull { limit } => {
                write!(f, "the work queue is full (work_queue_len = {limit})")
            }
            Self::WsQueueFull { limit } => {
                write!(f, "the client does not take what it is sent (ws_queue_len = {limit})")
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
            Self::NoHandler { method: Some(method), uri } => {
                write!(f, "there is no handler for {method} {uri}")
            }
            Self::NoHandler { method: None, uri } => {
                write!(f, "there is no handler for any method of {uri}")
            }
            Self::NoParam(name) => write!(f, "the handler's URI has no parameter {{{name}}}"),
            Self::ResponseStarted => f.write_str("the response to this request has begun already"),
            Self::InvalidField(name) => {
                write!(f, "the field {name:?} can't be sent: its name or its value is not allowed")
            }
            Self::InvalidStatus(status) => {
                write!(f, "{status:?} is no status for such a response")
            }
            Self::BodyLength { announced } => {
                write!(f, "the body does not have the announced length of {announced} bytes")
            }
            Self::NoSession => f.write_str("no such session; its client has left"),
            Self::NotWebSocket => f.write_str("the session is no WebSocket"),
            Self::MessageStarted => f.write_str("a message in fragments is not finished"),
            Self::Stopping => f.write_str("the server is stopping"),
            #[cfg(feature = "std")]
            Self::Detached => f.write_str("the request is detached; its thread has the session"),
            #[cfg(feature = "std")]
            Self::Unanswered => f.write_str("the detached request was not answered in full"),
            #[cfg(feature = "std")]
            Self::WouldBlockWorker => f.write_str("this would block a thread that drives a server"),
            Self::Config(what) => f.write_str(what),
            #[cfg(feature = "std")]
            Self::Io(what, error) => write!(f, "{what}: {error}"),
            #[cfg(feature = "std")]
            Self::WorkerPanicked => f.write_str("a worker of the server panicked"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for Error {
    /// For people, since this is what a `main` that ends with it prints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Boxed {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.0 {
            Error::BadBody(error) => Some(error),
            #[cfg(feature = "std")]
            Error::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_error_of_ours_survives_the_way_through_a_handler() {
        let error = HandlerError::from(Error::BodyTooLong { limit: 9 });
        assert!(matches!(Error::find(&error), Some(Error::BodyTooLong { limit: 9 })));
        assert_eq!(error.to_string(), "the body is longer than the 9 bytes that are accepted here");
    }

    #[test]
    fn any_error_becomes_one_of_ours_and_itself_again() {
        let parse = || -> Result<u8> { Ok("x".parse::<u8>()?) };
        let error = parse().unwrap_err();
        assert_eq!(error.status(), Some(Status::INTERNAL_SERVER_ERROR));
        let error = HandlerError::from(error);
        assert!(error.is::<core::num::ParseIntError>());
    }
}
