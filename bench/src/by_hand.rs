//! `bench load`: load on a server that runs already.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use bench_load::{Load, Plan, Resumption, Target, Timing, TlsVersion, Work};

use crate::args::{self, HandTransport, HandWork};
use crate::machine::Cores;
use crate::{Failure, stats};

/// Runs the load and says once a second, and at the end, what has happened.
pub(crate) fn run(args: &args::Load) -> Result<ExitCode, Failure> {
    if !args.addr.ip().is_loopback() {
        return Err(format!("{} is not on this machine", args.addr).into());
    }
    let message_len = args.message_len;
    let plan = Plan {
        target: Target {
            addr: args.addr,
            tls: match args.transport {
                HandTransport::Plain => None,
                HandTransport::Tls12 => Some(TlsVersion::Tls12),
                HandTransport::Tls13 => Some(TlsVersion::Tls13),
            },
        },
        work: match args.work {
            HandWork::KeepAlive => Work::KeepAlive { path: args.path.clone() },
            HandWork::Handshakes => Work::Connections { resumption: Resumption::Off },
            HandWork::Resumptions => Work::Connections { resumption: Resumption::On },
            HandWork::WsEcho => Work::WsEcho { message_len },
            HandWork::WsBroadcast => Work::WsBroadcast { message_len },
        },
        connections: args.connections,
        cores: Cores::of_this_machine()?.load,
        timing: Timing::EveryAnswer,
    };
    let start = Instant::now();
    let load = Load::start(&plan);
    let mut before = load.counts();
    for _ in 0..args.seconds {
        thread::sleep(Duration::from_secs(1));
        let now = load.counts();
        println!("{} a second, {} errors", now.answers - before.answers, now.errors);
        before = now;
    }
    let (counts, seconds) = (load.counts(), start.elapsed().as_secs_f64());
    let mut summary = load.stop();
    let rate = counts.answers as f64 / seconds;
    println!("{counts:?}\n{rate:.0} answers a second");
    for percent in [50.0, 99.0, 99.9] {
        let latency = stats::percentile(&mut summary.latencies, percent).unwrap_or_default();
        println!("{percent} % of the answers within {latency:?}");
    }
    match summary.first_error {
        None => Ok(ExitCode::SUCCESS),
        Some(error) => Err(error.into()),
    }
}
