//! Offers and answers (RFC 7692, sections 5 and 7.1).

use alloc::vec::Vec;
use core::fmt;

use super::{Compression, ContextTakeover, WindowBits};
use crate::proto::head::Head;
use crate::proto::ws::extension::{self, Offer};

#[cfg(test)]
mod tests;

/// What a server agrees to at most. The default keeps nothing between messages in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateConfig {
    /// How the server compresses, unless the client asks for less. With context takeover each
    /// connection keeps 320 kB between messages, also if the window is small.
    pub server: Compression,
    /// How the client may compress. A window below [`WindowBits::MAX`] is only possible with clients
    /// that can be told (`client_max_window_bits`); with others there is no compression then. With
    /// context takeover each connection keeps its window between messages, 32 kB at most.
    pub client: Compression,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        let side =
            Compression { window_bits: WindowBits::MAX, context_takeover: ContextTakeover::Off };
        Self { server: side, client: side }
    }
}

/// What client and server have agreed on. As text it is the extension's element in the
/// `Sec-WebSocket-Extensions` of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    server: Compression,
    client: Compression,
    server_window: Mention,
    client_window: Mention,
}

/// Whether the response has a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mention {
    Said,
    Unsaid,
}

impl Agreed {
    /// How the server compresses: what [`Deflater::deflate`](super::Deflater::deflate) is told.
    pub fn server(&self) -> Compression {
        self.server
    }

    /// How the client compresses: what
    /// [`MessageDecoder::with_deflate`](crate::proto::ws::message::MessageDecoder::with_deflate) is
    /// told.
    pub fn client(&self) -> Compression {
        self.client
    }

    /// Appends the field of the response; it follows
    /// [`encode_response`](crate::proto::ws::handshake::encode_response).
    pub fn encode_field(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(alloc::format!("Sec-WebSocket-Extensions: {self}\r\n").as_bytes());
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server.context_takeover == ContextTakeover::Off {
            write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.client.context_takeover == ContextTakeover::Off {
            write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.server_window == Mention::Said {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={}", self.server.window_bits)?;
        }
        if self.client_window == Mention::Said {
            write!(f, "; {CLIENT_MAX_WINDOW_BITS}={}", self.client.window_bits)?;
        }
        Ok(())
    }
}

/// Answers the client's offers: with the first one, in its order of preference, that is valid and
/// that `config` allows. The others are declined, which is no reason to refuse the handshake: `None`
/// means that messages go uncompressed.
///
/// ```
/// use esp_http_server::proto::head::{Head, Limits};
/// use esp_http_server::proto::ws::deflate::{DeflateConfig, negotiate};
///
/// let mut head = Head::new();
/// let limits = Limits { head_len: 1024, uri_len: 512, field_count: 32 };
/// head.parse(
///     b"GET /ws HTTP/1.1\r\nHost: example.org\r\n\
///       Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
///     &limits,
/// )?;
/// let agreed = negotiate(&head, &DeflateConfig::default()).expect("a valid offer");
/// assert_eq!(
///     agreed.to_string(),
///     "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
/// );
/// # Ok::<(), esp_http_server::proto::head::HeadError>(())
/// ```
pub fn negotiate(head: &Head, config: &DeflateConfig) -> Option<Agreed> {
    extension::offers(head)
        .map_while(Result::ok)
        .filter(|offer| offer.name() == NAME)
        .filter_map(|offer| Wishes::parse(&offer))
        .find_map(|wishes| wishes.agree(config))
}

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The parameters of an offer; `Some` where they are there.
#[derive(Default)]
struct Wishes {
    server_no_context_takeover: Option<()>,
    client_no_context_takeover: Option<()>,
    server_max_window_bits: Option<WindowBits>,
    /// It may come without a value: then the client can be told any.
    client_max_window_bits: Option<WindowBits>,
}

impl Wishes {
    /// `None` for an offer that section 7 has a server decline: one with a parameter that is not
    /// defined, not valid, or there twice.
    fn parse(offer: &Offer) -> Option<Wishes> {
        let mut wishes = Wishes::default();
        for param in offer.params() {
            let had_it = match (param.name, param.value.as_deref()) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => {
                    wishes.server_no_context_takeover.replace(()).is_some()
                }
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => {
                    wishes.client_no_context_takeover.replace(()).is_some()
                }
                (SERVER_MAX_WINDOW_BITS, Some(bits)) => {
                    wishes.server_max_window_bits.replace(window_bits(bits)?).is_some()
                }
                (CLIENT_MAX_WINDOW_BITS, bits) => {
                    let bits = bits.map_or(Some(WindowBits::MAX), window_bits)?;
                    wishes.client_max_window_bits.replace(bits).is_some()
                }
                _ => return None,
            };
            if had_it {
                return None;
            }
        }
        Some(wishes)
    }

    /// `None` if the client can't be held to the window that it may have.
    fn agree(&self, config: &DeflateConfig) -> Option<Agreed> {
        let takeover = |configured, unwanted: Option<()>| match unwanted {
            Some(()) => ContextTakeover::Off,
            None => configured,
        };
        let mention = |is_said| if is_said { Mention::Said } else { Mention::Unsaid };
        let server = Compression {
            window_bits: self
                .server_max_window_bits
                .map_or(config.server.window_bits, |bits| bits.min(config.server.window_bits)),
            context_takeover: takeover(
                config.server.context_takeover,
                self.server_no_context_takeover,
            ),
        };
        let client_bits = match self.client_max_window_bits {
            Some(bits) => bits.min(config.client.window_bits),
            None if config.client.window_bits == WindowBits::MAX => WindowBits::MAX,
            None => return None,
        };
        let client = Compression {
            window_bits: client_bits,
            context_takeover: takeover(
                config.client.context_takeover,
                self.client_no_context_takeover,
            ),
        };
        Some(Agreed {
            server,
            client,
            // An offered limit is accepted by naming it; without one it may be named all the same.
            server_window: mention(
                self.server_max_window_bits.is_some() || server.window_bits < WindowBits::MAX,
            ),
            client_window: mention(client.window_bits < WindowBits::MAX),
        })
    }
}

/// 8 to 15, without a leading zero.
fn window_bits(value: &str) -> Option<WindowBits> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    is_plain.then(|| value.parse().ok().and_then(WindowBits::new)).flatten()
}
