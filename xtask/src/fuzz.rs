//! Coverage-guided fuzzing: builds a target of the workspace `fuzz/` with libFuzzer and the
//! counters it steers by, and runs it for a time.
//!
//! Works with the pinned toolchain. What cargo-fuzz needs a nightly one for are sanitizers, which
//! look for mistakes of unsafe code, and the project has none. Inputs that reached new code are
//! kept in `fuzz/corpus`, one that failed is written to `fuzz/artifacts`.

use std::{fs, path::Path, process::Command};

/// How long a target runs in `cargo xtask test --long`, seconds.
pub const SECONDS: &str = "60";

/// The counters libFuzzer steers by, as cargo-fuzz asks for them.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1";

/// The targets that `word` names, of those under `root`: one, or `all`.
///
/// # Errors
/// Says which there are when it names none.
pub fn targets(root: &Path, word: &str) -> Result<Vec<String>, String> {
    let directory = root.join("fuzz/targets");
    let entries = fs::read_dir(&directory);
    let entries = entries.map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    match names.iter().find(|name| *name == word) {
        Some(name) => Ok(vec![name.clone()]),
        None if word == "all" => Ok(names),
        None => Err(format!("no target {word}: there are {}", names.join(", "))),
    }
}

/// The commands that fuzz one target: its seeds are written, then it runs.
///
/// # Errors
/// When `seconds` is no time, or the directories it writes to cannot be made.
pub fn commands(root: &Path, target: &str, seconds: &str) -> Result<[Command; 2], String> {
    // To libFuzzer, 0 and what is no number mean for ever.
    if !seconds.parse().is_ok_and(|seconds: u32| seconds > 0) {
        return Err(format!("{seconds:?} is no number of seconds"));
    }
    let corpus = format!("fuzz/corpus/{target}");
    let artifacts = format!("fuzz/artifacts/{target}");
    for directory in [&corpus, &artifacts] {
        fs::create_dir_all(root.join(directory))
            .map_err(|error| format!("cannot make {directory}: {error}"))?;
    }
    let mut seeds = cargo(root, "target");
    seeds.args(["--bin", "seeds", "--", target, &corpus]);
    // Build scripts and macros run uninstrumented, for which a target must be named.
    let mut run = cargo(root, "target/fuzz");
    run.env("RUSTFLAGS", FLAGS)
        .args(["--release", "--features", "libfuzzer"])
        .args(["--target", "host-tuple", "--bin", target, "--", &corpus])
        .arg(format!("-artifact_prefix={artifacts}/"))
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=20", "-print_final_stats=1"]);
    Ok([seeds, run])
}

fn cargo(root: &Path, target_directory: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target-dir", target_directory])
        .current_dir(root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_one_by_one_or_all() {
        let root = crate::source::root();
        let all = targets(&root, "all").unwrap_or_default();
        assert!(all.len() >= 8);
        assert_eq!(targets(&root, "leaf"), Ok(vec!["leaf".to_owned()]));
        let refused = targets(&root, "leaves").unwrap_err();
        assert!(refused.contains("no target leaves") && refused.contains("query"));
    }

    #[test]
    fn a_time_without_end_is_refused() {
        for seconds in ["0", "soon", "-1"] {
            assert!(commands(&crate::source::root(), "leaf", seconds).is_err());
        }
    }
}
