//! The tests of the pages: `ui/tests/`, in a real Chromium, against the real binary.
//!
//! What is needed of the machine is asked for first, so that a machine without it is told what to
//! install; npm brings the rest into `ui/tests/node_modules`, by the lock file.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tools::{Stop, needed, succeed};

/// The first version of Node.js that the tests run on.
const NODE_MIN: u32 = 20;

/// The command that runs the tests, with everything it needs in place.
///
/// # Errors
/// When the machine lacks something, or a preparation failed.
pub fn tests(root: &Path) -> Result<Command, Stop> {
    let chromium = chromium().ok_or_else(|| {
        Stop::Missing("no Chromium: apt-get install chromium, or set INDELIBLE_CHROMIUM".to_owned())
    })?;
    let node = needed("node", "apt-get install nodejs npm")?;
    if major(&node).is_none_or(|version| version < NODE_MIN) {
        let text = format!("node is {node}, the tests need {NODE_MIN} or newer");
        return Err(Stop::Missing(text));
    }
    needed("npm", "apt-get install npm")?;
    succeed(
        Command::new(env!("CARGO"))
            .args(["build", "-p", "indelible-cli"])
            .current_dir(root),
    )?;
    let folder = root.join("ui/tests");
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    succeed(install.current_dir(&folder))?;
    let mut tests = Command::new("npm");
    tests
        .args(["test", "--silent"])
        .current_dir(&folder)
        .env("INDELIBLE_BINARY", root.join("target/debug/indelible"))
        .env("INDELIBLE_CHROMIUM", chromium);
    Ok(tests)
}

/// The browser: the one that is named, else Debian's.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("INDELIBLE_CHROMIUM").map(PathBuf::from);
    let path = named.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"));
    path.exists().then_some(path)
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20.20.2"), None);
        assert_eq!(major(""), None);
    }
}
