//! What the page on security says of tests is true: each of them is there, by the name that it has on
//! the page; and every limit has its row.

use std::fs;
use std::path::Path;

const PAGE: &str = "docs/security.md";

/// The parts of the page that name tests, and the least number of different ones that each has.
const PARTS: [(&str, usize); 3] = [("Bounds", 25), ("Deadlines", 15), ("Classes of bugs", 100)];

/// Where the limits of a server are fields.
const CONFIGS: [&str; 2] =
    ["crates/esp-http-server/src/server/config.rs", "crates/esp-https-server/src/config.rs"];

/// A limit on what only the application makes grow.
const NOT_THE_PEERS: &str = "max_uri_handlers";

#[test]
fn every_test_that_is_named_is_there() {
    let page = read(PAGE);
    for (heading, least) in PARTS {
        let mut named: Vec<_> = part(&page, heading).lines().flat_map(tests_of).collect();
        for test in &named {
            let is_there = declares(&read(test.file), test.name);
            assert!(is_there, "{PAGE}, {heading}: {} has no test {}", test.file, test.name);
        }
        named.sort_unstable();
        named.dedup();
        assert!(named.len() >= least, "{heading}: {} tests, not {least}", named.len());
    }
}

#[test]
fn every_row_names_a_test() {
    let page = read(PAGE);
    for (heading, _) in PARTS {
        let rows = part(&page, heading).lines().filter(|line| line.starts_with("| "));
        for row in rows.skip(1).filter(|row| !row.starts_with("| what |")) {
            assert!(tests_of(row).next().is_some(), "no test: {row}");
        }
    }
}

#[test]
fn every_limit_of_a_configuration_has_a_row_and_every_row_its_limit() {
    let page = read(PAGE);
    let rows = part(&page, "Bounds").lines().filter(|line| line.starts_with("| "));
    let named: Vec<_> = rows
        .filter_map(|row| row.split('|').nth(2)?.trim().strip_prefix('`')?.strip_suffix('`'))
        .collect();
    let fields: Vec<_> = CONFIGS.iter().flat_map(|config| fields(&read(config))).collect();
    for limit in fields.iter().filter(|field| is_limit(field) && *field != NOT_THE_PEERS) {
        assert!(named.contains(&&**limit), "{PAGE} has no row for `{limit}`");
    }
    for name in &named {
        assert!(fields.iter().any(|field| field == name), "{PAGE}: there is no field `{name}`");
    }
    assert!(named.len() > 15, "only {named:?}");
}

#[test]
fn every_deadline_of_a_configuration_has_a_row() {
    let page = read(PAGE);
    let part = part(&page, "Deadlines");
    let fields: Vec<_> = CONFIGS.iter().flat_map(|config| fields(&read(config))).collect();
    let is_deadline = |field: &&String| field.ends_with("_timeout") || field.ends_with("_rate");
    let deadlines: Vec<_> = fields.iter().filter(is_deadline).collect();
    for name in &deadlines {
        let is_there = part.lines().any(|row| {
            row.split('|').nth(2).is_some_and(|cell| cell.contains(&format!("`{name}`")))
        });
        assert!(is_there, "{PAGE} has no row for `{name}`");
    }
    assert!(deadlines.len() > 10, "only {deadlines:?}");
}

#[test]
fn a_limit_is_known_by_its_name() {
    let config =
        "    pub max_a: usize,\n    pub b: u16,\n    c_len: usize,\n    pub d_len: usize,\n";
    let fields = fields(config);
    assert_eq!(fields, ["max_a", "b", "d_len"]);
    assert_eq!(fields.iter().filter(|field| is_limit(field)).count(), 2);
}

#[test]
fn names_belong_to_the_link_before_them() {
    let row = "| `x` | a | [`a.rs`](../b/a.rs) `one`, `two`; [`c.py`](../c.py) `three` |";
    let tests: Vec<_> = tests_of(row).map(|test| (test.file, test.name)).collect();
    assert_eq!(tests, [("b/a.rs", "one"), ("b/a.rs", "two"), ("c.py", "three")]);
}

#[test]
fn a_test_is_declared_by_its_language() {
    assert!(declares("#[test]\nfn a_b() {\n", "a_b"));
    assert!(declares("    #[test]\n    fn a_b() {\n", "a_b"));
    assert!(!declares("fn a_b() {\n", "a_b"), "it is no test");
    assert!(!declares("#[test]\nfn a_b_c() {\n", "a_b"));
    assert!(declares("    def test_a(self):\n", "test_a"));
    assert!(declares("        name: \"drip\",\n", "drip"));
}

/// A test, as the page names it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Test<'t> {
    file: &'t str,
    name: &'t str,
}

/// The tests of a row: behind a link to a file stand the names of those in it.
fn tests_of(row: &str) -> impl Iterator<Item = Test<'_>> {
    row.split("](../").skip(1).flat_map(|piece| {
        let (file, names) = piece.split_once(')').unwrap_or_default();
        let names = names.split('[').next().unwrap_or_default();
        names.split('`').skip(1).step_by(2).map(move |name| Test { file, name })
    })
}

/// The public fields of a configuration.
fn fields(source: &str) -> Vec<String> {
    let lines = source.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
    lines.map(|(name, _)| name.to_owned()).filter(|name| !name.contains(' ')).collect()
}

/// Whether a field bounds something.
fn is_limit(field: &str) -> bool {
    let ends = ["_len", "_size", "_frames", "_conn", "_memory", "_per_sec"];
    field.starts_with("max_") || ends.iter().any(|end| field.ends_with(end))
}

/// Whether a source has that test: a function of Rust's or Python's, or a scenario.
fn declares(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let is_rust = lines
        .windows(2)
        .any(|pair| pair[0].starts_with("#[test]") && pair[1].starts_with(&format!("fn {name}(")));
    let is_python = lines.iter().any(|line| line.starts_with(&format!("def {name}(")));
    let is_scenario = lines.iter().any(|line| line.contains(&format!("name: \"{name}\"")));
    is_rust || is_python || is_scenario
}

/// What stands below a heading of the second level.
fn part<'t>(page: &'t str, heading: &str) -> &'t str {
    let start = format!("\n## {heading}\n");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("{PAGE}: no {heading}"));
    rest.split("\n## ").next().unwrap_or_default()
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}
