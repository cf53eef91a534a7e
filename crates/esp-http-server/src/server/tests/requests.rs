//! Requests on one connection: pipelining, cuts, keep-alive, HEAD.

use super::support::*;
use crate::server::HttpConfig;
use crate::{Request, Result};

fn engine() -> Engine {
    Engine::new(HttpConfig::default(), |server| {
        server.get("/*", path).post("/echo", echo).any("/any", path)
    })
}

#[test]
fn a_page_is_served_and_the_connection_stays_open() {
    let client = engine().connect();
    for _ in 0..3 {
        client.send(get("/a"));
        client.expect(ok("/a"));
        client.expect_open();
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_in_one_write() {
    let client = engine().connect();
    let requests: String = (0..20).map(|number| get(&format!("/{number}"))).collect();
    client.send(requests);
    client.expect((0..20).map(|number| ok(&format!("/{number}"))).collect::<String>());
    assert_eq!(client.sends().len(), 1);
}

#[test]
fn a_body_between_pipelined_requests_is_not_taken_for_one() {
    let client = engine().connect();
    client.send([post("/echo", &get("/smuggled")), get("/after")].concat());
    client.expect([ok(&get("/smuggled")), ok("/after")].concat());
}

#[test]
fn one_busy_client_lets_others_be_served_in_between() {
    let log = Log::default();
    let noted = log.clone();
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/*", move |request: &mut Request| -> Result {
            noted.note(request.path());
            request.respond().send("")
        })
    });
    let (busy, other) = (engine.connect(), engine.connect());
    busy.put(get("/busy").repeat(500));
    other.put(get("/other"));
    engine.run();
    let order = log.take();
    assert_eq!(order.len(), 501);
    let position = order.iter().position(|path| path == "/other").unwrap();
    assert!(position <= 64, "served after {position} requests of somebody else");
    assert_eq!(busy.text().matches("200 OK").count(), 500);
}

#[test]
fn requests_split_at_every_byte_are_the_same_requests() {
    let stream = [
        get("/one?a=b"),
        post("/echo", "body"),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
            .into(),
        get("/two"),
    ]
    .concat();
    let expected = [ok("/one"), ok("body"), ok("abcde"), ok("/two")].concat();
    for split in 0..stream.len() {
        let client = engine().connect();
        client.send(&stream[..split]);
        client.send(&stream[split..]);
        client.expect(&expected);
        client.expect_open();
    }
    let engine = engine();
    let client = engine.connect();
    for byte in stream.as_bytes().chunks(1) {
        client.send(byte);
    }
    client.expect(&expected);
    let sipping = engine.connect_as(Peer { recv_len: 1, ..Peer::default() });
    sipping.send(&stream);
    sipping.expect(&expected);
}

#[test]
fn a_client_that_says_close_is_closed_after_its_answer() {
    let client = engine().connect();
    client.send(["GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", &get("/b")].concat());
    let body = client.expect_last("200 OK");
    assert_eq!(body, "/a", "nothing behind it is answered");
    // It has sent more than was read as requests.
    client.expect_lingering();
    client.finish();
    client.expect_closed();
}

#[test]
fn nothing_lingers_when_nothing_more_was_sent() {
    let client = engine().connect();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.expect_last("200 OK");
    client.expect_closed();
}

#[test]
fn http_1_0_closes_unless_it_says_keep_alive() {
    let client = engine().connect();
    client.send("GET /a HTTP/1.0\r\n\r\n");
    assert_eq!(client.expect_last("200 OK"), "/a");
    client.expect_closed();

    let client = engine().connect();
    for _ in 0..2 {
        client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let text = client.text();
        assert!(text.contains("\r\nConnection: keep-alive\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n/a"), "{text}");
        client.expect_open();
    }
}

#[test]
fn head_is_get_without_the_body() {
    let client = engine().connect();
    client.send(["HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n", &get("/b")].concat());
    let head = ok("/abc").replace("\r\n\r\n/abc", "\r\n\r\n");
    client.expect([head, ok("/b")].concat());
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    let client = engine().connect();
    client.send("\r\n");
    client.expect_nothing();
    client.send(get("/a"));
    client.expect(ok("/a"));
}

#[test]
fn a_client_that_finishes_after_its_requests_gets_its_answers() {
    let engine = engine();
    let client = engine.connect();
    client.put([get("/a"), get("/b")].concat());
    client.finish();
    client.expect([ok("/a"), ok("/b")].concat());
    client.expect_closed();
    assert_eq!(engine.open(), 0);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_head_leaves_nothing_behind() {
    let engine = engine();
    for leave in [Client::finish, Client::reset] {
        let client = engine.connect();
        client.send("GET /a HTTP/1.1\r\nHo");
        leave(&client);
        client.expect_nothing();
        client.expect_closed();
    }
    assert_eq!(engine.open(), 0);
    assert_eq!(engine.waits(), None);
}

#[test]
fn an_idle_session_holds_no_buffers_and_no_stack() {
    let (engine, stacks) = Engine::with_stacks(HttpConfig::default(), 9, |server| {
        server.get("/*", path).post("/echo", echo)
    });
    let clients: Vec<_> = (0..10).map(|_| engine.connect()).collect();
    assert_eq!(engine.lent(), 0);
    clients.iter().for_each(|client| client.send(get("/a")));
    assert_eq!(engine.lent(), 0);
    clients[0].send("GET /par");
    clients[1].send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1");
    assert_eq!(engine.lent(), 2);
    assert_eq!(stacks.load(std::sync::atomic::Ordering::Relaxed), 1);
    clients[0].send("tial HTTP/1.1\r\nHost: a\r\n\r\n");
    clients[1].send("2");
    assert_eq!(engine.lent(), 0);
    assert_eq!(stacks.load(std::sync::atomic::Ordering::Relaxed), 0);
}
