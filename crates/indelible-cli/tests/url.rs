//! Reading through a server: each answer beside that of the data directory it serves, and servers
//! that are gone, strange or lie.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::served::Serving;
use support::{Place, Ran, event, ndjson};

/// More than two pages of one tenant, personal data of another, and the process that serves them.
fn served() -> (Place, Serving) {
    let place = Place::new();
    place.file("acme.json", support::cloudtrail_file(0..100));
    place.file("globex.ndjson", ndjson((0..2_300).map(event)));
    place.ok("import --format cloudtrail acme.json --tenant acme");
    place.ok("import --format ndjson globex.ndjson --tenant globex");
    place.file("vkey", place.ok("keys show").out);
    let serving = Serving::start(&place, "");
    (place, serving)
}

/// Runs a line on the directory, and the same at the server.
fn both(place: &Place, serving: &Serving, args: &[&str]) -> [Ran; 2] {
    let url = format!("http://{}", serving.address);
    let run = |more: &[&str]| {
        let mut command = place.command(args.iter().chain(more));
        let output = command.env("TZ", "Europe/Amsterdam").output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    };
    [run(&[]), run(&["--url", &url])]
}

/// Runs a line on both, which must end alike and say the same.
#[track_caller]
fn agree(place: &Place, serving: &Serving, code: i32, args: &[&str]) -> String {
    let [here, there] = both(place, serving, args);
    assert_eq!(here.code, code, "{args:?}: {}", here.err);
    assert_eq!(there.code, code, "{args:?}: {}", there.err);
    assert_eq!(here.out, there.out, "{args:?}");
    assert_eq!(here.err, there.err, "{args:?}");
    there.out
}

#[test]
fn a_query_finds_what_the_directory_finds() {
    let (place, serving) = served();
    for query in [
        "tenant:acme,globex",
        "actor:bert-jan outcome:failure,denied",
        "198.51.100.7",
        "ada OR grace -outcome:denied",
        "tenant:globex seq:1990..2010",
        "tenant:_system",
        "nobody",
        // Times without a zone, and such as depend on when they are asked.
        "since:2023-07-10T13:00:30 until:2023-07-10T13:00:40",
        "until:2023-07-10 tenant:acme",
        "since:36500d actor:ada",
        "until:yesterday correlation:x",
    ] {
        for more in [
            &[][..],
            &["--json", "--limit", "0"],
            &["--order", "seq", "--limit", "0"],
            &["--oldest-first", "--json", "--limit", "1500"],
            &["--tenant", "acme", "--utc"],
        ] {
            let [here, there] = both(&place, &serving, &[&["query", query], more].concat());
            assert_eq!((here.code, there.code), (0, 0), "{query} {more:?}");
            assert_eq!(here.out, there.out, "{query} {more:?}");
        }
    }
    let found = agree(&place, &serving, 0, &["query", "--json", "actor:bert-jan"]);
    assert!(found.lines().count() > 10, "{found}");
    for wrong in ["acter:x", "since:tomorrow", "(a"] {
        agree(&place, &serving, 2, &["query", wrong]);
    }
}

#[test]
fn without_a_tenant_a_server_leaves_out_its_own_logs_only() {
    let (place, serving) = served();
    let [here, there] = both(&place, &serving, &["query", "--json", "--limit", "0"]);
    let ours = |line: &&str| line.contains("\"tenant_id\":\"_system\"");
    assert!(here.out.lines().any(|line| ours(&line)));
    let rest: Vec<_> = here.out.lines().filter(|line| !ours(line)).collect();
    assert_eq!(there.out.lines().collect::<Vec<_>>(), rest);
    assert_eq!(rest.len(), 101 + 2_301);
}

/// Where the next page is, from the note.
fn next(ran: &Ran) -> Option<String> {
    let (_, cursor) = ran.err.split_once("there are more: --after ")?;
    Some(cursor.trim().to_owned())
}

#[test]
fn pages_go_on_where_the_one_before_ended_and_time_stands_still() {
    let (place, serving) = served();
    let url = format!("http://{}", serving.address);
    let all = place
        .ok("query --json --limit 0 --tenant globex since:36500d")
        .out;
    for limit in ["700", "1700"] {
        let (mut pages, mut after) = (String::new(), None);
        loop {
            let mut args = vec!["query", "--json", "--tenant", "globex", "since:36500d"];
            args.extend(["--limit", limit, "--url", &url]);
            args.extend(after.iter().flat_map(|cursor: &String| ["--after", cursor]));
            let ran = place.run_args(&args);
            assert_eq!(ran.code, 0, "{}", ran.err);
            pages.push_str(&ran.out);
            after = next(&ran);
            if after.is_none() {
                break;
            }
        }
        assert!(pages == all, "pages of {limit}");
    }
    let first = place.ok(&format!("query --url {url} --limit 1 actor:user-1"));
    let cursor = next(&first).unwrap();
    let other = place.ends(
        2,
        &format!("query --url {url} --after {cursor} actor:user-2"),
    );
    assert!(other.err.contains("first page"), "{}", other.err);
    place.ends(
        2,
        &format!("query --url {url} --after {cursor}x actor:user-1"),
    );
    // A cursor of the server itself, as other clients get it.
    let (_, list) = serving.get("/v1/records?q=actor:user-1&limit=1");
    let bare = list["next_cursor"].as_str().unwrap();
    let second = place.ok(&format!(
        "query --url {url} --json --after {bare} actor:user-1"
    ));
    let all = place.ok("query --json --limit 101 actor:user-1");
    assert_eq!(second.json(), all.json()[1..]);
}

/// Runs until both agree: what was committed last is published while the server runs.
#[track_caller]
fn soon(place: &Place, serving: &Serving, args: &[&str]) -> Ran {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let [here, there] = both(place, serving, args);
        if (here.code, &here.out) == (there.code, &there.out) {
            return there;
        }
        assert!(Instant::now() < end, "{}\n{}", here.out, there.out);
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn tenants_are_listed_and_made() {
    let (place, serving) = served();
    let listed = soon(&place, &serving, &["tenants", "list"]);
    assert!(listed.out.contains("globex") && listed.out.contains("_system"));
    let url = format!("--url http://{}", serving.address);
    let made = place.ok(&format!("tenants create hooli {url} --json"));
    assert_eq!(made.json()[0]["created"], true);
    let again = place.ok(&format!("tenants create hooli {url}"));
    assert!(again.out.contains("is there already"), "{}", again.out);
    place.ends(2, &format!("tenants create _ours {url}"));
    let listed = soon(&place, &serving, &["tenants", "list", "--json"]).json();
    assert_eq!(listed.len(), 4);
    assert_eq!(listed[3]["log_id"], made.json()[0]["log_id"]);
}

#[test]
fn a_proof_is_the_same_by_number_and_by_id() {
    let (place, serving) = served();
    let url = format!("--url http://{}", serving.address);
    place.ok(&format!("prove 1234 --tenant globex --out p {url}"));
    place.ok("verify --proof p --key vkey");
    let proof: Value = serde_json::from_slice(&place.read("p")).unwrap();
    assert_eq!(proof["receipt"]["sequence_number"], 1_234);
    let id = proof["receipt"]["audit_id"].as_str().unwrap();
    let by_id = place.ok(&format!("prove {id} {url}"));
    assert_eq!(by_id.json(), [proof]);
    agree(&place, &serving, 2, &["prove", "7"]);
    agree(&place, &serving, 2, &["prove", "seven"]);
    for line in ["prove 9999 --tenant acme", "prove 1 --tenant hooli"] {
        place.ends(3, &format!("{line} {url}"));
    }
    place.ends(
        3,
        &format!("prove 00000000-0000-7000-8000-000000000000 {url}"),
    );
}

/// Reports of logs, but for what only one side can look at.
fn reports(ran: &Ran) -> Vec<Value> {
    let mut reports = ran.json();
    reports.retain(|report| report["part"].is_null());
    for report in &mut reports {
        report["unchecked"] = Value::Null;
        report["attachments"] = Value::Null;
    }
    reports
}

#[test]
fn verifying_says_of_each_log_what_it_says_in_the_directory() {
    let (place, serving) = served();
    let line = ["verify", "--key", "vkey", "--require-anchor", "--json"];
    let end = Instant::now() + Duration::from_secs(30);
    let [here, there] = loop {
        let ran = both(&place, &serving, &line);
        let same = reports(&ran[0]) == reports(&ran[1]);
        if same && ran[1].code == 0 || Instant::now() > end {
            break ran;
        }
    };
    assert_eq!((here.code, there.code), (0, 0), "{}", there.err);
    assert_eq!(reports(&here), reports(&there));
    assert_eq!(reports(&there).len(), 3);
    assert_eq!(reports(&there)[2]["records_checked"], 2_301);
    let last = there.json().pop().unwrap();
    assert_eq!(last["part"], "server");
    let url = format!("--url http://{}", serving.address);
    // Without a key from elsewhere nobody vouches for it.
    let ran = place.ok(&format!("verify --tenant acme {url}"));
    assert!(ran.out.contains("consistent, not anchored"), "{}", ran.out);
    place.ends(1, &format!("verify --tenant acme --require-anchor {url}"));
    place.ends(3, &format!("verify --tenant hooli {url}"));
    place.ends(2, &format!("verify acme.ndjson {url}"));
    // A checkpoint that was kept is compared with its log, and with no other.
    place.ok(&format!("export --tenant acme --out a {url}"));
    let kept = "--checkpoint a.checkpoint --key vkey --require-anchor";
    place.ok(&format!("verify {kept} --tenant acme {url}"));
    let ran = place.ends(1, &format!("verify {kept} --tenant globex {url}"));
    assert!(ran.out.contains("none of the logs"), "{}", ran.out);
}

#[test]
fn an_export_has_the_same_leaves_and_checkpoint() {
    let (place, serving) = served();
    let url = format!("--url http://{}", serving.address);
    let there = place.ok(&format!("export --tenant acme --out there.ndjson {url}"));
    assert!(there.err.contains("without disclosures"), "{}", there.err);
    place.ok("export --tenant acme --out here.ndjson");
    assert_eq!(place.read("there.ndjson"), place.read("here.ndjson"));
    let checkpoint = |name: &str| place.read(&format!("{name}.ndjson.checkpoint"));
    assert_eq!(checkpoint("there"), checkpoint("here"));
    assert!(!place.at("there.ndjson.disclosures").exists());
    place.ok("verify there.ndjson --key vkey --require-anchor");
    for more in [&[][..], &["--joined"], &["--without-disclosures"]] {
        let args = [&["export", "--tenant", "acme"], more].concat();
        let [here, there] = both(&place, &serving, &args);
        assert_eq!((here.code, there.code), (0, 0), "{}", there.err);
        assert_eq!(here.out, there.out, "{more:?}");
    }
    let joined = place
        .ok(&format!("export --tenant acme --joined {url}"))
        .out;
    assert!(
        joined.contains("198.51.100.7"),
        "values are in their places"
    );
    // As from a directory: nothing is written over, and one tenant must be meant.
    place.ends(3, &format!("export --tenant acme --out there.ndjson {url}"));
    place.ok(&format!(
        "export --tenant acme --out here.ndjson --force {url}"
    ));
    assert!(
        !place.at("here.ndjson.disclosures").exists(),
        "not of this export"
    );
    agree(&place, &serving, 2, &["export"]);
    place.ends(3, &format!("export --tenant hooli {url}"));
}

#[test]
fn a_key_sees_what_is_its_own() {
    let (place, mut serving) = served();
    assert_eq!(serving.signal("TERM"), Some(0));
    let key = |line: &str| place.ok(line).out.trim().to_owned();
    key("keys create --role admin");
    let auditor = key("keys create --role auditor --tenant acme");
    let reader = key("keys create --role reader --tenant acme");
    let serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    let with = |key: &str, code: i32, line: &str| {
        let mut command = place.command(line.split_whitespace());
        command
            .env("INDELIBLE_URL", &url)
            .env("INDELIBLE_API_KEY", key);
        let output = command.output().unwrap();
        let told = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(output.status.code(), Some(code), "{line}: {told:?}");
        told
    };
    let [listed, _] = with(&reader, 0, "tenants list --json");
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let [found, _] = with(&reader, 0, "query --json --limit 0");
    assert_eq!(found.lines().count(), 101);
    with(&reader, 0, "prove 3");
    with(&reader, 3, "query --tenant globex");
    let [_, told] = with(&reader, 3, "verify");
    assert!(told.contains("checkpoints (403)"), "{told}");
    with(&reader, 3, "tenants create hooli");
    let [verified, _] = with(&auditor, 0, "verify --key vkey --json");
    assert_eq!(verified.lines().count(), 2, "{verified}");
    with(&auditor, 0, "export --out a.ndjson");
    for line in ["query", "verify", "tenants list", "prove 3", "export"] {
        let [_, told] = with("ind_0011223344556677_00", 3, line);
        assert!(told.contains("INDELIBLE_API_KEY"), "{line}: {told}");
    }
    // A file is a file, whatever is in the environment; and so is a directory that is named.
    with(&reader, 0, "verify a.ndjson --key vkey");
    with(&reader, 3, "query --data ./elsewhere");
}

#[test]
fn an_export_is_recorded_as_one() {
    let (place, mut serving) = served();
    assert_eq!(serving.signal("TERM"), Some(0));
    place.ok("keys create --role admin");
    let auditor = place.ok("keys create --role auditor --tenant acme --json");
    let auditor = auditor.json().remove(0);
    let mut serving = Serving::start(&place, "");
    let url = format!("http://{}", serving.address);
    for line in ["export --out b.ndjson", "query actor:ada"] {
        let mut command = place.command(line.split_whitespace());
        command.env("INDELIBLE_URL", &url);
        command.env("INDELIBLE_API_KEY", auditor["bearer"].as_str().unwrap());
        assert!(command.output().unwrap().status.success(), "{line}");
    }
    // What was noted is written when the server ends.
    assert_eq!(serving.signal("TERM"), Some(0));
    let by = format!("key:{}", auditor["key"]["id"].as_str().unwrap());
    let told = |event_type: &str| {
        let line = format!("query --tenant _system --json --limit 0 type:{event_type}");
        let all = place.ok(&line).json().into_iter();
        let all = all.map(|one| one["record"]["event"].clone());
        let own = all.filter(|event| event["actor"]["id"] == by);
        own.map(|event| event["data"].clone()).collect::<Vec<_>>()
    };
    let exported = told("access.exported");
    assert_eq!(exported.len(), 1, "{exported:?}");
    assert_eq!(
        (
            &exported[0]["route"],
            &exported[0]["records"],
            &exported[0]["query"]
        ),
        (&json!("/v1/records"), &json!(101), &Value::Null),
    );
    let read = told("access.read");
    assert!(
        read.iter().all(|data| data["query"] == "actor:ada"),
        "{read:?}"
    );
}
