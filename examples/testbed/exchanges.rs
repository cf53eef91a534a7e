//! Routes for every kind of request and response: what the server decodes, and what it encodes.

use esp_https_server::*;

use crate::routes::number;

/// Adds the routes to a server.
pub(crate) fn add<T: Transport>(server: ServerBuilder<T>) -> ServerBuilder<T> {
    server
        .get("/query", |req| {
            let value = req.query_param("q")?.unwrap_or_default().into_owned();
            req.respond().content_type(TEXT).send(value)
        })
        .get("/cookies", |req| {
            let list = list(req.cookies());
            req.respond().content_type(TEXT).send(list)
        })
        .post("/form", |req| {
            let form = req.form(64 << 10)?;
            req.respond().content_type(TEXT).send(list(form.pairs()))
        })
        .post("/trailers", |req| {
            req.recv_all(64 << 10)?;
            let text = |value| core::str::from_utf8(value).unwrap_or_default();
            let list = list(req.trailers().map(|(name, value)| (name, text(value))));
            req.respond().content_type(TEXT).send(list)
        })
        .get("/trailers", |req| {
            let mut chunks =
                req.respond().content_type(TEXT).header("Trailer", "X-Sum").chunked()?;
            chunks.send("1 + 1")?;
            chunks.finish_with_trailers([("X-Sum", "2")])
        })
        .get("/redirect", |req| {
            req.respond().header("Set-Cookie", "seen=yes").redirect(Status::SEE_OTHER, "/cookies")
        })
        .get("/teapot", |req| {
            req.respond().send_custom_err("418 I'm a teapot", "short and stout\n")
        })
        .get("/hints", |req| {
            let link = "</style.css>; rel=preload; as=style";
            req.respond().status(Status::EARLY_HINTS).header("Link", link).interim()?;
            req.respond().send("<h1>hinted</h1>")
        })
        .get("/raw", |req| {
            let mut raw = req.raw_response()?;
            raw.send("HTTP/1.1 200 As Is\r\nContent-Length: 4\r\n\r\nraw\n")?;
            raw.finish()
        })
        .get("/not-modified", |req| {
            req.respond().status(Status::NOT_MODIFIED).header("ETag", "\"1\"").send("")
        })
        .get("/events", events)
}

const TEXT: &str = "text/plain; charset=utf-8";

/// One pair a line.
fn list<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> String {
    pairs.map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// `?count=N`: so many events in two lines each, numbered on from where the client has lost its
/// connection. Every time that it comes it gets one; when it has had all, it is sent away for good.
fn events(req: &mut Request) -> Result {
    let count = number(req, "count")?;
    let last: u64 = req.header("Last-Event-ID").and_then(|id| id.parse().ok()).unwrap_or(0);
    if last >= count {
        return req.respond().status(Status::NO_CONTENT).send("");
    }
    let (id, data) = ((last + 1).to_string(), format!("event {}\nof {count}", last + 1));
    let mut events = req.respond().event_stream()?;
    events.comment("hello")?;
    let event = StreamEvent::new().name("count").id(&id).data(&data);
    events.send(event.retry(std::time::Duration::from_millis(10)))?;
    events.finish()
}
