//! Documents are part of the change: vectors are tested, links lead somewhere, the documents of
//! the house are there and know every crate.

use super::Finding;
use crate::source::{File, Tree, has_extension, line_of, words};

/// Documents that stand at the root.
const HOUSE: [&str; 6] = [
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
];

/// Every file of vectors is read by a test, and every page of the specification is named by the
/// code that implements it.
pub fn vectors(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in &tree.paths {
        let Some(name) = path.strip_prefix("spec/").filter(|name| name.contains('.')) else {
            continue;
        };
        let (known, message) = if let Some(vector) = name.strip_prefix("vectors/") {
            let folder = vector
                .rsplit_once('/')
                .map(|(folder, _)| format!("vectors/{folder}"));
            let read = |file: &File| {
                let text = test_text(file);
                text.contains(vector) || folder.as_ref().is_some_and(|name| text.contains(name))
            };
            (tree.files.iter().any(read), "no test reads these vectors")
        } else if has_extension(name, "md") && name != "README.md" {
            let named = |file: &File| file.is_rust() && file.text.contains(path.as_str());
            (
                tree.files.iter().any(named),
                "no module head links to this page",
            )
        } else {
            continue;
        };
        if !known {
            let message = message.to_owned();
            findings.push(Finding {
                check: "spec",
                path: path.clone(),
                line: 0,
                message,
            });
        }
    }
    findings
}

/// The part of a Rust file that is tests.
fn test_text(file: &File) -> &str {
    if !file.is_rust() || file.path.starts_with("xtask/") {
        return "";
    }
    if file.product.is_empty() {
        return &file.text;
    }
    let start = file.code.find("#[cfg(test)]").unwrap_or(file.text.len());
    file.text.get(start..).unwrap_or("")
}

/// Relative links of documents lead to files that are there.
pub fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_prose()) {
        let mut fenced = false;
        for (index, line) in file.text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced {
                continue;
            }
            for target in targets(line) {
                if !tree.paths.contains(&resolve(&file.path, target)) {
                    let message = format!("`{target}` leads nowhere");
                    let path = file.path.clone();
                    findings.push(Finding {
                        check: "link",
                        path,
                        line: index + 1,
                        message,
                    });
                }
            }
        }
    }
    findings
}

/// Relative link targets of a line, without their anchors.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', '#', ' ']).next().unwrap_or("");
        (!target.is_empty() && !target.contains(':')).then_some(target)
    })
}

fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Names of papers that readers of this repository do not have.
const ELSEWHERE: [&str; 3] = [
    concat!("DES", "IGN"),
    concat!("uni", "fied.md"),
    concat!("contra", "dictions.md"),
];

/// What code and pages name as their source is in the repository.
pub fn sources(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| file.is_rust() || file.is_prose())
    {
        for name in ELSEWHERE {
            for at in words(&file.text, name) {
                let message = format!("`{name}` is no page of ours: name one of spec/ or docs/");
                let line = line_of(&file.text, at);
                findings.push(Finding {
                    check: "source",
                    path: file.path.clone(),
                    line,
                    message,
                });
            }
        }
    }
    findings
}

/// The documents of the house are there, the change log is open, and the map has every crate.
pub fn house(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |path: &str, message: String| {
        findings.push(Finding {
            check: "house",
            path: path.to_owned(),
            line: 0,
            message,
        });
    };
    for path in HOUSE.iter().filter(|path| !tree.paths.contains(**path)) {
        report(path, "is missing".to_owned());
    }
    let text = |path: &str| tree.file(path).map_or("", |file| file.text.as_str());
    if !text("CHANGELOG.md")
        .lines()
        .any(|line| line.trim() == "## [Unreleased]")
    {
        report(
            "CHANGELOG.md",
            "has no section `## [Unreleased]`".to_owned(),
        );
    }
    for path in &tree.paths {
        let krate = path
            .strip_prefix("crates/")
            .filter(|name| !name.contains('/'));
        if let Some(krate) = krate
            && !text("ARCHITECTURE.md").contains(&format!("`{krate}`"))
        {
            report("ARCHITECTURE.md", format!("does not say what `{krate}` is"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(findings: Vec<Finding>) -> Vec<String> {
        findings.into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn vectors_that_no_test_reads_are_found() {
        let tested =
            "//! spec/leaf.md\nfn a() {}\n#[cfg(test)]\nmod t { const V: &str = \"leaf.json\"; }";
        let tree = Tree::of(&[
            ("spec/leaf.md", ""),
            ("spec/README.md", ""),
            ("spec/vectors/leaf.json", ""),
            ("spec/lost.md", ""),
            ("spec/vectors/lost.json", ""),
            ("crates/a/src/lib.rs", tested),
            ("crates/a/src/b.rs", "fn b() { c(\"lost.json\") }"),
        ]);
        assert_eq!(
            paths(vectors(&tree)),
            ["spec/lost.md", "spec/vectors/lost.json"]
        );
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let page = "[a](../README.md#x) [b](gone.md) [c](https://example.org) [d](#here)\n\
                    ```\n[e](also-gone.md)\n```\n";
        let tree = Tree::of(&[
            ("docs/page.md", page),
            ("README.md", "[p](docs/page.md) [q](docs/)"),
        ]);
        let found = links(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("gone.md"));
    }

    #[test]
    fn a_source_that_readers_do_not_have_is_found() {
        let name = ELSEWHERE[0];
        let text = format!("//! Redesigned, see {name} §5.\nstruct {name}S;\n");
        let found = sources(&Tree::of(&[("a.rs", &text)]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 1);
    }

    #[test]
    fn missing_documents_and_unknown_crates_are_found() {
        let tree = Tree::of(&[
            ("README.md", ""),
            ("ARCHITECTURE.md", "`indelible-event`"),
            ("CHANGELOG.md", "## [1.0.0]\n"),
            ("SECURITY.md", ""),
            ("LICENSE", ""),
            ("crates/indelible-event/src/lib.rs", ""),
            ("crates/indelible-new/src/lib.rs", ""),
        ]);
        assert_eq!(
            paths(house(&tree)),
            ["CONTRIBUTING.md", "CHANGELOG.md", "ARCHITECTURE.md"]
        );
    }
}
