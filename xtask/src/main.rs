//! Development tasks: `cargo xtask test` runs everything CI runs, `tidy` checks the house style,
//! `bench` measures, `fuzz` looks for inputs that break what must hold.
//!
//! Exit codes: 0 done and clean, 1 something failed, 2 usage, 3 could not run.

mod browser;
mod deploy;
mod fuzz;
mod layers;
mod openapi;
mod readme;
mod run;
mod services;
mod serving;
mod source;
mod steps;
mod tally;
mod tidy;
mod tools;

use std::{env, process::ExitCode};

const USAGE: &str = "\
usage: cargo xtask <task>

  test [--long] [--require-all]   everything CI runs, in order; stops at the first failure
         --long                   chaos rounds and large sizes in full, tests of bench/, fuzzing
         --require-all            a skipped test is a failure
  tidy                            layers, style and documents
  deny                            licences, sources and banned crates of the dependencies
  readme                          the commands of README.md, in an empty directory
  browser                         the pages in Chromium; needs node, npm and chromium
  openapi                         what is served against its description; needs python3
  deploy                          alerts and dashboard against what there is; needs promtool
  services up|down|status         real servers on loopback for the tests; `test` starts and ends
                                  its own unless they are up
  bench <name> [arguments]        a benchmark of the workspace bench/, in release mode
  fuzz <target>|all [seconds]     a target of the workspace fuzz/ under libFuzzer; 60 s

environment:
  INDELIBLE_TEST_DATA=DIR         real data for tests; without it those tests are skipped by name
  INDELIBLE_TEST_POSTGRES=URL     a PostgreSQL for tests, as superuser; else `test` starts one
  INDELIBLE_CHROMIUM=PATH         the browser, where it is not /usr/bin/chromium
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", options @ ..] => match steps::Options::parse(options) {
            Some(options) => run::test(options),
            None => return usage(),
        },
        ["tidy"] => run::tidy(),
        ["deny"] => run::deny(),
        ["readme"] => run::readme(),
        [step @ ("browser" | "openapi" | "deploy")] => run::alone(step),
        ["services", word @ ("up" | "down" | "status")] => run::services(word),
        ["bench", name, rest @ ..] => run::bench(name, rest),
        ["fuzz", target] => run::fuzz(target, fuzz::SECONDS),
        ["fuzz", target, seconds] => run::fuzz(target, seconds),
        _ => return usage(),
    };
    ExitCode::from(outcome)
}

#[expect(clippy::print_stderr, reason = "a command line speaks to its user")]
fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}
