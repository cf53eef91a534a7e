//! The small page again with wrk, which is nobody's here: to see that our own load tells the truth.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use bench_load::TlsVersion;

use super::Bench;
use crate::Failure;
use crate::machine::{self, Cores};
use crate::results::Sample;
use crate::servers::{Launch, Server};
use crate::tools::Tool;

/// The same suite as our own load has: OpenSSL would ask for AES-256 first.
const OPENSSL_CONFIG: &str = "\
openssl_conf = conf
[conf]
ssl_conf = ssl
[ssl]
system_default = defaults
[defaults]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
";

pub(super) fn rate(bench: &Bench, server: Server) -> Result<Sample, Failure> {
    let wrk = Tool::Wrk.path()?;
    let cores = Cores::of_this_machine()?;
    let tls = Some(TlsVersion::Tls13);
    let (running, target) = bench.start(server, Launch::default(), tls, &cores)?;
    let openssl_config = bench.directory.join("openssl.cnf");
    fs::write(&openssl_config, OPENSSL_CONFIG)?;
    let seconds = bench.settings.seconds.ceil();
    let mut command = Command::new(wrk);
    command
        .env("OPENSSL_CONF", openssl_config)
        .args(["--connections", "64", "--threads", &cores.load.len().to_string()])
        .args(["--duration", &format!("{seconds}s"), &format!("https://{}/", target.addr)])
        .stdin(Stdio::null());
    let clock = running.cpu_clock()?;
    let before = clock.now()?;
    let output = machine::on_cores(&cores.load, || command.output())??;
    let cpu = (clock.now()? - before).as_secs_f64();
    let report = String::from_utf8_lossy(&output.stdout);
    let (requests, seconds) = parse_report(&report)?;
    let details = BTreeMap::from([("rate", requests / seconds), ("server_cpus", cpu / seconds)]);
    Ok(Sample { value: requests / cpu, details })
}

/// The number of requests and of seconds in wrk's report, unless it reports errors.
fn parse_report(report: &str) -> Result<(f64, f64), String> {
    let complaint = |line: &&str| line.contains("Non-2xx") || line.contains("Socket errors");
    if let Some(line) = report.lines().find(complaint) {
        return Err(line.trim().to_owned());
    }
    report
        .lines()
        .find_map(|line| {
            let (requests, rest) = line.trim().split_once(" requests in ")?;
            let (seconds, _) = rest.split_once("s,")?;
            Some((requests.parse().ok()?, seconds.parse().ok()?))
        })
        .ok_or_else(|| format!("a report without requests: {report}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 2s test @ https://127.0.0.1:8443/\n  1 threads and 64 connections\n\
        \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev\n\
        \x20   Latency     1.07ms  364.70us  11.07ms   92.99%\n\
        \x20 119541 requests in 2.01s, 10.37MB read\nRequests/sec:  59473.13\n";

    #[test]
    fn the_report_tells_requests_and_seconds() {
        assert_eq!(parse_report(REPORT), Ok((119_541.0, 2.01)));
    }

    #[test]
    fn a_report_of_errors_is_an_error() {
        for line in ["  Socket errors: connect 0, read 3, write 0, timeout 0", "  Non-2xx: 4"] {
            assert!(parse_report(&format!("{REPORT}{line}\n")).is_err(), "{line}");
        }
        assert!(parse_report("unable to connect").is_err());
    }
}
