//! A certificate that is renewed while the server runs: no restart, and nobody is cut off.
//!
//! ```text
//! cargo run -p make-certs -- --out certs
//! cargo run --release --example reload -- --cert certs/server.pem --key certs/server.key
//! curl -v --cacert certs/ca.pem https://localhost:8443/
//! cargo run -p make-certs -- --out certs --force
//! curl -v --cacert certs/ca.pem https://localhost:8443/
//! ```
//!
//! The second curl sees another certificate, a second after it was made. With files that don't fit
//! together, as in the middle of a renewal, the old one stays.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use esp_https_server::*;

/// A server whose certificate may be renewed at any time
#[derive(Parser)]
struct Args {
    /// TCP port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// The server's certificate, PEM
    #[arg(long, default_value = "certs/server.pem")]
    cert: PathBuf,
    /// Its private key, PEM
    #[arg(long, default_value = "certs/server.key")]
    key: PathBuf,
}

fn page(req: &mut Request) -> Result {
    let handshakes = req.server().tls_stats().map_or(0, |stats| stats.full);
    let text = format!("{handshakes} handshakes since the start, renewals included\n");
    req.respond().content_type("text/plain").send(text)
}

fn main() -> Result {
    env_logger::init();
    let Args { port, cert, key } = Args::parse();
    let files = [cert.clone(), key.clone()];
    let load = move || Ok(TlsConfig::new(fs::read(&cert)?, fs::read(&key)?)?);

    let tls = load()?;
    let _reload = ReloadOnChange::start(&tls, files, Duration::from_secs(1), load)?;
    let config = HttpsConfig { port, ..HttpsConfig::new(tls) };
    examples::run(HttpsServer::builder(config).get("/", page).start()?)
}
