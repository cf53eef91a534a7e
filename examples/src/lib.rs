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
    /// TCP port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8443)]
    port: u16,
}

/// The port that the command line asks for with `--port`; 8443 otherwise.
pub fn port() -> u16 {
    env_logger::init();
    Args::parse().port
}

/// Says where the server listens, and waits for its end, which Ctrl-C brings about.
///
/// # Errors
///
/// If no handler for Ctrl-C can be set.
pub fn run(server: HttpServer) -> Result {
    let handle = server.handle();
    ctrlc::set_handler(move || handle.stop())?;
    println!("listening on https://127.0.0.1:{}", server.local_addr().port());
    std::io::stdout().flush()?;
    server.join()
}
