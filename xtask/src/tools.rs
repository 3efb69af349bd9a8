//! Tools that the checks need and a fresh machine lacks.
//!
//! What is missing is built once into `target/tools`, never into the user's own directories.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The version CI checks with; another one on the search path is not used.
const CARGO_DENY: &str = "0.20.2";

/// Path of a `cargo-deny` of the right version, or the command that builds one first.
pub fn cargo_deny(root: &Path) -> Result<PathBuf, Box<Command>> {
    let tools = root.join("target/tools");
    let built = tools.join("bin/cargo-deny");
    for candidate in [PathBuf::from("cargo-deny"), built] {
        if version(&candidate).as_deref() == Some(CARGO_DENY) {
            return Ok(candidate);
        }
    }
    let mut install = Command::new(env!("CARGO"));
    // A debug build without the advisory database's git: a third of the time, and no slower to use.
    install.args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY]);
    install
        .args(["--debug", "--no-default-features", "--root"])
        .arg(&tools);
    install.arg("--target-dir").arg(tools.join("build"));
    Err(Box::new(install))
}

fn version(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    version_in(&String::from_utf8(output.stdout).ok()?)
}

fn version_in(line: &str) -> Option<String> {
    line.trim().strip_prefix("cargo-deny ").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_tool_says() {
        assert_eq!(version_in("cargo-deny 0.20.2\n").as_deref(), Some("0.20.2"));
        assert_eq!(version_in("something else 0.20.2"), None);
        assert_eq!(version(Path::new("no-such-program-anywhere")), None);
    }
}
