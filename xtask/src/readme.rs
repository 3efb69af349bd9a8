//! Runs the commands of README.md, so that what a newcomer reads is what works.
//!
//! A fenced block whose info string is `sh tested` is run line by line, in an empty directory with
//! `examples/` in it and the freshly built `indelible` first on the search path. A line `#> text`
//! says that the command before it prints `text`. Any command that fails fails the check.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Info string of the blocks that are run.
const TESTED: &str = "sh tested";

/// A command and what its output must contain.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    line: usize,
    command: String,
    expected: Vec<String>,
}

/// Runs every tested command of the README; returns how many there are.
///
/// # Errors
/// A sentence naming the line that did not do what it says.
pub fn run(root: &Path) -> Result<usize, String> {
    let read = |error: std::io::Error| format!("cannot prepare the README check: {error}");
    let text = fs::read_to_string(root.join("README.md")).map_err(read)?;
    let examples = examples(&text)?;
    let place = root.join("target/readme");
    if place.exists() {
        fs::remove_dir_all(&place).map_err(read)?;
    }
    fs::create_dir_all(place.join("home")).map_err(read)?;
    copy(&root.join("examples"), &place.join("examples")).map_err(read)?;
    for example in &examples {
        check(root, &place, example)?;
    }
    Ok(examples.len())
}

fn check(root: &Path, place: &Path, example: &Example) -> Result<(), String> {
    let Example {
        line,
        command,
        expected,
    } = example;
    let mut bash = Command::new("bash");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("INDELIBLE_") {
            bash.env_remove(name); // A newcomer has set nothing.
        }
    }
    let output = bash
        .args(["-euo", "pipefail", "-c", command])
        .current_dir(place)
        .env("PATH", search_path(root)?)
        .env("HOME", place.join("home"))
        .env("XDG_CONFIG_HOME", place.join("home/.config"))
        .output()
        .map_err(|error| format!("cannot run bash: {error}"))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        return Err(format!(
            "README.md:{line}: `{command}`: {}\n{said}",
            output.status
        ));
    }
    match expected.iter().find(|text| !said.contains(text.as_str())) {
        Some(text) => Err(format!(
            "README.md:{line}: `{command}` does not print `{text}`:\n{said}"
        )),
        None => Ok(()),
    }
}

fn search_path(root: &Path) -> Result<std::ffi::OsString, String> {
    let mut directories = vec![root.join("target/debug")];
    let given = std::env::var_os("PATH").unwrap_or_default();
    directories.extend(std::env::split_paths(&given).collect::<Vec<PathBuf>>());
    std::env::join_paths(directories).map_err(|error| format!("cannot set the path: {error}"))
}

/// The tested commands of `text`, in order; none at all is an error.
fn examples(text: &str) -> Result<Vec<Example>, String> {
    let mut examples: Vec<Example> = Vec::new();
    let mut tested = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(info) = line.strip_prefix("```") {
            tested = !tested && info.trim() == TESTED;
        } else if !tested || line.trim().is_empty() {
        } else if let Some(expected) = line.strip_prefix("#> ") {
            let Some(example) = examples.last_mut() else {
                return Err(format!(
                    "README.md:{}: expects output of no command",
                    index + 1
                ));
            };
            example.expected.push(expected.to_owned());
        } else if !line.starts_with('#') {
            let command = line.to_owned();
            examples.push(Example {
                line: index + 1,
                command,
                expected: Vec::new(),
            });
        }
    }
    if examples.is_empty() {
        return Err(format!("README.md has no block ```{TESTED}"));
    }
    Ok(examples)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tested_blocks_are_run() {
        let text =
            "```sh\nnot this\n```\n```sh tested\n# why\na b\n#> one\n#> two\n\nc\n```\nnor this\n";
        let first = Example {
            line: 6,
            command: "a b".to_owned(),
            expected: vec!["one".to_owned(), "two".to_owned()],
        };
        let second = Example {
            line: 10,
            command: "c".to_owned(),
            expected: Vec::new(),
        };
        assert_eq!(examples(text).unwrap(), [first, second]);
    }

    #[test]
    fn a_readme_without_tested_commands_is_an_error() {
        assert!(examples("```sh\na\n```\n").is_err());
        assert!(examples("```sh tested\n#> text\n```\n").is_err());
    }

    #[test]
    fn a_command_is_held_to_its_exit_code_and_its_output() {
        let place = std::env::temp_dir();
        let run = |command: &str, expected: &str| {
            let expected = vec![expected.to_owned()];
            check(
                &place,
                &place,
                &Example {
                    line: 1,
                    command: command.to_owned(),
                    expected,
                },
            )
        };
        assert_eq!(run("echo committed 6", "committed"), Ok(()));
        assert!(
            run("echo committed 6", "refused")
                .unwrap_err()
                .contains("does not print")
        );
        assert!(run("exit 1", "").unwrap_err().contains("README.md:1"));
    }
}
