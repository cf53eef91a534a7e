//! WebSockets over TLS: echo, messages to everybody, pings, and a page that shows who is connected
//! while they come and go. Try: open https://localhost:8443/ in two windows of a browser.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use esp_https_server::*;
use examples::{CERT, KEY};

/// What happens to the clients of `/ws`.
enum News {
    Came(SessionId),
    Left(SessionId),
    /// Somebody wants to know who is there.
    Asked,
}

fn page(req: &mut Request) -> Result {
    req.respond().send(include_str!("wss_server.html"))
}

/// Sends a message back, or to everybody if it says so.
fn talk(ws: &mut WsRequest) -> Result {
    let message = ws.message(4096)?; // reassembled; pings are ponged, closes are answered
    match message {
        Message::Text(text) if text.starts_with("all: ") => {
            ws.server().ws_broadcast_to("/ws", text)
        }
        message => ws.send(message),
    }
}

/// Tells the clients of `/clients` who is there whenever that changes.
fn tell(news: mpsc::Receiver<News>, server: &ServerHandle) {
    let mut clients = BTreeSet::new();
    for event in news {
        match event {
            News::Came(client) => drop(clients.insert(client)),
            News::Left(client) => drop(clients.remove(&client)),
            News::Asked => {}
        }
        let list: Vec<String> = clients.iter().map(SessionId::to_string).collect();
        server.ws_broadcast_to("/clients", list.join(" ")).ok(); // encoded once
    }
}

fn main() -> Result {
    let port = examples::port();
    let tls = TlsConfig::new(CERT, KEY)?;
    let (came, news) = mpsc::channel();
    let (left, asked) = (came.clone(), came.clone());
    let talk = UriHandler::ws("/ws", talk)
        .deflate(DeflateConfig::default())
        .ws_post_handshake(move |ws| came.send(News::Came(ws.session())));
    let clients = UriHandler::ws("/clients", |ws| ws.message(0).map(drop))
        .ws_post_handshake(move |_| asked.send(News::Asked));
    let server = HttpsServer::builder(HttpsConfig { port, ..HttpsConfig::new(tls) })
        .get("/", page)
        .uri_handler(talk)
        .uri_handler(clients)
        .ws_keep_alive(KeepAlive {
            ping_every: Duration::from_secs(5),
            close_after: Duration::from_secs(10),
        })
        .on_ws_close(move |client, closed| {
            println!("client {client} left: {:?}", closed.by);
            left.send(News::Left(client)).ok();
        })
        .start()?;

    let handle = server.handle();
    thread::spawn(move || tell(news, &handle));
    let handle = server.handle();
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(10));
            handle.ws_broadcast_to("/ws", "Hello client").ok();
        }
    });
    examples::run(server)
}
