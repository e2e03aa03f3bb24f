//! Tables that fit a width.

use super::Line;

/// Columns between two cells.
const GAP: usize = 2;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its cells are aligned at their end, as numbers are.
    pub is_right: bool,
    /// The least width to which it is cut if the table is too wide; `None` for one that is never cut.
    pub least: Option<usize>,
}

impl Column {
    /// A column that is never cut.
    pub const FIXED: Self = Self { is_right: false, least: None };
    /// A column of numbers, which is never cut.
    pub const NUMBER: Self = Self { is_right: true, least: None };

    /// A column that may be cut to a width.
    pub const fn cut_to(least: usize) -> Self {
        Self { is_right: false, least: Some(least) }
    }
}

/// Lays out rows of cells, each line at most `width` columns wide. Where that is too little for all, cells of the columns that
/// may be cut end in an ellipsis, the widest first; what is still too wide is cut at the end of its line.
pub fn table(rows: Vec<Vec<Line>>, columns: &[Column], width: usize, ellipsis: &str) -> Vec<Line> {
    let mut widths = vec![0; columns.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    // A column without a cell takes no room.
    let n_used = widths.iter().filter(|width| **width > 0).count();
    let gaps = GAP * n_used.saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
    while excess > 0 {
        let room = |at: &usize| {
            columns.get(*at).and_then(|column| column.least).is_some_and(|least| widths[*at] > least)
        };
        let Some(widest) = (0..widths.len()).filter(room).max_by_key(|at| (widths[*at], *at)) else {
            break;
        };
        widths[widest] -= 1;
        excess -= 1;
    }
    let lines = rows.into_iter().map(|row| {
        let mut line = Line::new();
        let mut begin = 0;
        for ((mut cell, width), column) in row.into_iter().zip(&widths).zip(columns) {
            if *width == 0 {
                continue;
            }
            cell.truncate(*width, ellipsis);
            let indent = if column.is_right { width - cell.width().min(*width) } else { 0 };
            if !cell.is_empty() {
                line.pad(begin + indent);
            }
            line.append(cell);
            begin += width + GAP;
        }
        line.truncate(width, ellipsis);
        line
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Role;

    fn check(rows: &[&[&str]], columns: &[Column], width: usize, expected: &str) {
        let cell = |text: &&str| Line::new().with(Role::Plain, text);
        let rows = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let lines: Vec<String> = table(rows, columns, width, "…").iter().map(Line::plain).collect();
        assert_eq!(lines.join("\n"), expected);
        assert!(lines.iter().all(|line| crate::text::width(line) <= width), "{lines:?}");
    }

    #[test]
    fn tables_fit() {
        const COLUMNS: [Column; 3] = [Column::cut_to(4), Column::NUMBER, Column::cut_to(3)];
        let rows: [&[&str]; 2] = [&["package", "7", "alpha, beta"], &["日本", "123", ""]];
        check(&rows, &COLUMNS, 80, "package    7  alpha, beta\n日本     123");
        check(&rows, &COLUMNS, 20, "package    7  alpha…\n日本     123");
        check(&rows, &COLUMNS, 14, "pac…    7  al…\n日本  123");
        check(&rows, &COLUMNS, 8, "pac…   …\n日本  1…");
        check(&rows, &COLUMNS, 1, "…\n…");
        check(&rows, &COLUMNS, 0, "\n");
        check(&[], &COLUMNS, 10, "");
        check(&[&["a", "", "b"], &["c", "", "d"]], &COLUMNS, 10, "a  b\nc  d");
    }
}
