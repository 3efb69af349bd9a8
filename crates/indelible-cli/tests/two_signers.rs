//! Several processes with the signing key of one ledger in a database: commands beside a server and
//! beside each other, and servers that are killed while they publish. They sign one history, and
//! whoever is left finishes what another began.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indelible_testing::database::Database;
use support::served::{Serving, send};
use support::{Place, cloudtrail_file, event};

/// How long anything may take that is waited for.
const SOON: Duration = Duration::from_mins(1);

/// Makes the moment long in which a snapshot is staged and not published yet.
const SLOW_PUBLICATION: &str = "
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_sleep(0.2);
    RETURN NEW;
END $$;
CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON indelible.state FOR EACH ROW
    WHEN (NEW.space = 'published') EXECUTE FUNCTION be_slow();
";

fn database(test: &str) -> Option<Database> {
    indelible_testing::postgres(test).map(|_| Database::make())
}

/// Starts a command whose end is waited for later.
fn begin(place: &Place, line: &str) -> Child {
    let mut command = place.command(line.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Each must end well.
fn all_end(children: Vec<Child>) {
    for child in children {
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{:?}: {told}", ended.status);
    }
}

fn is_staged(database: &Database) -> bool {
    let staged = "SELECT FROM indelible.state WHERE space = 'registry' AND key = 'staged'";
    !database.rows(staged).is_empty()
}

/// One history: everything is anchored, nothing is found, nothing is left on its way.
fn one_history(place: &Place, database: &Database) {
    assert!(!is_staged(database), "a publication was left on its way");
    let verified = place.ok("verify --require-anchor").out;
    assert!(
        verified.ends_with("registry: sound\nkeys: sound\n"),
        "{verified}"
    );
}

#[test]
fn commands_beside_a_server_and_beside_each_other_sign_one_history() {
    let test = "commands_beside_a_server_and_beside_each_other_sign_one_history";
    let Some(database) = database(test) else {
        return;
    };
    let place = Place::with_ledger(&database.url);
    place.ok("keys init --data first");
    // Of the same people, and half of the same events: the keys of both are made by either.
    place.file("a.json", cloudtrail_file(0..600));
    place.file("b.json", cloudtrail_file(300..900));
    let import = |file: &str, data: &str| {
        let line = "import --format cloudtrail --tenant acme";
        begin(&place, &format!("{line} --data {data} {file}.json"))
    };
    all_end(vec![import("a", "i0"), import("b", "i1")]);
    one_history(&place, &database);

    let mut server = Serving::start(&place, "--data s0");
    let rest = server.errors();
    let telemetry = std::thread::spawn(move || std::io::read_to_string(rest).unwrap());
    place.file("c.json", cloudtrail_file(900..1_500));
    let emit = "emit --action a.b --actor user:u --target t:1 --outcome success --tenant";
    for n in 0..4 {
        let (status, answer) = post(&server.address, n).unwrap();
        assert_eq!(status, 201, "{answer}");
        let mut beside = vec![
            begin(&place, &format!("{emit} acme --data e0")),
            begin(&place, &format!("{emit} other{n} --data e1")),
        ];
        if n == 2 {
            beside.push(import("c", "i0"));
        }
        all_end(beside);
    }
    assert_eq!(server.signal("TERM"), Some(0));
    let telemetry = telemetry.join().unwrap();
    assert!(
        !telemetry.contains("nothing could be published"),
        "{telemetry}"
    );
    one_history(&place, &database);
    // 1,500 imported, 4 sent and 4 emitted, behind the record that the log begins with.
    let tenants = place.ok("tenants list --json").json();
    let acme = tenants.iter().find(|row| row["tenant_id"] == "acme");
    assert_eq!(acme.unwrap()["records"], 1_509, "{tenants:?}");
}

fn post(address: &str, n: usize) -> std::io::Result<(u16, serde_json::Value)> {
    let path = "/v1/events?tenant=acme";
    send(address, "POST", path, &[], &event(n).to_string())
}

#[test]
fn what_a_killed_server_was_publishing_another_finishes() {
    let test = "what_a_killed_server_was_publishing_another_finishes";
    let Some(database) = database(test) else {
        return;
    };
    let rounds = indelible_testing::rounds("INDELIBLE_KILL_ROUNDS", 6, 60);
    let rounds = usize::try_from(rounds).unwrap();
    let place = Place::with_ledger(&database.url);
    place.ok("keys init --data first");
    database.sql(SLOW_PUBLICATION);
    let serve = |n: usize| Serving::telling(&place, &format!("--data s{n}"), &format!("s{n}.log"));
    let mut servers = [serve(0), serve(1)];
    for round in 0..rounds {
        let addresses = servers.each_ref().map(|server| server.address.clone());
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                for n in (0..).take_while(|_| !ended.load(Ordering::SeqCst)) {
                    // The one that is killed answers nothing any more.
                    let _ = post(&addresses[n % 2], round * 100_000 + n);
                }
            });
            let by = Instant::now() + SOON;
            while !is_staged(&database) {
                assert!(Instant::now() < by, "nobody publishes");
                std::thread::sleep(Duration::from_millis(5));
            }
            servers[round % 2].child.kill().unwrap();
            servers[round % 2].child.wait().unwrap();
            ended.store(true, Ordering::SeqCst);
            load.join().unwrap();
        });
        // The other finishes it, and says that it is well.
        let other = &servers[(round + 1) % 2];
        let by = Instant::now() + SOON;
        let (status, answer) = post(&other.address, round * 100_000 + 99_999).unwrap();
        assert_eq!(status, 201, "{answer}");
        while is_staged(&database) || !is_published(other) {
            assert!(Instant::now() < by, "it is left on its way");
            std::thread::sleep(Duration::from_millis(20));
        }
        servers[round % 2] = serve(round % 2);
    }
    for server in &mut servers {
        assert_eq!(server.signal("TERM"), Some(0));
    }
    one_history(&place, &database);
}

/// Whether everything of the tenant stands under a checkpoint.
fn is_published(server: &Serving) -> bool {
    let (status, tenants) = server.get("/v1/tenants");
    assert_eq!(status, 200, "{tenants}");
    let all = tenants["tenants"].as_array().unwrap();
    let acme = all.iter().find(|row| row["tenant_id"] == "acme").unwrap();
    acme["published"] == acme["records"]
}
