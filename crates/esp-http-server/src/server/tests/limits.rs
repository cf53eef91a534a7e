//! Every limit, one below it, at it, and one above; the bytes at once and one at a time.

use super::support::*;
use crate::proto::body::Limits;
use crate::server::{HandlerMode, HttpConfig};
use crate::{ErrorCode, Request, Result};

fn engine(config: HttpConfig) -> Engine {
    Engine::new(config, |server| {
        server
            .get("/*", path)
            .post("/unread", |request: &mut Request| -> Result { request.respond().send("") })
    })
}

#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    Bytes,
}

/// What the client gets for these bytes; it stops when the server closes.
fn answer(engine: &Engine, bytes: &str, cut: Cut) -> (Client, String) {
    let client = engine.connect();
    match cut {
        Cut::Whole => client.send(bytes),
        Cut::Bytes => bytes.as_bytes().chunks(1).for_each(|byte| client.send(byte)),
    }
    let text = client.text();
    (client, text)
}

/// With the limit at `limit`, requests of one less and just as much are served, one more gets `code`.
fn holds(engine: &Engine, limit: usize, code: ErrorCode, request: impl Fn(usize) -> String) {
    let refused = format!("HTTP/1.1 {} ", code.status().code());
    for cut in [Cut::Whole, Cut::Bytes] {
        for amount in [limit - 1, limit] {
            let (client, text) = answer(engine, &request(amount), cut);
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{amount} {cut:?}: {text}");
            client.expect_open();
        }
        let (client, text) = answer(engine, &request(limit + 1), cut);
        assert!(text.starts_with(&refused), "{cut:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
        client.expect_lingering();
    }
}

#[test]
fn bytes_of_a_head() {
    let engine = engine(HttpConfig { max_req_hdr_len: 300, ..HttpConfig::default() });
    let frame = "GET /a HTTP/1.1\r\nHost: a\r\nCookie: \r\n\r\n".len();
    holds(&engine, 300, ErrorCode::HeaderFieldsTooLarge, |len| {
        let head = get("/a")
            .replace("\r\n\r\n", &format!("\r\nCookie: {}\r\n\r\n", "c".repeat(len - frame)));
        assert_eq!(head.len(), len);
        head
    });
}

#[test]
fn fields_of_a_head() {
    let engine = engine(HttpConfig { max_req_hdr_fields: 10, ..HttpConfig::default() });
    holds(&engine, 10, ErrorCode::HeaderFieldsTooLarge, |count| {
        // One of them is `Host`.
        get("/a").replace("\r\n\r\n", &("\r\nA: b".repeat(count - 1) + "\r\n\r\n"))
    });
}

#[test]
fn bytes_of_a_uri() {
    let engine = engine(HttpConfig { max_uri_len: 100, ..HttpConfig::default() });
    holds(&engine, 100, ErrorCode::UriTooLong, |len| get(&("/".to_owned() + &"u".repeat(len - 1))));
}

#[test]
fn a_browser_with_many_cookies_is_served_by_default() {
    // As many as browsers keep for a domain (RFC 6265, section 6.1, wants 50 of them).
    let cookies: Vec<_> =
        (0..180).map(|number| format!("session-{number:03}={}", "x".repeat(148))).collect();
    assert!(cookies.iter().all(|cookie| cookie.len() == 160));
    let engine = Engine::new(HttpConfig::default(), |server| {
        server.get("/", |request: &mut Request| -> Result {
            let len = request.header("cookie").map_or(0, str::len);
            request.respond().send(len.to_string())
        })
    });
    let fields = [
        "Connection: keep-alive",
        "Cache-Control: max-age=0",
        r#"sec-ch-ua: "Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99""#,
        "sec-ch-ua-mobile: ?0",
        r#"sec-ch-ua-platform: "Linux""#,
        "Upgrade-Insecure-Requests: 1",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/130.0.0.0 Safari/537.36",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
         image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-User: ?1",
        "Sec-Fetch-Dest: document",
        &format!("Referer: https://example.org/{}", "page/".repeat(200)),
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
        &format!("Cookie: {}", cookies.join("; ")),
    ];
    let request = format!("GET / HTTP/1.1\r\nHost: example.org\r\n{}\r\n\r\n", fields.join("\r\n"));
    for cut in [Cut::Whole, Cut::Bytes] {
        let (_, text) = answer(&engine, &request, cut);
        assert_eq!(text, ok(&(180 * 160 + 179 * 2).to_string()));
    }
}

#[test]
fn bytes_of_an_unread_body() {
    let engine = engine(HttpConfig { purge_len: 100, ..HttpConfig::default() });
    for cut in [Cut::Whole, Cut::Bytes] {
        for len in [99, 100] {
            let requests = [post("/unread", &"x".repeat(len)), get("/a")].concat();
            let (client, text) = answer(&engine, &requests, cut);
            assert_eq!(text, [ok(""), ok("/a")].concat(), "{len} {cut:?}");
            client.expect_open();
        }
        let requests = [post("/unread", &"x".repeat(101)), get("/a")].concat();
        let (client, text) = answer(&engine, &requests, cut);
        assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
        client.expect_lingering();
    }
}

#[test]
fn bytes_of_an_unread_chunked_body() {
    let engine = engine(HttpConfig { purge_len: 100, ..HttpConfig::default() });
    // Chunk heads and ends count as well: they are read and dropped like the data.
    let framing = "50\r\n\r\n0\r\n\r\n".len();
    for cut in [Cut::Whole, Cut::Bytes] {
        for (len, answers) in [(99, 2), (100, 2), (101, 1)] {
            let data = "x".repeat(len - framing);
            let body = format!("{:x}\r\n{data}\r\n0\r\n\r\n", data.len());
            assert_eq!(body.len(), len);
            let head = "POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            let (client, text) = answer(&engine, &[head, &body, &get("/a")].concat(), cut);
            assert_eq!(text.matches("HTTP/1.1 200").count(), answers, "{len} {cut:?}: {text}");
            match (answers, cut) {
                (2, _) => client.expect_open(),
                (_, Cut::Whole) => client.expect_lingering(),
                (_, Cut::Bytes) => client.expect_closed(),
            }
        }
    }
}

/// With a limit of 100 on what `body` makes of an amount, one less and just as much is read, and one
/// more gets `code`, whether the handler reads the body or the server drops it.
fn body_holds(config: HttpConfig, code: ErrorCode, body: impl Fn(usize) -> String) {
    let engine = Engine::new(config, |server| {
        server
            .get("/a", path)
            .post("/echo", echo)
            .post("/unread", |request: &mut Request| -> Result { request.respond().send("") })
    });
    let head =
        |path| format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for cut in [Cut::Whole, Cut::Bytes] {
        for path in ["/echo", "/unread"] {
            for amount in [99, 100] {
                let requests =
                    [&head(path), &body(amount), &get("/a")].map(String::as_str).concat();
                let (client, text) = answer(&engine, &requests, cut);
                assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 2, "{amount} {cut:?}: {text}");
                client.expect_open();
            }
            let requests = [&head(path), &body(101), &get("/a")].map(String::as_str).concat();
            let (_, text) = answer(&engine, &requests, cut);
            let status = if path == "/echo" { code.status().code() } else { 200 };
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{cut:?}: {text}");
            assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
        }
    }
}

#[test]
fn bytes_of_a_chunk_line() {
    let config = HttpConfig { max_chunk_line_len: 100, ..HttpConfig::default() };
    body_holds(config, ErrorCode::BadRequest, |len| {
        format!("2;{}\r\nhi\r\n0\r\n\r\n", "e".repeat(len - 2))
    });
}

#[test]
fn bytes_of_chunk_framing_beyond_what_is_fair() {
    let config = HttpConfig { max_chunk_excess_len: 100, ..HttpConfig::default() };
    body_holds(config, ErrorCode::BadRequest, |len| {
        // A chunk of one byte may have 18 bytes of framing, and this has six without the extension.
        let chunk = |excess_len| format!("1;{}\r\nx\r\n", "e".repeat(18 - 6 + excess_len));
        [chunk(50), chunk(len - 50), "0\r\n\r\n".into()].concat()
    });
}

#[test]
fn bytes_of_trailers() {
    let config = HttpConfig { max_trailers_len: 100, ..HttpConfig::default() };
    body_holds(config, ErrorCode::HeaderFieldsTooLarge, |len| {
        format!("2\r\nhi\r\n0\r\nA: {}\r\n\r\n", "t".repeat(len - "A: \r\n".len()))
    });
}

#[test]
fn fields_of_trailers() {
    let config = HttpConfig { max_trailer_fields: 100, ..HttpConfig::default() };
    body_holds(config, ErrorCode::HeaderFieldsTooLarge, |count| {
        format!("2\r\nhi\r\n0\r\n{}\r\n", "A: b\r\n".repeat(count))
    });
}

#[test]
fn requests_of_one_connection() {
    let engine = engine(HttpConfig { max_requests_per_session: 3, ..HttpConfig::default() });
    for cut in [Cut::Whole, Cut::Bytes] {
        let (client, text) = answer(&engine, &get("/a").repeat(2), cut);
        assert_eq!(text, ok("/a").repeat(2));
        client.expect_open();
        client.send(get("/a"));
        assert_eq!(client.expect_last("200 OK"), "/a");
        client.expect_closed();
        // What comes behind the last one is not answered.
        let (client, text) = answer(&engine, &get("/a").repeat(4), cut);
        assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3);
        assert_eq!(text.matches("Connection: close").count(), 1);
        match cut {
            Cut::Whole => client.expect_lingering(),
            Cut::Bytes => client.expect_closed(),
        }
    }
    // Whatever the answer is.
    let (client, text) =
        answer(&engine, &[get("/a"), post("/a", ""), post("/a", "")].concat(), Cut::Whole);
    assert!(text.ends_with(ErrorCode::MethodNotAllowed.default_text()), "{text}");
    assert_eq!(text.matches("Connection: close").count(), 1);
    client.expect_closed();
}

#[test]
fn one_request_of_one_connection() {
    let engine = engine(HttpConfig { max_requests_per_session: 1, ..HttpConfig::default() });
    let client = engine.connect();
    client.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.expect_last("200 OK"), "/a");
    client.expect_closed();
}

#[test]
fn sessions_that_are_open() {
    for lru_purge_enable in [false, true] {
        let engine =
            engine(HttpConfig { max_open_sockets: 3, lru_purge_enable, ..HttpConfig::default() });
        let clients: [Client; 3] = core::array::from_fn(|before| {
            assert_eq!((engine.open(), engine.backlog()), (before, 0));
            engine.connect()
        });
        clients.iter().for_each(Client::expect_open);
        assert_eq!((engine.open(), engine.backlog()), (3, 0));
        let more = engine.connect();
        assert_eq!(engine.open(), 3);
        assert_eq!(engine.backlog(), usize::from(!lru_purge_enable));
        assert_eq!(clients[0].is_closed(), lru_purge_enable);
        more.send(get("/a"));
        more.expect(if lru_purge_enable { ok("/a") } else { String::new() });
    }
}

/// In every phase in which it is being served.
#[test]
fn no_session_that_is_being_served_is_closed_for_another() {
    let config = HttpConfig {
        max_open_sockets: 5,
        handler_mode: HandlerMode::Serial,
        recv_wait_timeout: secs(60),
        purge_timeout: secs(60),
        send_wait_timeout: secs(60),
        ..HttpConfig::default()
    };
    let engine = Engine::new(config, |server| {
        server
            .get("/*", path)
            .get("/big", |request: &mut Request| -> Result {
                request.respond().send("x".repeat(30_000))
            })
            .post("/unread", |request: &mut Request| -> Result { request.respond().send("") })
            .post("/echo", echo)
            .err_handler(ErrorCode::MethodNotAllowed, |request: &mut Request, _| echo(request))
    });
    let draining = engine.connect();
    draining.send("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    draining.expect(ok(""));
    let reading = engine.connect_as(Peer { window: 0, ..Peer::default() });
    reading.send(get("/big"));
    let last_bytes = engine.connect_as(Peer { window: 0, ..Peer::default() });
    last_bytes.send("GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let failing = engine.connect();
    failing.send("PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    let queued = engine.connect();
    queued.send(post("/echo", "echo"));
    let next = engine.connect();
    next.send(get("/next"));
    assert_eq!((engine.open(), engine.backlog()), (5, 1));
    assert!(engine.waits().unwrap() > secs(1), "it asks for no turn: {:?}", engine.waits());
    engine.advance(secs(20));
    assert_eq!(engine.backlog(), 1);
    // Its handler ends, and all who waited for something get it.
    failing.send("body");
    queued.expect(ok("echo"));
    next.expect(ok("/next"));
    assert_eq!(engine.backlog(), 0);
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = HttpConfig::default();
    let limits =
        [config.max_req_hdr_len, config.max_req_hdr_fields, config.max_uri_len, config.purge_len];
    assert_eq!(limits, [32_768, 100, 2048, 65_536]);
    assert_eq!(config.body_limits(), Limits::default(), "those of the decoder");
    assert_eq!((config.max_open_sockets, config.max_requests_per_session), (1024, usize::MAX));
    assert_eq!(config.max_sessions_per_addr, usize::MAX);
    assert_eq!((config.recv_buffer_len, config.send_buffer_len), (65_536, 65_536));
    assert_eq!((config.buffer_memory_of(1), config.buffer_memory_of(2)), (1 << 26, 1 << 25));
    let small = HttpConfig { max_open_sockets: 7, ..HttpConfig::default() };
    assert_eq!(small.buffer_memory_of(1), 1 << 20);
    assert_eq!((config.max_uri_handlers, config.stack_size), (usize::MAX, 262_144));
    assert_eq!((config.work_queue_len, config.ws_queue_len), (1024, 65_536));
    assert_eq!((config.server_port, config.backlog_conn, config.workers), (80, 1024, 0));
    assert!(config.lru_purge_enable && config.listen.is_empty());
    assert!(!config.keep_alive_enable && !config.enable_so_linger);
    let probes = (config.keep_alive_idle, config.keep_alive_interval, config.keep_alive_count);
    assert_eq!(probes, (secs(5), secs(5), 3), "upstream's");
    let timeouts = [
        config.handshake_timeout,
        config.head_timeout,
        config.queue_timeout,
        config.recv_wait_timeout,
        config.purge_timeout,
        config.send_wait_timeout,
        config.idle_timeout,
        config.linger_timeout,
        config.stop_timeout,
    ];
    assert_eq!(timeouts, [10, 10, 30, 5, 5, 5, 60, 2, 5].map(secs));
    assert_eq!((config.recv_min_rate, config.send_min_rate), (128, 128));
    assert_eq!(config.max_requests_per_turn, 32);
    assert_eq!((config.max_ws_fragments, config.ws_control_frames_per_sec), (8192, 32));
}
