//! Listening sockets, one per worker.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

/// Opens `count` listeners on one port, for as many workers; the kernel spreads the connections
/// over them (SO_REUSEPORT).
///
/// Each lets `backlog` connections wait to be accepted; the kernel takes no more than
/// `net.core.somaxconn`. With port 0 the system chooses a free port, the same for all of them.
/// The port is this server's own: one on which another program (or another server of this one)
/// listens is an error, however that one shares it.
///
/// # Errors
///
/// [`ListenError`] says which address it was and what can be done about it.
///
/// # Panics
///
/// If `count` is 0.
pub fn listen(addr: ListenAddr, backlog: u16, count: usize) -> Result<Vec<Listener>, ListenError> {
    assert!(count > 0, "a server without a worker");
    let sharing = if count == 1 { Sharing::Alone } else { Sharing::First };
    let first = Listener::open_any(addr, backlog, sharing)?;
    let addr = first.addr;
    let mut listeners = vec![first];
    for _ in 1..count {
        listeners.push(Listener::open(addr, backlog, Sharing::Joins)?);
    }
    Ok(listeners)
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenAddr {
    /// This port of all addresses of the machine: IPv6 and IPv4, or IPv4 alone where the machine
    /// has no IPv6.
    Any(u16),
    /// This address and port only. `[::]` means all IPv6 addresses here, without IPv4.
    Only(SocketAddr),
}

/// A listening socket. Connections wait in its backlog until an [`EpollNet`](super::EpollNet)
/// accepts them; dropping it resets those that still wait.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    addr: BoundAddr,
}

/// What a socket is bound to: unlike [`ListenAddr`], one socket's worth.
#[derive(Clone, Copy, Debug)]
struct BoundAddr {
    addr: SocketAddr,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// The address's own.
    One,
    /// An IPv6 socket that takes IPv4 clients too.
    Both,
}

/// Whether other sockets may listen on the same port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    Alone,
    /// The port must be free, and is shared from then on.
    First,
    /// The port is shared already.
    Joins,
}

impl Listener {
    /// The address and port it listens on; the port is the real one even if 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr.addr
    }

    fn open_any(addr: ListenAddr, backlog: u16, sharing: Sharing) -> Result<Self, ListenError> {
        let port = match addr {
            ListenAddr::Any(port) => port,
            ListenAddr::Only(addr) => {
                return Self::open(BoundAddr { addr, family: Family::One }, backlog, sharing);
            }
        };
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match Self::open(BoundAddr { addr: v6, family: Family::Both }, backlog, sharing) {
            Err(ListenError::NoSuchAddress { .. }) => {
                log::info!("no IPv6 on this machine: listening on IPv4 only");
                let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                Self::open(BoundAddr { addr: v4, family: Family::One }, backlog, sharing)
            }
            done => done,
        }
    }

    fn open(addr: BoundAddr, backlog: u16, sharing: Sharing) -> Result<Self, ListenError> {
        Self::try_open(addr, backlog, sharing).map_err(|error| ListenError::new(addr.addr, error))
    }

    fn try_open(bound: BoundAddr, backlog: u16, sharing: Sharing) -> Result<Self, Errno> {
        let BoundAddr { addr, family } = bound;
        let domain = if addr.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = net::socket_with(domain, SocketType::STREAM, flags, None)?;
        if addr.is_ipv6() {
            sockopt::set_ipv6_v6only(&fd, family == Family::One)?;
        }
        // A restarted server need not wait for its predecessor's connections to leave TIME_WAIT.
        sockopt::set_socket_reuseaddr(&fd, true)?;
        // Connections inherit it, which saves a system call for each.
        sockopt::set_tcp_nodelay(&fd, true)?;
        if sharing == Sharing::Joins {
            sockopt::set_socket_reuseport(&fd, true)?;
        }
        net::bind(&fd, &addr)?;
        if sharing == Sharing::First {
            // Only after the bind: before it, the kernel would let us join whoever shares that
            // port, a forgotten older server say, and give it half of our connections.
            sockopt::set_socket_reuseport(&fd, true)?;
        }
        net::listen(&fd, i32::from(backlog))?;
        let addr = SocketAddr::try_from(net::getsockname(&fd)?)?;
        Ok(Self { fd, addr: BoundAddr { addr, family } })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Why a server can't listen where it was told to.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// Another program, or another server in this one, listens there.
    InUse {
        /// Where.
        addr: SocketAddr,
    },
    /// This program may not: ports below 1024 need a privilege.
    Denied {
        /// Where.
        addr: SocketAddr,
    },
    /// The machine has no such address.
    NoSuchAddress {
        /// Where.
        addr: SocketAddr,
    },
    /// The operating system said something else.
    Io {
        /// Where.
        addr: SocketAddr,
        /// What it said.
        source: io::Error,
    },
}

impl ListenError {
    fn new(addr: SocketAddr, error: Errno) -> Self {
        match error {
            Errno::ADDRINUSE => Self::InUse { addr },
            Errno::ACCESS | Errno::PERM => Self::Denied { addr },
            Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => Self::NoSuchAddress { addr },
            _ => Self::Io { addr, source: error.into() },
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { addr } => write!(
                f,
                "can't listen on {addr}: port {port} is in use; \
                 `ss -ltnp 'sport = :{port}'` shows by whom",
                port = addr.port(),
            ),
            Self::Denied { addr } if addr.port() < 1024 => write!(
                f,
                "can't listen on {addr}: ports below 1024 need root or the capability \
                 CAP_NET_BIND_SERVICE; a port from 1024 on needs neither",
            ),
            Self::Denied { addr } => {
                write!(f, "can't listen on {addr}: the operating system doesn't permit it")
            }
            Self::NoSuchAddress { addr } => write!(
                f,
                "can't listen on {addr}: this machine has no address {}; \
                 `ip address` shows those it has",
                addr.ip(),
            ),
            Self::Io { addr, source } => write!(f, "can't listen on {addr}: {source}"),
        }
    }
}

impl core::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const LOOPBACK: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    fn open(addr: ListenAddr, count: usize) -> Vec<Listener> {
        listen(addr, 16, count).unwrap()
    }

    #[test]
    fn several_listeners_share_the_port_that_the_first_one_found() {
        for addr in [ListenAddr::Only(LOOPBACK), ListenAddr::Any(0)] {
            let listeners = open(addr, 3);
            assert_eq!(listeners.len(), 3);
            assert_ne!(listeners[0].local_addr().port(), 0);
            assert!(listeners.iter().all(|l| l.local_addr() == listeners[0].local_addr()));
        }
    }

    #[test]
    fn a_port_in_use_is_an_error_that_says_where() {
        let taken = TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap();
        let other = TcpListener::bind(taken).unwrap();
        let error = listen(ListenAddr::Only(taken), 16, 1).unwrap_err();
        assert!(matches!(error, ListenError::InUse { addr } if addr == taken));
        let port = taken.port();
        assert_eq!(
            error.to_string(),
            format!(
                "can't listen on 127.0.0.1:{port}: port {port} is in use; \
                 `ss -ltnp 'sport = :{port}'` shows by whom"
            )
        );
        drop(other);
    }

    #[test]
    fn a_port_shared_by_another_servers_workers_is_in_use_too() {
        for ours in [1, 2] {
            let theirs = open(ListenAddr::Any(0), 2);
            let port = theirs[0].local_addr().port();
            let error = listen(ListenAddr::Any(port), 16, ours).unwrap_err();
            assert!(matches!(error, ListenError::InUse { .. }), "{error}");
        }
    }

    #[test]
    fn a_port_is_free_again_while_its_connections_linger() {
        let listeners = open(ListenAddr::Only(LOOPBACK), 2);
        let addr = listeners[0].local_addr();
        let _client = std::net::TcpStream::connect(addr).unwrap();
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
            match listen(addr, 16, 2) {
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
    fn an_address_that_is_not_the_machines_is_an_error_that_says_so() {
        // Of TEST-NET-1 (RFC 5737), which no machine should have.
        let addr = SocketAddr::from(([192, 0, 2, 253], 0));
        let error = listen(ListenAddr::Only(addr), 16, 1).unwrap_err();
        assert!(error.to_string().contains("no address 192.0.2.253"), "{error}");
    }

    #[test]
    fn a_privileged_port_that_is_denied_says_what_would_help() {
        let at = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let low = ListenError::new(at(443), Errno::ACCESS).to_string();
        assert!(low.contains("0.0.0.0:443") && low.contains("CAP_NET_BIND_SERVICE"), "{low}");
        let high = ListenError::new(at(8443), Errno::PERM).to_string();
        assert!(!high.contains("1024"), "{high}");
    }
}
