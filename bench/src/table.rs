//! The results as text.

use std::fmt::Write as _;

use crate::results::{ContestantResult, Results, RowResult};

/// Every row with its contestants, and behind them all goals.
pub(crate) fn text(results: &Results) -> String {
    let mut text = String::new();
    for row in &results.rows {
        text += &row_text(row);
    }
    text + &verdicts(results)
}

fn row_text(row: &RowResult) -> String {
    let mut text = format!("\n{} ({})\n", row.title, row.unit);
    // Ratios to ourselves say nothing in a row of our own variants.
    let has_ours = row.median_of("ours").is_some();
    for contestant in &row.contestants {
        text += &contestant_text(row, contestant, has_ours);
    }
    text
}

fn contestant_text(row: &RowResult, contestant: &ContestantResult, has_ours: bool) -> String {
    let mut text = format!("  {:14}", contestant.name);
    if let (Some(median), Some((low, high))) = (contestant.median, contestant.range()) {
        let range = format!("{}..{}", number(low), number(high));
        write!(text, "{:>10}  {range:>18}", number(median)).expect("a string takes all");
        if has_ours && contestant.name != "ours" {
            let ratio = row.ours_to(Some(median)).unwrap_or_default();
            write!(text, "  ours is {ratio:.2} ×").expect("a string takes all");
        }
        for name in contestant.samples.first().iter().flat_map(|sample| sample.details.keys()) {
            let detail = contestant.detail(name).unwrap_or_default();
            write!(text, "  {name} {}", number(detail)).expect("a string takes all");
        }
    }
    if let Some(problem) = &contestant.problem {
        write!(text, "  {problem}").expect("a string takes all");
    }
    text + "\n"
}

fn verdicts(results: &Results) -> String {
    let mut text = String::from("\ngoals\n");
    for row in &results.rows {
        for verdict in &row.verdicts {
            let (reached, word) = match (verdict.reached, verdict.is_met) {
                (Some(reached), Some(true)) => (format!("{reached:.3}"), "reached"),
                (Some(reached), _) => (format!("{reached:.3}"), "NOT reached"),
                _ => ("-".to_owned(), "not measured"),
            };
            writeln!(text, "  {:16}{:>30}  {reached:>8}  {word}", row.id, verdict.goal)
                .expect("a string takes all");
        }
    }
    text
}

/// With as many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 1e4 => format!("{:.1} k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Sample;
    use crate::rows::ROWS;

    #[test]
    fn numbers_have_three_digits_or_so() {
        for (value, text) in [
            (1_234_567.0, "1.23 M"),
            (98_765.0, "98.8 k"),
            (1_234.5, "1234"),
            (12.345, "12.3"),
            (0.456, "0.46"),
            (0.0, "0.00"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_row_shows_ratios_and_problems() {
        let mut ours = ContestantResult::new("ours".to_owned(), false);
        let mut axum = ContestantResult::new("axum".to_owned(), true);
        let mut h2o = ContestantResult::new("h2o".to_owned(), true);
        ours.add(Ok(Sample { value: 130.0, ..Sample::default() }));
        axum.add(Ok(Sample { value: 100.0, ..Sample::default() }));
        h2o.add(Err("h2o is missing: apt-get install h2o".to_owned()));
        let text = row_text(&RowResult::new(&ROWS[0], vec![ours, axum, h2o]));
        assert!(text.contains("ours is 1.30 ×"), "{text}");
        assert!(text.contains("apt-get install h2o"), "{text}");
    }
}
