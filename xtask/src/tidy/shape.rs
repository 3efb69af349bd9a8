//! The shape of Rust files: a head that says what the file is, a length one can read, lines that
//! fit.

use super::Finding;
use crate::source::Tree;

/// Lines of code, without comments and blank lines, that a file has at most.
///
/// The house number is about 400; this is where a file must be split or excused.
const CODE_LINES_MAX: usize = 500;

/// Columns of a line; what a single unbreakable word needs is allowed.
const COLUMNS_MAX: usize = 100;

/// Characters of a word that nobody can be asked to break: a hash, an address, a vector.
const UNBREAKABLE_MIN: usize = 60;

/// Every Rust file opens with `//!`.
pub fn heads(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let head = file.text.lines().take_while(|line| line.starts_with("//!"));
        let said: usize = head
            .map(|line| line.trim_start_matches("//!").trim().len())
            .sum();
        if said < 20 {
            let message = "opens without `//!`: say what the file is and what it is not".to_owned();
            findings.push(Finding {
                check: "head",
                path: file.path.clone(),
                line: 1,
                message,
            });
        }
    }
    findings
}

/// No file has too much code.
pub fn lengths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let lines = file
            .code
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        if lines > CODE_LINES_MAX {
            let message = format!("{lines} lines of code, at most {CODE_LINES_MAX}: split it");
            findings.push(Finding {
                check: "length",
                path: file.path.clone(),
                line: 0,
                message,
            });
        }
    }
    findings
}

/// No line is too wide.
pub fn widths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        for (index, line) in file.text.lines().enumerate() {
            let unbreakable = line
                .split_whitespace()
                .any(|word| word.chars().count() >= UNBREAKABLE_MIN);
            let columns = line.chars().count();
            if columns > COLUMNS_MAX && !unbreakable {
                let message = format!("{columns} columns, at most {COLUMNS_MAX}");
                let path = file.path.clone();
                findings.push(Finding {
                    check: "width",
                    path,
                    line: index + 1,
                    message,
                });
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_head_is_found() {
        let tree = Tree::of(&[
            ("a.rs", "//! What this is, and what it is not.\nfn a() {}\n"),
            ("b.rs", "fn b() {}\n"),
            ("c.rs", "//! Things.\nfn c() {}\n"),
            ("d.md", "No code.\n"),
        ]);
        let paths: Vec<String> = heads(&tree)
            .into_iter()
            .map(|finding| finding.path)
            .collect();
        assert_eq!(paths, ["b.rs", "c.rs"]);
    }

    #[test]
    fn only_lines_of_code_count_as_length() {
        let code = "fn a() {}\n".repeat(CODE_LINES_MAX);
        let comments = "// Why.\n\n".repeat(CODE_LINES_MAX);
        let fits = format!("{code}{comments}");
        let long = format!("{fits}fn z() {{}}\n");
        assert!(lengths(&Tree::of(&[("a.rs", &fits)])).is_empty());
        assert_eq!(lengths(&Tree::of(&[("a.rs", &long)])).len(), 1);
    }

    #[test]
    fn a_wide_line_is_found_unless_one_word_makes_it_so() {
        let wide = "a ".repeat(51);
        let hash = format!("const H: &str = \"{}\";", "0".repeat(128));
        let found = widths(&Tree::of(&[("a.rs", &format!("{hash}\n{wide}\n"))]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
    }
}
