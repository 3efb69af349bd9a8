//! Tables that fit the terminal: columns share the width, long values are cut with an ellipsis.
//!
//! Control characters in values are escaped, so that a record cannot move the cursor.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Show, Tone};

/// Blanks between columns.
const GAP: usize = 2;

/// Where a value stands in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// To the left; when too long, its end is cut.
    Left,
    /// To the right.
    Right,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Where values stand.
    pub align: Align,
    /// It is never made narrower than this for the sake of others.
    pub min: usize,
    /// It is left out rather than have others cut to less than twice their `min`.
    pub optional: bool,
}

impl Column {
    /// A column of text that may be cut down to `min` cells.
    pub const fn text(title: &'static str, min: usize) -> Self {
        Self {
            title,
            align: Align::Left,
            min,
            optional: false,
        }
    }

    /// A column of text that is left out when it and the others do not fit well.
    pub const fn optional(title: &'static str, min: usize) -> Self {
        Self {
            title,
            align: Align::Left,
            min,
            optional: true,
        }
    }

    /// The width below which values begin to be hard to read.
    fn wish(&self) -> usize {
        self.min.saturating_mul(2)
    }

    /// A column that is never cut.
    pub const fn whole(title: &'static str) -> Self {
        Self {
            title,
            align: Align::Left,
            min: usize::MAX,
            optional: false,
        }
    }

    /// A column of numbers, never cut.
    pub const fn number(title: &'static str) -> Self {
        Self {
            title,
            align: Align::Right,
            min: usize::MAX,
            optional: false,
        }
    }
}

/// Rows under headings.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row: one value for each column.
    pub fn row(&mut self, values: Vec<(String, Tone)>) {
        let clean = values
            .into_iter()
            .map(|(text, tone)| (text.shown(), tone))
            .collect();
        self.rows.push(clean);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, headings first, none wider than `width` if columns can be cut that far.
    pub fn lines(&self, width: Option<usize>, paint: impl Fn(&str, Tone) -> String) -> Vec<String> {
        let widths = self.widths(width);
        let heads: Vec<_> = self
            .columns
            .iter()
            .map(|c| (c.title.to_owned(), Tone::Bold))
            .collect();
        std::iter::once(&heads)
            .chain(&self.rows)
            .map(|cells| self.line(cells, &widths, &paint))
            .collect()
    }

    fn line(
        &self,
        cells: &[(String, Tone)],
        widths: &[Option<usize>],
        paint: &impl Fn(&str, Tone) -> String,
    ) -> String {
        let mut text = String::new();
        let shown = cells.iter().zip(&self.columns).zip(widths);
        for (((value, tone), column), width) in shown {
            let Some(room) = *width else { continue };
            if !text.is_empty() {
                text.push_str(&" ".repeat(GAP));
            }
            let value = cut(value, room);
            let pad = " ".repeat(room.saturating_sub(value.width()));
            match column.align {
                Align::Right => text.extend([pad, paint(&value, *tone)]),
                Align::Left => text.extend([paint(&value, *tone), pad]),
            }
        }
        text.trim_end().to_owned()
    }

    /// The width of each column, `None` for those left out.
    fn widths(&self, width: Option<usize>) -> Vec<Option<usize>> {
        let natural = |index: usize, column: &Column| {
            let values = self.rows.iter().filter_map(|row| row.get(index));
            values
                .map(|(text, _)| text.width())
                .fold(column.title.width(), usize::max)
        };
        let mut widths: Vec<Option<usize>> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Some(natural(index, column)))
            .collect();
        let Some(width) = width else { return widths };
        let least = |widths: &[Option<usize>]| {
            let cells = widths.iter().zip(&self.columns);
            total(cells.map(|(natural, column)| natural.map(|n| n.min(column.wish()))))
        };
        while least(&widths) > width {
            let last = (0..widths.len())
                .rev()
                .find(|&at| widths[at].is_some() && self.columns[at].optional);
            let Some(at) = last else { break };
            widths[at] = None;
        }
        // The widest column that may give gives first, cell by cell.
        while total(widths.iter().copied()) > width {
            let widest = widths
                .iter_mut()
                .zip(&self.columns)
                .filter_map(|(now, column)| now.as_mut().filter(|now| **now > column.min))
                .max();
            let Some(cells) = widest else { break };
            *cells -= 1;
        }
        widths
    }
}

/// Cells of columns and the blanks between them.
fn total(widths: impl Iterator<Item = Option<usize>>) -> usize {
    let (count, cells) = widths
        .flatten()
        .fold((0, 0), |(n, sum), width| (n + 1, sum + width));
    cells + GAP * usize::saturating_sub(count, 1)
}

/// At most `room` cells of `text`, the last an ellipsis when something was cut.
fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::number("SEQ"),
            Column::text("WHO", 6),
            Column::text("X", 4),
        ]);
        table.row(vec![
            ("7".into(), Tone::Plain),
            ("somebody with a long name".into(), Tone::Plain),
            ("日本語の長い値です".into(), Tone::Plain),
        ]);
        table.row(vec![
            ("1234".into(), Tone::Plain),
            ("a\x1b[2J\u{202e}b".into(), Tone::Good),
            ("x".into(), Tone::Plain),
        ]);
        table
    }

    fn lines(width: Option<usize>) -> Vec<String> {
        table().lines(width, |text, _| text.to_owned())
    }

    #[test]
    fn without_a_width_nothing_is_cut() {
        let lines = lines(None);
        assert_eq!(
            lines[1],
            "   7  somebody with a long name  日本語の長い値です"
        );
        assert_eq!(lines[0], " SEQ  WHO                        X");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 20..60 {
            for line in lines(Some(width)) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
        assert!(lines(Some(30))[1].contains('…'));
    }

    #[test]
    fn optional_columns_go_before_others_are_cut_too_far() {
        let mut table = Table::new(vec![Column::text("A", 10), Column::optional("B", 10)]);
        let long = || ("x".repeat(30), Tone::Plain);
        table.row(vec![long(), long()]);
        let lines = |width| table.lines(Some(width), |text, _| text.to_owned());
        assert!(lines(42)[0].contains('B'));
        assert_eq!(lines(41)[0], "A");
        assert_eq!(lines(41)[1], "x".repeat(30));
        assert_eq!(lines(21)[1], format!("{}…", "x".repeat(20)));
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert!(lines(None).iter().all(|line| !line.contains('\x1b')));
        assert!(lines(None)[2].contains(r"a\u001b[2J\u202eb"));
    }
}
