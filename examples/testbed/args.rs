//! The command line of the testbed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use esp_https_server::*;
use examples::{CERT, KEY};

/// The server that tests and measurements use
#[derive(Parser)]
pub(crate) struct Args {
    /// Serve plain HTTP on this port; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    pub(crate) http: Option<u16>,
    /// Serve HTTPS on this port; 0 takes a free one. Without --http and --https: 8443
    #[arg(long, value_name = "PORT")]
    https: Option<u16>,
    /// Listen there instead of on all addresses: PORT, ADDRESS:PORT or INTERFACE:PORT, with commas
    /// between them; for one of --http and --https
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = listen_addr)]
    listen: Vec<ListenAddr>,
    /// Certificate chain, PEM; without it one for development
    #[arg(long, value_name = "PEM", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "PEM", requires = "cert")]
    key: Option<PathBuf>,
    /// Authorities that sign client certificates, PEM
    #[arg(long, value_name = "PEM")]
    client_ca: Option<PathBuf>,
    /// Whether a client must have a certificate
    #[arg(long, value_enum, default_value = "required", requires = "client_ca")]
    client_auth: Auth,
    /// Revocation lists of those authorities, PEM
    #[arg(long, value_name = "PEM", requires = "client_ca")]
    crl: Option<PathBuf>,
    /// Workers; 0 is one per core
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Most sessions open at once
    #[arg(long, default_value_t = 16384)]
    max_open_sockets: usize,
    /// Most sessions open at once of one client, an IPv4 address or an IPv6 /64 network
    #[arg(long, value_name = "N", default_value_t = usize::MAX)]
    max_sessions_per_addr: usize,
    /// Most bytes that the buffers of all sessions hold; 0 follows from the sessions
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    max_buffer_memory: usize,
    /// Most bytes received of a session that nobody has read
    #[arg(long, value_name = "BYTES", default_value_t = 65536)]
    recv_buffer_len: usize,
    /// Most bytes that wait to be sent to a session
    #[arg(long, value_name = "BYTES", default_value_t = 65536)]
    send_buffer_len: usize,
    /// Whether a new connection closes the least recently used idle session of a full table
    #[arg(long, value_enum, default_value = "on")]
    lru_purge: Switch,
    /// Whether clients may resume their TLS sessions
    #[arg(long, value_enum, default_value = "off")]
    session_tickets: Switch,
    /// Session tickets under the keys in these files, of 48 or 80 bytes: the first seals, all open
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "session_tickets")]
    ticket_keys: Vec<PathBuf>,
    /// TLS versions to speak
    #[arg(long, value_enum, default_value = "any")]
    tls_version: Version,
    /// Application protocols in order of preference, with commas between them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    alpn: Vec<String>,
    /// Connections that may wait to be accepted, per worker and address
    #[arg(long, value_name = "N", default_value_t = 1024)]
    backlog_conn: u16,
    /// Probe silent connections after so many seconds (TCP keep-alive); 0 does not
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep_alive_idle_s: u64,
    /// Seconds between two probes
    #[arg(long, value_name = "N", default_value_t = 5)]
    keep_alive_interval_s: u64,
    /// Probes without an answer after which a connection is over
    #[arg(long, value_name = "N", default_value_t = 3)]
    keep_alive_count: u32,
    /// Whether a session that is closed is reset (SO_LINGER)
    #[arg(long, value_enum, default_value = "off")]
    so_linger: Switch,
    /// Most TLS handshakes at once
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    max_handshakes: usize,
    /// Most TLS handshakes at once with one address
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    max_handshakes_per_addr: usize,
    /// Most bytes of plain text in a TLS record
    #[arg(long, value_name = "N")]
    max_fragment_len: Option<usize>,
    /// TLS cipher suites by their numbers in IANA's registry, the preferred first, with commas between
    /// them
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = cipher_suite)]
    cipher_suites: Vec<u16>,
    /// TLS 1.2 sessions that are remembered by their id
    #[arg(long, value_name = "N", default_value_t = 0)]
    session_ids: usize,
    /// Has browsers use nothing but HTTPS for so many seconds
    #[arg(long, value_name = "N")]
    hsts_s: Option<u64>,
    /// Longest time from accept to the end of the TLS handshake
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    handshake_timeout_ms: u64,
    /// Longest time from the first byte of a request's head to its last
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    head_timeout_ms: u64,
    /// Longest time a request waits for others
    #[arg(long, value_name = "N", default_value_t = 30_000)]
    queue_timeout_ms: u64,
    /// Longest time a handler waits for its client to send
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    recv_wait_timeout_ms: u64,
    /// Bytes a second that a client must send of a body or a message at least; 0 is no such rate
    #[arg(long, value_name = "N", default_value_t = 128)]
    recv_min_rate: usize,
    /// Bytes a second that a client must take at least; 0 is no such rate
    #[arg(long, value_name = "N", default_value_t = 128)]
    send_min_rate: usize,
    /// Longest time for dropping what a handler left unread of a body
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    purge_timeout_ms: u64,
    /// Longest time a client may leave what it is sent untouched
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    send_wait_timeout_ms: u64,
    /// Longest time a session may stay open without a request
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    idle_timeout_ms: u64,
    /// Longest time a closing session waits for its client to finish
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    linger_timeout_ms: u64,
    /// Longest time requests that are under way have to finish when the server stops
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    stop_timeout_ms: u64,
    /// Most bytes of a request's head
    #[arg(long, value_name = "N", default_value_t = HttpConfig::default().max_req_hdr_len)]
    max_req_hdr_len: usize,
    /// Most header fields of a request
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_req_hdr_fields: usize,
    /// Most bytes of a request's URI
    #[arg(long, value_name = "N", default_value_t = 2048)]
    max_uri_len: usize,
    /// Most requests on one connection
    #[arg(long, value_name = "N", default_value_t = usize::MAX, hide_default_value = true)]
    max_requests_per_session: usize,
    /// Most bytes of an unread body that are dropped so that the session stays open
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    purge_len: usize,
    /// Most work items in a worker's queue
    #[arg(long, value_name = "N", default_value_t = 1024)]
    work_queue_len: usize,
    /// Most bytes of WebSocket frames that wait for one client
    #[arg(long, value_name = "N", default_value_t = 65_536)]
    ws_queue_len: usize,
    /// Most frames of a WebSocket message
    #[arg(long, value_name = "N", default_value_t = HttpConfig::default().max_ws_fragments)]
    max_ws_fragments: usize,
    /// Bytes of stack for a handler
    #[arg(long, value_name = "N", default_value_t = 262_144)]
    stack_size: usize,
    /// Start a handler only after the one before it has returned
    #[arg(long)]
    serial: bool,
    /// So many routes more: /route/0 and on, each the same small page as /
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) routes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Auth {
    Required,
    Optional,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Version {
    Any,
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

impl Args {
    /// The port to serve HTTPS on, if at all.
    pub(crate) fn https_port(&self) -> Option<u16> {
        self.https.or_else(|| self.http.is_none().then_some(8443))
    }

    /// Refuses what does not go together.
    pub(crate) fn check(&self) -> Result {
        match (&self.listen[..], self.http, self.https) {
            ([_, ..], Some(_), Some(_)) => {
                Err(Error::Config("--listen needs one of --http and --https, not both".into()))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn https(&self, port: u16) -> Result<HttpsConfig> {
        Ok(HttpsConfig {
            httpd: self.httpd(),
            port,
            max_handshakes: self.max_handshakes,
            max_handshakes_per_addr: self.max_handshakes_per_addr,
            hsts: self.hsts_s.map(Duration::from_secs),
            ..HttpsConfig::new(self.tls()?)
        })
    }

    pub(crate) fn httpd(&self) -> HttpConfig {
        let millis = Duration::from_millis;
        HttpConfig {
            listen: self.listen.clone(),
            workers: self.workers,
            max_open_sockets: self.max_open_sockets,
            max_sessions_per_addr: self.max_sessions_per_addr,
            max_buffer_memory: self.max_buffer_memory,
            recv_buffer_len: self.recv_buffer_len,
            send_buffer_len: self.send_buffer_len,
            lru_purge_enable: self.lru_purge == Switch::On,
            backlog_conn: self.backlog_conn,
            keep_alive_enable: self.keep_alive_idle_s > 0,
            keep_alive_idle: Duration::from_secs(self.keep_alive_idle_s),
            keep_alive_interval: Duration::from_secs(self.keep_alive_interval_s),
            keep_alive_count: self.keep_alive_count,
            enable_so_linger: self.so_linger == Switch::On,
            stack_size: self.stack_size,
            handler_mode: match self.serial {
                true => HandlerMode::Serial,
                false => HandlerMode::Concurrent,
            },
            max_req_hdr_len: self.max_req_hdr_len,
            max_uri_len: self.max_uri_len,
            max_req_hdr_fields: self.max_req_hdr_fields,
            max_requests_per_session: self.max_requests_per_session,
            purge_len: self.purge_len,
            work_queue_len: self.work_queue_len,
            ws_queue_len: self.ws_queue_len,
            max_ws_fragments: self.max_ws_fragments,
            handshake_timeout: millis(self.handshake_timeout_ms),
            head_timeout: millis(self.head_timeout_ms),
            queue_timeout: millis(self.queue_timeout_ms),
            recv_wait_timeout: millis(self.recv_wait_timeout_ms),
            recv_min_rate: self.recv_min_rate,
            send_min_rate: self.send_min_rate,
            purge_timeout: millis(self.purge_timeout_ms),
            send_wait_timeout: millis(self.send_wait_timeout_ms),
            idle_timeout: millis(self.idle_timeout_ms),
            linger_timeout: millis(self.linger_timeout_ms),
            stop_timeout: millis(self.stop_timeout_ms),
            ..HttpConfig::default()
        }
    }

    fn tls(&self) -> Result<TlsConfig> {
        let mut tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => TlsConfig::new(read(cert)?, read(key)?)?,
            _ => TlsConfig::new(CERT, KEY)?,
        };
        if let Some(ca) = &self.client_ca {
            let auth = match self.client_auth {
                Auth::Required => ClientAuth::Required,
                Auth::Optional => ClientAuth::Optional,
            };
            let mut ca = ClientCa::new(read(ca)?, auth)?;
            if let Some(crl) = &self.crl {
                ca = ca.crls(read(crl)?, ExpiredCrl::Refuse)?;
            }
            tls = tls.with_client_ca(ca)?;
        }
        if !self.alpn.is_empty() {
            tls = tls.alpn(&self.alpn)?;
        }
        tls = match self.tls_version {
            Version::Any => tls,
            Version::Tls12 => tls.versions(TlsVersions::Tls12)?,
            Version::Tls13 => tls.versions(TlsVersions::Tls13)?,
        };
        if let Some(len) = self.max_fragment_len {
            tls = tls.max_fragment_len(len)?;
        }
        if !self.cipher_suites.is_empty() {
            tls = tls.cipher_suites(self.cipher_suites.iter().copied())?;
        }
        tls = tls.session_ids(self.session_ids)?;
        if let Some(keys) = self.ticket_keys()? {
            return Ok(tls.ticket_keys(keys)?);
        }
        match self.session_tickets {
            Switch::On => Ok(tls.session_tickets(SessionTickets::On)?),
            Switch::Off => Ok(tls),
        }
    }

    fn ticket_keys(&self) -> Result<Option<TicketKeys>> {
        let mut keys = None;
        for file in &self.ticket_keys {
            let key = TicketKey::from_bytes(read(file)?)?;
            keys = Some(match keys {
                None => TicketKeys::new(key),
                Some(keys) => TicketKeys::accept(keys, key),
            });
        }
        Ok(keys)
    }
}

/// `8080`, `127.0.0.1:8080`, `[::1]:8080` or `eth0:8080`.
fn listen_addr(text: &str) -> std::result::Result<ListenAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(ListenAddr::Any(port));
    }
    if let Ok(addr) = text.parse() {
        return Ok(ListenAddr::Only(addr));
    }
    let (name, port) = text.rsplit_once(':').ok_or("a port is missing")?;
    let port = port.parse().map_err(|error| format!("{port:?} is no port: {error}"))?;
    Ok(ListenAddr::Interface { name: name.into(), port })
}

/// `0x1301` or `4865`.
fn cipher_suite(text: &str) -> std::result::Result<u16, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|error| format!("{text:?} is no number of a cipher suite: {error}"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::Io(format!("can't read {}", path.display()), error))
}
