//! The routes of the testbed.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use esp_https_server::*;

use crate::exchanges;

/// Adds the routes to a server, whatever it speaks below HTTP, and so many more.
pub(crate) fn add<T: Transport>(server: ServerBuilder<T>, more: usize) -> ServerBuilder<T> {
    #[cfg(feature = "count-heap")]
    let server = server.get("/heap", crate::heap::in_use);
    (0..more)
        .fold(exchanges::add(server), |server, n| server.get(&format!("/route/{n}"), small_page))
        .get("/", small_page)
        .get("/1k", |req| send_bytes(req, 1 << 10))
        .get("/64k", |req| send_bytes(req, 64 << 10))
        .get("/1m", |req| send_bytes(req, 1 << 20))
        .post("/echo", echo)
        .post("/collect", |req| {
            let body = req.recv_all(1 << 20)?;
            req.respond().content_type("text/plain").send(format!("{} bytes\n", body.len()))
        })
        .get("/stream", stream)
        .get("/headers", headers)
        .get("/items/{item}/*", |req| {
            let text = format!("item {}\n", req.param("item")?);
            req.respond().content_type("text/plain; charset=utf-8").send(text)
        })
        .post("/routes/{name}", register)
        .delete("/routes/{name}", unregister)
        .get("/sleep", |req| {
            let millis = number(req, "ms")?;
            req.sleep(Duration::from_millis(millis))?;
            req.respond().content_type("text/plain").send(format!("slept {millis} ms\n"))
        })
        .get("/panic", |_| -> Result { panic!("as the client wished") })
        .ws("/ws", ws_echo)
        .uri_handler(UriHandler::ws("/ws-deflate", ws_echo).deflate(DeflateConfig::default()))
        .uri_handler(UriHandler::ws("/ws-context", ws_echo).deflate(with_context()))
        .uri_handler(
            UriHandler::ws("/ws-subprotocol", |ws| -> Result {
                ws.message(1 << 10)?;
                let name = ws.subprotocol().unwrap_or_default().to_owned();
                ws.send(name)
            })
            .subprotocols(["v2.example", "v1.example"]),
        )
        .ws("/ws-parts", ws_parts)
        .uri_handler(UriHandler::ws("/ws-parts-context", ws_parts).deflate(with_context()))
        .ws("/ws/broadcast", |ws| -> Result {
            let message = ws.message(64 << 10)?;
            ws.server().ws_broadcast_to("/ws/broadcast", message)
        })
        .post("/broadcast", broadcast)
}

fn small_page(req: &mut Request) -> Result {
    req.respond().content_type("text/html").send("<h1>Hello Secure World!</h1>")
}

fn ws_echo(ws: &mut WsRequest) -> Result {
    let message = ws.message(16 << 20)?;
    ws.send(message)
}

/// The best compression, which keeps a window per client and direction.
fn with_context() -> DeflateConfig {
    let mut config = DeflateConfig::default();
    config.server.context_takeover = ContextTakeover::On;
    config.client.context_takeover = ContextTakeover::On;
    config
}

/// Sends a message back as bytes while it comes, in parts of whatever length.
fn ws_parts(ws: &mut WsRequest) -> Result {
    let mut part = [0; 1000];
    let mut head = ws.frame_head()?;
    let mut message = ws.binary_fragments()?;
    loop {
        loop {
            match message.ws().recv(&mut part)? {
                0 => break,
                len => message.send(&part[..len])?,
            }
        }
        if head.fin {
            return message.finish();
        }
        head = message.ws().frame_head()?;
    }
}

/// Has `/{name}` answer with the body of this request from now on.
fn register(req: &mut Request) -> Result {
    let uri = format!("/{}", req.param_raw("name").unwrap_or_default());
    let body = req.recv_all(1 << 10)?;
    let answer = |req: &mut Request| -> Result {
        let body = req.user_ctx::<Vec<u8>>().cloned().unwrap_or_default();
        req.respond().content_type("text/plain").send(body)
    };
    req.server().register_uri_handler(UriHandler::new(Method::Get, &uri, answer).user_ctx(body))?;
    req.respond().status(Status::CREATED).send("")
}

/// Has nothing answer for `/{name}` any more.
fn unregister(req: &mut Request) -> Result {
    let uri = format!("/{}", req.param_raw("name").unwrap_or_default());
    match req.server().unregister_uri_handler(Method::Get, &uri) {
        Err(Error::NoHandler { .. }) => req.respond().status(Status::NOT_FOUND).send(""),
        result => result.and_then(|()| req.respond().status(Status::NO_CONTENT).send("")),
    }
}

/// Bytes that differ from their neighbours and from themselves 251 later, so that a test sees when
/// some are missing.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| (0..=250).cycle().take(1 << 20).collect());

/// Sends so many bytes, or the single range of them that is asked for (RFC 9110, section 14).
fn send_bytes(req: &mut Request, len: usize) -> Result {
    let bytes = &BYTES[..len];
    let range = req.header("Range").and_then(|value| single_range(value, len));
    let response = req.respond().content_type("application/octet-stream");
    let response = response.header("Accept-Ranges", "bytes");
    match range {
        None => response.send(bytes),
        Some(Some(range)) => response
            .status(Status::PARTIAL_CONTENT)
            .header("Content-Range", format!("bytes {}-{}/{len}", range.start, range.end - 1))
            .send(&bytes[range]),
        Some(None) => response
            .status(Status::RANGE_NOT_SATISFIABLE)
            .header("Content-Range", format!("bytes */{len}"))
            .send(""),
    }
}

/// The range in a `Range` field: `None` if the field is to be ignored, `Some(None)` if there is
/// nothing in that range.
fn single_range(value: &str, len: usize) -> Option<Option<Range<usize>>> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    // More digits than fit say: beyond the end.
    let number = |text: &str| text.parse().unwrap_or(usize::MAX);
    let range = match (first, last) {
        ("", "") => return None,
        ("", suffix_len) => len.saturating_sub(number(suffix_len))..len,
        (first, "") => number(first)..len,
        (first, last) if number(first) > number(last) => return None,
        (first, last) => number(first)..number(last).saturating_add(1).min(len),
    };
    Some((!range.is_empty()).then_some(range))
}

/// Sends the body back as it comes.
fn echo(req: &mut Request) -> Result {
    let content_type = req.header("Content-Type").unwrap_or("application/octet-stream").to_owned();
    let body_len = req.body_len();
    let mut piece = [0; 16 << 10];
    // Before the response begins: a client may wait for `100 Continue`, which is sent by the first
    // call to `recv`, and not behind a final status.
    let mut len = req.recv(&mut piece)?;
    let response = req.respond().content_type(&content_type);
    let mut body = match body_len {
        BodyLen::None => return response.send(""),
        BodyLen::Length(len) => response.sized(len)?,
        BodyLen::Chunked => response.chunked()?,
    };
    while len > 0 {
        body.send(&piece[..len])?;
        len = body.request().recv(&mut piece)?;
    }
    body.finish()
}

/// `?chunks=N&size=B`: so many chunks of so many bytes.
fn stream(req: &mut Request) -> Result {
    let chunks = number(req, "chunks")?;
    let chunk = bytes(req)?;
    let mut body = req.respond().content_type("application/octet-stream").chunked()?;
    for _ in 0..chunks {
        body.send(chunk)?;
    }
    body.finish()
}

/// `?size=B`: sends a message of so many bytes to all WebSocket clients of the server.
fn broadcast(req: &mut Request) -> Result {
    let message = bytes(req)?;
    req.server().ws_broadcast(message.to_vec())?;
    req.respond().content_type("text/plain").send("")
}

/// As many bytes as `?size=B` says.
fn bytes(req: &Request) -> Result<&'static [u8]> {
    let size = usize::try_from(number(req, "size")?).unwrap_or(usize::MAX);
    BYTES.get(..size).ok_or_else(|| {
        Error::Refused(Status::BAD_REQUEST, format!("size is {} at most", BYTES.len()))
    })
}

/// Lists the header fields of the request, one a line.
fn headers(req: &mut Request) -> Result {
    let mut list = String::new();
    for (name, value) in req.headers() {
        list += &format!("{name}: {}\n", String::from_utf8_lossy(value));
    }
    req.respond().content_type("text/plain; charset=utf-8").send(list)
}

/// A number from the query.
pub(crate) fn number(req: &Request, key: &str) -> Result<u64> {
    let value = req.query_value(key).unwrap_or_default();
    value.parse().map_err(|_| {
        Error::Refused(Status::BAD_REQUEST, format!("the query needs {key}=N, N a number"))
    })
}
