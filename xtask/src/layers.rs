//! Which crate may depend on which: the layer table of ARCHITECTURE.md, checked against
//! `cargo metadata`.
//!
//! A normal or build dependency points to a lower layer; dev-dependencies are free. Crates that are
//! designed and not written yet stand in the table too, so that each finds its place waiting.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::tidy::Finding;

/// Every crate of the design and its layer.
const LAYERS: [(&str, u8); 27] = [
    ("indelible-event", 0),
    ("indelible-merkle", 0),
    ("indelible-disk", 0),
    ("indelible-proof", 1),
    ("indelible-buffer", 1),
    ("indelible-export", 1),
    ("indelible-api", 2),
    ("indelible-store", 2),
    ("indelible-embedded", 3),
    ("indelible-postgres", 3),
    ("indelible-search", 3),
    ("indelible-redis", 3),
    ("indelible-kafka", 3),
    ("indelible-firestore", 3),
    ("indelible-siem", 3),
    ("indelible-log", 3),
    ("indelible-emit", 3),
    ("indelible-directory", 4),
    ("indelible-outbox", 4),
    ("indelible-follow", 4),
    ("indelible-query", 4),
    ("indelible-retention", 4),
    ("indelible-report", 5),
    ("indelible", 5),
    ("indelible-server", 6),
    ("indelible-cli", 7),
    ("xtask", 8),
];

/// Crates that each speak to one outside system. Only [`NAME_BACK_ENDS`] may know them.
pub const BACK_ENDS: [&str; 7] = [
    "indelible-embedded",
    "indelible-postgres",
    "indelible-search",
    "indelible-redis",
    "indelible-kafka",
    "indelible-firestore",
    "indelible-siem",
];

/// Who may depend on a back end: what opens a ledger in a directory, what reaches a database of a
/// program's, and the command.
const NAME_BACK_ENDS: [&str; 3] = ["indelible-directory", "indelible-outbox", "indelible-cli"];

/// Crates that exist for tests and may only be dev-dependencies.
const FOR_TESTS: [&str; 1] = ["indelible-testing"];

/// A workspace member and what it depends on.
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its dependencies of every kind.
    pub dependencies: Vec<Dependency>,
}

/// One dependency as the manifest declares it.
pub struct Dependency {
    /// The package depended on.
    pub name: String,
    /// Whether it is a dev-dependency.
    pub dev: bool,
    /// Whether it lies in this repository.
    pub ours: bool,
    /// The version requirement.
    pub requirement: String,
}

/// The layer of a crate, 0 lowest.
pub fn layer(name: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, layer)| *layer)
}

/// The members of the workspace at `root`.
///
/// # Errors
/// A sentence, when cargo cannot be run or answers something else than it documents.
pub fn packages(root: &Path) -> Result<Vec<Package>, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("cargo metadata failed: {said}"));
    }
    parse(&output.stdout).ok_or_else(|| "cargo metadata has an unknown shape".to_owned())
}

fn parse(json: &[u8]) -> Option<Vec<Package>> {
    let metadata: Value = serde_json::from_slice(json).ok()?;
    let mut packages = Vec::new();
    for package in metadata.get("packages")?.as_array()? {
        let mut dependencies = Vec::new();
        for dependency in package.get("dependencies")?.as_array()? {
            dependencies.push(Dependency {
                name: dependency.get("name")?.as_str()?.to_owned(),
                dev: dependency.get("kind")?.as_str() == Some("dev"),
                ours: dependency.get("source")?.is_null(),
                requirement: dependency.get("req")?.as_str()?.to_owned(),
            });
        }
        let name = package.get("name")?.as_str()?.to_owned();
        packages.push(Package { name, dependencies });
    }
    Some(packages)
}

/// Every dependency that points the wrong way.
pub fn check(packages: &[Package]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let mut report = |message: String| {
            let path = format!("crates/{}/Cargo.toml", package.name);
            findings.push(Finding {
                check: "layers",
                path,
                line: 0,
                message,
            });
        };
        let own = layer(&package.name);
        if own.is_none() && !FOR_TESTS.contains(&package.name.as_str()) {
            report(format!("{} is not in the layer table", package.name));
        }
        for dependency in &package.dependencies {
            if let Some(message) = wrong(&package.name, own, dependency) {
                report(message);
            }
        }
    }
    findings
}

/// Why `package`, in layer `own`, may not have this dependency.
fn wrong(package: &str, own: Option<u8>, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    if !dependency.ours {
        return (dependency.requirement == "*").then(|| format!("{name} has no version"));
    }
    if dependency.dev {
        return None;
    }
    if FOR_TESTS.contains(&name) {
        return Some(format!("{name} is for tests: make it a dev-dependency"));
    }
    let (own, other) = (own.unwrap_or(0), layer(name)?);
    if other >= own {
        return Some(format!(
            "layer {own} may not depend on {name} of layer {other}"
        ));
    }
    (BACK_ENDS.contains(&name) && !NAME_BACK_ENDS.contains(&package))
        .then(|| format!("{package} may know roles, not {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(package: &str, name: &str, dev: bool) -> Vec<String> {
        let dependency = Dependency {
            name: name.to_owned(),
            dev,
            ours: true,
            requirement: "*".to_owned(),
        };
        let package = Package {
            name: package.to_owned(),
            dependencies: vec![dependency],
        };
        check(&[package])
            .into_iter()
            .map(|finding| finding.message)
            .collect()
    }

    #[test]
    fn arrows_point_down() {
        assert!(one("indelible-log", "indelible-store", false).is_empty());
        assert!(one("indelible-cli", "indelible-embedded", false).is_empty());
        assert_eq!(one("indelible-store", "indelible-log", false).len(), 1);
        assert_eq!(one("indelible-event", "indelible-merkle", false).len(), 1);
        assert_eq!(one("indelible-log", "indelible-embedded", false).len(), 1);
        assert!(one("indelible-store", "indelible-embedded", true).is_empty());
    }

    #[test]
    fn only_two_crates_name_back_ends() {
        let server = one("indelible-server", "indelible-embedded", false);
        assert_eq!(
            server,
            ["indelible-server may know roles, not indelible-embedded"]
        );
        assert_eq!(one("indelible-query", "indelible-search", false).len(), 1);
        assert!(one("indelible-directory", "indelible-embedded", false).is_empty());
    }

    #[test]
    fn crates_for_tests_stay_in_tests() {
        assert_eq!(one("indelible-cli", "indelible-testing", false).len(), 1);
        assert!(one("indelible-cli", "indelible-testing", true).is_empty());
    }

    #[test]
    fn an_unknown_crate_is_a_finding() {
        let unknown = Package {
            name: "indelible-new".to_owned(),
            dependencies: Vec::new(),
        };
        assert_eq!(check(&[unknown]).len(), 1);
    }

    #[test]
    fn a_dependency_without_a_version_is_a_finding() {
        let json = br#"{"packages":[{"name":"xtask","dependencies":[
            {"name":"any","kind":null,"source":"registry+x","req":"*"},
            {"name":"some","kind":null,"source":"registry+x","req":"^1"}]}]}"#;
        let findings = check(&parse(json).unwrap());
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].message, "any has no version");
    }
}
