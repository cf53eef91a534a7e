//! WebSocket echo over TLS that also greets every client every ten seconds, and pings it to see
//! whether it is still there. Try: open https://localhost:8443/ in a browser.

use std::thread;
use std::time::Duration;

use esp_https_server::*;
use examples::{CERT, KEY};

fn page(req: &mut Request) -> Result {
    req.respond().send(include_str!("wss_server.html"))
}

fn echo(ws: &mut WsRequest) -> Result {
    let message = ws.message(4096)?; // reassembled; pings are ponged, closes are answered
    ws.send(message)
}

fn main() -> Result {
    let port = examples::port();
    let tls = TlsConfig::new(CERT, KEY)?;
    let server = HttpsServer::builder(HttpsConfig { port, ..HttpsConfig::new(tls) })
        .get("/", page)
        .ws("/ws", echo)
        .ws_keep_alive(KeepAlive {
            ping_every: Duration::from_secs(5),
            close_after: Duration::from_secs(10),
        })
        .on_close(|session| println!("client {session} left"))
        .start()?;

    let handle = server.handle();
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(10));
            for client in handle.ws_clients() {
                client.send("Hello client").ok(); // queued, bounded; one that just left is no error
            }
        }
    });
    examples::run(server)
}
