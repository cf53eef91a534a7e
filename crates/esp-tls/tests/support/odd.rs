//! Clients that behave as few do: a first guess at the key exchange that is wrong, so that the server
//! asks for another ClientHello; a certificate that changes from one session to the next.

use std::sync::{Arc, Mutex};

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::ring::{kx_group::X25519, sign::any_supported_type};
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{NamedGroup, SignatureScheme};

use super::Issued;

/// What a client offers for the key exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Groups {
    Usual,
    /// A key share of a group that nobody knows, which costs a HelloRetryRequest in TLS 1.3.
    FirstGuessIsWrong,
}

pub static STRANGE_GROUP: &dyn SupportedKxGroup = &StrangeGroup;

const STRANGE: NamedGroup = NamedGroup::Unknown(0x7777);

#[derive(Debug)]
struct StrangeGroup;

impl SupportedKxGroup for StrangeGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        X25519.start().map(|inner| Box::new(StrangeExchange(inner)) as _)
    }

    fn name(&self) -> NamedGroup {
        STRANGE
    }
}

struct StrangeExchange(Box<dyn ActiveKeyExchange>);

impl ActiveKeyExchange for StrangeExchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        self.0.complete(peer)
    }

    fn pub_key(&self) -> &[u8] {
        self.0.pub_key()
    }

    fn group(&self) -> NamedGroup {
        STRANGE
    }
}

/// Remembers sessions, and not which group worked last time.
#[derive(Debug)]
pub struct Forgetful(ClientSessionMemoryCache);

impl Forgetful {
    pub fn new() -> Self {
        Self(ClientSessionMemoryCache::new(32))
    }
}

impl ClientSessionStore for Forgetful {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(name, value);
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(name)
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.0.remove_tls12_session(name);
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(name, value);
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(name)
    }
}

/// A client certificate that can be exchanged while the client lives.
#[derive(Debug)]
pub struct Changeable(Mutex<Arc<CertifiedKey>>);

impl Changeable {
    pub fn new(issued: &Issued) -> Arc<Self> {
        Arc::new(Self(Mutex::new(certified(issued))))
    }

    pub fn change(&self, issued: &Issued) {
        *self.0.lock().unwrap() = certified(issued);
    }
}

impl ResolvesClientCert for Changeable {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn certified(issued: &Issued) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::try_from(issued.key_der.clone()).unwrap();
    let chain = vec![CertificateDer::from(issued.cert_der.clone())];
    Arc::new(CertifiedKey::new(chain, any_supported_type(&key).unwrap()))
}
