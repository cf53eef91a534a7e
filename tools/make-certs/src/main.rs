//! Makes what an HTTPS server needs during development, in one command: a local certificate
//! authority, a server certificate signed by it, and a client certificate for mutual
//! authentication.
//!
//! ```text
//! cargo run -p make-certs -- gateway.local 192.168.4.1
//! curl --cacert certs/ca.pem https://gateway.local:8443/
//! ```
//!
//! The authority is made once and kept: clients are told to trust `ca.pem` one time, and every
//! later run signs with the same authority. [`authority`] makes or loads it, [`leaf`] issues the
//! two other certificates, [`folder`] keeps private keys private and existing files safe.

mod authority;
mod folder;
mod leaf;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

use authority::Authority;
use folder::Folder;
use leaf::Identity;

/// Make a local CA, a server certificate and a client certificate, as PEM files.
///
/// Keys are ECDSA P-256. An authority that is already in the folder is used again, so that what
/// trusts its ca.pem keeps working; everything else is refused if it would overwrite a file.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// DNS names and IP addresses of the server; the first one is its common name
    #[arg(
        value_name = "NAME",
        default_values = ["localhost", "127.0.0.1", "::1"],
        value_parser = leaf::parse_name
    )]
    names: Vec<leaf::Name>,

    /// Folder to write to; made if it isn't there
    #[arg(short, long, value_name = "FOLDER", default_value = "certs")]
    out: PathBuf,

    /// Common name of the client certificate
    #[arg(
        long,
        value_name = "NAME",
        default_value = "client",
        value_parser = leaf::parse_common_name
    )]
    client: String,

    /// Days the server and client certificates are valid; browsers refuse public ones over 398
    #[arg(
        long,
        value_name = "N",
        default_value_t = 397,
        value_parser = clap::value_parser!(u32).range(1..=365_250)
    )]
    days: u32,

    /// First day of validity [default: an hour ago]; for devices whose clock may be behind
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_day)]
    valid_from: Option<OffsetDateTime>,

    /// Replace server and client certificates that are there; the authority stays
    #[arg(long)]
    force: bool,

    /// Make a new authority even if the folder has one; needs --force to replace it
    #[arg(long)]
    new_ca: bool,
}

/// A certificate is issued an hour back, for clients whose clock is a little behind.
const CLOCK_SKEW: Duration = Duration::HOUR;

fn main() -> ExitCode {
    match make(&Cli::parse()) {
        Ok(report) => {
            print!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("make-certs: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, in words for the person at the terminal.
type Error = Box<dyn std::error::Error>;

fn make(cli: &Cli) -> Result<String, Error> {
    let valid = Validity::new(cli.valid_from, cli.days)?;
    let folder = Folder::new(&cli.out, cli.force);
    let keeps_ca = folder.has(authority::CERT) && !cli.new_ca;

    // Everything that can be refused is refused before the first file is written.
    folder.refuse_overwriting(&leaf::FILES)?;
    if !keeps_ca {
        folder.refuse_overwriting(&authority::FILES)?;
    }
    let authority =
        if keeps_ca { Authority::load(&folder, valid)? } else { Authority::new(valid)? };
    let server = authority.issue(Identity::Server(&cli.names), valid)?;
    let client = authority.issue(Identity::Client(&cli.client), valid)?;

    folder.make()?;
    if !keeps_ca {
        folder.write_pair(authority::FILES, authority.cert_pem(), &authority.key_pem())?;
    }
    folder.write_pair(leaf::SERVER, &server.cert_pem, &server.key_pem)?;
    folder.write_pair(leaf::CLIENT, &client.cert_pem, &client.key_pem)?;
    Ok(report(cli, &authority, keeps_ca, valid))
}

/// What was written, and what to do with it.
fn report(cli: &Cli, authority: &Authority, kept_ca: bool, valid: Validity) -> String {
    let out = cli.out.display();
    let names = cli.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let (host, client) = (cli.names[0].in_url(), &cli.client);
    let (ca, ca_until) = (authority.name(), authority.until().date());
    let ca_verb = if kept_ca { "kept " } else { "wrote" };
    let until = valid.until.date();
    format!(
        "\
{ca_verb} {out}/ca.pem, ca.key          the authority \"{ca}\", until {ca_until}
wrote {out}/server.pem, server.key  for {names}, until {until}
wrote {out}/client.pem, client.key  for \"{client}\", until {until}

Give the server server.pem and server.key, and ca.pem if it asks for client certificates.
Have clients trust ca.pem, once; a browser imports it under \"authorities\". For example:

  curl --cacert {out}/ca.pem https://{host}:8443/
  curl --cacert {out}/ca.pem --cert {out}/client.pem --key {out}/client.key https://{host}:8443/

Keep ca.key to yourself: whoever has it can pose as any site to everyone who trusts ca.pem.
"
    )
}

/// The time in which a certificate is valid.
#[derive(Clone, Copy)]
struct Validity {
    from: OffsetDateTime,
    until: OffsetDateTime,
}

impl Validity {
    fn new(from: Option<OffsetDateTime>, days: u32) -> Result<Self, Error> {
        let now = OffsetDateTime::now_utc();
        let from = from.unwrap_or(now - CLOCK_SKEW);
        let until = from + Duration::days(days.into());
        if until <= now {
            let (from, until) = (from.date(), until.date());
            return Err(format!(
                "{days} days from {from} end on {until}, which is past: raise --days or leave out \
                 --valid-from"
            )
            .into());
        }
        Ok(Self { from, until })
    }
}

fn parse_day(text: &str) -> Result<OffsetDateTime, String> {
    let day = Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| "expected a day as YYYY-MM-DD, like 2025-01-31".to_owned())?;
    // RFC 5280 section 4.1.2.5 has years up to 9999; the longest --days is a thousand years.
    if !(1970..9000).contains(&day.year()) {
        return Err("expected a year from 1970 to 8999".to_owned());
    }
    Ok(day.midnight().assume_utc())
}
