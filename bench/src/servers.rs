//! How each server is started: the same pages, the same certificate, one worker, nothing logged.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::programs::{self, Programs};
use crate::tools::Tool;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// The testbed: the server of this project.
    Ours,
    /// axum over hyper, rustls.
    Axum,
    /// actix-web, rustls.
    Actix,
    /// nginx, OpenSSL.
    Nginx,
    /// h2o, OpenSSL.
    H2o,
    /// An epoll loop over rustls' unbuffered interface that only answers.
    Bare,
    /// The same over the buffered interface.
    BareBuffered,
}

/// What a server can do beyond pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    Pages,
    WebSocket,
}

/// How a server is to run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Launch {
    /// Plain HTTP on this port.
    pub(crate) http: Option<u16>,
    /// HTTPS on this port.
    pub(crate) https: Option<u16>,
    /// Whether clients may resume their TLS sessions.
    pub(crate) session_tickets: bool,
    /// So many workers instead of one. Only ours.
    pub(crate) workers: Option<usize>,
    /// So many routes more. Only ours.
    pub(crate) routes: Option<usize>,
}

impl Server {
    pub(crate) const ALL: [Self; 7] = [
        Self::Ours,
        Self::Axum,
        Self::Actix,
        Self::Nginx,
        Self::H2o,
        Self::Bare,
        Self::BareBuffered,
    ];

    /// As in tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Axum => "axum",
            Self::Actix => "actix",
            Self::Nginx => "nginx",
            Self::H2o => "h2o",
            Self::Bare => "bare",
            Self::BareBuffered => "bare-buffered",
        }
    }

    /// Whether it is one of those to be faster than; the bare loops are no servers.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::Axum | Self::Actix | Self::Nginx | Self::H2o)
    }

    pub(crate) fn can(self, ability: Ability) -> bool {
        match ability {
            Ability::Pages => true,
            Ability::WebSocket => matches!(self, Self::Ours | Self::Axum | Self::Actix),
        }
    }

    /// Whether it is a program of this workspace.
    pub(crate) fn is_built(self) -> bool {
        matches!(self, Self::Axum | Self::Actix | Self::Bare | Self::BareBuffered)
    }

    /// The program of others that it is.
    pub(crate) fn tool(self) -> Option<Tool> {
        match self {
            Self::Nginx => Some(Tool::Nginx),
            Self::H2o => Some(Tool::H2o),
            _ => None,
        }
    }

    /// The command that starts it. Files that it needs are written to `directory`.
    ///
    /// # Errors
    ///
    /// If the program is missing or the files can't be written.
    pub(crate) fn command(
        self,
        launch: Launch,
        programs: &Programs,
        directory: &Path,
    ) -> Result<Command, Failure> {
        match self {
            Self::Ours => testbed(launch, programs),
            Self::Axum => peer("peer-axum", launch, programs),
            Self::Actix => peer("peer-actix", launch, programs),
            Self::Bare => peer("peer-bare", launch, programs),
            Self::BareBuffered => {
                let mut command = peer("peer-bare", launch, programs)?;
                command.args(["--tls", "buffered"]);
                Ok(command)
            }
            Self::Nginx => nginx(launch, directory),
            Self::H2o => h2o(launch, directory),
        }
    }
}

/// More than any row opens.
const SESSIONS_MAX: usize = 18_000;

fn testbed(launch: Launch, programs: &Programs) -> Result<Command, Failure> {
    let mut command = Command::new(programs.path("testbed")?);
    ports(&mut command, launch);
    command.args(["--workers", &launch.workers.unwrap_or(1).to_string()]);
    command.args(["--max-open-sockets", &SESSIONS_MAX.to_string()]);
    if launch.session_tickets {
        command.args(["--session-tickets", "on"]);
    }
    if let Some(routes) = launch.routes {
        command.args(["--routes", &routes.to_string()]);
    }
    // The same file as the peers', though the testbed has it built in.
    certificate(&mut command);
    Ok(command)
}

fn peer(name: &str, launch: Launch, programs: &Programs) -> Result<Command, Failure> {
    let mut command = Command::new(programs.path(name)?);
    ports(&mut command, launch);
    certificate(&mut command);
    if launch.session_tickets {
        command.arg("--session-tickets");
    }
    Ok(command)
}

fn ports(command: &mut Command, launch: Launch) {
    for (option, port) in [("--http", launch.http), ("--https", launch.https)] {
        if let Some(port) = port {
            command.args([option, &port.to_string()]);
        }
    }
}

fn certificate(command: &mut Command) {
    let certs = programs::root().join("examples/certs");
    command.arg("--cert").arg(certs.join("server.pem"));
    command.arg("--key").arg(certs.join("server.key"));
}

fn nginx(launch: Launch, directory: &Path) -> Result<Command, Failure> {
    let program = Tool::Nginx.path()?;
    let (prefix, config) = (pages(directory)?, directory.join("nginx.conf"));
    fs::write(&config, nginx_config(launch, &prefix))?;
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-p"]).arg(prefix).arg("-c").arg(config);
    Ok(command)
}

/// Its small page is `return`, the fastest that nginx has; the others are files, as they would be.
fn nginx_config(launch: Launch, prefix: &Path) -> String {
    let certs = programs::root().join("examples/certs");
    let tickets = if launch.session_tickets { "on" } else { "off" };
    let listen = |port: Option<u16>, suffix| {
        port.map(|port| format!("listen 127.0.0.1:{port} backlog=4096{suffix};"))
            .unwrap_or_default()
    };
    format!(
        r#"
daemon off;
user root;
pid "{prefix}/nginx.pid";
error_log stderr crit;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections {SESSIONS_MAX}; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    open_file_cache max=16 inactive=1h;
    default_type application/octet-stream;
    client_body_temp_path "{prefix}/tmp";
    proxy_temp_path "{prefix}/tmp";
    fastcgi_temp_path "{prefix}/tmp";
    uwsgi_temp_path "{prefix}/tmp";
    scgi_temp_path "{prefix}/tmp";
    ssl_certificate "{certs}/server.pem";
    ssl_certificate_key "{certs}/server.key";
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    ssl_session_tickets {tickets};
    ssl_session_cache off;
    server {{
        {http}
        {https}
        root "{prefix}";
        location = / {{ default_type text/html; return 200 "<h1>Hello Secure World!</h1>"; }}
        location / {{ }}
    }}
}}
"#,
        prefix = prefix.display(),
        certs = certs.display(),
        http = listen(launch.http, ""),
        https = listen(launch.https, " ssl"),
    )
}

fn h2o(launch: Launch, directory: &Path) -> Result<Command, Failure> {
    let program = Tool::H2o.path()?;
    let (prefix, config) = (pages(directory)?, directory.join("h2o.conf"));
    fs::write(&config, h2o_config(launch, &prefix))?;
    let mut command = Command::new(program);
    command.arg("--conf").arg(config);
    Ok(command)
}

fn h2o_config(launch: Launch, prefix: &Path) -> String {
    let certs = programs::root().join("examples/certs");
    // This version listens in one place only, and no row needs more.
    let mut listen = String::new();
    if let Some(port) = launch.http.or(launch.https) {
        listen += &format!("listen:\n  host: 127.0.0.1\n  port: {port}\n");
    }
    if launch.https.is_some() {
        listen += &format!(
            "  ssl:\n    certificate-file: \"{certs}/server.pem\"\n    \
             key-file: \"{certs}/server.key\"\n    minimum-version: TLSv1.2\n    \
             cipher-suite: ECDHE-ECDSA-AES128-GCM-SHA256\n    ocsp-update-interval: 0\n",
            certs = certs.display()
        );
    }
    let resumption = if launch.session_tickets { "ticket" } else { "off" };
    // A server that root starts gives its rights away unless told to keep them.
    let user = if nix::unistd::geteuid().is_root() { "user: root\n" } else { "" };
    format!(
        "{user}num-threads: 1\nmax-connections: {SESSIONS_MAX}\nhttp1-request-timeout: 75\n\
         ssl-session-resumption:\n  mode: {resumption}\n{listen}\
         hosts:\n  default:\n    paths:\n      /:\n        file.dir: \"{prefix}\"\n        \
         file.send-gzip: OFF\n        file.etag: OFF\n",
        prefix = prefix.display()
    )
}

/// The pages as files, for servers that serve files.
fn pages(directory: &Path) -> Result<std::path::PathBuf, Failure> {
    let pages = directory.join("pages");
    fs::create_dir_all(pages.join("tmp"))?;
    let bytes: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
    fs::write(pages.join("index.html"), "<h1>Hello Secure World!</h1>")?;
    fs::write(pages.join("64k"), &bytes[..64 << 10])?;
    fs::write(pages.join("1m"), &bytes)?;
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_has_only_the_ports_that_are_asked_for() {
        let plain = Launch { http: Some(1234), ..Launch::default() };
        let config = nginx_config(plain, Path::new("/p"));
        assert!(config.contains("listen 127.0.0.1:1234 backlog=4096;"));
        assert!(!config.contains(" ssl;"));
        let secure = Launch { https: Some(4321), session_tickets: true, ..Launch::default() };
        let config = nginx_config(secure, Path::new("/p"));
        assert!(config.contains("listen 127.0.0.1:4321 backlog=4096 ssl;"));
        assert!(config.contains("ssl_session_tickets on;"));
        assert!(!config.contains(":1234"));
    }

    #[test]
    fn h2o_speaks_tls_where_it_should() {
        let plain = Launch { http: Some(1), ..Launch::default() };
        let config = h2o_config(plain, Path::new("/p"));
        assert!(config.contains("port: 1\n") && !config.contains("ssl:\n"));
        let secure = Launch { https: Some(2), ..Launch::default() };
        let config = h2o_config(secure, Path::new("/p"));
        assert!(config.contains("port: 2\n  ssl:\n    certificate-file"));
        assert!(config.contains("mode: off"));
    }

    #[test]
    fn names_are_different() {
        let mut names: Vec<_> = Server::ALL.map(Server::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Server::ALL.len());
    }
}
