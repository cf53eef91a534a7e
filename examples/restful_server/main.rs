//! A REST API with a small front end, as in ESP-IDF's example `restful_server`. Try: open
//! http://localhost:8080/ in a browser, or
//!
//! ```text
//! curl http://localhost:8080/api/v1/system/info
//! curl http://localhost:8080/api/v1/temp/raw
//! curl --json '{"red": 160, "green": 40, "blue": 0}' http://localhost:8080/api/v1/light/brightness
//! ```

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use esp_https_server::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The light that the API sets.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Light {
    red: u8,
    green: u8,
    blue: u8,
}

/// What the device is and does: one for all workers.
struct Device {
    started: Instant,
    light: Mutex<Light>,
}

fn system_info(req: &mut Request) -> Result {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let up = device(req).started.elapsed().as_secs();
    send_json(req, &json!({ "version": env!("CARGO_PKG_VERSION"), "cores": cores, "up": up }))
}

/// A thermometer that is not there.
fn temperature(req: &mut Request) -> Result {
    let minutes = device(req).started.elapsed().as_secs_f64() / 60.0;
    send_json(req, &json!({ "raw": 21.5 + 3.0 * (minutes * 7.0).sin() }))
}

fn light(req: &mut Request) -> Result {
    let light = *device(req).light.lock().expect("nobody panics with the lock");
    send_json(req, &light)
}

fn set_light(req: &mut Request) -> Result {
    let light: Light = recv_json(req)?;
    *device(req).light.lock().expect("nobody panics with the lock") = light;
    send_json(req, &light)
}

fn device<'r>(req: &'r Request) -> &'r Device {
    req.global_user_ctx().expect("main has set it")
}

fn send_json(req: &mut Request, value: &impl Serialize) -> Result {
    let json = serde_json::to_string(value)?;
    req.respond().content_type("application/json").header("Cache-Control", "no-store").send(json)
}

fn recv_json<T: for<'de> Deserialize<'de>>(req: &mut Request) -> Result<T> {
    let content_type = req.header("Content-Type").unwrap_or_default();
    if content_type.split(';').next().unwrap_or_default().trim() != "application/json" {
        let why = "this resource takes application/json";
        return Err(Error::Refused(Status::UNSUPPORTED_MEDIA_TYPE, why.into()));
    }
    let body = req.recv_all(1024)?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::Refused(Status::BAD_REQUEST, error.to_string()))
}

/// A file of the front end, from inside the program.
fn file(req: &mut Request, content_type: &str, content: &str) -> Result {
    req.respond().content_type(content_type).header("Cache-Control", "max-age=60").send(content)
}

fn main() -> Result {
    let server_port = examples::http_port();
    let device = Device { started: Instant::now(), light: Mutex::default() };
    let config = HttpConfig {
        server_port,
        recv_wait_timeout: Duration::from_secs(2),
        ..HttpConfig::default()
    };
    let server = HttpServer::builder(config)
        .global_user_ctx(device)
        .get("/api/v1/system/info", system_info)
        .get("/api/v1/temp/raw", temperature)
        .get("/api/v1/light/brightness", light)
        .post("/api/v1/light/brightness", set_light)
        .get("/", |req| file(req, "text/html; charset=utf-8", include_str!("front/index.html")))
        .get("/app.js", |req| file(req, "text/javascript", include_str!("front/app.js")))
        .get("/style.css", |req| file(req, "text/css", include_str!("front/style.css")))
        .start()?;
    examples::run_http(server)
}
