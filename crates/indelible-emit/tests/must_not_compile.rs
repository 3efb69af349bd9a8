//! What every event needs cannot be forgotten: without it, a program does not compile.
//!
//! Each file of `must_not_compile/` is given to the compiler with the library that these tests use
//! themselves, so nothing is built for it; its `//~` line is what the compiler must say. A file
//! without one must compile.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use indelible_testing::newest_library;

#[test]
fn an_event_that_lacks_something_does_not_compile() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/must_not_compile");
    let mut sources: Vec<_> = fs::read_dir(sources)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    sources.sort();
    let built = std::env::current_exe().unwrap();
    let built = built.parent().unwrap();
    let library = newest_library(built, "indelible_emit");
    let mut refused = 0;
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        let expected = text.lines().find_map(|line| line.strip_prefix("//~ "));
        let said = compile(&source, built, &library);
        match expected {
            None => assert_eq!(said, "", "{}", source.display()),
            Some(expected) => {
                let place = source.display();
                assert!(said.contains(expected), "{place}: {expected}\n{said}");
                assert_eq!(said.matches("error[").count(), 1, "{place}\n{said}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 10);
}

/// What the compiler says of errors.
fn compile(source: &Path, built: &Path, library: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition",
            "2024",
            "--emit",
            "metadata",
            "--cap-lints",
            "allow",
        ])
        .arg("--extern")
        .arg(format!("indelible_emit={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", built.display()))
        .arg("--out-dir")
        .arg(out.path())
        .arg(source)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}
