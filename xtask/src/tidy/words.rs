//! Words the house does not use: names that say nothing, claims that promise too much, places that
//! exist on one machine only, and marks of unfinished work.

use std::path::Path;

use super::Finding;
use crate::source::{File, Tree, line_of, words};

/// Names of modules, files and crates that say nothing.
const EMPTY_NAMES: [&str; 8] = [
    "util", "utils", "common", "core", "helper", "helpers", "manager", "misc",
];

/// Endings of type names that say nothing.
const EMPTY_ENDINGS: [&str; 4] = ["Manager", "Helper", "Utils", "Util"];

/// Claims we cannot keep; we say tamper-evident. In halves, so that this list is no finding.
const CLAIMS: [&str; 5] = [
    concat!("tamper", "-proof"),
    concat!("tamper", "proof"),
    concat!("immu", "table"),
    concat!("block", "chain"),
    concat!("unhack", "able"),
];

/// Directories of one machine.
const PLACES: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// Code and comments that say the work is not done.
const UNFINISHED_CODE: [&str; 3] = [
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("db", "g!"),
];
const UNFINISHED_TEXT: [&str; 3] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];

/// Modules, files, crates and types have names that say what they hold.
pub fn names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        let mut report = |line: usize, name: &str| {
            let message = format!("`{name}` says nothing: name what it holds or does");
            findings.push(Finding {
                check: "name",
                path: file.path.clone(),
                line,
                message,
            });
        };
        for part in Path::new(&file.path)
            .with_extension("")
            .iter()
            .filter_map(|p| p.to_str())
        {
            if EMPTY_NAMES
                .iter()
                .any(|empty| part == *empty || ends_a_name(part, empty))
            {
                report(0, part);
            }
        }
        for keyword in ["mod", "struct", "enum", "trait", "type"] {
            for at in words(&file.code, keyword) {
                let rest = file
                    .code
                    .get(at + keyword.len()..)
                    .unwrap_or("")
                    .trim_start();
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or("");
                let empty = if keyword == "mod" {
                    EMPTY_NAMES.contains(&name)
                } else {
                    EMPTY_ENDINGS.iter().any(|ending| name.ends_with(ending))
                };
                if empty {
                    report(line_of(&file.code, at), name);
                }
            }
        }
    }
    findings
}

fn ends_a_name(part: &str, empty: &str) -> bool {
    part.strip_suffix(empty)
        .is_some_and(|before| before.ends_with(['-', '_']))
}

/// Documents and doc comments claim nothing that cannot be kept.
pub fn prose(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            let comment = line.trim_start();
            let doc = comment.starts_with("//!") || comment.starts_with("///");
            let read = file.is_prose() || (file.is_rust() && doc);
            if !read {
                continue;
            }
            let lower = line.to_lowercase();
            for claim in CLAIMS
                .iter()
                .filter(|claim| words(&lower, claim).next().is_some())
            {
                let message = format!("`{claim}` claims too much: say tamper-evident");
                let path = file.path.clone();
                findings.push(Finding {
                    check: "claim",
                    path,
                    line: index + 1,
                    message,
                });
            }
        }
    }
    findings
}

/// No file names a directory that exists on one machine only.
pub fn places(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| !is_data(file)) {
        for place in PLACES {
            for (at, _) in file.text.match_indices(place) {
                let before = file
                    .text
                    .get(..at)
                    .and_then(|text| text.chars().next_back());
                if before.is_some_and(|c| c.is_alphanumeric() || "._-/>}".contains(c)) {
                    continue; // Part of a longer path or address.
                }
                let message = format!("`{place}` is a place on one machine");
                let line = line_of(&file.text, at);
                findings.push(Finding {
                    check: "place",
                    path: file.path.clone(),
                    line,
                    message,
                });
            }
        }
    }
    findings
}

/// Data that others wrote may name any place.
fn is_data(file: &File) -> bool {
    file.path.starts_with("spec/vectors/") || file.path.starts_with("examples/")
}

/// Nothing says that it is not finished.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| file.is_rust() || file.is_prose())
    {
        let code = UNFINISHED_CODE.iter().map(|word| (&file.code, *word));
        let text = UNFINISHED_TEXT.iter().map(|word| (&file.text, *word));
        for (where_, word) in code.chain(text) {
            for at in words(where_, word) {
                let line = line_of(where_, at);
                let message = format!("`{word}`: finish it, or open an issue");
                let path = file.path.clone();
                findings.push(Finding {
                    check: "unfinished",
                    path,
                    line,
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

    fn lines(findings: Vec<Finding>) -> Vec<(String, usize)> {
        findings
            .into_iter()
            .map(|finding| (finding.path, finding.line))
            .collect()
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        let tree = Tree::of(&[
            (
                "crates/a/src/lib.rs",
                "use core::fmt;\nmod utils;\nstruct KeyManager;\n",
            ),
            ("crates/a/src/common/mod.rs", "fn a() {}"),
            ("crates/indelible-core/src/lib.rs", "fn a() {}"),
            (
                "crates/a/src/score.rs",
                "// mod utils\nstruct Managers;\nmod hardcore;\n",
            ),
        ]);
        let expected = [
            ("crates/a/src/lib.rs".to_owned(), 2),
            ("crates/a/src/lib.rs".to_owned(), 3),
            ("crates/a/src/common/mod.rs".to_owned(), 0),
            ("crates/indelible-core/src/lib.rs".to_owned(), 0),
        ];
        assert_eq!(lines(names(&tree)), expected);
    }

    #[test]
    fn claims_are_found_in_prose_and_doc_comments_only() {
        let claim = CLAIMS[2];
        let tree = Tree::of(&[
            ("README.md", &format!("fine\nan {claim} log\n")),
            (
                "a.rs",
                &format!("//! An {claim} log.\n// an {claim} reference\n"),
            ),
            ("a.toml", &format!("# {claim}\n")),
        ]);
        let expected = [("README.md".to_owned(), 2), ("a.rs".to_owned(), 1)];
        assert_eq!(lines(prose(&tree)), expected);
    }

    #[test]
    fn places_on_one_machine_are_found() {
        let place = PLACES[0];
        let tree = Tree::of(&[
            ("a.sh", &format!("cd {place}main\n")),
            ("b.md", &format!("https://example.org{place}\n")),
            ("spec/vectors/c.json", &format!("\"{place}\"\n")),
        ]);
        assert_eq!(lines(places(&tree)), [("a.sh".to_owned(), 1)]);
    }

    #[test]
    fn unfinished_work_is_found() {
        let (code, text) = (UNFINISHED_CODE[0], UNFINISHED_TEXT[0]);
        let tree = Tree::of(&[
            (
                "a.rs",
                &format!("fn a() {{ {code}() }}\n// {text}: later\n"),
            ),
            ("b.rs", &format!("// not {code} but a comment\n")),
        ]);
        let expected = [("a.rs".to_owned(), 1), ("a.rs".to_owned(), 2)];
        assert_eq!(lines(unfinished(&tree)), expected);
    }
}
