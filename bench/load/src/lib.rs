//! Load for servers on the loopback network: kept-open connections, handshakes, WebSockets, idle
//! sessions, and clients that behave badly.
//!
//! A [`Plan`] says what to do; [`Load::start`] does it on threads of its own, one per given core,
//! until it is dropped or [`Load::stop`]ped. Whoever measures takes [`Load::counts`] twice and looks
//! at the difference, so that it can read the server's CPU time at the same moments.
//!
//! | module | |
//! |---|---|
//! | [`engine`] | one epoll loop per thread over many connections |
//! | [`script`] | what one connection says and expects: the kinds of [`Work`] |
//! | [`connection`] | a TCP connection, with TLS or without |
//! | [`tls`] | what the clients offer in TLS |
//! | [`http`], [`ws`] | as much of the protocols as it takes to know when an answer is whole |
//! | [`bad`] | silent, dripping and never-reading clients |
//!
//! Answers are checked: a status other than 200, a wrong length, a wrong echo, or a TLS session that
//! was not resumed when it should have been, is an error and counted as such. Certificates are not
//! verified: that would be work of the client, and what is measured is the server.

use std::net::SocketAddr;

pub mod bad;
pub mod connection;
pub mod engine;
pub mod http;
pub mod script;
pub mod tls;
pub mod ws;

pub use bad::BadClients;
pub use connection::one_request;
pub use engine::{Counts, Idle, Load, Summary};
pub use tls::{Resumption, TlsVersion};

/// Where the server listens, and what it speaks there.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its address.
    pub addr: SocketAddr,
    /// The version of TLS, or `None` for plain text.
    pub tls: Option<TlsVersion>,
}

/// What every connection does, over and over.
#[derive(Clone, Debug)]
pub enum Work {
    /// Requests this path and waits for the answer, on a connection that stays open.
    KeepAlive {
        /// The path and query, as in a request line.
        path: String,
    },
    /// Connects, requests `/`, and closes when the answer is there.
    Connections {
        /// Whether the TLS session of the connection before is resumed.
        resumption: Resumption,
    },
    /// Sends a WebSocket message to `/ws` and waits for its echo.
    WsEcho {
        /// Length of the message in bytes.
        message_len: usize,
    },
    /// All connections receive what one of them sends to `/ws/broadcast`; that one sends the next
    /// message when it has its own.
    WsBroadcast {
        /// Length of the message in bytes.
        message_len: usize,
    },
}

/// What the connections of an [`Idle`] do once before they rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// One request of `/`.
    Request,
    /// The upgrade to a WebSocket, and one message that is echoed.
    WebSocket,
}

/// A load to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// What each connection does.
    pub work: Work,
    /// How many connections there are at once, over all threads.
    pub connections: usize,
    /// The cores to run on: one thread for each.
    pub cores: Vec<usize>,
    /// How often to say how long an answer took.
    pub timing: Timing,
}

/// Whether the time of each answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Only counts.
    Off,
    /// Every answer's time is in [`Summary::latencies`].
    EveryAnswer,
}
