//! What the harness measures of axum: the same pages as the testbed's, on one thread, over hyper
//! and tokio-rustls as axum's own low-level example has them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header;
use axum::response::Response;
use axum::routing::{any, get};
use clap::Parser;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{DEFAULT_VERSIONS, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_rustls::TlsAcceptor;

/// The pages of the testbed, by axum
#[derive(Parser)]
struct Args {
    /// Serve plain HTTP on this port
    #[arg(long, value_name = "PORT")]
    http: Option<u16>,
    /// Serve HTTPS on this port
    #[arg(long, value_name = "PORT")]
    https: Option<u16>,
    /// Certificate chain, PEM
    #[arg(long, value_name = "PEM")]
    cert: PathBuf,
    /// Its private key, PEM
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// Let clients resume their TLS sessions
    #[arg(long)]
    session_tickets: bool,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let app = app();
    let http = args.http.map(|port| tokio::spawn(serve(port, None, app.clone())));
    let https = match args.https {
        Some(port) => {
            let acceptor = TlsAcceptor::from(Arc::new(tls_config(&args)?));
            Some(tokio::spawn(serve(port, Some(acceptor), app)))
        }
        None => None,
    };
    for server in [http, https].into_iter().flatten() {
        server.await??;
    }
    Ok(())
}

fn app() -> Router {
    let bytes: Bytes = (0..=250).cycle().take(1 << 20).collect::<Vec<u8>>().into();
    let page = |len| {
        let bytes = bytes.slice(..len);
        move || async { ([(header::CONTENT_TYPE, "application/octet-stream")], bytes) }
    };
    let (room, _) = broadcast::channel(64);
    Router::new()
        .route(
            "/",
            get(async || ([(header::CONTENT_TYPE, "text/html")], "<h1>Hello Secure World!</h1>")),
        )
        .route("/64k", get(page(64 << 10)))
        .route("/1m", get(page(1 << 20)))
        .route(
            "/ws",
            any(async |upgrade: WebSocketUpgrade| -> Response { small(upgrade).on_upgrade(echo) }),
        )
        .route(
            "/ws/broadcast",
            any(move |upgrade: WebSocketUpgrade| async move {
                small(upgrade).on_upgrade(move |socket| broadcast(socket, room))
            }),
        )
}

/// Buffers for small messages: the default of 128 kB per connection makes it four times slower here.
fn small(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.read_buffer_size(4 << 10)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_))
            && socket.send(message).await.is_err()
        {
            return;
        }
    }
}

/// Sends what this client says to all, and what anybody says to this client.
async fn broadcast(mut socket: WebSocket, room: broadcast::Sender<Message>) {
    let mut said = room.subscribe();
    loop {
        tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    room.send(message).ok();
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            message = said.recv() => {
                let Ok(message) = message else { return };
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Accepts for ever, and serves each connection in a task of its own.
async fn serve(port: u16, tls: Option<TlsAcceptor>, app: Router) -> io::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        socket.set_nodelay(true).ok();
        let (tls, app) = (tls.clone(), app.clone());
        tokio::spawn(async move {
            match tls {
                None => connection(socket, app).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(socket).await {
                        connection(stream, app).await;
                    }
                }
            }
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, app: Router) {
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades()
        .await
        .ok(); // the client has gone
}

/// The same as the testbed's: the server's choice of suite, and tickets or no resumption at all.
fn tls_config(args: &Args) -> Result<ServerConfig, Failure> {
    let provider: Arc<CryptoProvider> = Arc::new(CryptoProvider {
        cipher_suites: vec![
            aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
            aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    });
    let chain = CertificateDer::pem_file_iter(&args.cert)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(DEFAULT_VERSIONS)?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(&args.key)?)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if args.session_tickets {
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = 1;
    }
    Ok(config)
}
