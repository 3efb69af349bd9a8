//! How steps run: their output passes through, their time is measured, and the first failure ends
//! the run with the command that repeats it.
//!
//! Not here: which steps there are (`steps`).

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks to its user"
)]

use std::{
    collections::BTreeSet,
    env,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::steps::{Invocation, Options, Step, Work, steps};
use crate::tools::{Stop, succeed};
use crate::{browser, deploy, fuzz, openapi, readme, services, source, tally::Tally, tidy, tools};

const CLEAN: u8 = 0;
const FAILED: u8 = 1;
const COULD_NOT: u8 = 3;

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
        against: BTreeSet::new(),
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
        against: BTreeSet::new(),
    };
    let outcome = run.step(step);
    println!("{}", run.tally);
    if run.tally.skipped().next().is_some() {
        return COULD_NOT;
    }
    exit(outcome)
}

/// Starts servers for tests, ends them, or says where they are; the exit code.
pub fn services(word: &str) -> u8 {
    let root = source::root();
    let service = match word {
        "up" => services::up(&root).map(Some),
        "down" => services::down(&root).map_err(Stop::Failed),
        _ => Ok(services::running(&root)),
    };
    match service {
        Ok(Some(service)) if word == "down" => println!("ended {}", service.version),
        Ok(Some(service)) => services::tell(&service),
        Ok(None) => println!("no server runs"),
        Err(Stop::Missing(reason) | Stop::Failed(reason)) => {
            eprintln!("{reason}");
            return COULD_NOT;
        }
    }
    CLEAN
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

/// What a run has seen so far.
struct Run {
    skipped: PathBuf,
    tally: Tally,
    /// Servers of others that tests ran against, with their versions.
    against: BTreeSet<String>,
}

impl Run {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match &step.work {
            Work::Run(invocation) => succeed(&mut invocation.command()),
            Work::Tests(invocation) => self.tests(&mut invocation.command()),
            Work::TestsOnServices(invocation) => self.on_services(&mut invocation.command()),
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
            Work::Deploy => self.may_lack(step.name, |run| {
                run.tally.passed(deploy::run(&source::root())?);
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

    /// Runs tests with servers to run against; where there can be none, they skip themselves.
    fn on_services(&mut self, tests: &mut Command) -> Result<(), String> {
        let root = source::root();
        if env::var_os(services::TEST_POSTGRES).is_some() {
            let named = format!("the PostgreSQL that {} names", services::TEST_POSTGRES);
            self.against.insert(named);
            return self.tests(tests);
        }
        let was_up = services::running(&root).is_some();
        match services::up(&root) {
            Ok(service) => {
                tests.env(services::TEST_POSTGRES, &service.url);
                self.against.insert(service.version);
            }
            Err(Stop::Missing(reason)) => println!("{reason}"),
            Err(Stop::Failed(failure)) => return Err(failure),
        }
        let outcome = self.tests(tests);
        if !was_up {
            services::down(&root)?;
        }
        outcome
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
        for server in &self.against {
            println!("ran against {server}");
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
