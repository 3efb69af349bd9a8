//! The steps of `cargo xtask test`, in order, and how one runs: its output passes through, its time
//! is measured, and the first failure ends the run with the command that repeats it.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks to its user"
)]

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::tools::{Stop, succeed};
use crate::{browser, fuzz, openapi, readme, source, tally::Tally, tidy, tools};

const CLEAN: u8 = 0;
const FAILED: u8 = 1;
const COULD_NOT: u8 = 3;

/// Rounds of the kill tests when they run among all other tests, before their own steps.
const KILL_ROUNDS_IN_PASSING: &str = "2";

/// What `cargo xtask test` was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    long: bool,
    require_all: bool,
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
struct Step {
    name: &'static str,
    work: Work,
}

enum Work {
    /// A command that succeeds or fails.
    Run(Invocation),
    /// A command whose output is test results.
    Tests(Invocation),
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
    /// Every fuzz target for a time.
    Fuzz,
}

/// A cargo command with its environment, as a person would type it.
struct Invocation {
    environment: Vec<(&'static str, String)>,
    arguments: String,
}

impl Invocation {
    fn cargo(arguments: impl Into<String>) -> Self {
        Self {
            environment: Vec::new(),
            arguments: arguments.into(),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    fn command(&self) -> Command {
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

fn steps(options: Options) -> Vec<Step> {
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
            work: Work::Tests(tests),
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
        Step {
            name: "documentation",
            work: Work::Run(cargo("doc --workspace --no-deps").with("RUSTDOCFLAGS", "-D warnings")),
        },
        Step {
            name: "readme",
            work: Work::Readme,
        },
    ];
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
    let test = Invocation::cargo(arguments).with("INDELIBLE_KILL_ROUNDS", rounds);
    Step {
        name,
        work: Work::Tests(test),
    }
}

/// What runs against the server from outside, with tools that are not Rust.
fn against_the_server() -> [Step; 2] {
    [
        Step {
            name: "browser",
            work: Work::Browser,
        },
        Step {
            name: "openapi",
            work: Work::OpenApi,
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

/// Runs everything; the exit code.
pub fn test(options: Options) -> u8 {
    let skipped = source::root().join("target/skipped-tests.txt");
    if let Err(error) = fs::write(&skipped, "") {
        eprintln!("cannot write {}: {error}", skipped.display());
        return COULD_NOT;
    }
    let mut run = Run {
        skipped,
        tally: Tally::default(),
    };
    let steps = steps(options);
    let mut times = String::new();
    let mut code = CLEAN;
    for (index, step) in steps.iter().enumerate() {
        println!(
            "\n==> {}/{} {}: {}",
            index + 1,
            steps.len(),
            step.name,
            step.typed()
        );
        let started = Instant::now();
        let outcome = run.step(step);
        let took = started.elapsed();
        let word = if outcome.is_ok() { "ok" } else { "failed" };
        let _ = writeln!(times, "  {:<14} {word:<7} {}", step.name, seconds(took));
        if let Err(failure) = outcome {
            println!(
                "\nfailed: {}: {failure}\nrepeat: {}",
                step.name,
                step.typed()
            );
            code = FAILED;
            break;
        }
    }
    println!("\n{times}");
    run.report(options, code)
}

/// Runs our own checks alone; the exit code.
pub fn tidy() -> u8 {
    exit(check_tidy())
}

/// Runs the licence, source and ban check alone; the exit code.
pub fn deny() -> u8 {
    exit(check_deny())
}

/// Runs the commands of the README alone; the exit code.
pub fn readme() -> u8 {
    exit(check_readme())
}

/// Runs one of the steps that may lack something; here that is an error.
pub fn alone(name: &str) -> u8 {
    let all = steps(Options::default());
    let Some(step) = all.iter().find(|step| step.name == name) else {
        return COULD_NOT;
    };
    let mut run = Run {
        skipped: PathBuf::new(),
        tally: Tally::default(),
    };
    let outcome = run.step(step);
    println!("{}", run.tally);
    if run.tally.skipped().next().is_some() {
        return COULD_NOT;
    }
    exit(outcome)
}

/// Fuzzes a target, or all of them, for so many seconds each; the exit code.
pub fn fuzz(target: &str, seconds: &str) -> u8 {
    exit(run_fuzz(target, seconds))
}

/// Runs a benchmark; its exit code.
pub fn bench(name: &str, arguments: &[&str]) -> u8 {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "run",
        "--release",
        "--manifest-path",
        "bench/Cargo.toml",
        "--bin",
        name,
        "--",
    ]);
    command.args(arguments).current_dir(source::root());
    match command.status() {
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .unwrap_or(COULD_NOT),
        Err(error) => {
            eprintln!("cannot run cargo: {error}");
            COULD_NOT
        }
    }
}

fn exit(outcome: Result<(), String>) -> u8 {
    match outcome {
        Ok(()) => CLEAN,
        Err(failure) => {
            eprintln!("{failure}");
            FAILED
        }
    }
}

fn seconds(took: Duration) -> String {
    format!("{:>8.1} s", took.as_secs_f64())
}

impl Step {
    /// The command that repeats this step.
    fn typed(&self) -> String {
        match &self.work {
            Work::Run(invocation) | Work::Tests(invocation) => invocation.typed(),
            Work::Deny => "cargo xtask deny".to_owned(),
            Work::Tidy => "cargo xtask tidy".to_owned(),
            Work::Readme => "cargo xtask readme".to_owned(),
            Work::Browser => "cargo xtask browser".to_owned(),
            Work::OpenApi => "cargo xtask openapi".to_owned(),
            Work::Fuzz => format!("cargo xtask fuzz all {}", fuzz::SECONDS),
        }
    }
}

/// What a run has seen so far.
struct Run {
    skipped: PathBuf,
    tally: Tally,
}

impl Run {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.work {
            Work::Run(invocation) => succeed(&mut invocation.command()),
            Work::Tests(invocation) => self.tests(&mut invocation.command()),
            Work::Deny => check_deny(),
            Work::Tidy => check_tidy(),
            Work::Readme => check_readme(),
            Work::Browser => self.may_lack(step.name, |run| {
                Ok(run.tests(&mut browser::tests(&source::root())?)?)
            }),
            Work::OpenApi => self.may_lack(step.name, |run| {
                run.tally.passed(openapi::run(&source::root())?);
                Ok(())
            }),
            Work::Fuzz => run_fuzz("all", fuzz::SECONDS),
        }
    }

    /// A step that is skipped by name where the machine lacks what it needs.
    fn may_lack(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), String> {
        match work(self) {
            Ok(()) => Ok(()),
            Err(Stop::Failed(failure)) => Err(failure),
            Err(Stop::Missing(reason)) => {
                println!("skipped: {reason}");
                self.tally.step_skipped(name, &reason);
                Ok(())
            }
        }
    }

    /// Runs tests, passing their output through and counting it.
    fn tests(&mut self, command: &mut Command) -> Result<(), String> {
        command
            .env("INDELIBLE_SKIPPED_TESTS", &self.skipped)
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot run the tests: {error}"))?;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n') {
                let line = line.map_err(|error| format!("cannot read test output: {error}"))?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                self.tally.line(&line);
            }
        }
        let status = child
            .wait()
            .map_err(|error| format!("cannot wait for the tests: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(status.to_string())
        }
    }

    /// Prints what was skipped and the sums; the exit code.
    fn report(&mut self, options: Options, mut code: u8) -> u8 {
        match fs::read_to_string(&self.skipped) {
            Ok(lines) => self.tally.declared(&lines),
            Err(error) => {
                println!("cannot read {}: {error}", self.skipped.display());
                code = COULD_NOT;
            }
        }
        for name in self.tally.failures() {
            println!("failed: {name}");
        }
        for (name, reason) in self.tally.skipped() {
            println!("skipped: {name}: {reason}");
            if options.require_all && code == CLEAN {
                code = FAILED;
            }
        }
        if options.require_all && self.tally.skipped().next().is_some() {
            println!("--require-all: a skipped test is a failure");
        }
        println!("{}", self.tally);
        code
    }
}

fn check_deny() -> Result<(), String> {
    let root = source::root();
    let tool = match tools::cargo_deny(&root) {
        Ok(tool) => tool,
        Err(mut install) => {
            println!("cargo-deny is missing: building it into target/tools");
            succeed(&mut install)?;
            tools::cargo_deny(&root).map_err(|_| "cargo-deny was built but does not run")?
        }
    };
    let mut check = Command::new(tool);
    check.args([
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    succeed(check.current_dir(root))
}

fn check_tidy() -> Result<(), String> {
    let findings = tidy::run(&source::root())?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("1 finding".to_owned()),
        count => Err(format!("{count} findings")),
    }
}

fn check_readme() -> Result<(), String> {
    succeed(&mut Invocation::cargo("build -p indelible-cli").command())?;
    let count = readme::run(&source::root())?;
    println!("{count} commands of README.md do what it says");
    Ok(())
}

fn run_fuzz(word: &str, seconds: &str) -> Result<(), String> {
    let root = source::root();
    for target in fuzz::targets(&root, word)? {
        println!("fuzz target {target}, {seconds} s");
        for mut command in fuzz::commands(&root, &target, seconds)? {
            succeed(&mut command).map_err(|failure| format!("{target}: {failure}"))?;
        }
    }
    Ok(())
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
        assert!(!short.contains("cargo test --manifest-path bench/Cargo.toml"));
        assert!(short.contains("cargo test --manifest-path fuzz/Cargo.toml"));
        assert!(!short.contains("cargo xtask fuzz"));
        let long = typed(Options {
            long: true,
            require_all: false,
        });
        rounds(&long, "1000", "kill9");
        rounds(&long, "1000", "serve_kill9");
        assert!(long.contains("INDELIBLE_LONG=1"));
        assert!(long.contains("RUSTDOCFLAGS='-D warnings' cargo doc"));
        assert!(long.contains("cargo test --manifest-path bench/Cargo.toml"));
        assert!(long.contains("cargo xtask fuzz all 60"));
    }
}
