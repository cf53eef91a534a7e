//! The server's side of the opening handshake (RFC 6455, section 4.2).
//!
//! A server calls, in this order: [`accept`], which judges the request as a whole;
//! [`OriginPolicy::check`]; [`choose_subprotocol`] and, with the feature `deflate`, the negotiation in
//! `deflate`, neither of which can fail; [`encode_response`].

use alloc::vec::Vec;
use core::{fmt, str};

use base64ct::{Base64, Encoding};
use sha1::{Digest, Sha1};

use super::extension;
use crate::proto::field;
use crate::proto::head::{BodyLen, Head, Version};
use crate::proto::method::Method;
use crate::proto::response::{self, FieldError};
use crate::proto::status::Status;

mod origin;
#[cfg(test)]
pub(super) mod tests;

pub use origin::{InvalidOrigin, Origin, OriginPolicy, Scheme};

/// What proves to the client that the server understood its handshake: the value of
/// `Sec-WebSocket-Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept([u8; ACCEPT_LEN]);

/// Base64 of the 20 bytes of a SHA-1.
const ACCEPT_LEN: usize = 28;
/// Bytes of the client's nonce.
const NONCE_LEN: usize = 16;
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Checks a request for an upgrade to WebSocket.
///
/// # Errors
///
/// [`HandshakeError`] with the status and the fields of the answer.
pub fn accept(head: &Head) -> Result<Accept, HandshakeError> {
    if head.method() != Method::Get {
        return Err(HandshakeError::Method);
    }
    // A server must not look at Upgrade in HTTP/1.0 (RFC 9110, section 7.8).
    if head.version() < Version::Http11
        || !head.contains_token("upgrade", "websocket")
        || !head.contains_token("connection", "upgrade")
    {
        return Err(HandshakeError::NotAnUpgrade);
    }
    if !matches!(head.body_len(), BodyLen::None | BodyLen::Length(0)) {
        // Its bytes would be taken for frames.
        return Err(HandshakeError::Body);
    }
    if only(head, "sec-websocket-version") != Some(b"13") {
        return Err(HandshakeError::WebSocketVersion);
    }
    let key = only(head, "sec-websocket-key").ok_or(HandshakeError::Key)?;
    let mut nonce = [0; NONCE_LEN];
    if Base64::decode(key, &mut nonce).map(<[u8]>::len) != Ok(NONCE_LEN) {
        return Err(HandshakeError::Key);
    }
    // What breaks the grammar must not be passed over (sections 4.2.1 and 9.1): whoever stands
    // between might read it differently.
    if !offered_subprotocols(head).all(field::is_token) {
        return Err(HandshakeError::Subprotocol);
    }
    if extension::offers(head).any(|offer| offer.is_err()) {
        return Err(HandshakeError::Extensions);
    }
    Ok(Accept::new(key))
}

/// The subprotocol to speak: the first one of the server's, in its order of preference, that the
/// client offers in exactly that spelling. `None` if there is none; whether the connection makes
/// sense without is for the application to decide (RFC 6455, section 4.2.2).
pub fn choose_subprotocol<'s>(head: &Head, supported: &[&'s str]) -> Option<&'s str> {
    let is_offered =
        |name: &&&str| offered_subprotocols(head).any(|offer| offer == name.as_bytes());
    supported.iter().find(is_offered).copied()
}

/// What the client offers, in however many fields (RFC 6455, section 11.3.4).
fn offered_subprotocols(head: &Head) -> impl Iterator<Item = &[u8]> {
    head.values("sec-websocket-protocol").flat_map(field::list)
}

/// Appends the head of the 101 response without the empty line that ends it, so that more fields can
/// follow.
///
/// # Errors
///
/// [`FieldError::InvalidValue`] when `subprotocol` is no token; nothing is written.
pub fn encode_response(
    out: &mut Vec<u8>,
    accept: &Accept,
    subprotocol: Option<&str>,
) -> Result<(), FieldError> {
    if subprotocol.is_some_and(|name| !field::is_token(name.as_bytes())) {
        return Err(FieldError::InvalidValue);
    }
    response::status_line(out, Version::Http11, Status::SWITCHING_PROTOCOLS);
    response::field(out, "Upgrade", b"websocket")?;
    response::field(out, "Connection", b"Upgrade")?;
    response::field(out, "Sec-WebSocket-Accept", accept.as_str().as_bytes())?;
    match subprotocol {
        Some(name) => response::field(out, "Sec-WebSocket-Protocol", name.as_bytes()),
        None => Ok(()),
    }
}

impl Accept {
    /// The value for the client's key.
    fn new(key: &[u8]) -> Accept {
        let hash = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut text = [0; ACCEPT_LEN];
        // 20 bytes always make 28 characters.
        let encoded = Base64::encode(&hash, &mut text).map(str::len);
        debug_assert_eq!(encoded, Ok(ACCEPT_LEN));
        Accept(text)
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The value of a field that must stand in the head once.
fn only<'h>(head: &'h Head, name: &str) -> Option<&'h [u8]> {
    let mut values = head.values(name);
    values.next().filter(|_| values.next().is_none())
}

/// Why a handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The method isn't `GET`.
    Method,
    /// The request doesn't ask for WebSocket.
    NotAnUpgrade,
    /// The request has a body.
    Body,
    /// `Sec-WebSocket-Version` isn't 13, or not there once.
    WebSocketVersion,
    /// `Sec-WebSocket-Key` isn't 16 bytes in base64, or not there once.
    Key,
    /// A name in `Sec-WebSocket-Protocol` isn't a token.
    Subprotocol,
    /// `Sec-WebSocket-Extensions` breaks the grammar.
    Extensions,
    /// The page that wants the connection is of an origin that the [`OriginPolicy`] refuses.
    Origin,
}

impl HandshakeError {
    /// The status of the answer.
    pub const fn status(self) -> Status {
        match self {
            Self::Method => Status::METHOD_NOT_ALLOWED,
            Self::NotAnUpgrade | Self::WebSocketVersion => Status::UPGRADE_REQUIRED,
            Self::Body | Self::Key | Self::Subprotocol | Self::Extensions => Status::BAD_REQUEST,
            Self::Origin => Status::FORBIDDEN,
        }
    }

    /// The fields that the answer must have.
    pub const fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("Allow", "GET")],
            Self::NotAnUpgrade | Self::WebSocketVersion => &[
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
            ],
            Self::Body | Self::Key | Self::Subprotocol | Self::Extensions | Self::Origin => &[],
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "a WebSocket handshake is a GET request",
            Self::NotAnUpgrade => "this resource speaks WebSocket: ask for an upgrade to it",
            Self::Body => "a WebSocket handshake has no body",
            Self::WebSocketVersion => "the version of WebSocket spoken here is 13",
            Self::Key => "Sec-WebSocket-Key is not 16 bytes in base64",
            Self::Subprotocol => "a name in Sec-WebSocket-Protocol is not a token",
            Self::Extensions => "Sec-WebSocket-Extensions is malformed",
            Self::Origin => "pages of this origin may not open a WebSocket here",
        })
    }
}

impl core::error::Error for HandshakeError {}
