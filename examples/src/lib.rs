//! What the examples share: certificates for development, a port from the command line, and an end
//! by Ctrl-C.

use std::io::Write;

use clap::Parser;
use esp_https_server::{HttpServer, Result};

/// A certificate for `localhost`, `127.0.0.1` and `::1`. For development only: its key is public.
pub const CERT: &[u8] = include_bytes!("../certs/server.pem");
/// The key of [`CERT`], which everybody has.
pub const KEY: &[u8] = include_bytes!("../certs/server.key");
/// The authority whose clients the examples know.
pub const CLIENT_CA: &[u8] = include_bytes!("../certs/ca.pem");

#[derive(Parser)]
struct Args {
    /// TCP port to listen on; 0 takes a free one. Default: 8443 for HTTPS, 8080 for HTTP
    #[arg(long)]
    port: Option<u16>,
}

/// The port that the command line of an HTTPS server asks for with `--port`; 8443 otherwise.
pub fn port() -> u16 {
    port_or(8443)
}

/// The port that the command line of a plain HTTP server asks for with `--port`; 8080 otherwise.
pub fn http_port() -> u16 {
    port_or(8080)
}

fn port_or(default: u16) -> u16 {
    env_logger::init();
    Args::parse().port.unwrap_or(default)
}

/// Says where an HTTPS server listens, and waits for its end, which Ctrl-C brings about.
///
/// # Errors
///
/// If no handler for Ctrl-C can be set.
pub fn run(server: HttpServer) -> Result {
    run_until_ctrl_c("https", server)
}

/// As [`run`], for a plain HTTP server.
///
/// # Errors
///
/// If no handler for Ctrl-C can be set.
pub fn run_http(server: HttpServer) -> Result {
    run_until_ctrl_c("http", server)
}

fn run_until_ctrl_c(scheme: &str, server: HttpServer) -> Result {
    let handle = server.handle();
    ctrlc::set_handler(move || handle.stop())?;
    println!("listening on {scheme}://127.0.0.1:{}", server.local_addr().port());
    std::io::stdout().flush()?;
    server.join()
}
