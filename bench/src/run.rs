//! Rows, rounds, and servers in turn.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use crate::args;
use crate::machine::{self, Cores, Machine};
use crate::measure::{Bench, Contestant, Variant};
use crate::programs::{self, Peers, Programs};
use crate::results::{ContestantResult, Results, RowResult, Settings};
use crate::rows::{Field, Kind, ROWS, Row};
use crate::servers::Server;
use crate::tools::Tool;
use crate::{Failure, chart, markdown, table};

/// Prints what `--only` and `--servers` take.
pub(crate) fn list() {
    for row in ROWS {
        println!("{:16}{}, {}", row.id, row.title, row.unit);
    }
    println!("\nservers: {}", Server::ALL.map(Server::name).join(" "));
}

/// Measures, prints the table, and writes JSON and SVG.
pub(crate) fn run(args: &args::Run) -> Result<ExitCode, Failure> {
    let start = Instant::now();
    let rows = chosen_rows(&args.only)?;
    let (servers, missing) = available(&chosen_servers(&args.servers)?);
    let peers =
        if servers.iter().any(|server| server.is_built()) { Peers::All } else { Peers::None };
    let programs = Programs::build(peers)?;
    let directory = programs::output_dir()?;
    let settings = settings(args, machine::raise_file_limit()?);
    let cores = Cores::of_this_machine()?;
    let machine = Machine::describe(&cores);
    println!("{}", machine.summary());
    println!("server on core {:?}, load on {:?}", cores.server, cores.load);
    if !cores.are_apart() {
        println!("There is one core for both: only counts and memory mean something.");
    }
    let built = Instant::now();
    let bench = Bench { programs: &programs, directory: &directory, settings: &settings };
    let mut results = Results { machine, settings: settings.clone(), rows: Vec::new() };
    for (index, row) in rows.iter().enumerate() {
        eprintln!("{}/{} {}", index + 1, rows.len(), row.title);
        results.rows.push(measure(row, &bench, &servers, &missing));
    }
    print!("{}", table::text(&results));
    write(&results, &directory)?;
    println!(
        "measured in {:.0} s (built in {:.0} s)",
        built.elapsed().as_secs_f64(),
        (built - start).as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

fn write(results: &Results, directory: &Path) -> Result<(), Failure> {
    fs::write(directory.join("results.json"), serde_json::to_string_pretty(results)? + "\n")?;
    fs::write(directory.join("results.md"), markdown::text(results))?;
    fs::write(directory.join("results.svg"), chart::svg(results)?)?;
    println!("written: results.json, results.md and results.svg in {}", directory.display());
    Ok(())
}

/// One row: in each round every contestant once, so that what the machine does to one it does to
/// all.
fn measure(
    row: &Row,
    bench: &Bench,
    servers: &[Server],
    missing: &[(Server, String)],
) -> RowResult {
    let contestants = contestants(row, servers, bench.settings.idle_max);
    let mut results: Vec<_> = contestants
        .iter()
        .map(|contestant| {
            ContestantResult::new(contestant.name.clone(), contestant.server.is_peer())
        })
        .collect();
    let rounds = match row.kind {
        // These don't change from round to round.
        Kind::SystemCalls(_) | Kind::Memory(..) => 1,
        _ => bench.settings.rounds,
    };
    for _ in 0..rounds {
        for (contestant, result) in contestants.iter().zip(&mut results) {
            let sample = bench.measure(row.kind, contestant).map_err(|error| error.to_string());
            match &sample {
                Ok(sample) => eprintln!("  {:14}{:12.1}", contestant.name, sample.value),
                Err(problem) => eprintln!("  {:14}failed: {problem}", contestant.name),
            }
            result.add(sample);
        }
    }
    for (server, problem) in missing.iter().filter(|(server, _)| takes_part(*server, row.field)) {
        let mut absent = ContestantResult::new(server.name().to_owned(), server.is_peer());
        absent.add(Err(problem.clone()));
        results.push(absent);
    }
    RowResult::new(row, results)
}

fn contestants(row: &Row, servers: &[Server], idle_max: usize) -> Vec<Contestant> {
    let variant = |name: String, variant| Contestant { name, server: Server::Ours, variant };
    match row.kind {
        Kind::RateBesideIdle(_, counts) => counts
            .iter()
            .map(|&count| count.min(idle_max))
            .map(|count| variant(format!("{count} idle"), Variant::BesideIdle(count)))
            .collect(),
        Kind::RateByRoutes(_, counts) => counts
            .iter()
            .map(|count| variant(format!("{count} routes"), Variant::Routes(*count)))
            .collect(),
        Kind::RateByWorkers(_, counts) => counts
            .iter()
            .map(|&workers| {
                let of = counts.iter().copied().max().unwrap_or(workers);
                variant(format!("{workers} workers"), Variant::Workers { workers, of })
            })
            .collect(),
        _ => servers
            .iter()
            .filter(|server| takes_part(**server, row.field))
            .map(|&server| Contestant {
                name: server.name().to_owned(),
                server,
                variant: Variant::Usual,
            })
            .collect(),
    }
}

fn takes_part(server: Server, field: Field) -> bool {
    match field {
        Field::All(ability) => server.can(ability),
        Field::Servers(ability) => {
            server.can(ability) && (server == Server::Ours || server.is_peer())
        }
        Field::Ours => false,
    }
}

fn chosen_rows(only: &[String]) -> Result<Vec<&'static Row>, Failure> {
    if only.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    // A name may stand for several: `memory` is `memory_tls`, `memory_plain`, `memory_wss`.
    let mut chosen: Vec<&Row> = Vec::new();
    for name in only {
        let exact: Vec<_> = ROWS.iter().filter(|row| row.id == name).collect();
        let begin: Vec<_> = ROWS.iter().filter(|row| row.id.starts_with(name.as_str())).collect();
        let found = if exact.is_empty() { begin } else { exact };
        if found.is_empty() {
            return Err(format!("there is no row '{name}'; --list lists them").into());
        }
        chosen.extend(found);
    }
    Ok(chosen)
}

fn chosen_servers(names: &[String]) -> Result<Vec<Server>, Failure> {
    if names.is_empty() {
        return Ok(Server::ALL.to_vec());
    }
    names
        .iter()
        .map(|name| {
            let found = Server::ALL.into_iter().find(|server| server.name() == name);
            found.ok_or_else(|| format!("there is no server '{name}'; --list lists them").into())
        })
        .collect()
}

/// Those whose programs are there, and for the others what to install.
fn available(servers: &[Server]) -> (Vec<Server>, Vec<(Server, String)>) {
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for &server in servers {
        match server.tool().map(Tool::path) {
            Some(Err(problem)) => {
                println!("skipped: {problem}");
                missing.push((server, problem));
            }
            _ => there.push(server),
        }
    }
    (there, missing)
}

/// What the machine's limit of open files leaves to other things than sessions.
const OTHER_FILES: usize = 1_000;

fn settings(args: &args::Run, file_limit: usize) -> Settings {
    let full = !args.quick;
    let choose = |in_full: f64, in_quick: f64| if full { in_full } else { in_quick };
    let sessions_max = file_limit.saturating_sub(OTHER_FILES);
    let sessions = args.sessions.unwrap_or(if full { 5_000 } else { 500 });
    if sessions > sessions_max {
        println!("sessions: {sessions_max}, as `ulimit -Hn` is {file_limit}");
    }
    Settings {
        rounds: args.rounds.unwrap_or(if full { 3 } else { 1 }),
        warm_up_seconds: choose(0.2, 0.1),
        seconds: args.seconds.unwrap_or(choose(1.0, 0.3)),
        sessions: sessions.min(sessions_max),
        starts: if full { 5 } else { 2 },
        traced_answers: if full { 5_000 } else { 1_000 },
        idle_max: if full { sessions_max } else { sessions_max.min(2_000) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Ability;

    #[test]
    fn a_row_is_chosen_by_its_name_or_several_by_how_they_begin() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<_> = only.iter().map(|name| name.to_string()).collect();
            chosen_rows(&only).unwrap().iter().map(|row| row.id).collect()
        };
        assert_eq!(names(&["https_small"]), ["https_small"]);
        assert_eq!(
            names(&["memory", "tail"]),
            ["memory_tls", "memory_plain", "memory_wss", "tail"]
        );
        assert_eq!(names(&[]).len(), ROWS.len());
        assert!(chosen_rows(&["nothing".to_owned()]).is_err());
    }

    #[test]
    fn only_servers_take_part_where_a_bare_loop_makes_no_sense() {
        assert!(takes_part(Server::Bare, Field::All(Ability::Pages)));
        assert!(!takes_part(Server::Bare, Field::Servers(Ability::Pages)));
        assert!(!takes_part(Server::Nginx, Field::All(Ability::WebSocket)));
        assert!(takes_part(Server::Ours, Field::All(Ability::WebSocket)));
    }
}
