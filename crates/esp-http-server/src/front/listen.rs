//! Listening sockets: for every worker one per address.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use socket2::SockRef;

use crate::server::{HttpConfig, ListenAddr};

/// Opens listeners on all of `addrs`, for each of `workers` workers one per address, in the order of
/// `addrs`; the kernel spreads the connections over the workers (SO_REUSEPORT).
///
/// Of `config`, each takes what concerns sockets: `backlog_conn`, of which the kernel takes no more
/// than `net.core.somaxconn`, TCP keep-alive and SO_LINGER. With port 0 the system chooses a free
/// port, the same for all workers. The port is this server's own: one on which another program (or
/// another server of this one) listens is an error, however that one shares it.
///
/// # Errors
///
/// [`ListenError`] says which address it was and what can be done about it.
///
/// # Panics
///
/// If `workers` is 0.
pub fn listen(
    addrs: &[ListenAddr],
    config: &HttpConfig,
    workers: usize,
) -> Result<Vec<Vec<Listener>>, ListenError> {
    assert!(workers > 0, "a server without a worker");
    let mut listeners: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
    for (index, addr) in addrs.iter().enumerate() {
        let (first, others) = listeners.split_first_mut().expect("a worker");
        let sharing = if others.is_empty() { Sharing::Alone } else { Sharing::First };
        let listener = Listener::open_first(addr, config, sharing)
            .map_err(|error| error.between(&addrs[..index], first))?;
        for other in others {
            other.push(Listener::open(addr, listener.bound, config, Sharing::Joins)?);
        }
        first.push(listener);
    }
    Ok(listeners)
}

/// A listening socket. Connections wait in its backlog until an [`EpollNet`](super::EpollNet)
/// accepts them; dropping it resets those that still wait.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    bound: Bound,
}

/// What a socket is bound to: unlike [`ListenAddr`], one socket's worth.
#[derive(Clone, Copy, Debug)]
struct Bound {
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
        self.bound.addr
    }

    fn open_first(
        addr: &ListenAddr,
        config: &HttpConfig,
        sharing: Sharing,
    ) -> Result<Self, ListenError> {
        let port = match addr {
            ListenAddr::Only(only) => {
                let bound = Bound { addr: *only, family: Family::One };
                return Self::open(addr, bound, config, sharing);
            }
            ListenAddr::Any(port) | ListenAddr::Interface { port, .. } => *port,
        };
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        match Self::open(addr, Bound { addr: v6, family: Family::Both }, config, sharing) {
            Err(ListenError::NoSuchAddress { .. }) => {
                log::info!("no IPv6 on this machine: listening on IPv4 only");
                let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                Self::open(addr, Bound { addr: v4, family: Family::One }, config, sharing)
            }
            done => done,
        }
    }

    fn open(
        addr: &ListenAddr,
        bound: Bound,
        config: &HttpConfig,
        sharing: Sharing,
    ) -> Result<Self, ListenError> {
        let failed = |error| ListenError::new(addr, error);
        let fd = socket(bound).map_err(failed)?;
        if let ListenAddr::Interface { name, .. } = addr {
            // Before the port, which other sockets may have on other interfaces.
            bind_to_interface(&fd, name).map_err(|error| ListenError::of_interface(addr, error))?;
        }
        set_options(&fd, config).map_err(failed)?;
        let addr = bind(&fd, bound.addr, config.backlog_conn, sharing).map_err(failed)?;
        Ok(Self { fd, bound: Bound { addr, ..bound } })
    }
}

fn socket(bound: Bound) -> Result<OwnedFd, Errno> {
    let is_v6 = bound.addr.is_ipv6();
    let domain = if is_v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = net::socket_with(domain, SocketType::STREAM, flags, None)?;
    if is_v6 {
        sockopt::set_ipv6_v6only(&fd, bound.family == Family::One)?;
    }
    Ok(fd)
}

fn bind_to_interface(fd: &OwnedFd, name: &str) -> io::Result<()> {
    // The kernel would cut a name that is too long, and take none at all for any interface.
    if name.is_empty() || name.len() > INTERFACE_NAME_MAX || name.contains('\0') {
        return Err(Errno::NODEV.into());
    }
    SockRef::from(fd).bind_device(Some(name.as_bytes()))
}

/// What accepted connections inherit, which saves system calls for each.
fn set_options(fd: &OwnedFd, config: &HttpConfig) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(fd, true)?;
    if let Err(error) = SockRef::from(fd).set_tcp_notsent_lowat(NOTSENT_LOWAT) {
        // Without it the kernel holds more for slow readers, and tells later that they have read.
        log::debug!("no TCP_NOTSENT_LOWAT here: {error}");
    }
    if config.keep_alive_enable {
        sockopt::set_socket_keepalive(fd, true)?;
        sockopt::set_tcp_keepidle(fd, config.keep_alive_idle)?;
        sockopt::set_tcp_keepintvl(fd, config.keep_alive_interval)?;
        sockopt::set_tcp_keepcnt(fd, config.keep_alive_count)?;
    }
    if config.enable_so_linger {
        // With a time above zero, `close` would block the worker for so long.
        sockopt::set_socket_linger(fd, Some(Duration::ZERO))?;
    }
    Ok(())
}

fn bind(
    fd: &OwnedFd,
    addr: SocketAddr,
    backlog: u16,
    sharing: Sharing,
) -> Result<SocketAddr, Errno> {
    // A restarted server need not wait for its predecessor's connections to leave TIME_WAIT.
    sockopt::set_socket_reuseaddr(fd, true)?;
    if sharing == Sharing::Joins {
        sockopt::set_socket_reuseport(fd, true)?;
    }
    net::bind(fd, &addr)?;
    if sharing == Sharing::First {
        // Only after the bind: before it, the kernel would let us join whoever shares that
        // port, a forgotten older server say, and give it half of our connections.
        sockopt::set_socket_reuseport(fd, true)?;
    }
    net::listen(fd, i32::from(backlog))?;
    SocketAddr::try_from(net::getsockname(fd)?)
}

/// Bytes that the kernel takes of a connection beyond what is under way to the peer. Its own bound is
/// some megabytes, of which a third must be free before it reports room: a reader would have to be fast
/// to be seen reading in `send_wait_timeout`, and each that is slow would cost so much. Twice what the
/// engine writes at once, so that the kernel has something to send while the next is being made.
const NOTSENT_LOWAT: u32 = 128 * 1024;
/// The longest name of an interface, in bytes (IFNAMSIZ without its NUL).
const INTERFACE_NAME_MAX: usize = 15;

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
        addr: ListenAddr,
    },
    /// Two entries of [`HttpConfig::listen`] are the same, or one includes the other.
    Overlap {
        /// Where.
        addr: ListenAddr,
        /// The entry that has the port already.
        earlier: ListenAddr,
    },
    /// This program may not: ports below 1024 need a privilege.
    Denied {
        /// Where.
        addr: ListenAddr,
    },
    /// The machine has no such address.
    NoSuchAddress {
        /// Where.
        addr: ListenAddr,
    },
    /// The machine has no such interface.
    NoSuchInterface {
        /// Where.
        addr: ListenAddr,
    },
    /// This program may not bind to an interface.
    InterfaceDenied {
        /// Where.
        addr: ListenAddr,
    },
    /// The operating system said something else.
    Io {
        /// Where.
        addr: ListenAddr,
        /// What it said.
        source: io::Error,
    },
}

impl ListenError {
    fn new(addr: &ListenAddr, error: Errno) -> Self {
        let addr = addr.clone();
        match error {
            Errno::ADDRINUSE => Self::InUse { addr },
            Errno::ACCESS | Errno::PERM => Self::Denied { addr },
            Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => Self::NoSuchAddress { addr },
            _ => Self::Io { addr, source: error.into() },
        }
    }

    fn of_interface(addr: &ListenAddr, error: io::Error) -> Self {
        let addr = addr.clone();
        match Errno::from_io_error(&error) {
            Some(Errno::NODEV) => Self::NoSuchInterface { addr },
            Some(Errno::ACCESS | Errno::PERM) => Self::InterfaceDenied { addr },
            _ => Self::Io { addr, source: error },
        }
    }

    /// A port that is in use may be so by an entry before this one.
    fn between(self, earlier: &[ListenAddr], listeners: &[Listener]) -> Self {
        match self {
            Self::InUse { addr } => {
                let mut before = earlier.iter().zip(listeners);
                match before.find(|(_, listener)| listener.local_addr().port() == addr.port()) {
                    Some((earlier, _)) => Self::Overlap { addr, earlier: earlier.clone() },
                    None => Self::InUse { addr },
                }
            }
            error => error,
        }
    }

    /// The kind that the standard library has for it.
    pub(super) fn kind(&self) -> io::ErrorKind {
        match self {
            Self::InUse { .. } | Self::Overlap { .. } => io::ErrorKind::AddrInUse,
            Self::Denied { .. } | Self::InterfaceDenied { .. } => io::ErrorKind::PermissionDenied,
            Self::NoSuchAddress { .. } => io::ErrorKind::AddrNotAvailable,
            Self::NoSuchInterface { .. } => io::ErrorKind::NotFound,
            Self::Io { source, .. } => source.kind(),
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
            Self::Overlap { addr, earlier } => write!(
                f,
                "can't listen on {addr}: this server listens on {earlier} already, \
                 by another entry of `listen`",
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
                "can't listen on {addr}: this machine has no such address; \
                 `ip address` shows those it has",
            ),
            Self::NoSuchInterface { addr } => write!(
                f,
                "can't listen on {addr}: this machine has no such interface; \
                 `ip link` shows those it has",
            ),
            Self::InterfaceDenied { addr } => write!(
                f,
                "can't listen on {addr}: to bind to an interface, Linux before 5.7 wants root or the \
                 capability CAP_NET_RAW",
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
mod tests;
