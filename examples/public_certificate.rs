//! A public certificate from nothing: proves to the authority by plain HTTP whose name this is, sends
//! everybody else to HTTPS, and takes up renewals without a restart.
//!
//! ```text
//! cargo build --release --example public_certificate
//! sudo target/release/examples/public_certificate \
//!     --certs /etc/letsencrypt/live/www.example.org --webroot /var/lib/acme
//! sudo certbot certonly --webroot --webroot-path /var/lib/acme --domain www.example.org
//! ```
//!
//! It wants a name that leads here from the internet, and the ports 80 and 443. The ACME client may
//! be started before or after it, and renews from then on by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Parser;
use esp_https_server::*;

/// HTTPS with a certificate that an ACME client gets and renews
#[derive(Parser)]
struct Args {
    /// The folder with fullchain.pem and privkey.pem
    #[arg(long)]
    certs: PathBuf,
    /// The folder in which the ACME client puts its proofs
    #[arg(long)]
    webroot: PathBuf,
    /// TCP port for plain HTTP; 0 takes a free one
    #[arg(long, default_value_t = 80)]
    http: u16,
    /// TCP port for HTTPS; 0 takes a free one
    #[arg(long, default_value_t = 443)]
    https: u16,
}

/// What the authority asks for, as the ACME client has written it.
fn challenge(webroot: &Path, req: &mut Request) -> Result {
    let token = req.param("token")?.into_owned();
    // The form of a token (RFC 8555, section 8.1): it can't lead out of the folder.
    let is_token = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let file = webroot.join(".well-known/acme-challenge").join(token);
    match is_token.then(|| fs::read(file)) {
        Some(Ok(proof)) => req.respond().content_type("text/plain").send(proof),
        _ => req.respond().status(Status::NOT_FOUND).send(""),
    }
}

fn load([cert, key]: &[PathBuf; 2]) -> Result<TlsConfig> {
    Ok(TlsConfig::new(fs::read(cert)?, fs::read(key)?)?)
}

fn page(req: &mut Request) -> Result {
    req.respond().content_type("text/html").send("<h1>Hello Secure World!</h1>")
}

fn main() -> Result {
    env_logger::init();
    let Args { certs, webroot, http, https } = Args::parse();
    let mut redirect = Redirect { https_port: https, ..Redirect::default() };
    redirect.httpd.server_port = http;
    let redirect = HttpsServer::redirect(redirect)
        .get("/.well-known/acme-challenge/{token}", move |req: &mut Request| {
            challenge(&webroot, req)
        })
        .start()?;
    println!("listening on http://127.0.0.1:{}", redirect.local_addr().port());

    // With the intermediate certificates: browsers may find what is missing, curl and devices don't.
    let files = ["fullchain.pem", "privkey.pem"].map(|name| certs.join(name));
    let tls = loop {
        match load(&files) {
            Ok(tls) => break tls,
            Err(error) => eprintln!("waiting for a certificate: {error}"),
        }
        thread::sleep(Duration::from_secs(1));
    };
    let every = Duration::from_secs(60);
    let _reload = ReloadOnChange::start(&tls, files.clone(), every, move || load(&files))?;
    // Browsers are to come by HTTPS only. Minutes to begin with: it can't be taken back.
    let hsts = Some(Duration::from_secs(300));
    let config = HttpsConfig { port: https, hsts, ..HttpsConfig::new(tls) };
    examples::run(HttpsServer::builder(config).get("/", page).start()?)
}
