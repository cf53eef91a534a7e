//! An authority, a server's configuration, and clients of it, on the loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use esp_https_server::{
    CertifiedKey, ClientAuth, ClientCa, ExpiredCrl, HttpsConfig, ListenAddr, PrivateKey,
    SystemClock, TlsConfig,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Any free port of 127.0.0.1.
pub(crate) fn loopback() -> ListenAddr {
    ListenAddr::Only(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// Who signs everybody's certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    roots: RootCertStore,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), pem: certificate.pem(), roots }
    }

    /// A server for `localhost` at a free port, which asks clients for certificates and insists on
    /// none.
    pub(crate) fn server(&self) -> HttpsConfig {
        let tls = TlsConfig::from_certified_key(self.certified("localhost"), SystemClock)
            .and_then(|tls| tls.client_ca(&self.pem, ClientAuth::Optional))
            .and_then(|tls| tls.alpn(["http/1.1"]))
            .unwrap();
        let mut config = HttpsConfig::new(tls);
        config.httpd.listen = vec![loopback()];
        config
    }

    /// A certificate and its key for a server of that name.
    pub(crate) fn certified(&self, name: &str) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.into()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKey::new(key.serialize_pem()).unwrap();
        CertifiedKey::new(leaf.pem(), key).unwrap()
    }

    /// A client without a certificate.
    pub(crate) fn stranger(&self, addr: SocketAddr) -> Client {
        self.client("localhost", addr, None)
    }

    /// The same, asking for another name.
    pub(crate) fn stranger_for(&self, name: &'static str, addr: SocketAddr) -> Client {
        self.client(name, addr, None)
    }

    /// A client with one.
    pub(crate) fn member(&self, addr: SocketAddr) -> Client {
        self.member_with_serial(1, addr)
    }

    /// A client with a certificate of this number.
    pub(crate) fn member_with_serial(&self, serial: u64, addr: SocketAddr) -> Client {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["member".into()]).unwrap();
        params.serial_number = Some(serial.into());
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        self.client("localhost", addr, Some((leaf, key)))
    }

    /// Who vouches for clients, but not for the one with a certificate of this number any more.
    pub(crate) fn revoking(&self, serial: u64) -> ClientCa {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2090, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: serial.into(),
                revocation_time: date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap().pem().unwrap();
        ClientCa::new(&self.pem, ClientAuth::Optional)
            .and_then(|ca| ca.crls(list, ExpiredCrl::Refuse))
            .unwrap()
    }

    fn client(
        &self,
        name: &'static str,
        addr: SocketAddr,
        identity: Option<(rcgen::Certificate, KeyPair)>,
    ) -> Client {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match identity {
            Some((leaf, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![leaf.der().clone()], key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(name).unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(StreamOwned::new(tls, socket))
    }
}

/// The client's end of a TLS connection.
pub(crate) struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Whether it could be sent, handshake and all.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.write_all(bytes.as_ref())?;
        // In TLS 1.3 a refusal may come behind the client's end of the handshake.
        self.0.read(&mut [0; 1]).map(|_| ())
    }

    /// What the server has shown.
    pub(crate) fn server_certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// Reads a response with a length.
    pub(crate) fn expect_response(&mut self) -> String {
        let mut text = String::from_utf8(self.expect("\r\n\r\n")).unwrap();
        let len = text.split("Content-Length: ").nth(1).and_then(|rest| rest.split_once('\r'));
        let mut body = vec![0; len.unwrap().0.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        text.push_str(&String::from_utf8(body).unwrap());
        text
    }

    /// Reads until what came ends so, and nothing of what follows.
    pub(crate) fn expect(&mut self, end: &str) -> Vec<u8> {
        let mut received = Vec::new();
        while !received.ends_with(end.as_bytes()) {
            let mut byte = [0];
            let len = self.0.read(&mut byte).unwrap();
            assert!(len > 0, "closed behind {:?}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&byte[..len]);
        }
        received
    }

    /// Waits for the end of the connection; says what came before it.
    pub(crate) fn expect_end(&mut self) -> Vec<u8> {
        let mut received = Vec::new();
        self.0.read_to_end(&mut received).unwrap();
        received
    }
}
