//! A database whose disk is really full, under load: PostgreSQL refuses commits or dies of it. When
//! there is room again everything goes on, and every receipt is in the ledger once.
//!
//! The disk is a small one in memory. Where the system does not let us mount one, the test is
//! skipped by name.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; the figures are for people"
)]

mod support;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indelible_testing::Dice;
use support::Place;
use support::held::{Held, check};
use support::own_postgres::OwnPostgres;
use support::served::Serving;

/// Enough for a new server, its journal and some thousand records.
const SIZE: &str = "size=192m";
/// For how long the disk stays full, once a client has been told.
const FULL_FOR: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_mins(1);

/// A small disk in memory, gone when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]);
        let mounted = mount.arg(folder.path()).output().ok()?;
        mounted.status.success().then(|| Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room there is; where to give it back.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("rest");
        let mut rest = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap();
        for bytes in [1 << 20, 1 << 12] {
            while rest.write_all(&vec![0; bytes]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_disk_of_the_database_costs_nobody_a_receipt() {
    let test = "a_full_disk_of_the_database_costs_nobody_a_receipt";
    let Some(disk) = SmallDisk::mount() else {
        indelible_testing::declare_skipped(test, "no disk of its own can be mounted");
        return;
    };
    let folder = tempfile::tempdir_in(disk.path()).unwrap();
    let Some(postgres) = OwnPostgres::start_in(folder) else {
        indelible_testing::declare_skipped(test, "no PostgreSQL on this machine");
        return;
    };
    let place = Place::with_ledger(&postgres.url);
    let mut server = Serving::telling(&place, "", "telemetry");
    let held = Held::new(std::slice::from_ref(&server));
    held.beside(&mut Dice::seeded(), |_| {
        until("it begins", || held.count() > 1_000);
        let again = held.asked_again.load(Ordering::Relaxed);
        let rest = disk.fill();
        until("a client is told", || {
            held.asked_again.load(Ordering::Relaxed) > again
        });
        std::thread::sleep(FULL_FOR);
        let before = held.count();
        std::fs::remove_file(rest).unwrap();
        // Where it could not write its journal, PostgreSQL died of it.
        postgres.start_again();
        until("it goes on", || held.count() > before);
    });
    assert_eq!(server.signal("TERM"), Some(0));
    let log = postgres.log();
    assert!(log.contains("No space left on device"), "{log}");
    let died = log.contains("PANIC");
    eprintln!("PostgreSQL died of it: {died}; {held:?}");
    check(&place, &postgres, &held);
    drop(postgres);
}
