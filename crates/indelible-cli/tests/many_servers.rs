//! Several servers on one database, killed, stopped and cut off from it at random, and the database
//! as well, under load, its commits refused for serialisation and deadlocks: every receipt that a
//! client held is in the ledger exactly once, at its place.
//!
//! Clients send batches of many tenants to whichever server answers (`support/held.rs`).
//! Rounds from `INDELIBLE_KILL_ROUNDS`; the seed is printed and comes from `INDELIBLE_SEED`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; the figures are for people"
)]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use indelible_testing::Dice;
use indelible_testing::database::{rows, sql};
use support::Place;
use support::held::{Held, check};
use support::own_postgres::OwnPostgres;
use support::served::Serving;

const SERVERS: usize = 4;
/// How long the servers are let alone before each round, in milliseconds.
const CALM_MS_MAX: u64 = 400;
/// How long a server stands still at most: shorter than PostgreSQL waits for a transaction that
/// does, and longer, so that it is ended. The former is tried in most rounds, for they are quicker.
const STILL_MS_MAX: u64 = 600;
const STILL_LONG: Duration = Duration::from_secs(12);
/// One in so many stops is a long one.
const STILL_LONG_ONE_IN: u64 = 20;
/// Ends about half of the servers' connections.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE application_name = 'indelible' AND random() < 0.5";
/// Has commits fail as PostgreSQL has them fail, as often as `contention` says: where ids are
/// added, or when the transaction ends.
const CONTENTION: &str = "
CREATE TABLE contention (rate float8 NOT NULL);
INSERT INTO contention VALUES (0);
CREATE FUNCTION contend() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public AS $$ BEGIN
    IF random() < (SELECT rate FROM contention) THEN
        RAISE EXCEPTION 'contention' USING ERRCODE =
            CASE WHEN random() < 0.5 THEN '40001' ELSE '40P01' END;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER contend AFTER INSERT ON indelible.ids FOR EACH STATEMENT
    EXECUTE FUNCTION contend();
CREATE CONSTRAINT TRIGGER contend AFTER UPDATE ON indelible.heads DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION contend();
";
/// Locks heads in the order that no server does, and waits for locks longer than they do: so that
/// of a circle of those who wait it is a server that PostgreSQL ends.
const LOCKS_BACKWARDS: &str = "
SET deadlock_timeout = '1min';
DO $$ DECLARE tenant text; BEGIN
    FOR tenant IN SELECT tenant_id FROM indelible.heads ORDER BY tenant_id DESC LIMIT 100 LOOP
        PERFORM FROM indelible.heads WHERE tenant_id = tenant FOR UPDATE;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
";

#[test]
fn every_receipt_of_many_servers_survives() {
    let test = "every_receipt_of_many_servers_survives";
    if indelible_testing::postgres(test).is_none() {
        return;
    }
    let Some(postgres) = OwnPostgres::start() else {
        indelible_testing::declare_skipped(test, "no PostgreSQL on this machine");
        return;
    };
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 20, 200);
    let place = Place::with_ledger(&postgres.url);
    let mut dice = Dice::seeded();
    let mut servers = start(&place);
    let held = Held::new(&servers);
    let mut seen = Seen::default();
    sql(&postgres.url, CONTENTION);
    held.beside(&mut dice, |dice| {
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_millis(dice.below(CALM_MS_MAX)));
            seen.round((&place, &postgres), &mut servers, &held, dice);
        }
    });
    // The one that signs ends last: closing, it publishes what the others committed.
    for server in servers.iter_mut().rev() {
        assert_eq!(server.signal("TERM"), Some(0));
    }
    eprintln!("{rounds} rounds: {seen:?}; {held:?}");
    check(&place, &postgres, &held);
    let again = held.asked_again.load(Ordering::Relaxed);
    // A few rounds may by chance all be harmless.
    assert!(rounds < 10 || again > 0, "no client had to ask again");
}

fn start(place: &Place) -> Vec<Serving> {
    (0..SERVERS).map(|n| serve(place, n)).collect()
}

/// Each in a directory of its own; the first has the signing key, the others a copy of the master
/// key alone.
fn serve(place: &Place, n: usize) -> Serving {
    let more = if n == 0 {
        "--data s0".to_owned()
    } else {
        place.copy_master_key(&format!("keys{n}"));
        format!("--data s{n} --keys keys{n}")
    };
    Serving::telling(place, &more, &format!("s{n}.log"))
}

/// What befell the servers and the database.
#[derive(Debug, Default)]
struct Seen {
    killed: u64,
    stopped: u64,
    cut: u64,
    crashed: u64,
    contended: u64,
    locked_backwards: u64,
}

impl Seen {
    /// One more thing befalls one of them.
    fn round(
        &mut self,
        (place, postgres): (&Place, &OwnPostgres),
        servers: &mut [Serving],
        held: &Held,
        dice: &mut Dice,
    ) {
        let n = dice.place(servers.len());
        match dice.below(8) {
            0 => {
                self.crashed += 1;
                postgres.crash();
            }
            1 => {
                self.stopped += 1;
                let still = if dice.below(STILL_LONG_ONE_IN) == 0 {
                    STILL_LONG
                } else {
                    Duration::from_millis(dice.below(STILL_MS_MAX))
                };
                servers[n].stop();
                std::thread::sleep(still);
                servers[n].go_on();
            }
            2 => {
                self.cut += 1;
                sql(&postgres.url, CUT);
            }
            3 => {
                self.contended += 1;
                contend(postgres, dice.below(CALM_MS_MAX));
            }
            4 => {
                self.locked_backwards += 1;
                sql(&postgres.url, LOCKS_BACKWARDS);
            }
            _ => {
                self.killed += 1;
                servers[n].child.kill().unwrap();
                servers[n].child.wait().unwrap();
                std::thread::sleep(Duration::from_millis(dice.below(CALM_MS_MAX)));
                servers[n] = serve(place, n);
                held.addresses.write().unwrap()[n].clone_from(&servers[n].address);
            }
        }
    }
}

/// Has a third of the commits fail for a while.
fn contend(postgres: &OwnPostgres, ms: u64) {
    sql(&postgres.url, "UPDATE contention SET rate = 0.33");
    std::thread::sleep(Duration::from_millis(ms));
    sql(&postgres.url, "UPDATE contention SET rate = 0");
}

/// What chance may not bring in a few rounds: PostgreSQL ends commits of servers for serialisation,
/// and for deadlocks that are real ones.
#[test]
fn contention_loses_nothing_and_doubles_nothing() {
    let test = "contention_loses_nothing_and_doubles_nothing";
    let Some(postgres) = OwnPostgres::start() else {
        indelible_testing::declare_skipped(test, "no PostgreSQL on this machine");
        return;
    };
    let place = Place::with_ledger(&postgres.url);
    let mut dice = Dice::seeded();
    let mut servers = start(&place);
    let held = Held::new(&servers);
    sql(&postgres.url, CONTENTION);
    let deadlocks = || -> i64 {
        let count = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        rows(&postgres.url, count)[0].get(0)
    };
    let mut locked = 0;
    held.beside(&mut dice, |dice| {
        while held.count() < 2_000 {
            std::thread::sleep(Duration::from_millis(20));
        }
        contend(&postgres, 1_000);
        while deadlocks() == 0 && locked < 20 {
            locked += 1;
            sql(&postgres.url, LOCKS_BACKWARDS);
            std::thread::sleep(Duration::from_millis(dice.below(CALM_MS_MAX)));
        }
    });
    for server in servers.iter_mut().rev() {
        assert_eq!(server.signal("TERM"), Some(0));
    }
    eprintln!(
        "locked backwards {locked} times, {} deadlocks; {held:?}",
        deadlocks()
    );
    assert!(deadlocks() > 0, "there was no deadlock");
    let log = postgres.log();
    assert!(log.contains("contention"), "no commit was refused");
    assert!(
        held.asked_again.load(Ordering::Relaxed) > 0,
        "no client had to ask again"
    );
    check(&place, &postgres, &held);
}
