//! Ring 0: HTTP/1.1 and WebSocket as pure functions on slices.
//!
//! Nothing here knows time, sockets or sessions. Parsers take the bytes that are there and answer
//! complete, need more (a value, not an error), or an error that knows its status code; encoders
//! append to a `Vec<u8>`. Given the same bytes they give the same answer however the network cut
//! them into pieces.
//!
//! | module | what it does | RFC |
//! |---|---|---|
//! | [`head`] | request line and header fields, with every check that decides framing | 9112, 9110 |
//! | [`body`] | `Content-Length` and chunked bodies, trailers | 9112 §6, §7 |
//! | [`response`] | status line, fields, chunk framing, `Date` | 9112 §4, 9110 |
//! | [`method`], [`status`] | the names | 9110 §9, §15 |
//! | [`field`] | what heads and trailers have in common: one field line | 9110 §5 |
//! | [`uri`] | request target, percent-encoding, query, URI templates | 3986 |
//! | [`form`] | urlencoded forms | URL standard §5 |
//! | [`event_stream`] | server-sent events | HTML standard §9.2 |
//! | [`cookie`] | the `Cookie` field | 6265 |
//! | [`auth`] | the `Authorization` field, secrets compared in constant time | 7617 |
//! | [`ws`] | WebSocket: handshake, frames, messages, compression | 6455, 7692 |

pub mod auth;
pub mod body;
pub mod cookie;
pub mod event_stream;
pub mod field;
pub mod form;
pub mod head;
pub mod method;
#[cfg(test)]
pub(crate) mod random;
pub mod response;
pub mod status;
pub mod uri;
pub mod ws;
