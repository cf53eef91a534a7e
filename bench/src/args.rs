//! The command line.

use std::net::SocketAddr;

use clap::{Parser, Subcommand, ValueEnum};

/// Measures the server beside its peers. Without a command: all rows, in less than ten minutes
#[derive(Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(clap::Args)]
pub(crate) struct Run {
    /// One short round of everything, in a minute: to see that it works, not how fast
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these rows
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Only these servers
    #[arg(long, value_name = "SERVER", value_delimiter = ',')]
    pub(crate) servers: Vec<String>,
    /// How often each server is measured in each row
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,
    /// How long each measurement takes
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<f64>,
    /// How many sessions are open when their memory is measured
    #[arg(long, value_name = "N")]
    pub(crate) sessions: Option<usize>,
    /// Lists rows and servers
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Instructions, allocations and system calls per request, compared with bench/counts/baseline.json
    Counts(Counts),
    /// Load on a server that runs already, for use with a profiler
    Load(Load),
}

#[derive(clap::Args)]
pub(crate) struct Counts {
    /// Makes what is counted the new baseline
    #[arg(long)]
    pub(crate) bless: bool,
    /// Only these scenarios
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
}

#[derive(clap::Args)]
pub(crate) struct Load {
    /// What each connection does
    #[arg(value_enum)]
    pub(crate) work: HandWork,
    /// The server, on this machine
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub(crate) addr: SocketAddr,
    /// What it speaks there
    #[arg(long, value_enum, default_value = "tls1.3")]
    pub(crate) transport: HandTransport,
    /// What to request
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// Length of a WebSocket message
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    pub(crate) message_len: usize,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) connections: usize,
    /// How long
    #[arg(long, value_name = "S", default_value_t = 5)]
    pub(crate) seconds: u64,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum HandWork {
    KeepAlive,
    Handshakes,
    Resumptions,
    WsEcho,
    WsBroadcast,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum HandTransport {
    Plain,
    #[value(name = "tls1.2")]
    Tls12,
    #[value(name = "tls1.3")]
    Tls13,
}
