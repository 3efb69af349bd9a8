//! Rules of the architecture that types cannot keep: who touches files, who reads the clock or the
//! random source, who commits.
//!
//! Tests are exempt: they may make files, read clocks and drive a back end directly.

use super::Finding;
use crate::{
    layers::{self, BACK_ENDS},
    source::{File, Tree, line_of, words},
};

/// The crate that touches files for all others.
const DISK: &str = "indelible-disk";

/// The highest layer that must not touch files, and the highest that must be given the time.
const WITHOUT_FILES: u8 = 5;
const WITHOUT_SURROUNDINGS: u8 = 4;

/// Ways to a file.
///
/// `fs::` is in `std::fs::read`, in `rustix::fs::open`, and in what follows `use std::{fs, io}`.
const FILE_ACCESS: [&str; 5] = [
    "fs::",
    "File::open",
    "File::create",
    "OpenOptions",
    "Database::create",
];

/// Ways to the clock and to randomness.
const SURROUNDINGS: [&str; 9] = [
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
    "Utc::now",
    "getrandom",
    "OsRng",
    "std::env",
    "env::var",
];

/// Where the ledger role is declared, and what its `append` cannot be called without.
const LEDGER: &str = "crates/indelible-store/src/ledger.rs";
const APPEND_TYPE: &str = "NewRecord";

/// Who may name what an append is made of, beside the back ends that implement it.
const MAY_APPEND: [&str; 2] = ["indelible-log", "indelible-store"];

/// Library crates reach files only through the disk.
pub fn files(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in library(tree, WITHOUT_FILES).filter(|file| file.krate() != Some(DISK)) {
        find(file, &FILE_ACCESS, &mut findings, |word| Finding {
            check: "files",
            path: file.path.clone(),
            line: 0,
            message: format!("`{word}`: go through indelible-disk, so that faults reach it"),
        });
    }
    findings
}

/// Library crates are given the time, randomness and settings.
pub fn surroundings(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in library(tree, WITHOUT_SURROUNDINGS) {
        find(file, &SURROUNDINGS, &mut findings, |word| Finding {
            check: "surroundings",
            path: file.path.clone(),
            line: 0,
            message: format!("`{word}`: take it by parameter, so that a seed replays a run"),
        });
    }
    findings
}

/// Only the log crate commits: nobody else can build what `Ledger::append` takes.
pub fn commits(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(file) = tree.file(LEDGER) {
        let declared = format!("pub struct {APPEND_TYPE}");
        if !file.code.contains(&declared) || !file.code.contains("fn append(") {
            let message = format!("`{declared}` and `append` moved: say so in xtask tidy");
            let path = LEDGER.to_owned();
            findings.push(Finding {
                check: "commits",
                path,
                line: 0,
                message,
            });
        }
    }
    for file in tree
        .files
        .iter()
        .filter(|file| file.krate().is_some_and(|krate| !may(krate)))
    {
        find(
            file,
            &[APPEND_TYPE, "Ledger::append", "ledger.append("],
            &mut findings,
            |word| {
                let message = format!("`{word}`: only indelible-log commits");
                Finding {
                    check: "commits",
                    path: file.path.clone(),
                    line: 0,
                    message,
                }
            },
        );
    }
    findings
}

fn may(krate: &str) -> bool {
    MAY_APPEND.contains(&krate) || BACK_ENDS.contains(&krate)
}

/// Product files of the crates up to layer `top`.
fn library(tree: &Tree, top: u8) -> impl Iterator<Item = &File> {
    tree.files.iter().filter(move |file| {
        file.krate()
            .and_then(layers::layer)
            .is_some_and(|own| own <= top)
    })
}

/// Adds what `report` makes of each of the `wanted` words that the product code of `file` uses.
fn find(
    file: &File,
    wanted: &[&str],
    findings: &mut Vec<Finding>,
    report: impl Fn(&str) -> Finding,
) {
    for word in wanted {
        let mut lines: Vec<usize> = words(&file.product, word)
            .map(|at| line_of(&file.product, at))
            .collect();
        lines.dedup();
        findings.extend(lines.into_iter().map(|line| Finding {
            line,
            ..report(word)
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn a_library_that_opens_files_is_found() {
        let code = "fn a() { std::fs::read(\"x\"); }";
        let test = "#[cfg(test)]\nmod tests { use std::fs; }";
        let tree = Tree::of(&[
            ("crates/indelible-log/src/lib.rs", code),
            (
                "crates/indelible-proof/src/lib.rs",
                "use std::{fs, io};\nfn a() { fs::read(b) }",
            ),
            ("crates/indelible-disk/src/lib.rs", code),
            ("crates/indelible-cli/src/main.rs", code),
            ("crates/indelible-query/src/lib.rs", test),
            ("crates/indelible-query/tests/all.rs", code),
            (
                "crates/indelible-event/src/lib.rs",
                "// std::fs is not used\n",
            ),
        ]);
        let expected = [
            "crates/indelible-log/src/lib.rs",
            "crates/indelible-proof/src/lib.rs",
        ];
        assert_eq!(paths(files(&tree)), expected);
    }

    #[test]
    fn a_library_that_reads_the_clock_is_found() {
        let code = "fn a() {}\nfn b() { SystemTime::now(); }";
        let tree = Tree::of(&[
            ("crates/indelible-log/src/lib.rs", code),
            ("crates/indelible-server/src/lib.rs", code),
        ]);
        let found = surroundings(&tree);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].path.as_str(), found[0].line),
            ("crates/indelible-log/src/lib.rs", 2)
        );
    }

    #[test]
    fn whoever_else_commits_is_found() {
        let declared = "pub struct NewRecord {}\ntrait Ledger { fn append(&self); }";
        let code = "fn a() { ledger.append(&Commit { records: vec![NewRecord {}] }) }";
        let tree = Tree::of(&[
            (LEDGER, declared),
            ("crates/indelible-log/src/lib.rs", code),
            ("crates/indelible-embedded/src/lib.rs", code),
            ("crates/indelible-cli/src/main.rs", code),
        ]);
        let found = paths(commits(&tree));
        assert_eq!(found, ["crates/indelible-cli/src/main.rs"; 2]);
    }

    #[test]
    fn a_renamed_append_does_not_pass_in_silence() {
        let found = commits(&Tree::of(&[(LEDGER, "pub struct Other {}")]));
        assert_eq!(paths(found), [LEDGER]);
    }
}
