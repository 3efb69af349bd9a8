//! Style that a program can keep: every check reads the repository and returns findings.
//!
//! Each check is one function from [`Tree`] to findings, with a unit test that shows it fails on
//! bad input. A finding that is right to keep stands in `xtask/exceptions.txt` with its reason; an
//! exception that excuses nothing is itself a finding.

mod documents;
mod rules;
mod shape;
mod words;

use std::{fmt, path::Path};

use crate::{layers, source::Tree};

/// One thing that is not as the house wants it.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check, as exceptions name it.
    pub check: &'static str,
    /// The file, from the root.
    pub path: String,
    /// The line from 1, or 0 for the whole file.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            check,
            path,
            line,
            message,
        } = self;
        match line {
            0 => write!(f, "{path}: {check}: {message}"),
            line => write!(f, "{path}:{line}: {check}: {message}"),
        }
    }
}

/// A check of the tree.
type Check = fn(&Tree) -> Vec<Finding>;

/// All of them, in the order of their reports.
const CHECKS: [Check; 14] = [
    shape::heads,
    shape::lengths,
    shape::widths,
    words::names,
    words::prose,
    words::places,
    words::unfinished,
    rules::files,
    rules::surroundings,
    rules::commits,
    documents::vectors,
    documents::links,
    documents::sources,
    documents::house,
];

/// Where exceptions stand: `<check> <path> <reason>` per line, `#` for comments.
const EXCEPTIONS: &str = "xtask/exceptions.txt";

/// Every finding in the repository at `root` that no exception excuses.
///
/// # Errors
/// A sentence, when the repository cannot be read.
pub fn run(root: &Path) -> Result<Vec<Finding>, String> {
    let tree = Tree::read(root).map_err(|error| format!("cannot read the repository: {error}"))?;
    let mut findings = layers::check(&layers::packages(root)?);
    for check in CHECKS {
        findings.extend(check(&tree));
    }
    let exceptions = tree.file(EXCEPTIONS).map_or("", |file| file.text.as_str());
    Ok(excuse(findings, exceptions))
}

/// Takes away what `exceptions` excuse, and adds what is wrong with them.
fn excuse(mut findings: Vec<Finding>, exceptions: &str) -> Vec<Finding> {
    for (index, line) in exceptions.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut parts = line.splitn(3, ' ');
        let (check, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let reason = parts.next().unwrap_or("").trim();
        let mut report = |message: String| {
            let path = EXCEPTIONS.to_owned();
            findings.push(Finding {
                check: "exceptions",
                path,
                line: index + 1,
                message,
            });
        };
        if reason.split_whitespace().count() < 3 {
            report(format!("{check} {path} needs a reason of a few words"));
            continue;
        }
        let before = findings.len();
        findings.retain(|finding| finding.check != check || finding.path != path);
        if findings.len() == before {
            let message = format!("{check} {path} excuses nothing: take the line out");
            let path = EXCEPTIONS.to_owned();
            findings.push(Finding {
                check: "exceptions",
                path,
                line: index + 1,
                message,
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &'static str, path: &str) -> Finding {
        Finding {
            check,
            path: path.to_owned(),
            line: 1,
            message: "bad".to_owned(),
        }
    }

    #[test]
    fn the_repository_is_tidy() {
        let findings = run(&crate::source::root()).unwrap();
        let listed: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(listed.is_empty(), "{}\n", listed.join("\n"));
    }

    #[test]
    fn an_exception_excuses_its_check_in_its_file() {
        let findings = vec![finding("length", "a.rs"), finding("width", "a.rs")];
        let left = excuse(
            findings,
            "# why\nlength a.rs one table read top to bottom\n",
        );
        assert_eq!(left, [finding("width", "a.rs")]);
    }

    #[test]
    fn an_exception_needs_a_reason_and_a_use() {
        let left = excuse(vec![finding("length", "a.rs")], "length a.rs because\n");
        assert_eq!(left.len(), 2);
        let left = excuse(Vec::new(), "length a.rs one table read top to bottom\n");
        assert_eq!(left.len(), 1);
        assert!(left[0].message.contains("excuses nothing"));
    }
}
