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
    /// Workers; 0 is one per core
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Most sessions open at once
    #[arg(long, default_value_t = 16384)]
    max_open_sockets: usize,
    /// Whether a new connection closes the least recently used idle session of a full table
    #[arg(long, value_enum, default_value = "on")]
    lru_purge: Switch,
    /// Whether clients may resume their TLS sessions
    #[arg(long, value_enum, default_value = "off")]
    session_tickets: Switch,
    /// TLS versions to speak
    #[arg(long, value_enum, default_value = "any")]
    tls_version: Version,
    /// Application protocols in order of preference, with commas between them
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    alpn: Vec<String>,
    /// Longest time from accept to the end of the TLS handshake
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    handshake_timeout_ms: u64,
    /// Longest time a handler waits for its client to send
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    recv_wait_timeout_ms: u64,
    /// Longest time a client may leave what it is sent untouched
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    send_wait_timeout_ms: u64,
    /// Longest time a session may stay open without a request
    #[arg(long, value_name = "N", default_value_t = 60_000)]
    idle_timeout_ms: u64,
    /// Most bytes of a request's head
    #[arg(long, value_name = "N", default_value_t = 16_384)]
    max_req_hdr_len: usize,
    /// Most bytes of a request's URI
    #[arg(long, value_name = "N", default_value_t = 2048)]
    max_uri_len: usize,
    /// Start a handler only after the one before it has returned
    #[arg(long)]
    serial: bool,
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

    pub(crate) fn httpd(&self) -> HttpConfig {
        HttpConfig {
            workers: self.workers,
            max_open_sockets: self.max_open_sockets,
            lru_purge_enable: self.lru_purge == Switch::On,
            handler_mode: match self.serial {
                true => HandlerMode::Serial,
                false => HandlerMode::Concurrent,
            },
            max_req_hdr_len: self.max_req_hdr_len,
            max_uri_len: self.max_uri_len,
            handshake_timeout: Duration::from_millis(self.handshake_timeout_ms),
            recv_wait_timeout: Duration::from_millis(self.recv_wait_timeout_ms),
            send_wait_timeout: Duration::from_millis(self.send_wait_timeout_ms),
            idle_timeout: Duration::from_millis(self.idle_timeout_ms),
            stop_timeout: Duration::from_secs(2),
            ..HttpConfig::default()
        }
    }

    pub(crate) fn tls(&self) -> Result<TlsConfig> {
        let mut tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => TlsConfig::new(read(cert)?, read(key)?)?,
            _ => TlsConfig::new(CERT, KEY)?,
        };
        if let Some(ca) = &self.client_ca {
            let auth = match self.client_auth {
                Auth::Required => ClientAuth::Required,
                Auth::Optional => ClientAuth::Optional,
            };
            tls = tls.client_ca(read(ca)?, auth)?;
        }
        if !self.alpn.is_empty() {
            tls = tls.alpn(&self.alpn)?;
        }
        tls = match self.tls_version {
            Version::Any => tls,
            Version::Tls12 => tls.versions(TlsVersions::Tls12)?,
            Version::Tls13 => tls.versions(TlsVersions::Tls13)?,
        };
        match self.session_tickets {
            Switch::On => Ok(tls.session_tickets(SessionTickets::On)?),
            Switch::Off => Ok(tls),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::Io(format!("can't read {}", path.display()), error))
}
