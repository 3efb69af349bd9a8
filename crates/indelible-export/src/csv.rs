//! CSV as RFC 4180 has it: commas, CR LF, quotes where they are needed and doubled inside, a line
//! of names first; UTF-8 without a mark.
//!
//! No cell is a formula in a spreadsheet: a text that would begin one has a `'` in front, and so
//! has one that begins with `'` itself, so that [`plain`] gives every text back. Numbers
//! stay as they are. Source: RFC 4180, and OWASP on CSV injection.

use std::io::{Result, Write};

use indelible_event::LeafView;
use indelible_event::view::EventView;

use crate::column::Columns;

/// What a formula begins with, and what a program may take for it: wide, small, raised and lowered
/// forms, and the sign of minus.
const FORMULA: [char; 19] = [
    '=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '⁼', '⁺', '⁻', '₌', '₊',
    '₋', '−',
];

/// The line of names.
pub(crate) fn head(columns: &Columns, into: &mut dyn Write) -> Result<()> {
    let mut line = String::new();
    for (at, column) in columns.iter().enumerate() {
        begin(at, &mut line);
        quoted(&column.name(), &mut line);
    }
    line.push_str("\r\n");
    into.write_all(line.as_bytes())
}

/// The line of a row.
pub(crate) fn line(
    columns: &Columns,
    (leaf, event): (&LeafView<'_>, &EventView<'_>),
    into: &mut dyn Write,
) -> Result<()> {
    let mut line = String::new();
    for (at, column) in columns.iter().enumerate() {
        begin(at, &mut line);
        let Some(cell) = column.cell(leaf, event) else {
            continue;
        };
        let text = &cell.text;
        if !cell.is_number && may_be_formula(text) {
            quoted(&format!("'{text}"), &mut line);
        } else {
            quoted(text, &mut line);
        }
    }
    // A blank line is no row to many readers.
    if line.is_empty() {
        line.push_str("\"\"");
    }
    line.push_str("\r\n");
    into.write_all(line.as_bytes())
}

/// The text of a cell that was made safe, as it was before.
pub fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

fn begin(at: usize, line: &mut String) {
    if at > 0 {
        line.push(',');
    }
}

/// In quotes where something in it means something, or may to a lenient reader. An empty text has
/// them, so that it is told from nothing by who looks.
fn quoted(text: &str, line: &mut String) {
    let plain = |c: char| !matches!(c, '"' | ',' | ';' | '\'' | '\u{feff}') && !c.is_control();
    let edge = |c: Option<char>| c.is_none_or(char::is_whitespace);
    let at_edges = edge(text.chars().next()) || edge(text.chars().next_back());
    if !at_edges && text.chars().all(plain) {
        line.push_str(text);
        return;
    }
    line.push('"');
    line.push_str(&text.replace('"', "\"\""));
    line.push('"');
}

/// Whether a spreadsheet may take it for a formula, also one that passes over what cannot be seen;
/// and what begins with the sign that tells so.
fn may_be_formula(text: &str) -> bool {
    let mut chars = text.chars();
    match chars.next() {
        Some('\'') => true,
        Some(first) if first.is_control() => true,
        _ => {
            let seen = text.chars().find(|c| !is_unseen(*c));
            seen.is_some_and(|c| FORMULA.contains(&c))
        }
    }
}

/// White space, control characters, and what is not drawn: those that only steer how text is shown,
/// fillers, and what Unicode says to ignore by default (`Default_Ignorable_Code_Point`).
fn is_unseen(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_formula_is_told_and_given_back() {
        for formula in [
            "=cmd|' /C calc'!A0",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n1",
            "\0=1",
            " =1",
            "\u{202e}=1",
            "\u{feff}\u{200b}=1",
            "＝1",
            "\u{e0001}=1",
            "\u{34f}+1",
            "\u{115f}-1",
            "\u{3164}@x",
            "\u{ffa0}\u{2800} =1",
            "﹦1",
            "﹢1",
            "﹣1",
            "﹫x",
            "−1",
            "⁻1",
            "'",
            "'=1",
        ] {
            assert!(may_be_formula(formula), "{formula:?}");
            assert_eq!(plain(&format!("'{formula}")), formula);
        }
        for text in [
            "",
            "a=1",
            "1",
            "{\"a\":1}",
            "ada@example.com",
            "\"=1\"",
            " ",
            "\u{3164}",
            "–1",
        ] {
            assert!(!may_be_formula(text), "{text:?}");
            assert_eq!(plain(text), text);
        }
    }
}
