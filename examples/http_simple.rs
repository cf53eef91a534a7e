//! Routes and queries, as in ESP-IDF's example `simple`. Try:
//!
//! ```text
//! curl 'http://localhost:8080/hello?name=J%C3%BCrgen'
//! curl http://localhost:8080/users/7/posts/42
//! curl --data 'are you there?' http://localhost:8080/echo
//! curl -X DELETE http://localhost:8080/any
//! curl --user ESP32:ESP32Webserver http://localhost:8080/basic_auth
//! curl -X PUT --data 0 http://localhost:8080/ctrl     # /hello and /echo are gone: 404
//! curl -X PUT --data 1 http://localhost:8080/ctrl     # and there again
//! ```

use esp_https_server::*;

/// Greets by the name in the query.
fn hello(req: &mut Request) -> Result {
    let name = req.query_param("name")?.unwrap_or("World".into()).into_owned();
    req.respond().content_type("text/plain; charset=utf-8").send(format!("Hello {name}!\n"))
}

/// Takes the parameters in its path.
fn post(req: &mut Request) -> Result {
    let text = format!("post {} of user {}\n", req.param("post")?, req.param("user")?);
    req.respond().content_type("text/plain; charset=utf-8").send(text)
}

/// Sends the body back.
fn echo(req: &mut Request) -> Result {
    let body = req.recv_all(4096)?;
    req.respond().content_type("application/octet-stream").send(body)
}

/// Answers whatever the method is.
fn any(req: &mut Request) -> Result {
    let text = format!("{} is fine with me\n", req.method().as_str());
    req.respond().content_type("text/plain").send(text)
}

/// Asks for a user and a password. Over plain HTTP anybody on the way can read them.
fn basic_auth(req: &mut Request) -> Result {
    match req.basic_auth() {
        Some(auth) if auth.matches("ESP32", "ESP32Webserver") => {
            req.respond().content_type("text/plain").send("you may come in\n")
        }
        _ => req.respond().ask_for_password("the rest"),
    }
}

/// Takes `/hello` and `/echo` away and brings them back, while the server runs.
fn ctrl(req: &mut Request) -> Result {
    let server = req.server();
    match &*req.recv_all(1)? {
        b"0" => {
            server.unregister_uri("/hello")?;
            server.unregister_uri("/echo")?;
        }
        _ => {
            server.register_uri_handler(UriHandler::new(Method::Get, "/hello", hello))?;
            server.register_uri_handler(UriHandler::new(Method::Post, "/echo", echo))?;
        }
    }
    req.respond().send("")
}

/// Says what is not there. The server's own page would do, too.
fn not_found(req: &mut Request, code: ErrorCode) -> Result {
    let text = format!("{} is not here (yet)\n", req.path());
    req.respond().status(code.status()).content_type("text/plain").send(text)
}

fn main() -> Result {
    let server_port = examples::http_port();
    let server = HttpServer::builder(HttpConfig { server_port, ..HttpConfig::default() })
        .get("/hello", hello)
        .get("/users/{user}/posts/{post}", post)
        .post("/echo", echo)
        .any("/any", any)
        .get("/basic_auth", basic_auth)
        .put("/ctrl", ctrl)
        .err_handler(ErrorCode::NotFound, not_found)
        .start()?;
    examples::run_http(server)
}
