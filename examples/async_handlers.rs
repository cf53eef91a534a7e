//! Long work on other threads, while the server stays quick, as in ESP-IDF's example
//! `async_handlers`. Try, while the first one counts:
//!
//! ```text
//! curl -N http://localhost:8080/long
//! curl http://localhost:8080/quick
//! ```

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use esp_https_server::*;

/// As many long requests are worked on at once.
const WORKERS: usize = 2;

fn page(req: &mut Request) -> Result {
    req.respond().send(
        "<!doctype html><title>Async handlers</title>\
         <p><a href=/long>long</a> takes a minute, <a href=/quick>quick</a> does not.",
    )
}

/// Hands its request to a thread; this one goes on serving others.
fn long(req: &mut Request, queue: &SyncSender<DetachedRequest>) -> Result {
    match queue.try_send(req.detach()?) {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::Refused(Status::SERVICE_UNAVAILABLE, "all workers are busy".into())),
    }
}

fn quick(req: &mut Request) -> Result {
    req.respond().content_type("text/plain").send("that was quick\n")
}

/// One of the threads that do the long work.
fn work(requests: &Mutex<Receiver<DetachedRequest>>) {
    loop {
        let next = requests.lock().expect("nobody panics with the lock").recv();
        let Ok(request) = next else { return }; // The server has stopped.
        if let Err(error) = request.run(count) {
            println!("a client did not wait for the end: {error}");
        }
    }
}

/// Counts for a minute, in blocking calls that here are in nobody's way.
fn count(req: &mut Request) -> Result {
    let mut body = req.respond().content_type("text/plain").chunked()?;
    for second in 1..=60 {
        thread::sleep(Duration::from_secs(1));
        body.send(format!("{second}\n"))?;
        body.flush()?;
    }
    body.finish()
}

fn main() -> Result {
    let (queue, requests) = mpsc::sync_channel(WORKERS);
    let requests = Arc::new(Mutex::new(requests));
    for _ in 0..WORKERS {
        let requests = requests.clone();
        thread::spawn(move || work(&requests));
    }
    let server_port = examples::http_port();
    let server = HttpServer::builder(HttpConfig { server_port, ..HttpConfig::default() })
        .get("/", page)
        .get("/long", move |req| long(req, &queue))
        .get("/quick", quick)
        .start()?;
    examples::run_http(server)
}
