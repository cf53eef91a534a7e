//! How a server's TLS handshakes have ended, for metrics.

use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use esp_http_server::ServerHandle;
use esp_tls::FailureClass;

use crate::tls_server::TlsServer;

/// How the TLS handshakes of a server have ended since it started; made by
/// [`TlsServerHandle::tls_stats`].
///
/// ```
/// # use esp_https_server::{FailureKind, ServerHandle, TlsServerHandle};
/// fn metrics(server: &ServerHandle) -> String {
///     let Some(stats) = server.tls_stats() else { return String::new() };
///     let mut text = format!("tls_full {}\ntls_resumed {}\n", stats.full, stats.resumed);
///     for kind in FailureKind::all() {
///         text += &format!("tls_failed{{kind=\"{kind}\"}} {}\n", stats.failed(kind));
///     }
///     text
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsStats {
    /// Full handshakes.
    pub full: usize,
    /// Handshakes that resumed an earlier session.
    pub resumed: usize,
    /// Handshakes that are under way now.
    pub under_way: usize,
    failed: [usize; FailureKind::COUNT],
}

impl TlsStats {
    /// Connections that failed for this reason before they became sessions.
    pub fn failed(&self, kind: FailureKind) -> usize {
        self.failed[kind.index()]
    }

    /// Connections that failed for any reason.
    pub fn all_failed(&self) -> usize {
        self.failed.iter().sum()
    }
}

/// Why a connection failed before it became a session, in few kinds with names that stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// TLS failed, for a reason of this class.
    Tls(FailureClass),
    /// The client spoke plain HTTP.
    PlainHttp,
    /// The client left in the middle.
    PeerClosed,
    /// The client took longer than `handshake_timeout`, with or without having said something.
    TimedOut,
    /// Its handshake was given up for a new one, because there were as many as there may be.
    GaveWay,
    /// The server had [`max_handshakes`](crate::HttpsConfig::max_handshakes), and none could give way.
    TooMany,
    /// The client's address had
    /// [`max_handshakes_per_addr`](crate::HttpsConfig::max_handshakes_per_addr), and none could give
    /// way.
    TooManyOfAddr,
    /// The network failed.
    Network,
}

impl FailureKind {
    const OWN: [Self; 7] = [
        Self::PlainHttp,
        Self::PeerClosed,
        Self::TimedOut,
        Self::GaveWay,
        Self::TooMany,
        Self::TooManyOfAddr,
        Self::Network,
    ];
    const COUNT: usize = FailureClass::ALL.len() + Self::OWN.len();

    /// All kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        FailureClass::ALL.iter().map(|class| Self::Tls(*class)).chain(Self::OWN)
    }

    /// A name for logs and metrics; it doesn't change.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls(class) => class.name(),
            Self::PlainHttp => "plain_http",
            Self::PeerClosed => "peer_closed",
            Self::TimedOut => "timed_out",
            Self::GaveWay => "gave_way",
            Self::TooMany => "too_many",
            Self::TooManyOfAddr => "too_many_of_addr",
            Self::Network => "network",
        }
    }

    fn index(self) -> usize {
        let own = |place| FailureClass::ALL.len() + place;
        match self {
            Self::Tls(class) => class.index(),
            Self::PlainHttp => own(0),
            Self::PeerClosed => own(1),
            Self::TimedOut => own(2),
            Self::GaveWay => own(3),
            Self::TooMany => own(4),
            Self::TooManyOfAddr => own(5),
            Self::Network => own(6),
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a handle of an HTTPS server can tell of its TLS.
pub trait TlsServerHandle {
    /// How the TLS handshakes of this server have ended so far; `None` if it speaks no TLS.
    fn tls_stats(&self) -> Option<TlsStats>;
}

impl TlsServerHandle for ServerHandle {
    fn tls_stats(&self) -> Option<TlsStats> {
        self.global_transport_ctx::<TlsServer>().map(TlsServer::stats)
    }
}

/// The counters behind [`TlsStats`]. Handshakes write them, requests never do.
pub(crate) struct Counters {
    full: AtomicUsize,
    resumed: AtomicUsize,
    failed: Box<[AtomicUsize]>,
}

impl Counters {
    pub(crate) fn new() -> Self {
        let failed = (0..FailureKind::COUNT).map(|_| AtomicUsize::new(0)).collect();
        Self { full: AtomicUsize::new(0), resumed: AtomicUsize::new(0), failed }
    }

    pub(crate) fn count_full(&self) {
        self.full.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_failed(&self, kind: FailureKind) {
        self.failed[kind.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, under_way: usize) -> TlsStats {
        let read = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        TlsStats {
            full: read(&self.full),
            resumed: read(&self.resumed),
            under_way,
            failed: core::array::from_fn(|index| read(&self.failed[index])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_kind_has_a_place_and_a_name_of_its_own() {
        for (place, kind) in FailureKind::all().enumerate() {
            assert_eq!(kind.index(), place);
            let same: Vec<_> =
                FailureKind::all().filter(|other| other.name() == kind.name()).collect();
            assert_eq!(same, [kind]);
        }
        assert_eq!(FailureKind::all().count(), FailureKind::COUNT);
    }

    #[test]
    fn what_was_counted_is_read() {
        let counters = Counters::new();
        counters.count_full();
        counters.count_resumed();
        counters.count_resumed();
        counters.count_failed(FailureKind::TimedOut);
        counters.count_failed(FailureKind::Tls(FailureClass::NotTls));
        let stats = counters.read(7);
        assert_eq!((stats.full, stats.resumed, stats.under_way, stats.all_failed()), (1, 2, 7, 2));
        assert_eq!(stats.failed(FailureKind::TimedOut), 1);
        assert_eq!(stats.failed(FailureKind::PeerClosed), 0);
    }
}
