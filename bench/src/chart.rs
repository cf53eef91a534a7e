//! The results as a picture: a panel for each row, a bar for each contestant.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Failure;
use crate::results::{ContestantResult, Results, RowResult};
use crate::rows::Better;
use crate::table::number;

const COLUMNS: usize = 2;
const PANEL_WIDTH: u32 = 520;
const BAR_HEIGHT: i32 = 18;
/// Where bars begin: right of the names.
const BARS_LEFT: i32 = 130;
/// What is left for the numbers behind the longest bar.
const BARS_MAX: i32 = 300;
const TITLE_HEIGHT: i32 = 44;

const OURS: RGBColor = RGBColor(0xd9, 0x48, 0x01);
const PEER: RGBColor = RGBColor(0x6b, 0xae, 0xd6);
const BARE: RGBColor = RGBColor(0xb0, 0xb0, 0xb0);
const GREY: RGBColor = RGBColor(0x60, 0x60, 0x60);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws every row that has a number.
///
/// # Errors
///
/// If the plotting library can't draw.
pub(crate) fn svg(results: &Results) -> Result<String, Failure> {
    let rows: Vec<&RowResult> = results.rows.iter().filter(|row| longest(row) > 0.0).collect();
    let bars = rows.iter().map(|row| row.contestants.len()).max().unwrap_or_default();
    let panel_height = TITLE_HEIGHT as u32 + bars as u32 * BAR_HEIGHT as u32 + 12;
    let lines = rows.len().div_ceil(COLUMNS).max(1);
    let size = (COLUMNS as u32 * PANEL_WIDTH, lines as u32 * panel_height);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        for (row, area) in rows.iter().zip(root.split_evenly((lines, COLUMNS))) {
            panel(row, &area)?;
        }
        root.present()?;
    }
    Ok(text)
}

fn panel(row: &RowResult, area: &Area) -> Result<(), Failure> {
    let unit = match row.better {
        Better::Higher => format!("{}, longer is better", row.unit),
        Better::Lower => format!("{}, shorter is better", row.unit),
    };
    let left = Pos::new(HPos::Left, VPos::Top);
    let title = ("sans-serif", 15).into_text_style(area).pos(left);
    area.draw_text(row.title, &title, (8, 6))?;
    let small = ("sans-serif", 12).into_text_style(area).color(&GREY).pos(left);
    area.draw_text(&unit, &small, (8, 24))?;
    let longest = longest(row);
    for (index, contestant) in row.contestants.iter().enumerate() {
        let top = TITLE_HEIGHT + index as i32 * BAR_HEIGHT;
        bar(contestant, top, longest, area)?;
    }
    Ok(())
}

fn bar(contestant: &ContestantResult, top: i32, longest: f64, area: &Area) -> Result<(), Failure> {
    let middle = top + BAR_HEIGHT / 2;
    let font = ("sans-serif", 12).into_text_style(area);
    let name = font.pos(Pos::new(HPos::Right, VPos::Center));
    area.draw_text(&contestant.name, &name, (BARS_LEFT - 6, middle))?;
    let value = font.pos(Pos::new(HPos::Left, VPos::Center));
    let Some(median) = contestant.median else {
        area.draw_text("not measured", &value.color(&GREY), (BARS_LEFT + 6, middle))?;
        return Ok(());
    };
    let right = BARS_LEFT + (median / longest * f64::from(BARS_MAX)) as i32;
    let color = match contestant {
        contestant if contestant.is_peer => PEER,
        contestant if contestant.name.starts_with("bare") => BARE,
        _ => OURS,
    };
    let corners = [(BARS_LEFT, top + 2), (right, top + BAR_HEIGHT - 2)];
    area.draw(&Rectangle::new(corners, color.filled()))?;
    area.draw_text(&number(median), &value, (right + 6, middle))?;
    Ok(())
}

/// The longest bar of a row.
fn longest(row: &RowResult) -> f64 {
    let medians = row.contestants.iter().filter_map(|contestant| contestant.median);
    medians.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Sample;
    use crate::rows::ROWS;

    #[test]
    fn the_picture_has_a_bar_for_each_number_and_a_word_for_each_gap() {
        let mut ours = ContestantResult::new("ours".to_owned(), false);
        ours.add(Ok(Sample { value: 123.0, ..Sample::default() }));
        let mut nginx = ContestantResult::new("nginx".to_owned(), true);
        nginx.add(Err("missing".to_owned()));
        let results = Results::of_rows(vec![RowResult::new(&ROWS[0], vec![ours, nginx])]);
        let picture = svg(&results).unwrap();
        assert!(picture.starts_with("<svg "), "{picture}");
        for text in [ROWS[0].title, "123", "not measured"] {
            assert!(picture.contains(text), "{text}");
        }
    }
}
