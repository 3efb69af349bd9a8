//! Which files an import reads: those that are named, and in folders those that look right.
//!
//! What is passed over in a folder is named, so that nothing is left out silently.

use std::fs;
use std::path::{Path, PathBuf};

use crate::exit::{Failure, OrCould, Result};
use crate::output::Show;

/// Names of files that are read in a folder, each also with `.gz` behind it.
const ENDINGS: [&str; 3] = [".json", ".ndjson", ".jsonl"];

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => f.write_str(&path.shown()),
        }
    }
}

/// What will be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub origins: Vec<Origin>,
    /// Found in folders, and not read.
    pub passed_over: Vec<PathBuf>,
    /// Bytes of all files, as they are stored; `None` when standard input is among the origins.
    pub bytes: Option<u64>,
}

/// Walks `paths`; `-` is standard input, a folder is read with its folders, in order of names.
///
/// # Errors
/// [`Failure::Could`] when a path is not there or cannot be read, before anything is imported.
pub fn plan(paths: &[PathBuf]) -> Result<Plan> {
    let mut plan = Plan {
        bytes: Some(0),
        ..Plan::default()
    };
    for path in paths {
        if path == Path::new("-") {
            if plan.origins.contains(&Origin::Stdin) {
                return Err(Failure::Usage(
                    "standard input (-) can be read only once".to_owned(),
                ));
            }
            plan.origins.push(Origin::Stdin);
            plan.bytes = None;
            continue;
        }
        let meta = fs::metadata(path).or_could(format_args!("read {}", path.shown()))?;
        if meta.is_dir() {
            folder(path, &mut plan)?;
        } else {
            take(path.clone(), meta.len(), &mut plan);
        }
    }
    Ok(plan)
}

fn take(path: PathBuf, bytes: u64, plan: &mut Plan) {
    plan.origins.push(Origin::File(path));
    plan.bytes = plan.bytes.map(|sum| sum + bytes);
}

fn folder(path: &Path, plan: &mut Plan) -> Result {
    let doing = || format!("read the folder {}", path.shown());
    let mut entries = fs::read_dir(path)
        .or_could(doing())?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::result::Result<Vec<_>, _>>()
        .or_could(doing())?;
    entries.sort();
    for entry in entries {
        // Folders are followed, links to folders are not: they could lead in circles.
        let own = fs::symlink_metadata(&entry).or_could(doing())?;
        if own.is_dir() {
            folder(&entry, plan)?;
            continue;
        }
        match fs::metadata(&entry) {
            Ok(meta) if meta.is_file() && looks_right(&entry) => take(entry, meta.len(), plan),
            _ => plan.passed_over.push(entry),
        }
    }
    Ok(())
}

fn looks_right(path: &Path) -> bool {
    let Some(name) = path.file_name() else {
        return false;
    };
    // The endings are plain letters: what is not UTF-8 before them does not matter.
    let name = name.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn folders_are_read_in_order_and_what_is_passed_over_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("b/deep")).unwrap();
        for name in [
            "z.json",
            "a.ndjson.gz",
            "LICENSE",
            "b/deep/x.JSON",
            "b/y.gz",
            "c.jsonl",
        ] {
            fs::write(at(name), b"1234").unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), at("loop")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("dangling.json")).unwrap();
        let plan = plan(&[dir.path().to_path_buf()]).unwrap();
        let names: Vec<_> = ["a.ndjson.gz", "b/deep/x.JSON", "c.jsonl", "z.json"]
            .iter()
            .map(|name| Origin::File(at(name)))
            .collect();
        assert_eq!(plan.origins, names);
        let over: Vec<_> = ["LICENSE", "b/y.gz", "dangling.json", "loop"]
            .map(at)
            .into();
        assert_eq!(plan.passed_over, over);
        assert_eq!(plan.bytes, Some(16));
    }

    #[test]
    fn names_that_are_not_utf_8_are_names_and_are_shown_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &[u8]| dir.path().join(OsStr::from_bytes(name));
        fs::write(at(b"caf\xe9.json"), b"12").unwrap();
        fs::write(at(b"\xff\x1b[2J.NDJSON.gz"), b"12").unwrap();
        fs::write(at(b"\xfe.txt"), b"12").unwrap();
        let found = plan(&[dir.path().to_path_buf()]).unwrap();
        let names = [at(b"caf\xe9.json"), at(b"\xff\x1b[2J.NDJSON.gz")];
        assert_eq!(found.origins, names.map(Origin::File));
        assert_eq!(found.passed_over, [at(b"\xfe.txt")]);
        assert!(found.origins[0].to_string().ends_with(r"/caf\xe9.json"));
        assert!(
            found.origins[1]
                .to_string()
                .ends_with(r"/\xff\u001b[2J.NDJSON.gz")
        );
    }

    #[test]
    fn a_named_file_is_read_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("events.txt");
        fs::write(&file, b"12").unwrap();
        let found = plan(&[file.clone(), "-".into()]).unwrap();
        assert_eq!(found.origins, [Origin::File(file), Origin::Stdin]);
        assert_eq!(found.bytes, None);
        assert!(matches!(
            plan(&["-".into(), "-".into()]),
            Err(Failure::Usage(_))
        ));
        assert!(matches!(
            plan(&[dir.path().join("none")]),
            Err(Failure::Could(_))
        ));
    }
}
