//! A page that knows who you are: every client must have a certificate, and sees on the page what is
//! in it.
//!
//! ```text
//! cargo run --release --example mutual_tls
//! curl --cacert examples/certs/ca.pem --cert examples/certs/client.pem \
//!      --key examples/certs/client.key https://localhost:8443/
//! ```
//!
//! Without `--cert`, curl is refused in the handshake, and no handler hears of it. With certificates
//! of your own (`cargo run -p make-certs -- --out certs`), give the server
//! `--cert certs/server.pem --key certs/server.key --client-ca certs/ca.pem`.

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use esp_https_server::*;

/// A page that knows its clients by their certificates
#[derive(Parser)]
struct Args {
    /// TCP port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8443)]
    port: u16,
    /// The server's certificate, PEM
    #[arg(long, default_value = "examples/certs/server.pem")]
    cert: PathBuf,
    /// Its private key, PEM
    #[arg(long, default_value = "examples/certs/server.key")]
    key: PathBuf,
    /// The authorities that clients' certificates are of, PEM
    #[arg(long, default_value = "examples/certs/ca.pem")]
    client_ca: PathBuf,
}

fn who(req: &mut Request) -> Result {
    let identity = req.tls().and_then(TlsInfo::identity);
    let identity = identity.expect("nobody comes here without a certificate");
    let names: Vec<_> = identity.dns_names().collect();
    let page = format!(
        "subject: {}\nother names: {}\nissuer: {}\nserial: {}\nvalid until: {} s after 1970\n\
         SHA-256: {}\n",
        identity.subject,
        names.join(", "),
        identity.issuer,
        identity.serial_hex(),
        identity.not_after.as_secs(),
        identity.fingerprint_hex(),
    );
    // As text: what is in a certificate is the client's, and no HTML of ours.
    req.respond().content_type("text/plain; charset=utf-8").send(page)
}

fn main() -> Result {
    env_logger::init();
    let args = Args::parse();
    let tls = TlsConfig::new(fs::read(args.cert)?, fs::read(args.key)?)?
        .client_ca(fs::read(args.client_ca)?, ClientAuth::Required)?;
    let user_cb = UserCallback::new(|event| match event {
        UserCallbackEvent::SessionCreate(session) => {
            let identity = session.tls.and_then(TlsInfo::identity);
            println!("session {}: {}", session.session, identity.map_or("?", |it| &it.subject));
        }
        UserCallbackEvent::SessionClose(session) => println!("session {} ends", session.session),
        UserCallbackEvent::SessionError(error) => println!("refused: {error}"),
        _ => {}
    });
    let config = HttpsConfig { port: args.port, user_cb: Some(user_cb), ..HttpsConfig::new(tls) };
    examples::run(HttpsServer::builder(config).get("/", who).start()?)
}
