//! Status codes, and the errors that upstream lets users answer with their own handler.

use core::fmt;

/// A status code (RFC 9110, section 15): three digits, 100 to 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(u16);

macro_rules! statuses {
    ($($name:ident = $code:literal $reason:literal,)*) => {
        impl Status {
            $(
                #[doc = concat!("`", $code, " ", $reason, "`")]
                pub const $name: Status = Status($code);
            )*

            /// The reason phrase of the IANA registry; empty for a code that is not in it.
            pub const fn reason(self) -> &'static str {
                match self.0 {
                    $($code => $reason,)*
                    _ => "",
                }
            }
        }
    };
}

statuses! {
    CONTINUE = 100 "Continue",
    SWITCHING_PROTOCOLS = 101 "Switching Protocols",
    PROCESSING = 102 "Processing",
    EARLY_HINTS = 103 "Early Hints",
    OK = 200 "OK",
    CREATED = 201 "Created",
    ACCEPTED = 202 "Accepted",
    NON_AUTHORITATIVE_INFORMATION = 203 "Non-Authoritative Information",
    NO_CONTENT = 204 "No Content",
    RESET_CONTENT = 205 "Reset Content",
    PARTIAL_CONTENT = 206 "Partial Content",
    MULTI_STATUS = 207 "Multi-Status",
    ALREADY_REPORTED = 208 "Already Reported",
    IM_USED = 226 "IM Used",
    MULTIPLE_CHOICES = 300 "Multiple Choices",
    MOVED_PERMANENTLY = 301 "Moved Permanently",
    FOUND = 302 "Found",
    SEE_OTHER = 303 "See Other",
    NOT_MODIFIED = 304 "Not Modified",
    USE_PROXY = 305 "Use Proxy",
    TEMPORARY_REDIRECT = 307 "Temporary Redirect",
    PERMANENT_REDIRECT = 308 "Permanent Redirect",
    BAD_REQUEST = 400 "Bad Request",
    UNAUTHORIZED = 401 "Unauthorized",
    PAYMENT_REQUIRED = 402 "Payment Required",
    FORBIDDEN = 403 "Forbidden",
    NOT_FOUND = 404 "Not Found",
    METHOD_NOT_ALLOWED = 405 "Method Not Allowed",
    NOT_ACCEPTABLE = 406 "Not Acceptable",
    PROXY_AUTHENTICATION_REQUIRED = 407 "Proxy Authentication Required",
    REQUEST_TIMEOUT = 408 "Request Timeout",
    CONFLICT = 409 "Conflict",
    GONE = 410 "Gone",
    LENGTH_REQUIRED = 411 "Length Required",
    PRECONDITION_FAILED = 412 "Precondition Failed",
    CONTENT_TOO_LARGE = 413 "Content Too Large",
    URI_TOO_LONG = 414 "URI Too Long",
    UNSUPPORTED_MEDIA_TYPE = 415 "Unsupported Media Type",
    RANGE_NOT_SATISFIABLE = 416 "Range Not Satisfiable",
    EXPECTATION_FAILED = 417 "Expectation Failed",
    MISDIRECTED_REQUEST = 421 "Misdirected Request",
    UNPROCESSABLE_CONTENT = 422 "Unprocessable Content",
    LOCKED = 423 "Locked",
    FAILED_DEPENDENCY = 424 "Failed Dependency",
    TOO_EARLY = 425 "Too Early",
    UPGRADE_REQUIRED = 426 "Upgrade Required",
    PRECONDITION_REQUIRED = 428 "Precondition Required",
    TOO_MANY_REQUESTS = 429 "Too Many Requests",
    REQUEST_HEADER_FIELDS_TOO_LARGE = 431 "Request Header Fields Too Large",
    UNAVAILABLE_FOR_LEGAL_REASONS = 451 "Unavailable For Legal Reasons",
    INTERNAL_SERVER_ERROR = 500 "Internal Server Error",
    NOT_IMPLEMENTED = 501 "Not Implemented",
    BAD_GATEWAY = 502 "Bad Gateway",
    SERVICE_UNAVAILABLE = 503 "Service Unavailable",
    GATEWAY_TIMEOUT = 504 "Gateway Timeout",
    HTTP_VERSION_NOT_SUPPORTED = 505 "HTTP Version Not Supported",
    VARIANT_ALSO_NEGOTIATES = 506 "Variant Also Negotiates",
    INSUFFICIENT_STORAGE = 507 "Insufficient Storage",
    LOOP_DETECTED = 508 "Loop Detected",
    NOT_EXTENDED = 510 "Not Extended",
    NETWORK_AUTHENTICATION_REQUIRED = 511 "Network Authentication Required",
}

impl Status {
    /// The status of that code, or `None` outside 100 to 999.
    pub const fn new(code: u16) -> Option<Status> {
        match code {
            100..=999 => Some(Status(code)),
            _ => None,
        }
    }

    /// The three-digit code.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Whether the code is 1xx: an interim answer, another one follows.
    pub const fn is_informational(self) -> bool {
        self.0 < 200
    }

    /// Whether the code is 2xx.
    pub const fn is_success(self) -> bool {
        self.0 >= 200 && self.0 < 300
    }

    /// Whether the code is one of those that send the client to the `Location` beside them (RFC 9110,
    /// section 15.4).
    pub const fn is_redirect(self) -> bool {
        matches!(self.0, 301 | 302 | 303 | 307 | 308)
    }

    /// Whether the code is 4xx or 5xx.
    pub const fn is_error(self) -> bool {
        self.0 >= 400 && self.0 < 600
    }

    /// Whether a response of this status carries a body (RFC 9112, section 6.3): not 1xx, 204, 304.
    /// What would follow such a head, the client would take for the next response.
    pub const fn may_have_body(self) -> bool {
        !matches!(self.0, 100..=199 | 204 | 304)
    }

    /// Whether `Content-Length` may stand in such a response (RFC 9110, section 8.6): not in 1xx and
    /// 204. In a 304 it may, but then it tells the length of the body that a 200 would have had.
    pub const fn may_have_content_length(self) -> bool {
        !matches!(self.0, 100..=199 | 204)
    }
}

/// Code and reason, as in `404 Not Found`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.reason() {
            "" => write!(f, "{}", self.0),
            reason => write!(f, "{} {reason}", self.0),
        }
    }
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $status:ident $text:literal,)*) => {
        /// The errors for which an error handler can be registered: ESP-IDF's `httpd_err_code_t`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorCode {
            /// Every error code.
            pub const ALL: [ErrorCode; 13] = [$(ErrorCode::$variant,)*];

            /// The status that the answer carries.
            pub const fn status(self) -> Status {
                match self {
                    $(ErrorCode::$variant => Status::$status,)*
                }
            }

            /// The sentence that a person reads when no handler is registered for this error.
            pub const fn default_text(self) -> &'static str {
                match self {
                    $(ErrorCode::$variant => $text,)*
                }
            }
        }
    };
}

error_codes! {
    /// 500: something failed on our side.
    InternalServerError = INTERNAL_SERVER_ERROR "The server failed while handling this request",
    /// 501: the method, or a transfer coding, is not implemented.
    MethodNotImplemented = NOT_IMPLEMENTED "This server does not implement what the request asks for",
    /// 505: neither HTTP/1.1 nor HTTP/1.0.
    VersionNotSupported = HTTP_VERSION_NOT_SUPPORTED "This server speaks HTTP/1.1 and HTTP/1.0",
    /// 400: the request breaks the protocol.
    BadRequest = BAD_REQUEST "The request is malformed",
    /// 401: credentials are missing or wrong.
    Unauthorized = UNAUTHORIZED "This resource needs credentials",
    /// 403: refused, whoever asks.
    Forbidden = FORBIDDEN "Access to this resource is refused",
    /// 404: no handler for this URI.
    NotFound = NOT_FOUND "Nothing here goes by this URI",
    /// 405: the URI is known, not with this method.
    MethodNotAllowed = METHOD_NOT_ALLOWED "This resource does not support the request's method",
    /// 408: the peer was too slow.
    RequestTimeout = REQUEST_TIMEOUT "The request did not arrive in time",
    /// 411: a body without a length.
    LengthRequired = LENGTH_REQUIRED "The request needs a Content-Length",
    /// 413: the body is larger than the handler takes.
    ContentTooLarge = CONTENT_TOO_LARGE "The request's content is too large",
    /// 414: the URI is longer than the limit.
    UriTooLong = URI_TOO_LONG "The URI is too long",
    /// 431: the head is longer than the limit, or has too many fields.
    HeaderFieldsTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE "The request's header fields are too large",
}

impl ErrorCode {
    /// The error code of that status, if upstream has one for it.
    pub fn from_status(status: Status) -> Option<ErrorCode> {
        Self::ALL.into_iter().find(|code| code.status() == status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn codes_have_three_digits() {
        assert_eq!(Status::new(99), None);
        assert_eq!(Status::new(100), Some(Status::CONTINUE));
        assert_eq!(Status::new(999).map(Status::code), Some(999));
        assert_eq!(Status::new(1000), None);
    }

    #[test]
    fn a_status_displays_as_on_the_status_line() {
        assert_eq!(Status::NOT_FOUND.to_string(), "404 Not Found");
        assert_eq!(Status::new(599).map(|status| status.to_string()).as_deref(), Some("599"));
    }

    #[test]
    fn interim_no_content_and_not_modified_have_no_body() {
        for code in [100, 101, 103, 199, 204, 304] {
            assert!(!Status::new(code).unwrap().may_have_body(), "{code}");
        }
        for code in [200, 205, 206, 303, 305, 404, 500] {
            assert!(Status::new(code).unwrap().may_have_body(), "{code}");
        }
        assert!(!Status::NO_CONTENT.may_have_content_length());
        assert!(!Status::CONTINUE.may_have_content_length());
        assert!(Status::NOT_MODIFIED.may_have_content_length());
    }

    #[test]
    fn upstreams_thirteen_errors_map_to_their_statuses() {
        let mut codes = ErrorCode::ALL.map(|code| code.status().code());
        codes.sort_unstable();
        assert_eq!(codes, [400, 401, 403, 404, 405, 408, 411, 413, 414, 431, 500, 501, 505]);
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_status(code.status()), Some(code));
            assert!(!code.default_text().is_empty());
        }
        assert_eq!(ErrorCode::from_status(Status::EXPECTATION_FAILED), None);
    }
}
