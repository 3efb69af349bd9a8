//! Schemathesis against the real server: every operation that `/openapi.json` describes is called
//! with what the description allows and with what it does not, from a fixed seed, and every answer
//! is held against the description. In the end the product's own `verify` reads the ledger.
//!
//! On the open server first. Then with a key: without the operation that revokes keys, since it
//! finds the key in use as well, and last the operations of keys alone.

#![expect(clippy::print_stdout, reason = "a command line speaks to its user")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::serving::Place;
use crate::tools::{Stop, needed, said, succeed};

/// Settings and pinned versions.
const FOLDER: &str = "crates/indelible-server/tests/openapi";
const SCHEMATHESIS: &str = "4.32.5";
const SEED: &str = "20260115";
/// Generated cases of an operation in a phase, at most.
const EXAMPLES_MAX: &str = "12";
/// Operations that make and revoke keys, as the description names them.
const MAKE_KEY: &str = "post_keys";
const REVOKE_KEY: &str = "delete_keys_id";

/// Runs it; returns how many runs there were.
///
/// # Errors
/// When the machine lacks Python, or anything did not go as described.
pub fn run(root: &Path) -> Result<u64, Stop> {
    let tool = schemathesis(root)?;
    let build = ["build", "-p", "indelible-cli"];
    succeed(Command::new(env!("CARGO")).args(build).current_dir(root))?;
    let served = Served {
        settings: root.join(FOLDER).join("schemathesis.toml"),
        place: Place::make(root, "openapi")?,
    };
    // The first key would close the server.
    served.exercise(&tool, None, &["--exclude-operation-id", MAKE_KEY])?;
    let made = ["keys", "create", "--role", "admin", "--data", "data"];
    let key = said(&mut served.place.indelible(&made))?;
    served.exercise(&tool, Some(&key), &["--exclude-operation-id", REVOKE_KEY])?;
    let keys = ["--include-path-regex", "^/v1/keys"];
    served.exercise(&tool, Some(&key), &keys)?;
    served.was_exercised()?;
    Ok(3)
}

/// A program of the right version in an environment of its own below `target/tools`.
fn schemathesis(root: &Path) -> Result<PathBuf, Stop> {
    needed("python3", "apt-get install python3-venv")?;
    let home = root.join("target/tools/schemathesis");
    let program = home.join("bin/schemathesis");
    let version = || said(Command::new(&program).arg("--version")).unwrap_or_default();
    if !version().ends_with(SCHEMATHESIS) {
        println!("schemathesis {SCHEMATHESIS} is missing: installing it into target/tools");
        let mut venv = Command::new("python3");
        succeed(venv.args(["-m", "venv", "--clear"]).arg(&home))?;
        let mut install = Command::new(home.join("bin/pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check", "-r"]);
        succeed(install.arg(root.join(FOLDER).join("requirements.txt")))?;
    }
    if version().ends_with(SCHEMATHESIS) {
        Ok(program)
    } else {
        let text = format!("{FOLDER}/requirements.txt does not bring schemathesis {SCHEMATHESIS}");
        Err(Stop::Failed(text))
    }
}

/// A ledger that is served to the tool.
struct Served {
    settings: PathBuf,
    place: Place,
}

impl Served {
    /// Serves, and lets the tool at it.
    fn exercise(&self, tool: &Path, key: Option<&str>, which: &[&str]) -> Result<(), Stop> {
        let mut serving = self.place.serve()?;
        let mut exercise = Command::new(tool);
        exercise.arg("--config-file").arg(&self.settings);
        exercise.args(["run", &format!("{}/openapi.json", serving.url)]);
        exercise.args(["--seed", SEED, "--max-examples", EXAMPLES_MAX, "--no-color"]);
        exercise.args(which).current_dir(&self.place.path);
        if let Some(key) = key {
            exercise.args(["--header", &format!("Authorization: Bearer {key}")]);
        }
        let how = key.map_or("without keys", |_| "with a key");
        println!("\nschemathesis, {how}, {}", which.join(" "));
        succeed(&mut exercise)?;
        serving.stop()
    }

    /// Events and keys were taken, so that it was not all refusals, and the ledger is whole.
    fn was_exercised(&self) -> Result<(), Stop> {
        let records = ["query", "--data", "data", "--json", "--limit", "0"];
        let records = said(&mut self.place.indelible(&records))?;
        let keys = ["keys", "list", "--data", "data", "--json"];
        let keys = said(&mut self.place.indelible(&keys))?;
        let taken = |text: &str| text.lines().count();
        if taken(&records) < 10 || taken(&keys) < 3 {
            let text = format!(
                "only {} records and {} keys were made: nearly all was refused",
                taken(&records),
                taken(&keys)
            );
            return Err(Stop::Failed(text));
        }
        self.verify()
    }

    /// Made-up claims leave gaps in made-up streams; everything else must be as it was committed.
    fn verify(&self) -> Result<(), Stop> {
        let mut verify = self
            .place
            .indelible(&["verify", "--data", "data", "--json"]);
        let output = verify.output();
        let output = output.map_err(|error| Stop::Failed(format!("verify: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let sound = |line: &&str| {
            let broken =
                line.contains("\"integrity\":") && !line.contains("\"integrity\":\"sound\"");
            line.contains("\"findings\":[]") && !broken
        };
        match text.lines().find(|line| !sound(line)) {
            None if text.contains("\"integrity\":\"sound\"") => Ok(()),
            found => Err(Stop::Failed(format!("verify: {found:?}"))),
        }
    }
}
