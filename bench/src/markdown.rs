//! The results as Markdown, to be put into `docs/performance.md`.

use crate::results::{ContestantResult, Results, RowResult};
use crate::servers::Server;
use crate::table::number;

/// Two tables: the servers side by side, and the variants of ours.
pub(crate) fn text(results: &Results) -> String {
    let names = Server::ALL.map(Server::name);
    let mut text =
        format!("{}.\n\n| | {} | goal | reached |\n", results.machine.summary(), names.join(" | "));
    text += &format!("|---|{}---|---|\n", "--:|".repeat(names.len()));
    let is_of_servers = |row: &&RowResult| {
        row.contestants.iter().any(|contestant| names.contains(&contestant.name.as_str()))
    };
    for row in results.rows.iter().filter(is_of_servers) {
        text += &line(row, names.iter().map(|name| of(row, name)));
    }
    text += "\n| | | goal | reached |\n|---|---|---|---|\n";
    for row in results.rows.iter().filter(|row| !is_of_servers(row)) {
        let variants: Vec<_> = row
            .contestants
            .iter()
            .map(|contestant| format!("{}: {}", contestant.name, median(contestant)))
            .collect();
        text += &line(row, [variants.join(", ")].into_iter());
    }
    text
}

fn line(row: &RowResult, cells: impl Iterator<Item = String>) -> String {
    let goals: Vec<_> = row.verdicts.iter().map(|verdict| verdict.goal.as_str()).collect();
    let reached: Vec<_> = row
        .verdicts
        .iter()
        .map(|verdict| match (verdict.reached, verdict.is_met) {
            (Some(reached), Some(true)) => format!("**{reached:.2}**"),
            (Some(reached), _) => format!("{reached:.2}"),
            (None, _) => "–".to_owned(),
        })
        .collect();
    let cells: Vec<_> = cells.collect();
    format!(
        "| {}, {} | {} | {} | {} |\n",
        row.title,
        row.unit,
        cells.join(" | "),
        goals.join("<br>"),
        reached.join("<br>")
    )
}

/// The cell of a server: empty if it takes no part.
fn of(row: &RowResult, name: &str) -> String {
    let found = row.contestants.iter().find(|contestant| contestant.name == name);
    found.map(median).unwrap_or_default()
}

fn median(contestant: &ContestantResult) -> String {
    contestant.median.map_or("–".to_owned(), number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Sample;
    use crate::rows::ROWS;

    #[test]
    fn servers_have_columns_and_variants_a_cell() {
        let contestant = |name: &str, value| {
            let mut contestant = ContestantResult::new(name.to_owned(), name == "axum");
            contestant.add(Ok(Sample { value, ..Sample::default() }));
            contestant
        };
        let servers = vec![contestant("ours", 140.0), contestant("axum", 100.0)];
        let variants = vec![contestant("10 idle", 100.0), contestant("1000 idle", 50.0)];
        let scale = ROWS.iter().find(|row| row.id == "scale_idle").unwrap();
        let rows = vec![RowResult::new(&ROWS[0], servers), RowResult::new(scale, variants)];
        let text = text(&Results::of_rows(rows));
        assert!(text.contains("| 140 | 100 |  |"), "{text}");
        assert!(text.contains("| **1.40**<br>– |"), "{text}");
        assert!(text.contains("| 10 idle: 100, 1000 idle: 50.0 | ≥ 0.9"), "{text}");
        assert!(text.contains("| 0.50 |"), "{text}");
    }
}
