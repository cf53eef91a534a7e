//! One HTTPS page. Try: curl -k https://localhost:8443/

use esp_https_server::*;
use examples::{CERT, CLIENT_CA, KEY};

fn root(req: &mut Request) -> Result {
    req.respond().content_type("text/html").send("<h1>Hello Secure World!</h1>")
}

fn main() -> Result {
    let port = examples::port();
    let _errors = EventLoop::default_loop().on(|event: &HttpsEvent| match event {
        HttpsEvent::Connected(session) => println!("session {session} is up"),
        HttpsEvent::Error(error) => eprintln!("session failed: {error}"),
        _ => {}
    });
    let tls = TlsConfig::new(CERT, KEY)?.client_ca(CLIENT_CA, ClientAuth::Optional)?;
    let server = HttpsServer::builder(HttpsConfig { port, ..HttpsConfig::new(tls) })
        .get("/", root)
        .start()?;
    examples::run(server)
}
