//! `indelible relay`, as users meet it: the tables made, rows moved once and for good, what waits
//! and why, dead letters of an outbox, figures, and that no password is shown.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use indelible_testing::database::Database;
use support::served::{Client, Serving, send, send_signal};
use support::{Place, Ran};

/// Stands where a password does.
const SECRET: &str = "gehe1m";

/// A database with a role that has a password.
struct Outbox {
    database: Database,
    url: String,
    role: String,
}

impl Outbox {
    fn make(test: &str) -> Option<Self> {
        indelible_testing::postgres(test)?;
        let database = Database::make();
        let role = format!("{}_relay", database.name);
        database.sql(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'; GRANT CREATE ON SCHEMA public TO {role}"
        ));
        let url = database.url_of(&role, SECRET);
        Some(Self {
            database,
            url,
            role,
        })
    }

    /// Rows as a trigger in SQL writes them.
    fn write(&self, tenant: &str, event_type: &str, targets: std::ops::Range<u32>) {
        self.database.sql(&format!(
            "INSERT INTO indelible_outbox (tenant_id, event) \
             SELECT '{tenant}', convert_to(jsonb_build_object( \
                 'event_type', '{event_type}', 'outcome', 'success', \
                 'actor', jsonb_build_object('type', 'user', 'id', 'ada'), \
                 'target', jsonb_build_object('type', 'order', 'id', n::text))::text, 'UTF8') \
             FROM generate_series({}, {}) AS n",
            targets.start,
            targets.end - 1
        ));
    }

    fn count(&self, table: &str) -> i64 {
        let rows = self.database.rows(&format!("SELECT count(*) FROM {table}"));
        rows[0].get(0)
    }

    /// How many events wait; statements of relays may as well.
    fn waiting(&self) -> i64 {
        self.count("indelible_outbox WHERE epoch IS NULL OR number IS NOT NULL")
    }

    /// Runs a line with the database in the environment.
    fn run(&self, place: &Place, line: &str) -> Ran {
        let mut command = place.command(line.split_whitespace());
        let output = command.env("INDELIBLE_OUTBOX", &self.url).output().unwrap();
        let ran = Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!format!("{ran:?}").contains(SECRET), "{ran:?}");
        ran
    }

    fn ends(&self, code: i32, place: &Place, line: &str) -> Ran {
        let ran = self.run(place, line);
        assert_eq!(ran.code, code, "{line}\n{}\n{}", ran.out, ran.err);
        ran
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let role = &self.role;
        self.database
            .sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
    }
}

/// A relay that works until it is told to stop.
struct Relaying {
    child: Child,
    out: BufReader<ChildStdout>,
    said: Vec<String>,
}

impl Relaying {
    fn start(outbox: &Outbox, place: &Place, more: &str, key: &str) -> Self {
        let line = format!("relay --listen 127.0.0.1:0 {more}");
        let mut command = place.command(line.split_whitespace());
        command
            .env("INDELIBLE_OUTBOX", &outbox.url)
            .env("INDELIBLE_API_KEY", key);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = Vec::new();
        for _ in 0..2 {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            said.push(line.trim().to_owned());
        }
        Self { child, out, said }
    }

    fn page(&self, path: &str) -> (u16, String) {
        let line = &self.said[1];
        let address = line.strip_prefix("metrics on http://").unwrap();
        let address = address.strip_suffix("/metrics").unwrap();
        let answer = Client::connect(address)
            .unwrap()
            .ask("GET", path, &[], b"")
            .unwrap();
        (answer.status, answer.text())
    }

    fn until(&self, path: &str, holds: impl Fn(u16, &str) -> bool) {
        let by = Instant::now() + Duration::from_secs(30);
        loop {
            let (status, text) = self.page(path);
            if holds(status, &text) {
                return;
            }
            assert!(Instant::now() < by, "{status} {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it said, and its exit code, after a signal.
    fn stop(mut self) -> (Option<i32>, String) {
        send_signal(&self.child, "TERM");
        let code = self.child.wait().unwrap().code();
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert!(!said.contains(SECRET), "{said}");
        (code, said)
    }
}

impl Drop for Relaying {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn rows_move_into_the_ledger_here_and_what_is_refused_is_kept() {
    let test = "rows_move_into_the_ledger_here_and_what_is_refused_is_kept";
    let Some(outbox) = Outbox::make(test) else {
        return;
    };
    let place = Place::new();
    let usage = place.ends(2, "relay");
    assert!(usage.err.contains("INDELIBLE_OUTBOX"), "{}", usage.err);
    let none = outbox.ends(3, &place, "relay --once");
    assert!(none.err.contains("--install"), "{}", none.err);
    let schema = place.ok("relay --print-schema").out;
    assert!(
        schema.contains("CREATE TABLE IF NOT EXISTS indelible_outbox ("),
        "{schema}"
    );
    for _ in 0..2 {
        outbox.ends(0, &place, "relay --install");
    }
    let none = outbox.ends(3, &place, "relay --once");
    assert!(none.err.contains("there is no ledger"), "{}", none.err);
    place.ok("keys init");
    outbox.write("acme", "order.placed", 0..1_200);
    outbox.write("acme", "no type", 0..1);
    outbox.write("acme", "order.shipped", 0..1);
    let ran = outbox.ends(1, &place, "relay --once --json");
    let lines = ran.json();
    assert_eq!(lines[1]["relayed"], 1_201);
    assert_eq!(
        (&lines[1]["refused"], &lines[1]["waiting"]),
        (&1.into(), &0.into())
    );
    assert_eq!(
        outbox.ends(0, &place, "relay --once").out.lines().count(),
        2
    );
    let found = place
        .ok("query --json --limit 0 type:order.placed,order.shipped")
        .json();
    assert_eq!(found.len(), 1_201);
    let verified = place.ok("verify --require-anchor").out;
    assert!(
        verified.contains("declared loss (1, refused)"),
        "{verified}"
    );
    dead_letters(&outbox, &place);
}

/// What was refused is listed, shown, put back and dropped.
fn dead_letters(outbox: &Outbox, place: &Place) {
    let listed = outbox
        .ends(0, place, "dead-letters list --outbox - --json")
        .json();
    assert_eq!(listed[0]["letter"]["problem"]["pointer"], "/event_type");
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    let table = outbox.ends(0, place, "dead-letters list --outbox -").out;
    assert!(
        table.contains("/event_type") && table.contains(&id),
        "{table}"
    );
    let shown = outbox.ends(0, place, &format!("dead-letters show {id} --outbox -"));
    assert!(shown.out.contains("\"no type\""), "{shown:?}");
    outbox.ends(3, place, "dead-letters show 999999 --outbox -");
    outbox.ends(2, place, "dead-letters show one --outbox -");
    outbox.ends(
        2,
        place,
        "dead-letters retry --all --outbox - --url http://127.0.0.1:9",
    );
    // Somebody mends what was wrong with it.
    outbox.database.sql(
        "UPDATE indelible_outbox_refused SET event = convert_to( \
         replace(convert_from(event, 'UTF8'), 'no type', 'order.returned'), 'UTF8')",
    );
    let back = outbox
        .ends(0, place, "dead-letters retry --all --outbox -")
        .out;
    assert_eq!(back, "1 wait for the relay again\n");
    outbox.ends(0, place, "relay --once");
    assert_eq!(place.ok("query --json type:order.returned").json().len(), 1);
    // It is on the number that was lost, which is so no more.
    let verified = place.ok("verify").out;
    assert!(!verified.contains("declared loss"), "{verified}");
    outbox.write("acme", "no type", 0..2);
    outbox.ends(1, place, "relay --once");
    let gone = outbox
        .ends(0, place, "dead-letters drop --all --outbox - --json")
        .json();
    assert_eq!(gone[0]["dropped"], 2);
    assert_eq!(outbox.count("indelible_outbox_refused"), 0);
    outbox.ends(3, place, "dead-letters drop 1 --outbox -");
}

/// A key that is refused, a tenant that is not there and a server that is down keep what waits.
#[test]
fn a_relay_waits_for_what_somebody_must_mend_and_says_so() {
    let Some(outbox) = Outbox::make("a_relay_waits_for_what_somebody_must_mend_and_says_so") else {
        return;
    };
    let place = Place::new();
    outbox.ends(0, &place, "relay --install");
    let key = |role: &str| {
        place
            .ok(&format!("keys create --role {role} --all-tenants"))
            .out
            .trim()
            .to_owned()
    };
    let [admin, emitter] = ["admin", "emitter"].map(key);
    place.ok("tenants create acme");
    let mut serving = Serving::start(&place, "");
    let to = format!("--url http://{}", serving.address);
    outbox.write("globex", "order.placed", 0..3);
    outbox.write("acme", "order.placed", 0..3);

    let wrong = Relaying::start(&outbox, &place, &to, "ind_00112233445566aa_wrong");
    wrong.until("/health", |status, text| {
        status == 503 && text.contains("401")
    });
    assert_eq!(outbox.waiting(), 6);
    assert_eq!(wrong.stop().0, Some(0));

    let relaying = Relaying::start(&outbox, &place, &to, &emitter);
    relaying.until("/metrics", |_, text| {
        text.contains("\nindelible_outbox_relayed_total 3\n")
    });
    relaying.until("/health", |status, text| {
        status == 503 && text.contains("tenant globex")
    });
    assert_eq!(outbox.count("indelible_outbox_refused"), 0);
    let headers = [&*format!("Authorization: Bearer {admin}")];
    let body = r#"{"tenant_id":"globex"}"#;
    let made = send(&serving.address, "POST", "/v1/tenants", &headers, body).unwrap();
    assert_eq!(made.0, 201);
    relaying.until("/metrics", |_, text| {
        text.contains("\nindelible_outbox_relayed_total 6\n")
    });
    relaying.until("/health", |status, text| {
        status == 200 && text.contains("working")
    });
    assert_eq!(serving.signal("TERM"), Some(0));

    outbox.write("acme", "order.placed", 3..5);
    relaying.until("/health", |status, _| status == 503);
    let serving = Serving::start_at(&place, &serving.address, "");
    relaying.until("/metrics", |_, text| {
        text.contains("\nindelible_outbox_relayed_total 8\n")
    });
    let metrics = relaying.page("/metrics").1;
    assert!(
        metrics.contains("\nindelible_outbox_working 1\n"),
        "{metrics}"
    );
    assert_eq!(relaying.page("/").0, 404);
    assert!(
        relaying.said[0].starts_with("relaying from PostgreSQL at "),
        "{:?}",
        relaying.said
    );
    let (code, said) = relaying.stop();
    assert_eq!(code, Some(0));
    assert!(said.contains("8 relayed, 0 refused, 0 wait"), "{said}");
    drop(serving);
}

#[test]
fn one_that_works_once_says_that_something_waits() {
    let Some(outbox) = Outbox::make("one_that_works_once_says_that_something_waits") else {
        return;
    };
    let place = Place::new();
    outbox.ends(0, &place, "relay --install");
    outbox.write("acme", "order.placed", 0..1);
    let ran = outbox.ends(3, &place, "relay --once --url http://127.0.0.1:9");
    assert!(
        ran.err.contains("not everything was relayed"),
        "{}",
        ran.err
    );
    assert_eq!(outbox.waiting(), 1);
}
