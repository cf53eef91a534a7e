//! What the harness measures of actix-web: the same pages as the testbed's, by one worker.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::KeepAlive;
use actix_web::http::header::ContentType;
use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer};
use actix_ws::{AggregatedMessage, Session};
use clap::Parser;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{DEFAULT_VERSIONS, ServerConfig};
use tokio::sync::broadcast;

/// The pages of the testbed, by actix-web
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

type Failure = Box<dyn std::error::Error>;

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let bytes: Bytes = (0..=250).cycle().take(1 << 20).collect::<Vec<u8>>().into();
    let (room, _) = broadcast::channel::<Bytes>(64);
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(bytes.clone()))
            .app_data(Data::new(room.clone()))
            .route("/", web::get().to(page))
            .route("/64k", web::get().to(async |bytes: Data<Bytes>| piece(&bytes, 64 << 10)))
            .route("/1m", web::get().to(async |bytes: Data<Bytes>| piece(&bytes, 1 << 20)))
            .route("/ws", web::get().to(echo))
            .route("/ws/broadcast", web::get().to(broadcast))
    })
    .workers(1)
    .tcp_nodelay(true)
    .keep_alive(KeepAlive::Timeout(Duration::from_secs(60)))
    .max_connections(30_000)
    // Ends at once when told to.
    .shutdown_timeout(0);
    if let Some(port) = args.http {
        server = server.bind((Ipv4Addr::LOCALHOST, port))?;
    }
    if let Some(port) = args.https {
        server = server.bind_rustls_0_23((Ipv4Addr::LOCALHOST, port), tls_config(&args)?)?;
    }
    Ok(server.run().await?)
}

async fn page() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::html()).body("<h1>Hello Secure World!</h1>")
}

fn piece(bytes: &Bytes, len: usize) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::octet_stream()).body(bytes.slice(..len))
}

async fn echo(request: HttpRequest, body: Payload) -> Result<HttpResponse, Error> {
    let (response, mut session, messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        let mut messages = messages.aggregate_continuations();
        while let Some(Ok(message)) = messages.recv().await {
            let sent = match message {
                AggregatedMessage::Text(text) => session.text(text).await,
                AggregatedMessage::Binary(bytes) => session.binary(bytes).await,
                AggregatedMessage::Ping(bytes) => session.pong(&bytes).await,
                _ => return,
            };
            if sent.is_err() {
                return;
            }
        }
    });
    Ok(response)
}

/// Sends what this client says to all, and what anybody says to this client.
async fn broadcast(
    request: HttpRequest,
    body: Payload,
    room: Data<broadcast::Sender<Bytes>>,
) -> Result<HttpResponse, Error> {
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(pass_on(session, room.subscribe()));
    actix_web::rt::spawn(async move {
        let mut messages = messages.aggregate_continuations();
        while let Some(Ok(message)) = messages.recv().await {
            if let AggregatedMessage::Text(text) = message {
                room.send(text.into_bytes()).ok();
            }
        }
    });
    Ok(response)
}

async fn pass_on(mut session: Session, mut said: broadcast::Receiver<Bytes>) {
    while let Ok(message) = said.recv().await {
        if session.binary(message).await.is_err() {
            return;
        }
    }
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
