//! What the engine relies on in a [`Net`](crate::Net), and nothing more: one report for each
//! `WouldBlock`, whatever the sizes of reads and writes.

use super::support::*;
use super::ws::{BINARY, frame, frames, upgrade};
use crate::server::HttpConfig;
use crate::{Request, Result, WsRequest};

fn engine() -> Engine {
    Engine::new(HttpConfig::default(), |server| {
        server
            .post("/echo", |request: &mut Request| -> Result {
                let mut piece = [0; 4096];
                let mut body = request.respond().chunked()?;
                loop {
                    match body.request().recv(&mut piece)? {
                        0 => return body.finish(),
                        len => body.send(&piece[..len])?,
                    }
                }
            })
            .get("/sleep", |request: &mut Request| -> Result {
                request.sleep(secs(1))?;
                path(request)
            })
            .get("/*", path)
            .ws("/ws", |ws: &mut WsRequest| -> Result {
                let message = ws.message(1 << 20)?;
                ws.send(message)
            })
    })
}

#[test]
fn everything_arrives_whatever_the_sizes_of_reads_and_writes() {
    let body: String = (0..20_000).map(|number| format!("{number:05}")).collect();
    for recv_len in [7, 1000, usize::MAX] {
        for send_len in [13, 1000, usize::MAX] {
            for layered in [false, true] {
                let engine = engine();
                let peer = Peer { recv_len, send_len, window: 0, layered, ..Peer::default() };
                let client = engine.connect_as(peer);
                client.send([post("/echo", &body), get("/next")].concat());
                let mut text = String::new();
                for _ in 0..40 {
                    client.take(30_000);
                    text += &client.text();
                }
                assert!(
                    text.ends_with(&["0\r\n\r\n", &ok("/next")].concat()),
                    "{recv_len} {send_len}"
                );
                assert!(unchunked(&text) == body, "{recv_len} {send_len}");
                client.expect_open();
                assert_eq!(engine.lent(), 0);
            }
        }
    }
}

/// The data of the chunked body that `text` has.
fn unchunked(text: &str) -> String {
    let mut rest = text.split_once("\r\n\r\n").unwrap().1;
    let mut body = String::new();
    loop {
        let (len, data) = rest.split_once("\r\n").unwrap();
        let len = usize::from_str_radix(len, 16).unwrap();
        if len == 0 {
            return body;
        }
        body += &data[..len];
        rest = &data[len + 2..];
    }
}

#[test]
fn large_messages_pass_in_both_directions_at_any_size_of_reads_and_writes() {
    for (recv_len, send_len, layered) in [(11, 17, false), (5000, 3000, true)] {
        let engine = engine();
        let client = engine.connect_as(Peer { recv_len, send_len, layered, ..Peer::default() });
        upgrade(&client, "/ws");
        let message: Vec<_> = (0..200_000_u32).map(|number| number as u8).collect();
        client.send(frame(BINARY, &message));
        assert!(frames(&client.received()) == [(BINARY, message)]);
    }
}

#[test]
fn requests_that_arrive_during_a_sleep_are_served_without_another_report() {
    let engine = engine();
    let client = engine.connect();
    client.send(get("/sleep"));
    client.send(get("/x").repeat(1000));
    engine.advance(secs(1));
    assert_eq!(client.text().matches("200 OK").count(), 1001);
}

#[test]
fn pipelined_requests_behind_a_full_buffer_are_served_when_the_peer_reads() {
    let engine = engine();
    let client = engine.connect_as(Peer { window: 0, ..Peer::default() });
    client.send(get(&format!("/{}", "x".repeat(1000))).repeat(300));
    let mut count = 0;
    for _ in 0..100 {
        client.take(10_000);
        count += client.text().matches("200 OK").count();
    }
    assert_eq!(count, 300);
    assert_eq!(engine.lent(), 0);
}

#[test]
fn a_report_without_a_reason_is_harmless_in_every_phase() {
    let engine = engine();
    let clients: Vec<_> = (0..6).map(|_| engine.connect()).collect();
    clients[1].send("GET / HT");
    clients[2].send(get("/sleep"));
    clients[3].send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    upgrade(&clients[4], "/ws");
    clients[5].send("bad\r\n");
    for client in &clients {
        for _ in 0..3 {
            client.put("");
            engine.report_everything();
        }
    }
    clients[5].expect_lingering();
    clients[..5].iter().for_each(Client::expect_open);
    clients[3].send("hello");
    assert!(clients[3].text().ends_with("hello\r\n0\r\n\r\n"));
}
