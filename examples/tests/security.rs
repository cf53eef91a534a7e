//! What the page on security says of tests is true: each of them is there, by the name that it has on
//! the page.

use std::fs;
use std::path::Path;

const PAGE: &str = "docs/security.md";

/// The parts of the page that name tests, and the least number of different ones that each has.
const PARTS: [(&str, usize); 1] = [("Classes of bugs", 100)];

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
fn every_row_of_the_classes_names_a_test() {
    let page = read(PAGE);
    let rows = part(&page, "Classes of bugs").lines().filter(|line| line.starts_with("| "));
    for row in rows.skip(1) {
        assert!(tests_of(row).next().is_some(), "no test: {row}");
    }
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
