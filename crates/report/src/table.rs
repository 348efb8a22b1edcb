//! Columns.

use console::measure_text_width;

/// Pads by display width.
pub(crate) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(measure_text_width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// Shortens by display width, with an ellipsis.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// Aligns rows under a heading, two blanks between columns, an empty cell as `-`; columns that are empty
/// in every row are left out.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| measure_text_width(c));
        let widest = cells.max().unwrap_or(0);
        let title = heading.get(column).map_or(0, |h| measure_text_width(h));
        if rows.is_empty() || widest > 0 { Some(widest.max(title)) } else { None }
    };
    let widths: Vec<Option<usize>> = (0..N).map(width).collect();
    let line = |cells: &[String]| {
        let shown = cells.iter().zip(&widths).filter_map(|(cell, width)| {
            let cell = if cell.is_empty() { "-" } else { cell.as_str() };
            width.map(|w| pad(cell, w))
        });
        let mut text = shown.collect::<Vec<_>>().join("  ").trim_end().to_owned();
        text.push('\n');
        text
    };
    let mut text = line(&heading.map(str::to_owned));
    text.extend(rows.iter().map(|r| line(r)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_letters_count_as_two_columns_and_empty_columns_go() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let text = table(["HOST", "NOTE", "USER"], &[row(["东京01", "", "alice"]), row(["b", "", ""])]);
        assert_eq!(text, "HOST    USER\n东京01  alice\nb       -\n");
    }
}
