//! The server that tests and measurements use: every limit is an option, every behaviour a route.
//! Try: testbed --http 8080 --https 8443, then curl -k https://localhost:8443/headers

use std::io::Write;
use std::net::Ipv4Addr;

use clap::Parser;
use esp_https_server::*;

mod args;
mod exchanges;
#[cfg(feature = "count-heap")]
mod heap;
mod routes;

use args::Args;

fn main() -> Result {
    env_logger::init();
    let args = Args::parse();
    args.check()?;
    let mut servers = Vec::new();
    if let Some(port) = args.https_port() {
        let config = args.https(port)?;
        servers.push(("https", routes::add(HttpsServer::builder(config), args.routes).start()?));
    }
    if let Some(port) = args.http {
        let config = HttpConfig { server_port: port, ..args.httpd() };
        servers.push(("http", routes::add(HttpServer::builder(config), args.routes).start()?));
    }
    let handles: Vec<_> = servers.iter().map(|(_, server)| server.handle()).collect();
    ctrlc::set_handler(move || handles.iter().for_each(ServerHandle::stop))?;
    for (scheme, server) in &servers {
        for addr in server.local_addrs() {
            let mut addr = *addr;
            if addr.ip().is_unspecified() {
                addr.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            println!("listening on {scheme}://{addr}");
        }
    }
    std::io::stdout().flush()?;

    servers.into_iter().try_for_each(|(_, server)| server.join())
}
