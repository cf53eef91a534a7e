//! Three names on one port, each with a certificate and a page of its own: a name, a wildcard, and one
//! whose clients need a certificate.
//!
//! ```text
//! cargo run -p make-certs -- --out certs/gateway gateway.test
//! cargo run -p make-certs -- --out certs/devices "*.devices.test"
//! cargo run -p make-certs -- --out certs/admin admin.test
//! cargo run --release --example sni -- --certs certs
//! curl --cacert certs/gateway/ca.pem --connect-to ::localhost: https://gateway.test:8443/
//! curl --cacert certs/devices/ca.pem --connect-to ::localhost: https://lamp.devices.test:8443/
//! curl --cacert certs/admin/ca.pem --cert certs/admin/client.pem --key certs/admin/client.key \
//!      --connect-to ::localhost: https://admin.test:8443/
//! ```
//!
//! Who asks for another name, or for none, is refused with an alert.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use esp_https_server::*;

/// Three names on one port
#[derive(Parser)]
struct Args {
    /// TCP port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// The folder with the folders of the three
    #[arg(long, default_value = "certs")]
    certs: PathBuf,
}

fn page(req: &mut Request) -> Result {
    // The name that was agreed on with the certificate, which `Host` need not be.
    let name = req.tls().and_then(TlsInfo::server_name).unwrap_or_default();
    let text = format!("this is {name}\n");
    req.respond().content_type("text/plain").send(text)
}

/// The certificate in a folder that `make-certs` has filled.
fn certified(folder: &Path) -> Result<CertifiedKey> {
    let key = PrivateKey::new(fs::read(folder.join("server.key"))?)?;
    Ok(CertifiedKey::new(fs::read(folder.join("server.pem"))?, key)?)
}

fn main() -> Result {
    env_logger::init();
    let Args { port, certs } = Args::parse();
    let admins = ClientCa::new(fs::read(certs.join("admin/ca.pem"))?, ClientAuth::Required)?;
    let admin = Selection::of(&certified(&certs.join("admin"))?).client_ca(&admins);
    let names = SniTable::new()
        .entry("gateway.test", certified(&certs.join("gateway"))?)?
        .entry("*.devices.test", certified(&certs.join("devices"))?)?
        .entry("admin.test", admin)?;
    let tls = TlsConfig::from_selector(names, SystemClock)?;
    let config = HttpsConfig { port, ..HttpsConfig::new(tls) };
    examples::run(HttpsServer::builder(config).get("/", page).start()?)
}
