//! What came out, and whether it is what was to be reached.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::machine::Machine;
use crate::rows::{Better, Goal, Row};
use crate::stats;

/// A whole run.
#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) rows: Vec<RowResult>,
}

/// How long and how often.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    /// How often each contestant is measured in each row.
    pub(crate) rounds: usize,
    /// How long the load runs before it is counted.
    pub(crate) warm_up_seconds: f64,
    /// How long it is counted.
    pub(crate) seconds: f64,
    /// How many sessions are open when their memory is measured.
    pub(crate) sessions: usize,
    /// How often a server is started to time its first answer.
    pub(crate) starts: usize,
    /// How many answers are counted under strace.
    pub(crate) traced_answers: u64,
    /// Idle sessions beside busy ones: no more than so many.
    pub(crate) idle_max: usize,
}

/// One row.
#[derive(Serialize)]
pub(crate) struct RowResult {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) contestants: Vec<ContestantResult>,
    pub(crate) verdicts: Vec<Verdict>,
}

/// One server, or one variant of ours, in a row.
#[derive(Debug, Serialize)]
pub(crate) struct ContestantResult {
    pub(crate) name: String,
    /// Whether it is a peer to be faster than.
    pub(crate) is_peer: bool,
    /// The median of the rounds, if there is one.
    pub(crate) median: Option<f64>,
    /// The rounds.
    pub(crate) samples: Vec<Sample>,
    /// Why a round, or all, are missing.
    pub(crate) problem: Option<String>,
}

/// One measurement: what the row is about, and what else was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    pub(crate) details: BTreeMap<&'static str, f64>,
}

/// What became of a goal.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// What was to be reached, for people.
    pub(crate) goal: String,
    /// What was reached, or `None` if there is nothing to compare.
    pub(crate) reached: Option<f64>,
    pub(crate) is_met: Option<bool>,
}

impl ContestantResult {
    pub(crate) fn new(name: String, is_peer: bool) -> Self {
        Self { name, is_peer, median: None, samples: Vec::new(), problem: None }
    }

    /// Enters the result of a round.
    pub(crate) fn add(&mut self, sample: Result<Sample, String>) {
        match sample {
            Ok(sample) => {
                self.samples.push(sample);
                let values: Vec<f64> = self.samples.iter().map(|sample| sample.value).collect();
                self.median = stats::median(&values);
            }
            Err(problem) => self.problem = Some(problem),
        }
    }

    /// The median of one of the details.
    pub(crate) fn detail(&self, name: &str) -> Option<f64> {
        let values: Vec<f64> =
            self.samples.iter().filter_map(|sample| sample.details.get(name).copied()).collect();
        stats::median(&values)
    }

    /// The lowest and the highest of the rounds.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let values = || self.samples.iter().map(|sample| sample.value);
        Some((values().reduce(f64::min)?, values().reduce(f64::max)?))
    }
}

impl RowResult {
    pub(crate) fn new(row: &Row, contestants: Vec<ContestantResult>) -> Self {
        let mut result = Self {
            id: row.id,
            title: row.title,
            unit: row.unit,
            better: row.better,
            contestants,
            verdicts: Vec::new(),
        };
        result.verdicts = row.goals.iter().map(|goal| result.judge(*goal)).collect();
        result
    }

    /// The median of a contestant.
    pub(crate) fn median_of(&self, name: &str) -> Option<f64> {
        self.contestants.iter().find(|contestant| contestant.name == name)?.median
    }

    /// The peer with the best median.
    pub(crate) fn best_peer(&self) -> Option<(&str, f64)> {
        self.contestants
            .iter()
            .filter(|contestant| contestant.is_peer)
            .filter_map(|contestant| Some((contestant.name.as_str(), contestant.median?)))
            .max_by(|(_, one), (_, other)| match self.better {
                Better::Higher => one.total_cmp(other),
                Better::Lower => other.total_cmp(one),
            })
    }

    /// Ours, as so many times `other`: above 1 is better than `other`, whatever the row counts.
    pub(crate) fn ours_to(&self, other: Option<f64>) -> Option<f64> {
        let (ours, other) = (self.median_of("ours")?, other?);
        match self.better {
            Better::Higher => Some(ours / other),
            Better::Lower => Some(other / ours),
        }
    }

    fn judge(&self, goal: Goal) -> Verdict {
        let (text, reached, is_met): (_, _, fn(f64, f64) -> bool) = match goal {
            Goal::TimesFastestPeer(_) => {
                let best = self.best_peer().map(|(_, median)| median);
                ("× the fastest peer", self.ours_to(best), |reached, goal| reached >= goal)
            }
            Goal::OfBare(_) => {
                let bare = self.median_of("bare");
                ("× the bare loop", self.ours_to(bare), |reached, goal| reached >= goal)
            }
            Goal::AtMost(_) => (self.unit, self.median_of("ours"), |reached, goal| reached <= goal),
            Goal::Flat(_) => {
                let worst = self.flatness(self.contestants.len());
                ("× the first variant", worst, |reached, goal| reached >= goal)
            }
            Goal::SecondFlat(_) => {
                let second = self.flatness(2);
                ("× the first variant in the second", second, |reached, goal| reached >= goal)
            }
        };
        let (sign, goal) = match goal {
            Goal::TimesFastestPeer(goal)
            | Goal::OfBare(goal)
            | Goal::Flat(goal)
            | Goal::SecondFlat(goal) => ("≥", goal),
            Goal::AtMost(goal) => ("≤", goal),
        };
        Verdict {
            goal: format!("{sign} {goal} {text}"),
            reached,
            is_met: reached.map(|reached| is_met(reached, goal)),
        }
    }

    /// The worst of the first variants ÷ the first one.
    fn flatness(&self, variants: usize) -> Option<f64> {
        let first = self.contestants.iter().take(variants);
        let medians: Option<Vec<f64>> = first.map(|contestant| contestant.median).collect();
        let medians = medians?;
        let first = *medians.first()?;
        medians.into_iter().map(|median| median / first).reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Cores;
    use crate::rows::ROWS;

    impl Results {
        /// For tests of what is made of results.
        pub(crate) fn of_rows(rows: Vec<RowResult>) -> Self {
            let settings = Settings {
                rounds: 1,
                warm_up_seconds: 0.0,
                seconds: 0.0,
                sessions: 0,
                starts: 0,
                traced_answers: 0,
                idle_max: 0,
            };
            let machine = Machine::describe(&Cores::of_this_machine().unwrap());
            Self { machine, settings, rows }
        }
    }

    fn contestant(name: &str, is_peer: bool, values: &[f64]) -> ContestantResult {
        let mut contestant = ContestantResult::new(name.to_owned(), is_peer);
        for &value in values {
            contestant.add(Ok(Sample { value, ..Sample::default() }));
        }
        contestant
    }

    fn row(id: &str) -> &'static Row {
        ROWS.iter().find(|row| row.id == id).unwrap()
    }

    #[test]
    fn medians_are_compared_with_the_fastest_peer_and_the_bare_loop() {
        let result = RowResult::new(
            row("https_small"),
            vec![
                contestant("ours", false, &[130.0, 100.0, 120.0]),
                contestant("axum", true, &[90.0, 80.0, 500.0]),
                contestant("actix", true, &[100.0]),
                contestant("nginx", true, &[]),
                contestant("bare", false, &[125.0]),
            ],
        );
        assert_eq!(result.best_peer(), Some(("actix", 100.0)));
        let [peer, bare] = &result.verdicts[..] else { panic!("{:?}", result.verdicts) };
        assert_eq!(peer.goal, "≥ 1.25 × the fastest peer");
        assert_eq!((peer.reached, peer.is_met), (Some(1.2), Some(false)));
        assert_eq!((bare.reached, bare.is_met), (Some(0.96), Some(true)));
    }

    #[test]
    fn where_less_is_better_the_best_peer_is_the_lowest_and_a_ratio_above_one_still_good() {
        let result = RowResult::new(
            row("memory_tls"),
            vec![
                contestant("ours", false, &[4.0]),
                contestant("axum", true, &[20.0]),
                contestant("nginx", true, &[16.0]),
            ],
        );
        assert_eq!(result.best_peer(), Some(("nginx", 16.0)));
        assert_eq!(result.ours_to(Some(16.0)), Some(4.0));
        assert_eq!(result.verdicts[0].is_met, Some(true));
    }

    #[test]
    fn without_a_number_there_is_no_verdict() {
        let mut ours = ContestantResult::new("ours".to_owned(), false);
        ours.add(Err("it ended".to_owned()));
        let result = RowResult::new(row("http_small"), vec![ours]);
        assert_eq!(result.verdicts[0].is_met, None);
        assert_eq!(result.contestants[0].problem.as_deref(), Some("it ended"));
    }

    #[test]
    fn variants_are_flat_if_the_worst_is_near_the_first() {
        let variants = vec![
            contestant("10 idle", false, &[100.0]),
            contestant("1000 idle", false, &[95.0]),
            contestant("10000 idle", false, &[80.0]),
        ];
        let result = RowResult::new(row("scale_idle"), variants);
        assert_eq!(result.verdicts[0].reached, Some(0.8));
        assert_eq!(result.verdicts[0].is_met, Some(false));
    }
}
