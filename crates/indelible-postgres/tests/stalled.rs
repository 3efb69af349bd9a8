//! A server that is stopped in the middle of a commit keeps its log from others for as long as it
//! is said, and finds out what became of its commit when it goes on.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use indelible_postgres::{Options, Postgres};
use indelible_store::conformance::{Generator, Mix};
use indelible_store::{Commit, Kind, Ledger};

use support::{Place, available, fresh, options};

const NAME: &str = "a_server_that_is_stopped_keeps_nobody_for_long";
/// Set to the database for the process that is stopped.
const STOPPED: &str = "INDELIBLE_TEST_STOPPED";
const STALL: Duration = Duration::from_secs(1);

fn open(url: &str) -> Postgres {
    let options = Options {
        stall_timeout: STALL,
        ..options(url)
    };
    Postgres::open(&options, || Ok(fresh(1))).unwrap()
}

fn one_record() -> Commit {
    let mut generator = Generator::new(1, Mix::default());
    Commit {
        appends: vec![generator.append(0, 1)],
    }
}

/// A process of ours, which ends with this test.
struct Stopped(Child);

impl Stopped {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let kill = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(kill.success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended, as it should.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_that_is_stopped_keeps_nobody_for_long() {
    if let Ok(url) = std::env::var(STOPPED) {
        let error = open(&url).append(&one_record()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        return;
    }
    if !available(NAME) {
        return;
    }
    let place = Place::make();
    let postgres = place.open();
    // In the middle of a commit for long enough to be stopped there.
    place.sql(
        "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ \
         BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON indelible.ids \
         FOR EACH ROW EXECUTE FUNCTION public.slow()",
    );
    let stopped = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(STOPPED, &place.url)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stopped = Stopped(stopped);
    let sleeps = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' \
         AND datname = current_database()";
    let since = Instant::now();
    while place.rows(sleeps).is_empty() {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "it never came there"
        );
    }
    stopped.signal("-STOP");
    // The log is waited for; then the stopped commit is over, and this one takes its place.
    let since = Instant::now();
    let commit = one_record();
    postgres.append(&commit).unwrap();
    let waited = since.elapsed();
    assert!(waited > STALL && waited < STALL * 8, "{waited:?}");
    stopped.signal("-CONT");
    assert!(stopped.0.wait().unwrap().success());
    let head = postgres.head(&commit.appends[0].tenant).unwrap();
    assert_eq!(head.as_ref(), Some(&commit.appends[0].head));
}
