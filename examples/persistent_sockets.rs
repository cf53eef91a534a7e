//! A session with a context: every connection has a sum of its own, as in ESP-IDF's example
//! `persistent_sockets`. Try, in one connection:
//!
//! ```text
//! curl --data 5 http://localhost:8080/adder --next --data 7 http://localhost:8080/adder \
//!      --next http://localhost:8080/adder
//! ```

use esp_https_server::*;

/// What the session keeps from one request to the next. It is dropped when the client leaves.
#[derive(Default)]
struct Adder {
    sum: i64,
    visits: usize,
}

impl Drop for Adder {
    fn drop(&mut self) {
        println!("a client leaves with {} after {} visits", self.sum, self.visits);
    }
}

/// Adds the number in the body.
fn add(req: &mut Request) -> Result {
    let body = req.recv_all(20)?;
    let number = str::from_utf8(&body).ok().and_then(|text| text.trim().parse::<i64>().ok());
    let Some(number) = number else {
        return Err(Error::Refused(Status::BAD_REQUEST, "send a whole number".into()));
    };
    let adder = req.session_ctx_or_insert_with(Adder::default);
    adder.visits += 1;
    adder.sum = adder.sum.saturating_add(number);
    let sum = adder.sum;
    req.respond().content_type("text/plain").send(format!("{sum}\n"))
}

/// Says what the numbers of this connection add up to.
fn sum(req: &mut Request) -> Result {
    let sum = req.session_ctx::<Adder>().map_or(0, |adder| adder.sum);
    req.respond().content_type("text/plain").send(format!("{sum}\n"))
}

fn main() -> Result {
    let server_port = examples::http_port();
    let server = HttpServer::builder(HttpConfig { server_port, ..HttpConfig::default() })
        .post("/adder", add)
        .get("/adder", sum)
        .start()?;
    examples::run_http(server)
}
