//! Listeners of the loopback: who gets a port, and what one who does not is told.

use core::net::IpAddr;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::*;

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Listeners on one address, one per worker.
fn open(addr: ListenAddr, workers: usize) -> Vec<Listener> {
    try_open(addr, workers).unwrap()
}

fn try_open(addr: ListenAddr, workers: usize) -> Result<Vec<Listener>, ListenError> {
    let listeners = listen(&[addr], &HttpConfig::default(), workers)?;
    Ok(listeners.into_iter().map(|mut of_worker| of_worker.remove(0)).collect())
}

fn interface(name: &str, port: u16) -> ListenAddr {
    ListenAddr::Interface { name: name.into(), port }
}

#[test]
fn several_workers_share_the_port_that_the_first_one_found() {
    for addr in [ListenAddr::Only(LOOPBACK), ListenAddr::Any(0), interface("lo", 0)] {
        let listeners = open(addr, 3);
        assert_eq!(listeners.len(), 3);
        assert_ne!(listeners[0].local_addr().port(), 0);
        assert!(listeners.iter().all(|l| l.local_addr() == listeners[0].local_addr()));
    }
}

#[test]
fn as_many_connections_wait_as_backlog_conn_says() {
    for backlog_conn in [1, 5] {
        let config = HttpConfig { backlog_conn, ..HttpConfig::default() };
        let listeners = listen(&[ListenAddr::Only(LOOPBACK)], &config, 1).unwrap();
        let addr = listeners[0][0].local_addr();
        // Linux lets one more wait than it was told.
        let _waiting: Vec<_> =
            (0..=backlog_conn).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let one_more = TcpStream::connect_timeout(&addr, Duration::from_millis(100));
        assert_eq!(one_more.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

#[test]
fn a_port_in_use_is_an_error_that_says_where() {
    let other = TcpListener::bind(LOOPBACK).unwrap();
    let taken = other.local_addr().unwrap();
    let error = try_open(ListenAddr::Only(taken), 1).unwrap_err();
    assert!(matches!(&error, ListenError::InUse { addr } if *addr == ListenAddr::Only(taken)));
    let port = taken.port();
    assert_eq!(
        error.to_string(),
        format!(
            "can't listen on 127.0.0.1:{port}: port {port} is in use; \
             `ss -ltnp 'sport = :{port}'` shows by whom"
        )
    );
    let error = try_open(ListenAddr::Any(port), 1).unwrap_err();
    assert!(error.to_string().starts_with(&format!("can't listen on port {port}: ")), "{error}");
}

#[test]
fn a_port_shared_by_another_servers_workers_is_in_use_too() {
    for ours in [1, 2] {
        let theirs = open(ListenAddr::Any(0), 2);
        let port = theirs[0].local_addr().port();
        let error = try_open(ListenAddr::Any(port), ours).unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    }
}

#[test]
fn a_port_is_free_again_while_its_connections_linger() {
    let listeners = open(ListenAddr::Only(LOOPBACK), 2);
    let addr = listeners[0].local_addr();
    let _client = TcpStream::connect(addr).unwrap();
    let accepted = listeners.iter().find_map(|l| net::accept(l).ok()).unwrap();
    drop(listeners);
    assert_eq!(open(ListenAddr::Only(addr), 2)[1].local_addr(), addr);
    drop(accepted); // Our side closes first, so it is ours that stays in TIME_WAIT.
    assert_eq!(open(ListenAddr::Only(addr), 1)[0].local_addr(), addr);
}

#[test]
fn all_of_ipv6_said_as_an_address_leaves_ipv4_alone() {
    let only = ListenAddr::Only(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    for (addr, v6_only) in [(only, true), (ListenAddr::Any(0), false)] {
        match try_open(addr, 2) {
            Ok(listeners) if listeners[0].local_addr().is_ipv6() => {
                for listener in &listeners {
                    assert_eq!(sockopt::ipv6_v6only(listener).unwrap(), v6_only);
                }
            }
            // A machine without IPv6.
            Ok(_) => assert!(!v6_only),
            Err(error) => assert!(v6_only, "{error}"),
        }
    }
}

#[test]
fn several_addresses_have_a_listener_each_in_their_order_for_every_worker() {
    let addrs = [ListenAddr::Only(LOOPBACK), interface("lo", 0), ListenAddr::Any(0)];
    let listeners = listen(&addrs, &HttpConfig::default(), 2).unwrap();
    let bound = |of_worker: &Vec<Listener>| -> Vec<_> {
        of_worker.iter().map(Listener::local_addr).collect()
    };
    assert_eq!(listeners.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(bound(&listeners[0]), bound(&listeners[1]));
    assert!(listeners[0][0].local_addr().ip().is_loopback());
    assert!(listeners[0][2].local_addr().ip().is_unspecified());
}

#[test]
fn entries_that_are_in_each_others_way_are_an_error_that_names_both() {
    let port = open(ListenAddr::Any(0), 1)[0].local_addr().port();
    let entries = [
        ListenAddr::Any(port),
        ListenAddr::Only(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        interface("lo", port),
    ];
    for workers in [1, 2] {
        for second in &entries {
            let addrs = [ListenAddr::Only(LOOPBACK), entries[0].clone(), second.clone()];
            let error = listen(&addrs, &HttpConfig::default(), workers).unwrap_err();
            let expected = format!(
                "can't listen on {second}: this server listens on port {port} already, \
                 by another entry of `listen`"
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}

// ---- interfaces ----

#[test]
fn a_listener_of_an_interface_takes_its_clients_by_all_its_addresses() {
    let listener = open(interface("lo", 0), 1).remove(0);
    assert_eq!(SockRef::from(&listener.fd).device().unwrap().as_deref(), Some(&b"lo"[..]));
    let port = listener.local_addr().port();
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))] {
        let client = TcpStream::connect((ip, port)).unwrap();
        let (_, peer) = net::acceptfrom(&listener.fd).unwrap();
        let peer = SocketAddr::try_from(peer.unwrap()).unwrap();
        assert_eq!(peer.port(), client.local_addr().unwrap().port());
    }
}

#[test]
fn two_interfaces_can_have_the_same_port() {
    let Some(other) = another_interface() else { return };
    let port = open(interface("lo", 0), 1)[0].local_addr().port();
    for workers in [1, 2] {
        let addrs = [interface("lo", port), interface(&other, port)];
        let listeners = listen(&addrs, &HttpConfig::default(), workers).unwrap();
        assert!(listeners.iter().flatten().all(|l| l.local_addr().port() == port));
    }
}

/// The name of an interface that is not the loopback, if there is one.
fn another_interface() -> Option<String> {
    let all = std::fs::read_dir("/sys/class/net").ok()?;
    all.flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .find(|name| name != "lo" && name.len() <= INTERFACE_NAME_MAX)
}

#[test]
fn an_interface_that_is_not_there_is_an_error_that_says_so() {
    // The first 15 letters of a name that is too long are no name of an interface.
    for name in ["nowhere0", "", "lo\0", "lo but too long for a name"] {
        let error = try_open(interface(name, 80), 1).unwrap_err();
        assert!(matches!(error, ListenError::NoSuchInterface { .. }), "{error}");
    }
    let error = try_open(interface("nowhere0", 8080), 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "can't listen on nowhere0:8080: this machine has no such interface; \
         `ip link` shows those it has"
    );
}

#[test]
fn an_interface_that_is_denied_says_what_would_help() {
    let error = ListenError::of_interface(&interface("eth0", 80), Errno::PERM.into()).to_string();
    assert!(error.contains("eth0:80") && error.contains("CAP_NET_RAW"), "{error}");
}

// ---- addresses ----

#[test]
fn an_address_that_is_not_the_machines_is_an_error_that_says_so() {
    // Of TEST-NET-1 (RFC 5737), which no machine should have.
    let addr = SocketAddr::from(([192, 0, 2, 253], 80));
    let error = try_open(ListenAddr::Only(addr), 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "can't listen on 192.0.2.253:80: this machine has no such address; \
         `ip address` shows those it has"
    );
}

#[test]
fn a_privileged_port_that_is_denied_says_what_would_help() {
    let low = ListenError::new(&ListenAddr::Any(443), Errno::ACCESS).to_string();
    assert!(low.contains("port 443") && low.contains("CAP_NET_BIND_SERVICE"), "{low}");
    let high = ListenError::new(&ListenAddr::Any(8443), Errno::PERM).to_string();
    assert!(!high.contains("1024"), "{high}");
}

#[test]
fn every_error_says_where() {
    let addr = || interface("eth0", 8443);
    let source = io::Error::from(Errno::NFILE);
    for error in [
        ListenError::InUse { addr: addr() },
        ListenError::Overlap { addr: addr(), earlier: ListenAddr::Any(8443) },
        ListenError::Denied { addr: addr() },
        ListenError::NoSuchAddress { addr: addr() },
        ListenError::NoSuchInterface { addr: addr() },
        ListenError::InterfaceDenied { addr: addr() },
        ListenError::Io { addr: addr(), source },
    ] {
        let text = error.to_string();
        assert!(text.starts_with("can't listen on eth0:8443: "), "{text}");
    }
}
