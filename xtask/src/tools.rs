//! Tools that the checks need and a fresh machine lacks.
//!
//! What cargo, npm and pip can bring is built once, into `target/tools` or beside its lock file,
//! never into the user's own directories. What a machine must have is asked for, and named where it
//! lacks.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Why a step did not do its work.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The machine lacks something: what, and what to do. The step is skipped by name.
    Missing(String),
    /// It went wrong.
    Failed(String),
}

impl From<String> for Stop {
    fn from(failure: String) -> Self {
        Self::Failed(failure)
    }
}

/// What a program says of its version, or how to get it.
///
/// # Errors
/// [`Stop::Missing`] when it does not run.
pub fn needed(program: &str, install: &str) -> Result<String, Stop> {
    said(Command::new(program).arg("--version"))
        .map_err(|_| Stop::Missing(format!("no {program}: {install}")))
}

/// What a command prints, without white space around it.
///
/// # Errors
/// When it cannot run, fails, or prints no text.
pub fn said(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let output = command.stderr(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot run {name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", output.status));
    }
    let text = String::from_utf8(output.stdout).map_err(|error| format!("{name}: {error}"))?;
    Ok(text.trim().to_owned())
}

/// Runs a command whose output passes through.
///
/// # Errors
/// When it cannot run or fails.
pub fn succeed(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!(
            "cannot run {}: {error}",
            command.get_program().display()
        )),
    }
}

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
    version_in(&said(Command::new(program).arg("--version")).ok()?)
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

    #[test]
    fn a_command_that_fails_fails_its_step() {
        assert!(succeed(&mut Command::new("false")).is_err());
        assert!(succeed(&mut Command::new("no-such-program-anywhere")).is_err());
        assert_eq!(succeed(&mut Command::new("true")), Ok(()));
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_to_get_it() {
        let missing = needed("no-such-program-anywhere", "apt-get install it");
        let text = "no no-such-program-anywhere: apt-get install it".to_owned();
        assert_eq!(missing, Err(Stop::Missing(text)));
        assert!(needed("rustc", "").is_ok_and(|version| version.starts_with("rustc ")));
        assert!(said(&mut Command::new("false")).is_err());
    }
}
