//! What tests may ask of their surroundings: where the real data lies and a server runs, how many
//! rounds to run, from which seed, how to say that they were skipped, a database of their own, and
//! a client of a server. A dev-dependency only; the layer test refuses anything else.
//!
//! What it is not: fixtures, generators or assertions, which live beside what they test.
//!
//! Invariant: a test that returns early says so, on standard error and in the file named by
//! `INDELIBLE_SKIPPED_TESTS`, so that `cargo xtask test` can list it by name and
//! `cargo xtask test --require-all` can refuse it.

#[cfg(feature = "postgres")]
pub mod database;
pub mod http;

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Names the directory of real data; a relative path starts at the root of the workspace.
pub const TEST_DATA: &str = "INDELIBLE_TEST_DATA";
/// Names a PostgreSQL that tests make databases and roles in, as a superuser's `postgres://` URL.
pub const TEST_POSTGRES: &str = "INDELIBLE_TEST_POSTGRES";
/// Names the file that skipped tests add a line to, `<test name>: <reason>`.
pub const SKIPPED_TESTS: &str = "INDELIBLE_SKIPPED_TESTS";
/// Names the seed of tests that play dice.
pub const SEED: &str = "INDELIBLE_SEED";
/// Set to `1`, long tests run at full size.
pub const LONG: &str = "INDELIBLE_LONG";

/// Where a variable's value comes from; [`std::env::var`] outside this crate's own tests.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The part `part` of the real data (for instance `cloudtrail`), or nothing when the test `test` is
/// to return at once because `INDELIBLE_TEST_DATA` is not set. The skip is then already declared.
///
/// # Panics
/// When `INDELIBLE_TEST_DATA` is set and has no such directory: that is a mistake, not a skip.
pub fn real_data(test: &str, part: &str) -> Option<PathBuf> {
    real_data_from(test, part, &environment)
}

/// The URL of a PostgreSQL server, or nothing when the test `test` is to return at once because
/// `INDELIBLE_TEST_POSTGRES` is not set. The skip is then already declared.
pub fn postgres(test: &str) -> Option<String> {
    server_from(TEST_POSTGRES, test, &environment)
}

/// The library of `name`, as a crate is called in code, that was built last into `built`: for tests
/// that compile programs against it.
///
/// # Panics
/// When there is none.
pub fn newest_library(built: &Path, name: &str) -> PathBuf {
    let start = format!("lib{name}-");
    let ours = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&start) && file.ends_with(".rlib")
    };
    let made = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    let files = built.read_dir().into_iter().flatten().flatten();
    let libraries = files.map(|entry| entry.path()).filter(ours);
    let newest = libraries.max_by_key(made);
    newest.unwrap_or_else(|| panic!("no library of {name} in {}", built.display()))
}

/// How many rounds a repeating test runs: what the environment variable `variable` says, else
/// `long` under `cargo xtask test --long`, else `ordinary`.
///
/// # Panics
/// When `variable` is set to something that is not a number.
pub fn rounds(variable: &str, ordinary: u64, long: u64) -> u64 {
    rounds_from(variable, ordinary, long, &environment)
}

/// Whether this is a run of `cargo xtask test --long`.
pub fn is_long() -> bool {
    is_long_from(&environment)
}

/// Dice for tests (`SplitMix64`), from a seed that is printed so that a run can be repeated.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice from this seed.
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice from the seed in `INDELIBLE_SEED`, else from one of their own.
    ///
    /// # Panics
    /// When `INDELIBLE_SEED` is set to something that is not a number.
    pub fn seeded() -> Self {
        Self::seeded_from(&environment)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// A place in something of `length` items.
    ///
    /// # Panics
    /// When `length` is 0.
    pub fn place(&mut self, length: usize) -> usize {
        let place = self.below(length as u64);
        usize::try_from(place).unwrap_or(length - 1)
    }

    #[expect(clippy::print_stderr, reason = "the seed is for people")]
    fn seeded_from(lookup: Lookup<'_>) -> Self {
        let seed = match lookup(SEED) {
            Some(text) => match text.parse() {
                Ok(seed) => seed,
                Err(error) => panic!("{SEED}={text} is not a seed: {error}"),
            },
            None => now(),
        };
        eprintln!("{SEED}={seed}");
        Self(seed)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() ^ u64::from(since.subsec_nanos()))
}

/// Declares that the test `test` returns early, and why.
///
/// # Panics
/// When the file named by `INDELIBLE_SKIPPED_TESTS` cannot be written: an undeclared skip would
/// count as a pass.
pub fn declare_skipped(test: &str, reason: &str) {
    declare_skipped_to(test, reason, &environment);
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn real_data_from(test: &str, part: &str, lookup: Lookup<'_>) -> Option<PathBuf> {
    let Some(named) = lookup(TEST_DATA) else {
        declare_skipped_to(test, &format!("{TEST_DATA} is not set"), lookup);
        return None;
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let directory = workspace.join(named).join(part);
    assert!(
        directory.is_dir(),
        "{TEST_DATA} is set but {} is not a directory",
        directory.display()
    );
    Some(directory)
}

fn server_from(variable: &str, test: &str, lookup: Lookup<'_>) -> Option<String> {
    let named = lookup(variable);
    if named.is_none() {
        declare_skipped_to(test, &format!("{variable} is not set"), lookup);
    }
    named
}

fn rounds_from(variable: &str, ordinary: u64, long: u64, lookup: Lookup<'_>) -> u64 {
    match lookup(variable) {
        Some(text) => match text.parse() {
            Ok(rounds) => rounds,
            Err(error) => panic!("{variable}={text} is not a number of rounds: {error}"),
        },
        None if is_long_from(lookup) => long,
        None => ordinary,
    }
}

fn is_long_from(lookup: Lookup<'_>) -> bool {
    lookup(LONG).as_deref() == Some("1")
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn declare_skipped_to(test: &str, reason: &str, lookup: Lookup<'_>) {
    eprintln!("skipped: {test}: {reason}");
    let Some(file) = lookup(SKIPPED_TESTS) else {
        return;
    };
    // One write of one line in append mode, so that test processes never mix their lines.
    let line = format!("{test}: {reason}\n");
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut open| open.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("cannot declare a skipped test in {file}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_data_the_skip_is_declared_by_name() {
        let name = format!("indelible-testing-{}.txt", std::process::id());
        let file = std::env::temp_dir().join(name);
        let path = file.display().to_string();
        let lookup = |name: &str| (name == SKIPPED_TESTS).then(|| path.clone());
        assert_eq!(real_data_from("import::real", "cloudtrail", &lookup), None);
        assert_eq!(real_data_from("prove::real", "cloudtrail", &lookup), None);
        assert_eq!(server_from(TEST_POSTGRES, "ledger::a", &lookup), None);
        let declared = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(
            declared,
            "import::real: INDELIBLE_TEST_DATA is not set\n\
             prove::real: INDELIBLE_TEST_DATA is not set\n\
             ledger::a: INDELIBLE_TEST_POSTGRES is not set\n"
        );
    }

    #[test]
    fn a_relative_directory_starts_at_the_workspace() {
        let lookup = |name: &str| (name == TEST_DATA).then(|| "crates".to_owned());
        let found = real_data_from("any", "indelible-testing", &lookup).unwrap();
        assert!(found.join("Cargo.toml").is_file());
    }

    #[test]
    #[should_panic(expected = "is not a directory")]
    fn a_directory_that_is_not_there_is_no_skip() {
        let lookup = |name: &str| (name == TEST_DATA).then(|| "crates".to_owned());
        let _ = real_data_from("any", "no-such-part", &lookup);
    }

    #[test]
    fn rounds_come_from_the_variable_then_from_the_length() {
        let nothing = |_: &str| None;
        let long = |name: &str| (name == LONG).then(|| "1".to_owned());
        let named = |name: &str| match name {
            LONG => Some("1".to_owned()),
            "ROUNDS" => Some("7".to_owned()),
            _ => None,
        };
        assert_eq!(rounds_from("ROUNDS", 200, 1_000, &nothing), 200);
        assert_eq!(rounds_from("ROUNDS", 200, 1_000, &long), 1_000);
        assert_eq!(rounds_from("ROUNDS", 200, 1_000, &named), 7);
    }

    #[test]
    fn one_seed_throws_the_same_dice() {
        let lookup = |name: &str| (name == SEED).then(|| "42".to_owned());
        let throw = || {
            let mut dice = Dice::seeded_from(&lookup);
            [dice.below(6), dice.below(1_000), dice.below(u64::MAX)]
        };
        assert_eq!(throw(), throw());
        assert!(throw()[0] < 6 && throw()[1] < 1_000);
    }

    #[test]
    #[should_panic(expected = "is not a seed")]
    fn a_seed_that_is_no_number_is_refused() {
        let lookup = |name: &str| (name == SEED).then(|| "lucky".to_owned());
        Dice::seeded_from(&lookup);
    }

    #[test]
    #[should_panic(expected = "is not a number of rounds")]
    fn rounds_that_are_no_number_are_refused() {
        let lookup = |name: &str| (name == "ROUNDS").then(|| "many".to_owned());
        rounds_from("ROUNDS", 1, 2, &lookup);
    }
}
