//! What a TLS session has agreed on and who its client is, for whoever serves it.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use esp_http_server::{OpenSession, Request, WsRequest};
use esp_tls::{CipherSuite, PeerIdentity, TlsError, TlsSession, TlsVersion};

/// What the TLS handshake of a session has agreed on, and the client's certificates.
///
/// A handler has it by [`TlsRequest::tls`], work functions by
/// [`ServerContext::transport_ctx`](crate::ServerContext::transport_ctx).
#[derive(Debug, PartialEq, Eq)]
pub struct TlsInfo {
    version: TlsVersion,
    cipher_suite: CipherSuite,
    alpn_protocol: Option<Box<[u8]>>,
    server_name: Option<Box<str>>,
    identity: Option<Box<PeerIdentity>>,
    is_resumed: bool,
}

impl TlsInfo {
    /// The version of TLS.
    pub fn version(&self) -> TlsVersion {
        self.version
    }

    /// The cipher suite.
    pub fn cipher_suite(&self) -> CipherSuite {
        self.cipher_suite
    }

    /// The application protocol that was agreed on (ALPN, RFC 7301), if one was.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn_protocol.as_deref()
    }

    /// The host name that the client asked for (SNI, RFC 6066 section 3), in lower case; `None` if it
    /// asked for none, as clients do that connect to an address.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The client's certificates as DER, its own first; none if it presented none. They were verified:
    /// they lead to one of the authorities given to `TlsConfig::client_ca`. A resumed session has those
    /// of the session that it resumes.
    pub fn peer_certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let chain = self.identity.as_ref().map_or(&[][..], |identity| &identity.chain);
        chain.iter().map(|der| &**der)
    }

    /// Who the client is by its verified certificate: subject, other names, issuer, serial number,
    /// validity, fingerprint. `None` if it presented none.
    ///
    /// That a certificate was verified says that one of the authorities given to
    /// `TlsConfig::client_ca` vouches for it. What this client may do, the program decides by it.
    pub fn identity(&self) -> Option<&PeerIdentity> {
        self.identity.as_deref()
    }

    /// Whether the handshake was shortened by a session ticket.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// What a session whose handshake is over says.
    fn of(tls: &TlsSession) -> Result<Option<Self>, TlsError> {
        let (Some(version), Some(cipher_suite)) = (tls.version(), tls.cipher_suite()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            version,
            cipher_suite,
            alpn_protocol: tls.alpn_protocol().map(Box::from),
            server_name: tls.server_name().map(Box::from),
            identity: tls.peer_identity()?.map(Box::new),
            is_resumed: tls.is_resumed(),
        }))
    }

    /// Whether this is what the session says.
    fn is_of(&self, tls: &TlsSession) -> bool {
        tls.version() == Some(self.version)
            && tls.cipher_suite() == Some(self.cipher_suite)
            && tls.alpn_protocol() == self.alpn_protocol()
            && tls.server_name() == self.server_name()
            && tls.is_resumed() == self.is_resumed
            && tls.peer_certificates().eq(self.peer_certificates())
    }
}

/// The TLS session below a request, a WebSocket message, or a session that has just opened.
///
/// ```
/// use esp_https_server::{Request, Result, TlsRequest};
///
/// fn who(req: &mut Request) -> Result {
///     let identity = req.tls().and_then(|tls| tls.identity());
///     let name = identity.and_then(|identity| identity.common_name.clone());
///     req.respond().send(match name {
///         Some(name) => format!("hello {name}"),
///         None => "I don't know you".into(),
///     })
/// }
/// ```
pub trait TlsRequest {
    /// What the TLS handshake has agreed on, and who the client is; `None` without TLS.
    fn tls(&self) -> Option<&TlsInfo>;
}

impl TlsRequest for Request<'_> {
    fn tls(&self) -> Option<&TlsInfo> {
        self.transport_ctx()
    }
}

impl TlsRequest for WsRequest<'_> {
    fn tls(&self) -> Option<&TlsInfo> {
        self.transport_ctx()
    }
}

impl TlsRequest for OpenSession<'_> {
    fn tls(&self) -> Option<&TlsInfo> {
        self.transport_ctx()
    }
}

/// The infos that sessions of one worker have, so that those which say the same share one: most do,
/// and each would cost what an idle session has little of, memory.
///
/// What no session has any more is not kept: it may say who somebody was.
#[derive(Default)]
pub(crate) struct TlsInfos {
    recent: Vec<Weak<TlsInfo>>,
}

/// Infos among which one is looked for.
const RECENT_MAX: usize = 16;

impl TlsInfos {
    /// What a session says whose handshake is over; nothing if it isn't.
    ///
    /// # Errors
    ///
    /// The client's certificate was verified, and yet can't be taken apart.
    pub(crate) fn share(&mut self, tls: &TlsSession) -> Result<Option<Arc<TlsInfo>>, TlsError> {
        self.recent.retain(|info| info.strong_count() > 0);
        let known = self.recent.iter().enumerate().find_map(|(at, info)| {
            let info = info.upgrade()?;
            info.is_of(tls).then_some((at, info))
        });
        if let Some((at, info)) = known {
            self.recent[..=at].rotate_right(1);
            return Ok(Some(info));
        }
        let Some(info) = TlsInfo::of(tls)?.map(Arc::new) else { return Ok(None) };
        self.recent.truncate(RECENT_MAX - 1);
        self.recent.insert(0, Arc::downgrade(&info));
        Ok(Some(info))
    }
}
