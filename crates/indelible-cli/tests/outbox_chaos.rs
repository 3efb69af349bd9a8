//! Programs that do business in transactions with their events, relays and a server, all killed,
//! stopped and cut off at random, and the database as well: every committed order has one record,
//! every other none, and the auditor is told that all of it is there.
//!
//! The programs are this test's own binary, told by a variable to do business until they are
//! killed. Rounds from `INDELIBLE_KILL_ROUNDS`; the seed is printed and comes from
//! `INDELIBLE_SEED`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests; the figures are for people"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indelible::{Actor, Audit, Outbox, json};
use indelible_disk::RealDisk;
use indelible_embedded::{Embedded, Options};
use indelible_event::TenantId;
use indelible_store::{Ledger, Stored};
use indelible_testing::Dice;
use indelible_testing::database::sql;
use serde_json::Value;
use support::Place;
use support::own_postgres::{OwnPostgres, free_port};
use support::served::{Serving, send_signal};
use tokio_postgres::{Client, NoTls};

const DATABASE: &str = "INDELIBLE_TEST_BUSINESS";
const LIFE: &str = "INDELIBLE_TEST_LIFE";
const PROGRAMS: usize = 3;
const RELAYS: usize = 2;
const TENANTS: u64 = 5;
/// How long all are let alone before each round, in milliseconds.
const CALM_MS_MAX: u64 = 400;
/// How long a relay stands still at most: mostly shorter than the database waits for it, and
/// sometimes longer, so that the other takes over.
const STILL_MS_MAX: u64 = 800;
const STILL_LONG: Duration = Duration::from_secs(18);
const STILL_LONG_ONE_IN: u64 = 12;
/// Ends about half of all sessions with the database.
const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND random() < 0.5";
/// How long it may take until nothing waits, once all is let alone.
const SETTLED_WITHIN: Duration = Duration::from_mins(2);

/// A program, until it is killed: one transaction after the other, some of them rolled back.
#[test]
fn business() {
    let (Ok(url), Ok(life)) = (std::env::var(DATABASE), std::env::var(LIFE)) else {
        return;
    };
    // Nobody listens there: its events go the way of their transactions.
    let audit = Audit::connect("http://127.0.0.1:9").unwrap();
    let audit = audit.service("shop").build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut dice = Dice::of(life.bytes().fold(7, |sum, byte| sum * 31 + u64::from(byte)));
    runtime.block_on(async {
        loop {
            if let Ok((mut client, connection)) = tokio_postgres::connect(&url, NoTls).await {
                let connection = tokio::spawn(connection);
                while order(&mut client, &audit, &life, &mut dice).await.is_ok() {}
                connection.abort();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

/// One transaction: an order or a few, each with its event.
async fn order(
    client: &mut Client,
    audit: &Audit,
    life: &str,
    dice: &mut Dice,
) -> Result<(), Box<dyn std::error::Error>> {
    let transaction = &mut client.transaction().await?;
    for _ in 0..=dice.below(3) {
        let tenant = format!("tenant-{}", dice.below(TENANTS));
        let next = "SELECT nextval('orders_n')";
        let n: i64 = transaction.query_one(next, &[]).await?.get(0);
        let event = audit.for_tenant(&tenant).action("order.placed");
        let event = event.actor(Actor::user("ada").email("ada@example.com"));
        let event = event.target("order", n.to_string()).succeeded();
        let id = event
            .data(json!({ "life": life, "n": n }))
            .emit_in(transaction)
            .await?;
        let insert = "INSERT INTO orders VALUES ($1::text::uuid, $2, $3)";
        transaction
            .execute(insert, &[&id.to_string(), &tenant, &n])
            .await?;
    }
    match dice.below(4) {
        0 => transaction.batch_execute("ROLLBACK").await?,
        _ => transaction.batch_execute("COMMIT").await?,
    }
    tokio::time::sleep(Duration::from_millis(dice.below(4))).await;
    Ok(())
}

#[test]
fn what_is_committed_is_in_the_ledger_once_whatever_dies() {
    let test = "what_is_committed_is_in_the_ledger_once_whatever_dies";
    if indelible_testing::postgres(test).is_none() {
        return;
    }
    let Some(postgres) = OwnPostgres::start() else {
        indelible_testing::declare_skipped(test, "no PostgreSQL on this machine");
        return;
    };
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 10, 200);
    Outbox::at(&postgres.url).unwrap().install().unwrap();
    sql(
        &postgres.url,
        "CREATE TABLE orders (audit_id uuid PRIMARY KEY, tenant text, n bigint); \
         CREATE SEQUENCE orders_n",
    );
    let mut dice = Dice::seeded();
    let place = Place::new();
    let mut all = All::start(&place, &postgres);
    let mut seen = Seen::default();
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(dice.below(CALM_MS_MAX)));
        seen.round(&mut all, &mut dice);
    }
    all.end();
    let orders = orders(&postgres);
    eprintln!("{rounds} rounds: {seen:?}; {} orders", orders.len());
    assert!(!orders.is_empty());
    check(&place, &orders);
}

/// A process that is killed when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// All that can die.
struct All<'a> {
    place: &'a Place,
    postgres: &'a OwnPostgres,
    address: String,
    server: Serving,
    relays: Vec<Process>,
    programs: Vec<Process>,
    lives: u64,
}

impl<'a> All<'a> {
    fn start(place: &'a Place, postgres: &'a OwnPostgres) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let server = Serving::telling_at(place, &address, "", "server.log");
        let mut all = Self {
            place,
            postgres,
            address,
            server,
            relays: Vec::new(),
            programs: Vec::new(),
            lives: 0,
        };
        all.relays = (0..RELAYS).map(|_| all.relay()).collect();
        all.programs = (0..PROGRAMS).map(|_| all.program()).collect();
        all
    }

    fn relay(&self) -> Process {
        let url = format!("http://{}", self.address);
        let mut command = self.place.command(["relay", "--url", &url]);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.place.at("relay.log"));
        command.env("INDELIBLE_OUTBOX", &self.postgres.url);
        command.stdout(Stdio::null()).stderr(log.unwrap());
        Process(command.spawn().unwrap())
    }

    /// Each life has a name of its own: a transaction of one that was killed may be committed
    /// beside those of the next.
    fn program(&mut self) -> Process {
        self.lives += 1;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["business", "--exact", "--nocapture"]);
        command.env(DATABASE, &self.postgres.url);
        command.env(LIFE, format!("life-{}", self.lives));
        command.stdout(Stdio::null());
        Process(command.spawn().unwrap())
    }

    /// No more business; what waits is relayed, and all end well.
    fn end(mut self) {
        self.programs.clear();
        let by = Instant::now() + SETTLED_WITHIN;
        while count(&self.postgres.url, "indelible_outbox") > 0 {
            assert!(Instant::now() < by, "{}", self.told());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(count(&self.postgres.url, "indelible_outbox_refused"), 0);
        // The one that works says that its epoch has ended, the other then takes over.
        for relay in &mut self.relays {
            send_signal(&relay.0, "TERM");
            assert_eq!(relay.0.wait().unwrap().code(), Some(0));
        }
        assert_eq!(count(&self.postgres.url, "indelible_outbox"), 0);
        let answer = self.streams();
        let streams = answer["streams"].as_array().unwrap();
        let of_relay = streams.iter().filter(|it| it["stream"].is_string());
        let words: Vec<_> = of_relay.map(|it| it["word"].as_str().unwrap()).collect();
        assert!(!words.is_empty(), "{answer}");
        assert!(words.iter().all(|word| *word == "complete"), "{answer}");
        assert_eq!(self.server.signal("TERM"), Some(0));
    }

    /// What the server says of the streams, when it has read all there is.
    fn streams(&self) -> Value {
        let by = Instant::now() + SETTLED_WITHIN;
        loop {
            let (status, answer) = self.server.get("/v1/streams?limit=1000");
            assert_eq!(status, 200, "{answer}");
            if answer["behind"] == 0 {
                return answer;
            }
            assert!(Instant::now() < by, "{answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn told(&self) -> String {
        let log = std::fs::read_to_string(self.place.at("relay.log")).unwrap();
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        format!("it does not settle: {lines:#?}")
    }
}

/// What befell them.
#[derive(Debug, Default)]
struct Seen {
    programs: u64,
    relays: u64,
    stopped: u64,
    servers: u64,
    cut: u64,
    crashed: u64,
}

impl Seen {
    /// One more thing befalls one of them.
    fn round(&mut self, all: &mut All<'_>, dice: &mut Dice) {
        match dice.below(8) {
            0 | 1 => {
                self.programs += 1;
                let n = dice.place(all.programs.len());
                all.programs[n] = all.program();
            }
            2 | 3 => {
                self.relays += 1;
                let n = dice.place(all.relays.len());
                all.relays[n] = all.relay();
            }
            4 => {
                self.stopped += 1;
                let relay = &all.relays[dice.place(all.relays.len())].0;
                let still = if dice.below(STILL_LONG_ONE_IN) == 0 {
                    STILL_LONG
                } else {
                    Duration::from_millis(dice.below(STILL_MS_MAX))
                };
                send_signal(relay, "STOP");
                if dice.below(2) == 0 {
                    sql(&all.postgres.url, CUT);
                }
                std::thread::sleep(still);
                send_signal(relay, "CONT");
            }
            5 => {
                self.servers += 1;
                all.server.child.kill().unwrap();
                all.server.child.wait().unwrap();
                std::thread::sleep(Duration::from_millis(dice.below(CALM_MS_MAX)));
                all.server = Serving::telling_at(all.place, &all.address, "", "server.log");
            }
            6 => {
                self.cut += 1;
                sql(&all.postgres.url, CUT);
            }
            _ => {
                self.crashed += 1;
                all.postgres.crash();
            }
        }
    }
}

/// Tenant and number of every order, by the id of its event.
type Orders = BTreeMap<String, (String, i64)>;

fn orders(postgres: &OwnPostgres) -> Orders {
    let select = "SELECT audit_id::text, tenant, n FROM orders";
    let rows = rows(&postgres.url, select);
    rows.iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect()
}

fn count(url: &str, table: &str) -> i64 {
    rows(url, &format!("SELECT count(*) FROM {table}"))[0].get(0)
}

fn rows(url: &str, query: &str) -> Vec<tokio_postgres::Row> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query(query, &[]).await.unwrap()
    })
}

/// Every order has one record, in its tenant's log and in the order of its program's transactions;
/// nothing else of the programs' is there; and the command's own `verify` finds nothing.
fn check(place: &Place, orders: &Orders) {
    let disk = Arc::new(RealDisk::new(place.at("indelible-data")));
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let ledger = Embedded::open(disk, None, options, &mut |_| {}).unwrap();
    let (mut found, mut last) = (BTreeSet::new(), BTreeMap::new());
    for n in 0..TENANTS {
        let tenant = TenantId::parse(&format!("tenant-{n}")).unwrap();
        let visit = &mut |stored: Stored<'_>| {
            let Stored::Record(record) = stored else {
                panic!("a damaged record")
            };
            let leaf: Value = serde_json::from_slice(record.leaf).unwrap();
            let event = &leaf["event"];
            if event["event_type"] == "order.placed" {
                let id = event["audit_id"].as_str().unwrap().to_owned();
                let (of, n) = orders
                    .get(&id)
                    .unwrap_or_else(|| panic!("rolled back: {leaf}"));
                assert_eq!(
                    (of.as_str(), Some(*n)),
                    (tenant.as_str(), event["data"]["n"].as_i64())
                );
                let life = event["data"]["life"].as_str().unwrap().to_owned();
                let before = last.insert((of.clone(), life), *n);
                assert!(
                    before.is_none_or(|before| before < *n),
                    "out of order: {leaf}"
                );
                assert!(found.insert(id), "an event stands twice: {leaf}");
            }
            ControlFlow::Continue(())
        };
        ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
    }
    assert_eq!(found.len(), orders.len(), "lost");
    drop(ledger);
    let ran = place.run("verify --json");
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
}
