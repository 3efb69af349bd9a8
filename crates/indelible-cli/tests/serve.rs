//! `serve` as a process: where it listens, who may, how it ends, what it tells.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Read;

use serde_json::{Value, json};
use support::Place;
use support::served::Serving;

fn event(n: usize) -> String {
    let mut event = support::event(n);
    event["actor"] = json!({
        "email": "zebedee@example.com",
        "id": "u-1",
        "ip": "203.0.113.77",
        "name": "Zebedee Quill",
        "type": "user",
    });
    event.to_string()
}

#[test]
fn it_serves_what_the_other_commands_read_and_ends_cleanly() {
    let place = Place::new();
    for signal in ["TERM", "INT"] {
        let mut serving = Serving::start(&place, "");
        assert!(
            serving.said.iter().any(|line| line.starts_with("OPEN")),
            "{:?}",
            serving.said
        );
        let (status, answer) = serving
            .send("POST", "/v1/events?tenant=acme", &[], &event(1))
            .unwrap();
        assert_eq!(status, if signal == "TERM" { 201 } else { 200 }, "{answer}");
        let beside = place.ok("query --tenant acme --json quill");
        assert!(beside.out.is_empty(), "a word of a name is not the name");
        assert_eq!(
            place
                .ok("query --tenant acme --json email:zebedee@example.com")
                .json()
                .len(),
            1
        );
        assert_eq!(serving.signal(signal), Some(0));
        let verified = place.ok("verify --require-anchor");
        assert!(!verified.out.is_empty());
    }
}

#[test]
fn an_export_says_what_is_committed_and_not_published_yet() {
    let place = Place::new();
    let serving = Serving::start(&place, "");
    let post = |n| {
        serving
            .send("POST", "/v1/events?tenant=acme", &[], &event(n))
            .unwrap()
    };
    post(0);
    let proof = |n| {
        let id = support::event(n)["audit_id"].clone();
        serving
            .get(&format!("/v1/records/{}/proof", id.as_str().unwrap()))
            .0
    };
    assert_eq!(proof(0), 200, "published");
    // The next publication is a second away, or much less on a busy machine.
    let found = (1..50).find(|n| {
        post(*n);
        let told = place.ok("export --tenant acme --out a.ndjson --force --json");
        let said = place.ok("export --tenant acme --out a.ndjson --force");
        let beyond = told.json().remove(0)["unpublished"].as_u64().unwrap();
        let line = format!(
            "{} committed beyond that head",
            if beyond == 1 {
                "1 record".to_owned()
            } else {
                format!("{beyond} records")
            }
        );
        beyond > 0 && said.err.contains(&line)
    });
    assert_eq!(proof(found.unwrap()), 200);
    let all = place.ok("export --tenant acme --out a.ndjson --force --json");
    assert_eq!(all.json().remove(0)["unpublished"], 0, "{}", all.out);
    let said = place.ok("export --tenant acme --out a.ndjson --force");
    assert!(!said.err.contains("committed beyond"), "{}", said.err);
}

#[test]
fn a_busy_port_says_what_to_do_and_leaves_no_ledger() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ran = place.ends(3, &format!("serve --listen {address}"));
    assert!(ran.err.contains("--listen"), "{}", ran.err);
    assert!(!place.at("indelible-data").exists());
}

#[test]
fn without_keys_it_refuses_to_be_reached_by_others() {
    let place = Place::new();
    let ran = place.ends(2, "serve --listen 0.0.0.0:0");
    assert!(ran.err.contains("keys create"), "{}", ran.err);
    assert!(!place.at("indelible-data").exists());
    assert!(!place.at("home/.config").exists());
    place.ends(2, "serve --listen 0.0.0.0:0 --demo");
}

#[test]
fn it_listens_on_names_of_this_machine_and_says_where_that_is() {
    let place = Place::new();
    let serving = Serving::start_at(&place, "localhost:0", "");
    let address: std::net::SocketAddr = serving.address.parse().unwrap();
    assert!(address.ip().is_loopback() && address.port() > 0);
    assert_eq!(serving.get("/health/live").0, 200);
    let busy = format!("serve --listen localhost:{}", address.port());
    let ran = place.ends(3, &busy);
    assert!(
        ran.err.contains(&format!("listens on {address}")),
        "{}",
        ran.err
    );
    place.ends(2, "serve --listen localhost");
}

#[test]
fn a_second_writer_is_refused() {
    let place = Place::new();
    let serving = Serving::start(&place, "");
    let ran = place.ends(3, "keys create --role admin");
    assert!(
        ran.err.contains(" serve)") && ran.err.contains("--url"),
        "what holds it and what to do: {}",
        ran.err
    );
    let ran = place.ends(3, "serve --listen 127.0.0.1:0");
    assert!(!ran.err.is_empty());
    assert_eq!(serving.get("/health/live").0, 200);
}

#[test]
fn keys_are_made_listed_and_revoked_on_the_command_line() {
    let place = Place::new();
    let first = place.ends(2, "keys create --role emitter --tenant acme --name shop");
    assert!(first.err.contains("--role admin"), "{}", first.err);
    assert!(!place.at("indelible-data").exists(), "no ledger is made");
    place.ok("keys init");
    place.ends(2, "keys create --role emitter --tenant acme --name shop");
    let admin = place.ok("keys create --role admin --json").json().remove(0);
    let admin = admin["bearer"].as_str().unwrap().to_owned();
    let made = place.ok("keys create --role emitter --tenant acme --name shop");
    let emitter = made.out.trim().to_owned();
    assert!(emitter.starts_with("ind_"), "{}", made.out);
    place.ends(2, "keys create --role king");
    // One that reads or writes everybody's is nobody's by oversight.
    for role in ["reader", "emitter", "auditor", "privacy_officer"] {
        let unsaid = place.ends(2, &format!("keys create --role {role}"));
        assert!(unsaid.err.contains("--all-tenants"), "{}", unsaid.err);
    }
    place.ends(2, "keys create --role reader --tenant acme --all-tenants");
    let bound = place.ends(2, "keys create --role admin --tenant acme");
    assert!(
        bound.err.contains("an admin is of all tenants: name none"),
        "{}",
        bound.err
    );
    place.ends(2, "keys create --role reader --tenant /");
    let listed = place.ok("keys list --json").json();
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (&listed[1]["role"], &listed[1]["name"]),
        (&json!("emitter"), &json!("shop"))
    );
    assert!(place.ok("keys list").out.contains("in force"));
    for file in support::files_below(&place.at("indelible-data")) {
        let bytes = std::fs::read(file).unwrap();
        let secret = emitter.rsplit('_').next().unwrap();
        assert!(
            memchr::memmem::find(&bytes, secret.as_bytes()).is_none(),
            "a secret is kept"
        );
    }
    let mut serving = Serving::start(&place, "");
    assert!(!serving.said.iter().any(|line| line.starts_with("OPEN")));
    let bearer = |key: &str| format!("Authorization: Bearer {key}");
    let post = |serving: &Serving, key: &str| {
        let sent = serving.send("POST", "/v1/events", &[&bearer(key)], &event(1));
        sent.unwrap().0
    };
    assert_eq!(post(&serving, &emitter), 201);
    assert_eq!(serving.get("/v1/records").0, 401);
    let listed = serving
        .send("GET", "/v1/records", &[&bearer(&admin)], "")
        .unwrap();
    assert_eq!(listed.0, 200);
    assert_eq!(serving.signal("TERM"), Some(0));
    let id = emitter.split('_').nth(1).unwrap();
    place.ok(&format!("keys revoke {id}"));
    place.ends(3, "keys revoke nobody");
    let serving = Serving::start(&place, "");
    assert_eq!(post(&serving, &emitter), 401);
}

#[test]
fn an_open_server_is_closed_by_the_command_that_it_names() {
    let place = Place::new();
    let serving = Serving::start(&place, "");
    let named = serving.said.iter().find(|line| line.contains("--url"));
    let line = named.unwrap().trim().strip_prefix("indelible ").unwrap();
    let url = format!("--url http://{}", serving.address);
    let first = place.ends(
        2,
        &format!("keys create --role emitter --all-tenants {url}"),
    );
    assert!(first.err.contains("--role admin"), "{}", first.err);
    let admin = place.ok(line).out.trim().to_owned();
    assert_eq!(serving.get("/v1/records").0, 401, "it is closed");
    let ran = place.ends(3, &format!("keys list {url}"));
    assert!(ran.err.contains("INDELIBLE_API_KEY"), "{}", ran.err);
    let with_key = |code: i32, line: &str| {
        let mut command = place.command(line.split_whitespace());
        command.env("INDELIBLE_API_KEY", &admin);
        command.env("INDELIBLE_URL", format!("http://{}", serving.address));
        let ran = command.output().unwrap();
        let told = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        assert_eq!(ran.status.code(), Some(code), "{line}: {told}");
        told
    };
    let emitter = with_key(0, "keys create --role emitter --tenant acme --name shop -q");
    let id = emitter.split('_').nth(1).unwrap();
    let listed = with_key(0, "keys list");
    assert!(
        listed.contains(id) && listed.contains("admin"),
        "what is listed: {listed}"
    );
    let bound = with_key(2, "keys create --role admin --tenant acme");
    assert!(bound.contains("an admin is of all tenants"), "{bound}");
    with_key(2, "keys revoke ../records");
    with_key(3, "keys revoke 0011223344556677");
    with_key(0, &format!("keys revoke {id}"));
    let key = format!("Authorization: Bearer {}", emitter.trim());
    let sent = serving.send("POST", "/v1/events", &[&key], &event(1));
    assert_eq!(sent.unwrap().0, 401, "revoked at once");
    // A flag beats the environment; two of a kind are asked about.
    let here = with_key(3, "keys list --data ./elsewhere");
    assert!(here.contains("there is no ledger"), "{here}");
    place.ends(2, &format!("keys list --data ./elsewhere {url}"));
    place.ends(2, "keys list --url ftp://localhost:8080");
    place.ends(2, "keys list --url localhost:8080");
}

#[test]
fn a_key_expires_and_gets_new_secrets_on_the_command_line() {
    let place = Place::new();
    let admin = place.ok("keys create --role admin").out.trim().to_owned();
    place.ends(
        2,
        "keys create --role reader --all-tenants --expires yesterday",
    );
    place.ends(
        2,
        "keys create --role reader --all-tenants --query actr:ada",
    );
    place.ends(
        2,
        "keys create --role emitter --all-tenants --query actor:ada",
    );
    let line = "keys create --role reader --all-tenants --query actor:ada --expires 90d --json";
    let made = place.ok(line).json().remove(0);
    let id = made["key"]["id"].as_str().unwrap();
    let first = made["bearer"].as_str().unwrap();
    place.ends(2, &format!("keys rotate {id} --grace long"));
    place.ends(3, "keys rotate 0011223344556677");
    let second = place.ok(&format!("keys rotate {id}"));
    assert!(second.err.contains("is taken until"), "{}", second.err);
    let second = second.out.trim().to_owned();
    let table = place.ok("keys list").out;
    assert!(table.contains("in force until"), "{table}");
    assert!(table.contains("actor:ada"), "{table}");
    let serving = Serving::start(&place, "");
    let status = |key: &str| {
        let header = format!("Authorization: Bearer {key}");
        serving
            .send("GET", "/v1/records", &[&header], "")
            .unwrap()
            .0
    };
    assert_eq!((status(first), status(&second)), (200, 200));
    let through = |line: &str| {
        let line = format!("{line} --url http://{}", serving.address);
        let mut command = place.command(line.split_whitespace());
        let ran = command.env("INDELIBLE_API_KEY", &admin).output().unwrap();
        assert!(ran.status.success(), "{line}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let third = through(&format!("keys rotate {id} --grace 0"));
    let statuses = [first, &second, third.trim()].map(status);
    assert_eq!(statuses, [401, 401, 200]);
    let list = through("keys list --json");
    assert!(list.contains("\"old_secret_until\":null"), "{list}");
    let own = through("query --tenant _system --json type:config.changed,key.rotated");
    let told = own.lines().filter(|line| line.contains(id)).count();
    assert_eq!(told, 3, "{own}");
    assert!(own.contains("\"id\":\"command\""), "{own}");
}

#[test]
fn a_key_for_no_ledger_is_not_made_in_silence() {
    let place = Place::new();
    place.ends(3, "keys revoke 0011223344556677");
    assert!(!place.at("indelible-data").exists());
    let made = place.ok("keys create --role admin --quiet");
    let data = place.at("indelible-data");
    for told in [&*data.to_string_lossy(), "home/.config/indelible", "--url"] {
        assert!(made.err.contains(told), "{told}: {}", made.err);
    }
    let again = place.ok("keys create --role reader --all-tenants --quiet");
    assert!(again.err.is_empty(), "{}", again.err);
}

#[test]
fn telemetry_is_json_and_holds_nothing_personal_and_no_secret() {
    let place = Place::new();
    let admin = place.ok("keys create --role admin").out.trim().to_owned();
    let mut serving = Serving::start(&place, "");
    let key = format!("Authorization: Bearer {admin}");
    let send = |method: &str, path: &str, body: &str| {
        serving
            .send(method, path, &[&key, "X-Request-Id: find-me"], body)
            .unwrap()
    };
    assert_eq!(
        send("POST", "/v1/tenants", "{\"tenant_id\":\"acme\"}").0,
        201
    );
    assert_eq!(send("POST", "/v1/events?tenant=acme", &event(1)).0, 201);
    let wrong = event(1).replace("success", "Zebedee Quill");
    assert_ne!(send("POST", "/v1/events?tenant=acme", &wrong).0, 201);
    for path in [
        "/v1/records?q=email:zebedee@example.com",
        "/v1/records?q=%22Zebedee%20Quill%22",
        "/v1/records?q=acter:zebedee@example.com",
        "/v1/records/zebedee@example.com",
        "/zebedee@example.com",
        "/v1/records?cursor=zebedee",
    ] {
        send("GET", path, "");
    }
    let (status, made) = send(
        "POST",
        "/v1/keys",
        "{\"role\":\"reader\",\"tenants\":\"*\"}",
    );
    assert_eq!(status, 201);
    let mut errors = serving.errors();
    assert_eq!(serving.signal("TERM"), Some(0));
    let mut told = String::new();
    errors.read_to_string(&mut told).unwrap();
    let lines: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(
        lines.iter().any(|line| line["request_id"] == "find-me"),
        "{told}"
    );
    let secret = admin.rsplit('_').next().unwrap();
    let made = made["bearer"]
        .as_str()
        .unwrap()
        .rsplit('_')
        .next()
        .unwrap()
        .to_owned();
    let lower = told.to_lowercase();
    for never in [
        "zebedee",
        "quill",
        "203.0.113.77",
        "example.com",
        secret,
        &made,
    ] {
        assert!(!lower.contains(&never.to_lowercase()), "{never}\n{told}");
    }
}

#[test]
fn the_demo_plays_into_a_ledger_of_its_own_that_is_gone_in_the_end() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "--demo");
    let mut seen = 0;
    for _ in 0..100 {
        let (status, list) = serving.get("/v1/records?limit=1000");
        assert_eq!(status, 200);
        seen = list["records"].as_array().unwrap().len();
        if seen >= 500 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(seen >= 500, "{seen}");
    let (_, tenants) = serving.get("/v1/tenants");
    assert!(tenants["tenants"].as_array().unwrap().len() > 5);
    let said = serving
        .said
        .iter()
        .find(|line| line.contains("the data is in"))
        .unwrap();
    let path = said
        .trim_start_matches("the data is in ")
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let path = std::path::Path::new(&path);
    assert!(path.join("FORMAT").exists(), "{said}");
    place.ok(&format!("verify --data {}", path.display()));
    assert_eq!(serving.signal("INT"), Some(0));
    assert!(!path.parent().unwrap().exists(), "{}", path.display());
    assert!(!place.at("indelible-data").exists());
}

#[test]
fn streams_that_came_over_http_are_verified_by_the_command() {
    let place = Place::new();
    let mut serving = Serving::start(&place, "");
    let post = |tenant: &str, events: &[String]| {
        let path = format!("/v1/events:batch?tenant={tenant}");
        let (status, answer) = serving
            .send("POST", &path, &[], &format!("[{}]", events.join(",")))
            .unwrap();
        assert_eq!(
            (status, &answer["rejected"]),
            (200, &json!(0)),
            "{tenant}: {answer}"
        );
    };
    let claimed = |n: usize, number: usize| {
        let event = support::event(n).to_string();
        let claim = format!(r#"{{"_stream":{{"epoch":7,"id":"web-1","number":{number}}},"#);
        event.replacen('{', &claim, 1)
    };
    let said = |n: usize, event_type: &str, data: Value| {
        let mut event = support::event(n);
        event["event_type"] = json!(event_type);
        event["data"] = data;
        event.to_string()
    };
    let ended = |n, next: usize| {
        let data = json!({"epoch": 7, "next_number": next, "stream": "web-1"});
        said(n, "stream.ended", data)
    };
    let lost = json!({
        "count": 2, "epoch": 7, "first": 1, "reason": "queue full", "stream": "web-1",
    });
    post("acme", &[claimed(1, 0), claimed(2, 1), ended(3, 2)]);
    let loss = said(6, "stream.lost", lost);
    post("globex", &[claimed(4, 0), claimed(5, 3), loss, ended(7, 4)]);
    post("initech", &[claimed(8, 0), claimed(9, 2), ended(10, 3)]);
    assert_eq!(serving.signal("TERM"), Some(0));
    let complete = place.ok("verify --tenant acme");
    let line = "stream web-1, epoch 7: complete to 1 (clean end)";
    assert!(complete.out.contains(line), "{}", complete.out);
    let declared = place.ok("verify --tenant globex");
    let line = "stream web-1, epoch 7: declared loss (2, queue full)";
    assert!(declared.out.contains(line), "{}", declared.out);
    let gap = place.ends(1, "verify --tenant initech");
    let line = "stream web-1, epoch 7: undeclared gap (1, 1)";
    assert!(gap.out.contains(line), "{}", gap.out);
    // Lines with claims are imported alike, and a bad one is refused with its place.
    let bad = claimed(12, 0).replace("\"number\":0", "\"number\":-1");
    place.file("lines.ndjson", [claimed(11, 1), bad].join("\n"));
    let ran = place.run("import lines.ndjson --format ndjson --tenant initech");
    let told = [ran.out, ran.err].concat();
    assert!(told.contains("/_stream/number"), "{told}");
    let complete = place.ok("verify --tenant initech");
    let line = "stream web-1, epoch 7: complete to 2 (clean end)";
    assert!(complete.out.contains(line), "{}", complete.out);
}
