//! The load against small servers of threads: it counts what they do, and sees what they do wrong.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bench_load::{
    BadClients, Before, Idle, Load, Plan, Resumption, Target, Timing, TlsVersion, Work, one_request,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const TIMEOUT: Duration = Duration::from_secs(30);
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A server with a thread for each connection. It lives as long as the program.
fn serve(connection: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let connection = Arc::new(connection);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = Arc::clone(&connection);
            thread::spawn(move || connection(socket));
        }
    });
    addr
}

/// Answers everything that is received with the same bytes.
fn answer_with(mut stream: impl Read + Write, answer: &[u8]) {
    let mut request = [0; 4096];
    while stream.read(&mut request).is_ok_and(|len| len > 0) {
        if stream.write_all(answer).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn plain(answer: &'static [u8]) -> Target {
    Target { addr: serve(move |socket| answer_with(socket, answer)), tls: None }
}

fn secure(version: TlsVersion) -> Target {
    let certs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/certs");
    let chain = vec![CertificateDer::from_pem_file(certs.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certs.join("server.key")).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    let config = Arc::new(config);
    let addr = serve(move |socket| {
        let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
        answer_with(StreamOwned::new(tls, socket), PAGE);
    });
    Target { addr, tls: Some(version) }
}

fn plan(target: Target, work: Work) -> Plan {
    Plan { target, work, connections: 3, cores: vec![0], timing: Timing::Off }
}

fn page() -> Work {
    Work::KeepAlive { path: "/".to_owned() }
}

#[test]
fn answers_are_counted_and_timed() {
    let target = plain(PAGE);
    let load = Load::start(&Plan { timing: Timing::EveryAnswer, ..plan(target, page()) });
    assert!(load.wait_for(100, TIMEOUT), "{:?}", load.first_error());
    assert_eq!(load.counts().errors, 0);
    let summary = load.stop();
    assert!(summary.latencies.len() >= 100);
    assert_eq!(summary.first_error, None);
}

#[test]
fn every_connection_after_the_first_resumes_where_it_should() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let work = Work::Connections { resumption: Resumption::On };
        let load = Load::start(&plan(secure(version), work));
        assert!(load.wait_for(30, TIMEOUT), "{version:?}: {:?}", load.first_error());
        let counts = load.counts();
        assert_eq!((counts.errors, counts.full_handshakes), (0, 3), "{version:?}");
        assert!(counts.resumed_handshakes >= 20, "{version:?}: {counts:?}");
    }
}

#[test]
fn no_connection_resumes_where_none_should() {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let work = Work::Connections { resumption: Resumption::Off };
        let load = Load::start(&plan(secure(version), work));
        assert!(load.wait_for(30, TIMEOUT), "{version:?}: {:?}", load.first_error());
        assert_eq!(load.counts().resumed_handshakes, 0, "{version:?}");
    }
}

#[test]
fn wrong_answers_are_errors_and_many_of_them_end_the_load() {
    let target = plain(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    assert!(one_request(target, "/", TIMEOUT).is_err());
    let load = Load::start(&plan(target, page()));
    assert!(!load.wait_for(1, Duration::from_millis(100)));
    assert!(load.counts().errors > 0);
    assert!(load.stop().first_error.unwrap().contains("500"));
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = Target { addr: listener.local_addr().unwrap(), tls: None };
    drop(listener);
    let load = Load::start(&plan(target, page()));
    assert!(!load.wait_for(1, Duration::from_millis(50)));
    assert!(load.stop().first_error.is_some());
    assert!(Idle::open(target, Before::Request, 1, TIMEOUT).is_err());
}

#[test]
fn idle_sessions_are_all_open_after_their_answer() {
    for target in [plain(PAGE), secure(TlsVersion::Tls13)] {
        Idle::open(target, Before::Request, 50, TIMEOUT).unwrap();
    }
}

#[test]
fn bad_clients_start_and_end_with_tls_and_without() {
    for target in [plain(PAGE), secure(TlsVersion::Tls13)] {
        drop(BadClients::start(target, 8, 0).unwrap());
    }
}
