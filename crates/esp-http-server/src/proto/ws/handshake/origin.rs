//! Which web pages may open a WebSocket (RFC 6455, sections 4.2.2 and 10.2; RFC 6454).

use alloc::string::String;
use alloc::vec::Vec;
use core::{fmt, str};

use super::HandshakeError;
use crate::proto::head::Head;
use crate::proto::uri;

/// Which web pages may open a WebSocket.
///
/// A browser lets any page open a WebSocket to any server, and sends the cookies of that server
/// along. What keeps a foreign page from acting in the name of a user who is logged in here is only
/// this check of the `Origin` that the browser names. A client that sends none is not a browser,
/// could as well send any, and is accepted by every policy.
///
/// ```
/// use esp_http_server::proto::ws::handshake::OriginPolicy;
///
/// let policy = OriginPolicy::List(vec!["https://app.example.org".parse()?]);
/// assert_ne!(policy, OriginPolicy::default());
/// # Ok::<(), esp_http_server::proto::ws::handshake::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OriginPolicy {
    /// Pages of the host and port that the request is for, as its `Host` says, where either may
    /// leave out the default port. The page's scheme decides about its own default port and the
    /// server's [`Scheme`] about that of `Host`: a page loaded without TLS is another origin than a
    /// server with TLS. Behind a proxy that ends TLS or renames the host, use a list.
    #[default]
    SameHost,
    /// Pages of these origins, and no others.
    List(Vec<Origin>),
    /// All pages: for servers that give nothing to a cookie or to the client's place in the network.
    Any,
}

/// How the client reached the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl OriginPolicy {
    /// Whether the request may open a WebSocket.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Origin`] for an origin that is not allowed; also for more than one `Origin`
    /// or one that is no origin, as nobody can say what was meant.
    pub fn check(&self, head: &Head, scheme: Scheme) -> Result<(), HandshakeError> {
        let mut values = head.values("origin");
        let Some(value) = values.next() else {
            return Ok(());
        };
        let origin = str::from_utf8(value).ok().and_then(Parts::parse);
        let is_allowed = match (self, origin) {
            (OriginPolicy::Any, _) => true,
            _ if values.next().is_some() => false,
            (OriginPolicy::List(origins), Some(origin)) => {
                origins.iter().any(|allowed| Parts::parse(&allowed.0) == Some(origin))
            }
            (OriginPolicy::SameHost, Some(Parts::Page { host, port, .. })) => {
                let served = head.authority().and_then(|text| host_and_port(text, scheme.name()));
                served.is_some_and(|(name, number)| {
                    name.eq_ignore_ascii_case(host) && number.is_some() && number == port
                })
            }
            (OriginPolicy::SameHost, Some(Parts::Null)) | (_, None) => false,
        };
        if is_allowed { Ok(()) } else { Err(HandshakeError::Origin) }
    }
}

/// The origin of a web page, as a browser names it: `https://example.org`, `http://[::1]:8080`, or
/// `null` for a page that has none, such as a local file (RFC 6454, section 6).
///
/// Origins are equal without regard to case, and a port left out is the default one.
#[derive(Clone, Debug)]
pub struct Origin(String);

impl str::FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Origin, InvalidOrigin> {
        match Parts::parse(text) {
            Some(_) => Ok(Origin(text.into())),
            None => Err(InvalidOrigin),
        }
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Origin) -> bool {
        Parts::parse(&self.0) == Parts::parse(&other.0)
    }
}

impl Eq for Origin {}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text isn't `scheme://host`, `scheme://host:port` or `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidOrigin;

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an origin is scheme://host, scheme://host:port or null, and nothing behind it")
    }
}

impl core::error::Error for InvalidOrigin {}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What an origin is made of.
#[derive(Clone, Copy)]
enum Parts<'a> {
    Null,
    Page { scheme: &'a str, host: &'a str, port: Option<u16> },
}

impl<'a> Parts<'a> {
    fn parse(text: &'a str) -> Option<Parts<'a>> {
        if text == "null" {
            return Some(Parts::Null);
        }
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme.as_bytes().iter().all(is_scheme)
        {
            return None;
        }
        let (host, port) = host_and_port(authority, scheme)?;
        Some(Parts::Page { scheme, host, port })
    }
}

impl PartialEq for Parts<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Parts::Null, Parts::Null) => true,
            (
                Parts::Page { scheme, host, port },
                Parts::Page { scheme: other_scheme, host: other_host, port: other_port },
            ) => {
                scheme.eq_ignore_ascii_case(other_scheme)
                    && host.eq_ignore_ascii_case(other_host)
                    && port == other_port
            }
            _ => false,
        }
    }
}

/// Splits `host` or `host:port`; the default port of the scheme, if it has one, where none is given.
fn host_and_port<'a>(authority: &'a str, scheme: &str) -> Option<(&'a str, Option<u16>)> {
    if !uri::is_authority(authority.as_bytes()) {
        return None;
    }
    let default = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => Some(80),
        _ if scheme.eq_ignore_ascii_case("https") => Some(443),
        _ => None,
    };
    // The colons inside of brackets are the address's.
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            Some((host, if port.is_empty() { default } else { port.parse().ok() }))
        }
        _ => Some((authority, default)),
    }
}
