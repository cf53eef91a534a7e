//! What one TLS session costs: opens sessions, lets them wait for their next request, and divides the
//! memory that the server's process has grown by.
//!
//! ```text
//! cargo run --release --example memory
//! cargo run --release --example memory -- --sessions 2000
//! ```
//!
//! The clients are a process of their own, this program started once more, so that their memory is not
//! the server's.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use esp_https_server::*;
use examples::{CERT, CLIENT_CA, KEY};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn page(req: &mut Request) -> Result {
    req.respond().send("<h1>Hello Secure World!</h1>")
}

fn main() -> Result {
    let arguments: Vec<String> = env::args().collect();
    if let [_, mode, addr, count] = &arguments[..]
        && mode == "clients"
    {
        return clients(addr.parse()?, count.parse()?);
    }
    let sessions: usize = match &arguments[..] {
        [_, option, count] if option == "--sessions" => count.parse()?,
        _ => 1000,
    };
    let mut httpd = HttpConfig { workers: 1, max_open_sockets: 10_000, ..HttpConfig::default() };
    httpd.listen = vec![ListenAddr::Only(SocketAddr::from(([127, 0, 0, 1], 0)))];
    let config = HttpsConfig { httpd, ..HttpsConfig::new(TlsConfig::new(CERT, KEY)?) };
    let server = HttpsServer::builder(config).get("/", page).start()?;

    // The first ones fill pools and caches, which are not theirs.
    measure(&server, 100)?;
    let grown = measure(&server, sessions)?;
    println!("{sessions} idle sessions: {} bytes each", grown / sessions);
    server.stop_and_join()
}

/// How much the process grows by while so many clients are connected.
fn measure(server: &HttpServer, sessions: usize) -> Result<usize> {
    let before = private_memory()?;
    let mut clients = Command::new(env::current_exe()?)
        .args(["clients", &server.local_addr().to_string(), &sessions.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = [0];
    clients.stdout.as_mut().expect("it is piped").read_exact(&mut said)?;
    assert_eq!(server.clients().len(), sessions, "all of them are connected");
    // What only the opening of a session needed is given back when it has gone on for a while.
    thread::sleep(Duration::from_secs(1));
    let grown = private_memory()?.saturating_sub(before);
    // They leave when nobody listens to them any more.
    drop(clients.stdin.take());
    clients.wait()?;
    Ok(grown)
}

/// What the process has to itself, in bytes, without mapped files.
fn private_memory() -> Result<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: usize = kilobytes.expect("Linux says it").parse()?;
    Ok(kilobytes * 1024)
}

/// Connects so many clients, has each ask for the page once, and waits for the end of its input.
fn clients(addr: SocketAddr, count: usize) -> Result {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CLIENT_CA)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let mut connected = Vec::new();
    for _ in 0..count {
        let tls = ClientConnection::new(config.clone(), "localhost".try_into()?)?;
        let mut client = StreamOwned::new(tls, TcpStream::connect(addr)?);
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        assert!(client.read(&mut [0; 4096])? > 0, "a response");
        connected.push(client);
    }
    std::io::stdout().write_all(b"!")?;
    std::io::stdout().flush()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
