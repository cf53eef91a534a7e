//! What the workers of one HTTPS server have in common: how many handshakes there may be at once, and
//! how they have ended.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use esp_http_server::{Lock, client_of};

use crate::open_error::HandshakeError;
use crate::tls_stats::{Counters, TlsStats};

/// One HTTPS server's handshakes.
pub(crate) struct TlsServer {
    limits: Limits,
    under_way: Lock<UnderWay>,
    counters: Counters,
}

/// How many handshakes may be under way at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) server: usize,
    pub(crate) addr: usize,
}

impl Limits {
    /// As many as there are.
    pub(crate) const NONE: Self = Self { server: usize::MAX, addr: usize::MAX };
}

/// Handshakes that have begun and not ended.
#[derive(Default)]
struct UnderWay {
    count: usize,
    /// How many have ever begun.
    begun: u64,
    /// By client; has no more entries than there are handshakes.
    of_client: BTreeMap<IpAddr, usize>,
}

impl TlsServer {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        let under_way = Lock::new(UnderWay::default());
        Arc::new(Self { limits, under_way, counters: Counters::new() })
    }

    /// Lets a handshake with `peer` begin, unless there are too many already. It counts until what is
    /// returned is dropped.
    pub(crate) fn admit(
        self: &Arc<Self>,
        peer: Option<SocketAddr>,
    ) -> Result<Box<Admission>, HandshakeError> {
        let client = peer.map(|peer| client_of(peer.ip()));
        let number = self.under_way.with(|under_way| under_way.begin(client, self.limits))?;
        Ok(Box::new(Admission { server: Arc::clone(self), client, number }))
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn stats(&self) -> TlsStats {
        self.counters.read(self.under_way.with(|under_way| under_way.count))
    }
}

impl UnderWay {
    fn begin(&mut self, client: Option<IpAddr>, limits: Limits) -> Result<u64, HandshakeError> {
        if self.count >= limits.server {
            return Err(HandshakeError::TooMany(limits.server));
        }
        if let Some(client) = client {
            let of_client = self.of_client.get(&client).copied().unwrap_or(0);
            if of_client >= limits.addr {
                return Err(HandshakeError::TooManyOfAddr(limits.addr));
            }
            self.of_client.insert(client, of_client + 1);
        }
        self.count += 1;
        self.begun += 1;
        Ok(self.begun)
    }

    fn end(&mut self, client: Option<IpAddr>) {
        self.count -= 1;
        if let Some(client) = client
            && let Some(of_client) = self.of_client.get_mut(&client)
        {
            *of_client -= 1;
            if *of_client == 0 {
                self.of_client.remove(&client);
            }
        }
    }
}

/// A handshake that counts as under way.
pub(crate) struct Admission {
    server: Arc<TlsServer>,
    client: Option<IpAddr>,
    number: u64,
}

impl Admission {
    /// Which handshake of the server it is. No other has this number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether its end would make room for `peer`, who was refused for this reason.
    pub(crate) fn is_in_the_way_of(
        &self,
        peer: Option<SocketAddr>,
        refusal: HandshakeError,
    ) -> bool {
        match refusal {
            HandshakeError::TooManyOfAddr(_) => {
                self.client == peer.map(|peer| client_of(peer.ip()))
            }
            _ => true,
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.server.under_way.with(|under_way| under_way.end(self.client));
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("client", &self.client).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const LIMITS: Limits = Limits { server: 5, addr: 2 };

    fn peer(ip: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(ip.parse().unwrap(), 1234))
    }

    #[test]
    fn an_address_may_have_so_many_handshakes_and_others_still_have_theirs() {
        let server = TlsServer::new(LIMITS);
        let first = server.admit(peer("192.0.2.1")).unwrap();
        let _second = server.admit(peer("192.0.2.1")).unwrap();
        let refused = server.admit(peer("::ffff:192.0.2.1")).unwrap_err();
        assert_eq!(refused, HandshakeError::TooManyOfAddr(2));
        let _other = server.admit(peer("192.0.2.2")).unwrap();
        drop(first);
        server.admit(peer("192.0.2.1")).unwrap();
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let server = TlsServer::new(LIMITS);
        let _kept = ["2001:db8::1", "2001:db8::2:1"].map(|ip| server.admit(peer(ip)).unwrap());
        assert!(server.admit(peer("2001:db8::ffff:0:0:1")).is_err());
        assert!(server.admit(peer("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn the_server_may_have_so_many_handshakes_with_everybody() {
        let server = TlsServer::new(LIMITS);
        let mut kept: Vec<_> = (0..5).map(|_| server.admit(None).unwrap()).collect();
        assert_eq!(server.admit(peer("192.0.2.1")).unwrap_err(), HandshakeError::TooMany(5));
        assert_eq!(server.stats().under_way, 5);
        kept.pop();
        assert!(server.admit(peer("192.0.2.1")).is_ok());
    }

    #[test]
    fn nothing_is_remembered_of_clients_whose_handshakes_are_over() {
        let server = TlsServer::new(LIMITS);
        for number in 0..100 {
            let admission = server.admit(peer(&alloc::format!("192.0.2.{number}"))).unwrap();
            assert_eq!(server.stats().under_way, 1);
            drop(admission);
        }
        server.under_way.with(|under_way| {
            assert_eq!((under_way.count, under_way.of_client.len()), (0, 0));
        });
    }
}
