//! The steps of `cargo xtask test`, in order, each as the command that repeats it.
//!
//! Not here: how a step runs (`run`).

use std::{fmt::Write as _, process::Command};

use crate::{fuzz, source};

/// Rounds of the kill tests when they run among all other tests, before their own steps.
const KILL_ROUNDS_IN_PASSING: &str = "2";

/// The crates with features that are off by default.
pub const WITH_FEATURES: &str = "-p indelible-emit -p indelible -p indelible-export --all-features";

/// What `cargo xtask test` was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Long tests run in full.
    pub long: bool,
    /// A skipped test is a failure.
    pub require_all: bool,
}

impl Options {
    /// Reads the options; nothing when one is unknown.
    pub fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        for word in words {
            match *word {
                "--long" => options.long = true,
                "--require-all" => options.require_all = true,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// One step.
pub struct Step {
    /// What it is called.
    pub name: &'static str,
    /// What it does.
    pub work: Work,
}

pub enum Work {
    /// A command that succeeds or fails.
    Run(Invocation),
    /// A command whose output is test results.
    Tests(Invocation),
    /// As `Tests`, with the servers of `services` running.
    TestsOnServices(Invocation),
    /// The licence, source and ban check, with the tool built first when missing.
    Deny,
    /// Our own checks.
    Tidy,
    /// The commands of the README.
    Readme,
    /// The pages in a browser.
    Browser,
    /// What is served, held against its description.
    OpenApi,
    /// What watches over it, held against what there is.
    Deploy,
    /// Every fuzz target for a time.
    Fuzz,
}

/// A cargo command with its environment, as a person would type it.
pub struct Invocation {
    environment: Vec<(&'static str, String)>,
    arguments: String,
}

impl Invocation {
    /// Cargo with these arguments, split at blanks.
    pub fn cargo(arguments: impl Into<String>) -> Self {
        Self {
            environment: Vec::new(),
            arguments: arguments.into(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Ready to be run, at the root of the workspace.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command
            .args(self.arguments.split(' '))
            .current_dir(source::root());
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    fn typed(&self) -> String {
        let mut typed = String::new();
        for (name, value) in &self.environment {
            let quote = if value.contains(' ') { "'" } else { "" };
            let _ = write!(typed, "{name}={quote}{value}{quote} ");
        }
        typed + "cargo " + &self.arguments
    }
}

/// All of them, in order.
pub fn steps(options: Options) -> Vec<Step> {
    let mut tests = Invocation::cargo("test --workspace --no-fail-fast")
        .with("INDELIBLE_KILL_ROUNDS", KILL_ROUNDS_IN_PASSING);
    if options.long {
        tests = tests.with("INDELIBLE_LONG", "1");
    }
    let rounds = if options.long { "1000" } else { "200" };
    let served_rounds = if options.long { "1000" } else { "100" };
    let cargo = |arguments: &str| Invocation::cargo(arguments);
    let mut steps = vec![
        Step {
            name: "format",
            work: Work::Run(cargo("fmt --all --check")),
        },
        Step {
            name: "tidy",
            work: Work::Tidy,
        },
        Step {
            name: "deny",
            work: Work::Deny,
        },
        Step {
            name: "clippy",
            work: Work::Run(cargo("clippy --workspace --all-targets -- -D warnings")),
        },
        Step {
            name: "tests",
            work: Work::TestsOnServices(tests),
        },
        kill(
            "kill -9",
            "test -p indelible-cli --test kill9 -- --nocapture",
            rounds,
        ),
        kill(
            "kill -9 serve",
            "test -p indelible-cli --test serve_kill9 -- --nocapture",
            served_rounds,
        ),
        many_servers(if options.long { "200" } else { "20" }),
        Step {
            name: "documentation",
            work: Work::Run(cargo("doc --workspace --no-deps").with("RUSTDOCFLAGS", "-D warnings")),
        },
        Step {
            name: "readme",
            work: Work::Readme,
        },
    ];
    steps.extend(with_features());
    steps.extend(against_the_server());
    // The last are its tests, which build SQLite.
    let quick = if options.long { 3 } else { 2 };
    steps.extend(beside("bench").into_iter().take(quick));
    steps.extend(beside("fuzz"));
    if options.long {
        steps.push(Step {
            name: "fuzz",
            work: Work::Fuzz,
        });
    }
    steps
}

/// A kill test with its rounds.
fn kill(name: &'static str, arguments: &'static str, rounds: &str) -> Step {
    Step {
        name,
        work: Work::Tests(killing(arguments, rounds)),
    }
}

/// That of several servers, on a database.
fn many_servers(rounds: &str) -> Step {
    let arguments = "test -p indelible-cli --test many_servers -- --nocapture";
    Step {
        name: "kill -9 many servers",
        work: Work::TestsOnServices(killing(arguments, rounds)),
    }
}

fn killing(arguments: &str, rounds: &str) -> Invocation {
    Invocation::cargo(arguments).with("INDELIBLE_KILL_ROUNDS", rounds)
}

/// What the workspace as a whole leaves out: the code behind features that are off by default.
fn with_features() -> [Step; 4] {
    let cargo = |arguments: String| Invocation::cargo(arguments);
    let documentation = cargo(format!("doc {WITH_FEATURES} --no-deps"));
    [
        Step {
            name: "clippy of features",
            work: Work::Run(cargo(format!(
                "clippy {WITH_FEATURES} --all-targets -- -D warnings"
            ))),
        },
        Step {
            name: "tests of features",
            work: Work::TestsOnServices(cargo(format!("test {WITH_FEATURES} --no-fail-fast"))),
        },
        Step {
            name: "tests of the full command",
            work: Work::TestsOnServices(cargo(
                "test -p indelible-cli --features full --test selection".to_owned(),
            )),
        },
        Step {
            name: "documentation of features",
            work: Work::Run(documentation.with("RUSTDOCFLAGS", "-D warnings")),
        },
    ]
}

/// What runs against the server from outside, with tools that are not Rust.
fn against_the_server() -> [Step; 3] {
    [
        Step {
            name: "browser",
            work: Work::Browser,
        },
        Step {
            name: "openapi",
            work: Work::OpenApi,
        },
        Step {
            name: "deploy",
            work: Work::Deploy,
        },
    ]
}

/// The steps of a workspace beside the product's. They build into the product's own directory, for
/// most of what they depend on is there already.
fn beside(workspace: &'static str) -> [Step; 3] {
    let shared = format!("--manifest-path {workspace}/Cargo.toml --target-dir target");
    [
        Step {
            name: workspace,
            work: Work::Run(Invocation::cargo(format!(
                "fmt --manifest-path {workspace}/Cargo.toml --check"
            ))),
        },
        Step {
            name: workspace,
            work: Work::Run(Invocation::cargo(format!(
                "clippy {shared} --all-targets -- -D warnings"
            ))),
        },
        Step {
            name: workspace,
            work: Work::Tests(Invocation::cargo(format!("test {shared} --no-fail-fast"))),
        },
    ]
}

impl Step {
    /// The command that repeats this step.
    pub fn typed(&self) -> String {
        match &self.work {
            Work::Run(invocation) | Work::Tests(invocation) | Work::TestsOnServices(invocation) => {
                invocation.typed()
            }
            Work::Deny => "cargo xtask deny".to_owned(),
            Work::Tidy => "cargo xtask tidy".to_owned(),
            Work::Readme => "cargo xtask readme".to_owned(),
            Work::Browser => "cargo xtask browser".to_owned(),
            Work::OpenApi => "cargo xtask openapi".to_owned(),
            Work::Deploy => "cargo xtask deploy".to_owned(),
            Work::Fuzz => format!("cargo xtask fuzz all {}", fuzz::SECONDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        let both = Options {
            long: true,
            require_all: true,
        };
        assert_eq!(Options::parse(&["--require-all", "--long"]), Some(both));
        assert_eq!(Options::parse(&[]), Some(Options::default()));
        assert_eq!(Options::parse(&["--quick"]), None);
    }

    #[test]
    fn a_long_run_kills_more_often() {
        let typed = |options| {
            steps(options)
                .iter()
                .map(Step::typed)
                .collect::<Vec<_>>()
                .join("\n")
        };
        let rounds = |typed: &str, rounds: &str, test: &str| {
            let step =
                format!("INDELIBLE_KILL_ROUNDS={rounds} cargo test -p indelible-cli --test ");
            assert!(typed.contains(&(step + test + " ")), "{typed}");
        };
        let short = typed(Options::default());
        rounds(&short, "200", "kill9");
        rounds(&short, "100", "serve_kill9");
        rounds(&short, "20", "many_servers");
        assert!(!short.contains("cargo test --manifest-path bench/Cargo.toml"));
        assert!(short.contains("cargo test --manifest-path fuzz/Cargo.toml"));
        assert!(!short.contains("cargo xtask fuzz"));
        let long = typed(Options {
            long: true,
            require_all: false,
        });
        rounds(&long, "1000", "kill9");
        rounds(&long, "1000", "serve_kill9");
        rounds(&long, "200", "many_servers");
        assert!(long.contains("INDELIBLE_LONG=1"));
        assert!(long.contains("RUSTDOCFLAGS='-D warnings' cargo doc"));
        assert!(long.contains("cargo test --manifest-path bench/Cargo.toml"));
        assert!(long.contains("cargo xtask fuzz all 60"));
    }
}
