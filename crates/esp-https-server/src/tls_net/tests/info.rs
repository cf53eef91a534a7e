//! What a connection says of itself, and that connections which say the same say it in one place.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use esp_tls::{ClientAuth, SessionTickets, TlsConfig, TlsVersion};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::*;
use crate::TlsInfo;

/// A server and everybody's certificates, all signed by one authority.
struct World {
    server: TlsConfig,
    authority: Issuer<'static, KeyPair>,
    roots: RootCertStore,
}

impl World {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let authority = Issuer::new(params, key);

        let names: Vec<_> = ["localhost", "other.local", "127.0.0.1"].map(Into::into).to_vec();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let server = TlsConfig::new(leaf.pem(), key.serialize_pem())
            .and_then(|config| config.client_ca(certificate.pem(), ClientAuth::Optional))
            .and_then(|config| config.alpn(["http/1.1", "other"]))
            .and_then(|config| config.session_tickets(SessionTickets::On))
            .unwrap();
        Self { server, authority, roots }
    }

    fn net(&self, connections: usize) -> TlsNet<Pipe> {
        TlsNet::secure(Pipe::with_wires(connections), self.server.clone())
    }

    /// A client that nobody knows.
    fn stranger(&self) -> ClientConfig {
        self.builder(&[&TLS13, &TLS12]).with_no_client_auth()
    }

    /// A client with a certificate, and that certificate.
    fn member(&self) -> (ClientConfig, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["member".into()]).unwrap();
        let leaf = params.signed_by(&key, &self.authority).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = self.builder(&[&TLS13, &TLS12]);
        (config.with_client_auth_cert(vec![leaf.clone()], key).unwrap(), leaf)
    }

    fn builder(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots.clone())
    }
}

/// Takes a client through the handshake, and lets it read its session tickets.
fn connect(net: &mut TlsNet<Pipe>, id: NetId, config: &Arc<ClientConfig>, name: &'static str) {
    let mut peer = Peer::with_config(config.clone(), name);
    assert!(net.transport_ctx(id).is_none(), "nothing is agreed on yet");
    for _ in 0..4 {
        peer.exchange(&mut net.inner.wires[id.index()]);
        if net.open(id).is_ok() {
            peer.exchange(&mut net.inner.wires[id.index()]);
            assert!(peer.is_connected(), "{:?}", peer.error);
            return;
        }
    }
    panic!("no connection after four flights");
}

fn info(net: &mut TlsNet<Pipe>, id: NetId) -> Arc<TlsInfo> {
    net.transport_ctx(id).unwrap().downcast().unwrap()
}

#[test]
fn a_connection_says_what_was_agreed_on() {
    let world = World::new();
    for (version, of, suite) in [
        (&TLS13, TlsVersion::Tls13, "TLS_AES_128_GCM_SHA256"),
        (&TLS12, TlsVersion::Tls12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ] {
        let mut config = world.builder(&[version]).with_no_client_auth();
        config.alpn_protocols = vec![b"other".to_vec()];
        let mut net = world.net(1);
        connect(&mut net, ID, &Arc::new(config), "localhost");
        let info = info(&mut net, ID);
        assert_eq!((info.version(), info.cipher_suite().name), (of, suite));
        assert_eq!(info.alpn_protocol(), Some(&b"other"[..]));
        assert_eq!(info.server_name(), Some("localhost"));
        assert_eq!((info.peer_certificates().len(), info.is_resumed()), (0, false));
    }
}

#[test]
fn what_a_client_did_not_say_is_not_there() {
    let world = World::new();
    let mut net = world.net(1);
    connect(&mut net, ID, &Arc::new(world.stranger()), "127.0.0.1");
    let info = info(&mut net, ID);
    assert_eq!((info.server_name(), info.alpn_protocol()), (None, None));
}

#[test]
fn a_client_with_a_certificate_is_known_by_it() {
    let world = World::new();
    let (member, leaf) = world.member();
    let mut net = world.net(1);
    connect(&mut net, ID, &Arc::new(member), "localhost");
    let info = info(&mut net, ID);
    assert_eq!(info.peer_certificates().collect::<Vec<_>>(), [&*leaf]);
    let identity = info.identity().unwrap();
    assert_eq!(identity.dns_names().collect::<Vec<_>>(), ["member"]);
    assert_eq!(identity.chain, [leaf.to_vec()]);
}

#[test]
fn a_client_without_a_certificate_has_no_identity() {
    let world = World::new();
    let mut net = world.net(1);
    connect(&mut net, ID, &Arc::new(world.stranger()), "localhost");
    assert_eq!(info(&mut net, ID).identity(), None);
}

#[test]
fn connections_that_agreed_on_the_same_say_it_in_one_place() {
    let world = World::new();
    let mut net = world.net(8);
    // A configuration of its own for each, so that no session is resumed.
    let stranger = || Arc::new(world.stranger());
    let (member, other) = (Arc::new(world.member().0), Arc::new(world.member().0));
    let mut with_alpn = world.stranger();
    with_alpn.alpn_protocols = vec![b"http/1.1".to_vec()];
    let clients = [
        (stranger(), "localhost"),
        (stranger(), "localhost"),
        (stranger(), "other.local"),
        (stranger(), "127.0.0.1"),
        (Arc::new(with_alpn), "localhost"),
        (member, "localhost"),
        (other, "localhost"),
        (stranger(), "localhost"),
    ];
    let infos: Vec<_> = (0..)
        .map(NetId)
        .zip(&clients)
        .map(|(id, (config, name))| {
            connect(&mut net, id, config, name);
            info(&mut net, id)
        })
        .collect();
    for (one, first) in infos.iter().enumerate() {
        for (other, second) in infos.iter().enumerate() {
            let same = one == other || [one, other].iter().all(|index| [0, 1, 7].contains(index));
            assert_eq!(Arc::ptr_eq(first, second), same, "{one} and {other}: {first:?}");
        }
    }
}

#[test]
fn a_resumed_session_says_so_and_has_the_certificate_of_the_first() {
    let world = World::new();
    let (member, leaf) = world.member();
    let member = Arc::new(member);
    let mut net = world.net(2);
    for (number, is_resumed) in [(0, false), (1, true)] {
        let id = NetId(number);
        connect(&mut net, id, &member, "localhost");
        let info = info(&mut net, id);
        assert_eq!(info.is_resumed(), is_resumed);
        assert_eq!(info.peer_certificates().collect::<Vec<_>>(), [&*leaf]);
    }
}

#[test]
fn who_a_client_was_is_forgotten_with_its_last_connection() {
    let world = World::new();
    let mut net = world.net(2);
    let member = Arc::new(world.member().0);
    connect(&mut net, ID, &member, "localhost");
    let info = Arc::downgrade(&info(&mut net, ID));
    net.close(ID);
    assert!(info.upgrade().is_none());
}

#[test]
fn more_clients_than_are_remembered_are_all_told_apart() {
    let world = World::new();
    let count = 40;
    let mut net = world.net(count + 1);
    let mut infos = Vec::new();
    for number in 0..count {
        let (member, leaf) = world.member();
        let id = NetId(number as u32);
        connect(&mut net, id, &Arc::new(member), "localhost");
        infos.push((info(&mut net, id), leaf));
    }
    for (info, leaf) in &infos {
        assert_eq!(info.peer_certificates().next(), Some(&**leaf));
    }
}

#[test]
fn without_tls_there_is_nothing_to_say() {
    let mut net = TlsNet::insecure(Pipe::with_wires(1));
    net.open(ID).unwrap();
    assert!(net.transport_ctx(ID).is_none());
}
