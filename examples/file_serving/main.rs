//! Files of a directory: list, upload with progress, download, delete, as in ESP-IDF's example
//! `file_serving`. Whoever can reach it may do all of that: it is for a network you trust. Try: open
//! http://localhost:8080/ in a browser, or
//!
//! ```text
//! curl --data-binary @photo.jpg http://localhost:8080/upload/photo.jpg
//! curl -O http://localhost:8080/files/photo.jpg
//! curl -X POST http://localhost:8080/delete/photo.jpg
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::Parser;
use esp_https_server::*;
use serde_json::json;
use tempfile::NamedTempFile;

#[derive(Parser)]
struct Args {
    /// TCP port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where the files are; it is made if it is not there
    #[arg(long, default_value = "files")]
    dir: PathBuf,
    /// Most bytes of a file
    #[arg(long, value_name = "N", default_value_t = 1 << 30)]
    max_len: u64,
}

fn main() -> Result {
    env_logger::init();
    let args = Args::parse();
    fs::create_dir_all(&args.dir)?;
    let files = Files { dir: args.dir, max_len: args.max_len };
    let server =
        HttpServer::builder(HttpConfig { server_port: args.port, ..HttpConfig::default() })
            .global_user_ctx(files)
            .get("/", |req| req.respond().send(include_str!("page.html")))
            .get("/files", list)
            .get("/files/{name}", download)
            .post("/upload/{name}", upload)
            .post("/delete/{name}", delete)
            .start()?;
    examples::run_http(server)
}

struct Files {
    dir: PathBuf,
    max_len: u64,
}

/// What is there, as JSON; the page makes a table of it.
fn list(req: &mut Request) -> Result {
    let mut files = Vec::new();
    for entry in fs::read_dir(&files_of(req).dir)? {
        let entry = entry?;
        let (name, metadata) = (entry.file_name(), entry.metadata()?);
        if let Some(name) = name.to_str()
            && metadata.is_file()
            && is_file_name(name)
        {
            files.push(json!({ "name": name, "len": metadata.len() }));
        }
    }
    req.respond()
        .content_type("application/json")
        .header("Cache-Control", "no-store")
        .send(json!(files).to_string())
}

/// Sends a file, always as one to be saved: shown in here, what somebody has uploaded could act for
/// whoever looks at it.
fn download(req: &mut Request) -> Result {
    let mut file = File::open(stored(req)?).map_err(not_found)?;
    let len = file.metadata()?.len();
    let mut body = req
        .respond()
        .content_type("application/octet-stream")
        .header("Content-Disposition", "attachment")
        .header("X-Content-Type-Options", "nosniff")
        .sized(len)?;
    // As the file was when it was opened, should it grow meanwhile.
    io::copy(&mut io::Read::take(&mut file, len), &mut body)?;
    body.finish()
}

/// Receives a file next to its place and moves it there when it is whole: nobody ever sees a part.
fn upload(req: &mut Request) -> Result {
    let (path, max_len) = (path(req)?, files_of(req).max_len);
    if path.exists() {
        return Err(refused(Status::CONFLICT, "there is a file of that name"));
    }
    if matches!(req.body_len(), BodyLen::Length(len) if len > max_len) {
        return Err(too_long(max_len));
    }
    // Whatever ends this function early drops it, and with it what was received.
    let mut file = NamedTempFile::with_prefix_in(".upload-", &files_of(req).dir)?;
    if io::copy(&mut io::Read::take(&mut *req, max_len + 1), &mut file)? > max_len {
        return Err(too_long(max_len));
    }
    match file.persist_noclobber(path) {
        Ok(_) => req.respond().status(Status::CREATED).content_type("text/plain").send("stored\n"),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => {
            Err(refused(Status::CONFLICT, "somebody was faster with a file of that name"))
        }
        Err(failed) => Err(failed.error.into()),
    }
}

fn delete(req: &mut Request) -> Result {
    fs::remove_file(stored(req)?).map_err(not_found)?;
    req.respond().content_type("text/plain").send("deleted\n")
}

fn files_of<'r>(req: &'r Request) -> &'r Files {
    req.global_user_ctx().expect("main has set it")
}

/// As [`path`], if there is a file, and not a directory or a pipe that would be waited for.
fn stored(req: &Request) -> Result<PathBuf> {
    let path = path(req)?;
    match fs::metadata(&path).map_err(not_found)?.is_file() {
        true => Ok(path),
        false => Err(refused(Status::NOT_FOUND, "that is no file")),
    }
}

/// Where the file is that the request's path names.
fn path(req: &Request) -> Result<PathBuf> {
    let name = req.param("name")?;
    match is_file_name(&name) {
        true => Ok(Path::new(&files_of(req).dir).join(&*name)),
        false => Err(refused(Status::BAD_REQUEST, "that is no name for a file here")),
    }
}

/// Whether this names a file in the directory and nothing else: no way up or elsewhere, nothing
/// hidden, nothing that a terminal or another system would stumble over.
fn is_file_name(name: &str) -> bool {
    let is_plain = |letter: char| !letter.is_control() && !r#"/\:*?"<>|"#.contains(letter);
    (1..=200).contains(&name.len()) && !name.starts_with('.') && name.chars().all(is_plain)
}

fn not_found(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => refused(Status::NOT_FOUND, "there is no such file"),
        _ => error.into(),
    }
}

fn too_long(max_len: u64) -> Error {
    refused(Status::CONTENT_TOO_LARGE, &format!("a file has {max_len} bytes at most"))
}

fn refused(status: Status, why: &str) -> Error {
    Error::Refused(status, why.into())
}
