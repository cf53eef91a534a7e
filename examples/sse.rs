//! Server-sent events: the page shows what the server says, as it says it. Try: open
//! http://localhost:8080/ in a browser, or curl -N http://localhost:8080/sse

use std::time::{Duration, Instant};

use esp_https_server::*;

fn page(req: &mut Request) -> Result {
    req.respond().send(include_str!("sse.html"))
}

/// Tells the time since the start, every second until the client leaves. Each stream is a handler
/// that sleeps, which holds up nobody.
fn events(req: &mut Request, start: Instant) -> Result {
    // A browser that lost its connection says which event it has seen last.
    let seen = req.header("Last-Event-ID").and_then(|id| id.parse::<u32>().ok());
    let mut events = req.respond().event_stream()?;
    for number in seen.map_or(0, u64::from) + 1.. {
        let up = start.elapsed().as_secs();
        let (id, text) = (number.to_string(), format!("up for {up} s"));
        events.send(StreamEvent::new().id(&id).data(&text))?;
        events.request().sleep(Duration::from_secs(1))?;
    }
    events.finish()
}

fn main() -> Result {
    let start = Instant::now();
    let server_port = examples::http_port();
    let server = HttpServer::builder(HttpConfig { server_port, ..HttpConfig::default() })
        .get("/", page)
        .get("/sse", move |req| events(req, start))
        .start()?;
    examples::run_http(server)
}
