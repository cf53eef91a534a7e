//! The counts that were last accepted, and what may differ from them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::programs;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// Instructions in user space, by callgrind.
    Instructions,
    /// Calls of the heap allocator, by memcheck.
    Allocations,
    /// Calls of the kernel, by strace.
    SystemCalls,
}

impl Count {
    pub(super) const ALL: [Self; 3] = [Self::Instructions, Self::Allocations, Self::SystemCalls];

    /// The name of this count in a scenario.
    pub(super) fn key(self, scenario: &str) -> String {
        let name = match self {
            Self::Instructions => "instructions",
            Self::Allocations => "allocations",
            Self::SystemCalls => "system_calls",
        };
        format!("{scenario}.{name}")
    }

    /// What it may differ from the baseline, as a part of it. Instructions and allocations differ by
    /// a little with the bytes of keys and signatures; instructions by more if another compiler has
    /// made them. System calls differ with how the bytes of a handshake fall into reads, which is up
    /// to the scheduler.
    fn margin(self, made: Made) -> f64 {
        match (self, made) {
            (Self::Instructions, Made::Otherwise) => 0.1,
            (Self::Instructions, Made::Alike) => 0.03,
            (Self::Allocations, _) => 0.02,
            (Self::SystemCalls, _) => 0.05,
        }
    }
}

/// Whether the baseline was made by the compiler at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Alike,
    Otherwise,
}

/// `bench/counts/baseline.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Baseline {
    /// The compiler: another one makes other instructions.
    pub(super) made_with: String,
    pub(super) per_answer: BTreeMap<String, f64>,
}

/// Where the baseline is.
pub(super) fn path() -> PathBuf {
    programs::root().join("bench/counts/baseline.json")
}

/// How a count compares with the baseline. The number is that of the baseline.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The same, within the margin.
    Same(f64),
    /// Less, by more than the margin.
    Less(f64),
    /// More, by more than the margin.
    More(f64),
    /// The baseline has no such count.
    Unknown,
}

/// What every count may differ: a timer or a wake-up in one of the two runs.
const MARGIN_COUNT: f64 = 0.05;

impl Baseline {
    pub(super) fn compare(&self, count: Count, scenario: &str, value: f64, made: Made) -> Outcome {
        let Some(&before) = self.per_answer.get(&count.key(scenario)) else {
            return Outcome::Unknown;
        };
        let margin = (before * count.margin(made)).max(MARGIN_COUNT);
        match value - before {
            difference if difference > margin => Outcome::More(before),
            difference if difference < -margin => Outcome::Less(before),
            _ => Outcome::Same(before),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(before) => write!(f, "as before, {before:.2}"),
            Self::Less(before) => write!(f, "LESS than {before:.2}: accept it with --bless"),
            Self::More(before) => write!(f, "MORE than {before:.2}"),
            Self::Unknown => write!(f, "NOT in the baseline: accept it with --bless"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_margin_is_more_and_less_is_said() {
        let per_answer = BTreeMap::from([
            ("a.instructions".to_owned(), 1000.0),
            ("a.allocations".to_owned(), 0.0),
            ("a.system_calls".to_owned(), 14.0),
        ]);
        let baseline = Baseline { made_with: String::new(), per_answer };
        let compare = |count, value| baseline.compare(count, "a", value, Made::Alike);
        assert_eq!(compare(Count::Instructions, 1030.0), Outcome::Same(1000.0));
        assert_eq!(compare(Count::Instructions, 1031.0), Outcome::More(1000.0));
        assert_eq!(compare(Count::Instructions, 969.0), Outcome::Less(1000.0));
        assert_eq!(compare(Count::Allocations, 0.04), Outcome::Same(0.0));
        assert_eq!(compare(Count::Allocations, 1.0), Outcome::More(0.0));
        assert_eq!(compare(Count::SystemCalls, 14.5), Outcome::Same(14.0));
        assert_eq!(compare(Count::SystemCalls, 15.0), Outcome::More(14.0));
        let unknown = baseline.compare(Count::Instructions, "b", 1.0, Made::Alike);
        assert_eq!(unknown, Outcome::Unknown);
    }

    #[test]
    fn another_compiler_may_make_other_instructions_and_nothing_else() {
        let per_answer = BTreeMap::from([
            ("a.instructions".to_owned(), 1000.0),
            ("a.allocations".to_owned(), 2.0),
        ]);
        let baseline = Baseline { made_with: String::new(), per_answer };
        let compare = |count, value| baseline.compare(count, "a", value, Made::Otherwise);
        assert_eq!(compare(Count::Instructions, 1100.0), Outcome::Same(1000.0));
        assert_eq!(compare(Count::Instructions, 1101.0), Outcome::More(1000.0));
        assert_eq!(compare(Count::Allocations, 3.0), Outcome::More(2.0));
    }
}
