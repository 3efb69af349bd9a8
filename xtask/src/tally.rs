//! Adds up what test binaries say about themselves.
//!
//! Reads the lines that libtest and Node's test runner print; a line it does not know is not an
//! error, since tests may print what they like. A test that returned early after declaring its skip
//! is counted by libtest as passed and by us as skipped, never as both.

use std::{collections::BTreeMap, fmt};

/// Sums over all test binaries of a run.
#[derive(Default)]
pub struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    failures: Vec<String>,
    skipped: BTreeMap<String, String>,
}

impl Tally {
    /// Reads one line of a test binary's standard output.
    pub fn line(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.ignored += number_before(result, " ignored");
        } else if let Some((name, how)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
        {
            if how.starts_with("ignored") {
                let reason = how.strip_prefix("ignored, ").unwrap_or("marked #[ignore]");
                self.skipped.insert(name.to_owned(), reason.to_owned());
            } else if how.starts_with("FAILED") {
                self.failures.push(name.to_owned());
            }
        } else if let Some((word, count)) = line
            .strip_prefix("ℹ ")
            .and_then(|rest| rest.split_once(' '))
        {
            let count = count.parse().unwrap_or(0);
            match word {
                "pass" => self.passed += count,
                "fail" | "cancelled" => self.failed += count,
                "skipped" | "todo" => self.ignored += count,
                _ => {}
            }
        }
    }

    /// Counts runs of a tool that passed and that does not count tests itself.
    pub fn passed(&mut self, runs: u64) {
        self.passed += runs;
    }

    /// Counts a step that did not run.
    pub fn step_skipped(&mut self, name: &str, reason: &str) {
        self.ignored += 1;
        self.skipped.insert(name.to_owned(), reason.to_owned());
    }

    /// Reads what tests declared in the file named by `INDELIBLE_SKIPPED_TESTS`.
    pub fn declared(&mut self, lines: &str) {
        for line in lines.lines() {
            let (name, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
            if self
                .skipped
                .insert(name.to_owned(), reason.to_owned())
                .is_none()
            {
                self.passed = self.passed.saturating_sub(1);
                self.ignored += 1;
            }
        }
    }

    /// Names and reasons of the tests that did not run.
    pub fn skipped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.skipped
            .iter()
            .map(|(name, reason)| (name.as_str(), reason.as_str()))
    }

    /// Names of the tests that failed.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            ignored,
            ..
        } = self;
        write!(f, "{passed} passed, {failed} failed, {ignored} skipped")
    }
}

fn number_before(text: &str, word: &str) -> u64 {
    let Some((before, _)) = text.split_once(word) else {
        return 0;
    };
    let digits = before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_and_skips_are_named() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::passes ... ok",
            "test a::later ... ignored, needs a database",
            "test a::breaks ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; 0.1s",
        ] {
            tally.line(line);
        }
        tally.declared("import::real: INDELIBLE_TEST_DATA is not set\n");
        tally.declared("import::real: INDELIBLE_TEST_DATA is not set\n");
        assert_eq!(tally.to_string(), "40 passed, 1 failed, 2 skipped");
        assert_eq!(tally.failures(), ["a::breaks"]);
        let skipped: Vec<_> = tally.skipped().collect();
        assert_eq!(
            skipped,
            [
                ("a::later", "needs a database"),
                ("import::real", "INDELIBLE_TEST_DATA is not set")
            ]
        );
    }

    #[test]
    fn node_is_counted_and_so_are_steps() {
        let mut tally = Tally::default();
        for line in [
            "✔ it works (2.5ms)",
            "ℹ tests 3",
            "ℹ pass 2",
            "ℹ fail 1",
            "ℹ skipped 0",
        ] {
            tally.line(line);
        }
        tally.passed(3);
        tally.step_skipped("browser", "no Chromium");
        assert_eq!(tally.to_string(), "5 passed, 1 failed, 1 skipped");
        assert_eq!(tally.skipped().next(), Some(("browser", "no Chromium")));
    }

    #[test]
    fn other_output_is_not_counted() {
        let mut tally = Tally::default();
        tally.line("the test result: 5 passed");
        tally.line("5 passed");
        assert_eq!(tally.to_string(), "0 passed, 0 failed, 0 skipped");
    }
}
