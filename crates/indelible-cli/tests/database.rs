//! A ledger in a database, as users meet it: the newcomer's walk, where its address comes from,
//! what several servers need, and that no password is shown anywhere.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use indelible_testing::database::{Database, sql, with_database};
use support::served::Serving;
use support::{Place, cloudtrail_file, files_below};

/// Stands where a password does.
const SECRET: &str = "gehe1m";

/// A database of the test's own; nothing, and the skip declared, where there is no server.
fn database(test: &str) -> Option<Database> {
    indelible_testing::postgres(test).map(|_| Database::make())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const EMIT: &str = "emit --tenant acme --action content.publish --actor agent:publisher \
                    --target post:456 --outcome success --json";

#[test]
fn everything_a_newcomer_does() {
    let Some(database) = database("everything_a_newcomer_does") else {
        return;
    };
    let place = Place::with_ledger(&database.url);
    let none = place.ends(3, "query");
    assert!(none.err.contains("there is no ledger in "), "{}", none.err);
    place.file("logs/a.json", cloudtrail_file(0..300));
    let import = "import --format cloudtrail logs --tenant acme";
    assert_eq!(place.ok(import).out, "300 new, 0 already there\n");
    assert_eq!(place.ok(import).out, "0 new, 300 already there\n");
    let found = place.ok("query --json --limit 0 actor:bert-jan").json();
    assert!(!found.is_empty());
    for row in &found {
        assert_eq!(row["record"]["event"]["actor"]["name"], "bert-jan");
        let leaf = row["leaf"].as_str().unwrap();
        assert!(!leaf.contains("\"name\":\"bert-jan\""), "{leaf}");
    }
    let verified = place.ok("verify --require-anchor").out;
    assert!(verified.contains("sound: 301 records"), "{verified}");
    let anchored = "anchored: a checkpoint by the trusted key covers every record";
    assert_eq!(verified.matches(anchored).count(), 2, "{verified}");
    let sound = "registry: sound\nkeys: sound\n";
    assert!(verified.ends_with(sound), "{verified}");
    leave(&place);
    let tenants = place.ok("tenants list --json").json();
    assert_eq!(tenants[1]["tenant_id"], "acme");
    keys(&place);
    // Beside the database there is a lock, and nothing of the ledger.
    let beside = files_below(&place.at("indelible-data"));
    assert_eq!(beside, [place.at("indelible-data/LOCK")]);
}

/// What leaves it is verified elsewhere: an export, and the proof of one record.
fn leave(place: &Place) {
    place.ok("export --tenant acme --out acme.ndjson");
    let receipt = place.ok(EMIT).json().remove(0);
    assert_eq!(receipt["sequence_number"], 301);
    let id = receipt["audit_id"].as_str().unwrap();
    place.ok(&format!("prove {id} --out p.json"));
    let elsewhere = Place::new();
    let exported = ["", ".checkpoint", ".disclosures"].map(|end| format!("acme.ndjson{end}"));
    for name in exported.iter().map(String::as_str).chain(["p.json"]) {
        elsewhere.file(name, place.read(name));
    }
    elsewhere.file("vkey", place.ok("keys show").out);
    elsewhere.ok("verify acme.ndjson --require-anchor --key vkey");
    let proved = elsewhere.ok("verify --proof p.json --key vkey").out;
    assert!(proved.contains("record 301 of log "), "{proved}");
}

/// Keys of callers, made and revoked while no server runs.
fn keys(place: &Place) {
    let made = place.ok("keys create --role admin --json").json().remove(0);
    let id = made["key"]["id"].as_str().unwrap();
    let listed = place.ok("keys list").out;
    assert!(listed.contains(id) && !listed.contains(made["bearer"].as_str().unwrap()));
    place.ok(&format!("keys revoke {id}"));
    let listed = place.ok("keys list --json").json();
    assert!(listed[0]["revoked_at"].is_string(), "{listed:?}");
}

#[test]
fn the_address_comes_from_the_flag_then_our_variable_then_the_usual_one() {
    let Some(database) = database("the_address_comes_from_the_flag") else {
        return;
    };
    let elsewhere = with_database(&database.url, "no_such_database");
    let place = Place::new();
    let run = |line: &str, variables: &[(&str, &str)]| {
        let mut command = place.command(line.split_whitespace());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said + &errors)
    };
    let usual = ("AUDIT_DB_URL", database.url.as_str());
    let (code, said) = run(EMIT, &[usual]);
    assert_eq!(code, Some(0), "{said}");
    let shown = run("config show", &[usual]).1;
    assert!(shown.contains("environment, AUDIT_DB_URL"), "{shown}");
    let wrong = ("AUDIT_DB_URL", elsewhere.as_str());
    let (code, said) = run("query", &[wrong]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("no_such_database"), "{said}");
    let ours = ("INDELIBLE_LEDGER", database.url.as_str());
    assert_eq!(run("query", &[wrong, ours]).0, Some(0));
    let flag = format!("query --ledger {}", database.url);
    let ours_wrong = ("INDELIBLE_LEDGER", elsewhere.as_str());
    assert_eq!(run(&flag, &[ours_wrong]).0, Some(0));
    for variable in [usual, ours] {
        let (code, said) = run("query --ledger directory", &[variable]);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("no ledger in ./indelible-data"), "{said}");
    }
    let back = ("INDELIBLE_LEDGER", "directory");
    assert!(run("query", &[usual, back]).1.contains("./indelible-data"));
}

#[test]
fn no_error_shows_a_password() {
    let Some(database) = database("no_error_shows_a_password") else {
        return;
    };
    database.sql(
        "DO $$ BEGIN CREATE ROLE with_password LOGIN PASSWORD 'right'; \
         EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    );
    let there = database.url_of("postgres", SECRET);
    let none = Place::with_ledger(&there).ends(3, "query").err;
    let shown = "there is no ledger in postgres://postgres@127.0.0.1:";
    assert!(none.contains(shown) && !none.contains(SECRET), "{none}");
    let cases = [
        (
            database.url_of("with_password", SECRET),
            3,
            "give the right password",
        ),
        (
            format!("postgres://u:{SECRET}@127.0.0.1:1/x"),
            3,
            "Connection refused",
        ),
        (
            with_database(&there, "no_such_database"),
            3,
            "make the database",
        ),
        (
            format!("postgres://u:{SECRET}@127.0.0.1:port/x"),
            3,
            "cannot be read",
        ),
        (
            format!("postgres://u:x@{SECRET}@127.0.0.1/x"),
            3,
            "write %40",
        ),
        (
            format!("postgres://h/x?user=u&password={SECRET}@y"),
            3,
            "write %40",
        ),
        (format!("postgres://u:{SECRET}"), 3, "cannot be read"),
        (
            format!("mysql://u:{SECRET}@127.0.0.1/x"),
            2,
            "must be `directory` or postgres://",
        ),
        (SECRET.to_owned(), 2, "must be `directory` or postgres://"),
    ];
    for (url, code, reason) in &cases {
        let place = Place::with_ledger(url);
        place.file("as-file.toml", format!("ledger = '{url}'\n"));
        let flag = format!("query --ledger {url}");
        for line in ["query", "verify --json", "keys list", "tenants list", &flag] {
            let ran = place.ends(*code, line);
            assert!(ran.err.contains(reason), "{url} {line}: {}", ran.err);
            assert!(!(ran.out + &ran.err).contains(SECRET), "{url} {line}");
        }
        let serve = "serve --listen 127.0.0.1:0";
        let from_file = "config show --config as-file.toml";
        for line in [serve, EMIT, from_file, "config check", "config show --json"] {
            let ran = place.run(line);
            assert!(!(ran.out + &ran.err).contains(SECRET), "{url} {line}");
        }
    }
}

#[test]
fn a_database_that_goes_away_is_told_without_its_password_and_comes_back() {
    let Some(database) = database("a_database_that_goes_away") else {
        return;
    };
    let place = Place::with_ledger(&database.url_of("postgres", SECRET));
    let server = Serving::telling(&place, "", "telemetry");
    let event = support::event(1).to_string();
    let post = || {
        server
            .send("POST", "/v1/events?tenant=acme", &[], &event)
            .unwrap()
    };
    let (status, first) = post();
    assert_eq!(status, 201, "{first}");
    let others = with_database(&database.url, "postgres");
    let allow = |allowed: bool| {
        let name = &database.name;
        sql(
            &others,
            &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}"),
        );
    };
    allow(false);
    sql(
        &others,
        &format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            database.name
        ),
    );
    let (status, problem) = post();
    assert_eq!(status, 503, "{problem}");
    let mut said = problem.to_string();
    until("it is not ready, and says why", || {
        let (status, health) = server.get("/health/ready");
        said += &health.to_string();
        let reasons = health["reasons"].to_string();
        assert!(!reasons.contains("space"), "{reasons}");
        status == 503
            && reasons == r#"["the database is not reachable: the telemetry has the cause"]"#
    });
    until("it was refused a connection", || {
        post();
        String::from_utf8(place.read("telemetry"))
            .unwrap()
            .contains("not currently accepting connections")
    });
    allow(true);
    until("the same event has the receipt it had", || {
        let (status, answer) = post();
        status == 200 && answer["receipt"] == first["receipt"]
    });
    until("it is ready again", || server.get("/health/ready").0 == 200);
    drop(server);
    let told = String::from_utf8(place.read("telemetry")).unwrap();
    for text in [said, told] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn each_server_has_a_directory_of_its_own() {
    let Some(database) = database("each_server_has_a_directory_of_its_own") else {
        return;
    };
    let place = Place::with_ledger(&database.url);
    let _server = Serving::start(&place, "--data s0");
    for line in [
        "serve --listen 127.0.0.1:0 --data s0",
        &format!("{EMIT} --data s0"),
    ] {
        let ran = place.ends(3, line);
        assert!(ran.err.contains("name another with --data"), "{}", ran.err);
        assert!(!ran.err.contains("--url"), "{}", ran.err);
    }
    place.ok(&format!("{EMIT} --data of-the-command"));
    // Reading takes no lock and makes no directory.
    place.ok("query --data s0");
    place.ok("verify --data nowhere");
    assert!(!place.at("nowhere").exists());

    place.ok("keys init --ledger directory --data own --keys own-keys");
    let before = files_below(&place.at("own"));
    let ran = place.ends(3, "serve --listen 127.0.0.1:0 --data own");
    assert!(
        ran.err.contains("own holds a ledger of its own"),
        "{}",
        ran.err
    );
    assert_eq!(files_below(&place.at("own")), before);
}

#[test]
fn the_settings_of_the_connections_are_those_that_are_used() {
    let Some(database) = database("the_settings_of_the_connections_are_those_that_are_used") else {
        return;
    };
    let place = Place::with_ledger(&database.url);
    place.file(
        "indelible.toml",
        "[postgres]\nconnections_min = 3\nconnections_max = 4\nlock_timeout_ms = 300\n",
    );
    let shown = place.ok("config show").out;
    let said = ["postgres.connections_max", "4", "indelible.toml"];
    let is_shown = |line: &str| line.split_whitespace().eq(said);
    assert!(shown.lines().any(is_shown), "{shown}");
    place.ok(EMIT);
    let server = Serving::start(&place, "");
    let connections = || -> i64 {
        let count = "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'indelible'";
        database.rows(count)[0].get(0)
    };
    until("the connections are there at once", || connections() >= 3);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    server.get("/v1/records?tenant=acme&q=actor:agent");
                }
            });
        }
    });
    assert!(connections() <= 4, "{}", connections());
    drop(server);
    database.held("SELECT 1 FROM indelible.heads FOR UPDATE", || {
        let ran = place.ends(3, EMIT);
        assert!(ran.err.contains("55P03"), "{}", ran.err);
    });
    place.file("indelible.toml", "[postgres]\nstatement_timeout_ms = 300\n");
    database.held("SELECT 1 FROM indelible.heads FOR UPDATE", || {
        let ran = place.ends(3, EMIT);
        assert!(ran.err.contains("57014"), "{}", ran.err);
    });
    place.ok(EMIT);
}

/// The walk of `docs/postgres.md`.
#[test]
fn a_second_server_needs_the_master_key_and_the_first_publishes_for_it() {
    let Some(database) = database("a_second_server_needs_the_master_key") else {
        return;
    };
    let place = Place::with_ledger(&database.url);
    let _first = Serving::start(&place, "--data s1");
    let bare = place.ends(3, "serve --listen 127.0.0.1:0 --data s2 --keys keys2");
    assert!(
        bare.err.contains("the master key is not in keys2/"),
        "{}",
        bare.err
    );
    place.copy_master_key("keys2");
    let second = Serving::start(&place, "--data s2 --keys keys2");
    let mut event = support::event(1);
    event["actor"]["email"] = "ada@example.com".into();
    let path = "/v1/events?tenant=acme";
    let (status, answer) = second.send("POST", path, &[], &event.to_string()).unwrap();
    assert_eq!(status, 201, "{answer}");
    until("the first publishes what the second committed", || {
        place.run("verify --tenant acme --require-anchor").code == 0
    });
    until("the second is ready", || {
        second.get("/health/ready").0 == 200
    });
    let emit = "emit --tenant acme --action a.b --actor user:u --target doc:1 --outcome success";
    let sent = place.ok(&format!("{emit} --data s3 --keys keys2"));
    assert!(
        sent.err.contains("the signing key publishes it"),
        "{}",
        sent.err
    );
    // What one sealed the other finds and opens.
    let found = place.ok("query --json actor:ada@example.com").json();
    assert_eq!(found.len(), 1);
    let actor = &found[0]["record"]["event"]["actor"];
    assert_eq!(actor["email"], "ada@example.com");
}
