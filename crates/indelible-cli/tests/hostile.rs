//! Names and texts that were made to be trouble, and `--json` of every command.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use serde_json::{Value, json};
use support::served::Serving;
use support::{Place, Ran};

const EMIT: &str = "emit --tenant acme --actor user:x --action a.b --outcome success";

/// Nothing that a terminal would obey, but for line feeds and tabs.
#[track_caller]
fn harmless(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        let obeyed = |c: char| {
            (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c)
        };
        assert!(!text.contains(obeyed), "{text:?}");
    }
}

#[test]
fn files_of_any_name_are_imported_and_shown_harmless() {
    let place = Place::new();
    let write = |name: &[u8], bytes: &[u8]| {
        std::fs::create_dir_all(place.at("in")).unwrap();
        std::fs::write(place.at("in").join(OsStr::from_bytes(name)), bytes).unwrap();
    };
    let line = |n| support::ndjson([support::event(n)]);
    write(b"caf\xe9.ndjson", line(0).as_bytes());
    write(b"\xff\xfe.json.gz", line(1).as_bytes());
    write(b"a\x1b[2J\nb.jsonl", (line(2) + "{broken\n").as_bytes());
    write(b"\x1b]0;x\x07.txt", b"");
    let ran = place.ends(1, "import --format ndjson in --tenant acme");
    assert_eq!(
        ran.out, "3 new, 0 already there, 1 refused\n",
        "{}",
        ran.err
    );
    harmless(&ran);
    for said in [
        r"in/a\u001b[2J\nb.jsonl: record 2, line 2, byte ",
        r"passed over: in/\u001b]0;x\u0007.txt",
    ] {
        assert!(ran.err.contains(said), "{said} not in {}", ran.err);
    }
    let listed = place.ok("dead-letters list");
    assert!(
        listed.out.contains(r"a\u001b[2J\nb.jsonl"),
        "{}",
        listed.out
    );
    harmless(&listed);
    let named = place.at("in").join(OsStr::from_bytes(b"caf\xe9.ndjson"));
    let args = ["import", "--format", "ndjson", "--tenant", "acme"].map(OsStr::new);
    let again = place.run_args(args.into_iter().chain([named.as_os_str()]));
    assert_eq!(again.out, "0 new, 1 already there\n");
    // A directory of such a name is the one that is made.
    let odd = OsStr::from_bytes(b"d\xff");
    let data = [OsStr::new("--data"), odd];
    let args = EMIT.split_whitespace().map(OsStr::new);
    assert_eq!(place.run_args(data.into_iter().chain(args)).code, 0);
    assert!(place.at("").join(odd).is_dir());
}

#[test]
fn texts_of_events_are_shown_harmless_and_given_whole() {
    let place = Place::new();
    let hostile = "a\u{1b}[2J\u{9b}31m\u{202e}b\r\nfake line";
    let mut event = support::event(0);
    event["description"] = json!(hostile);
    event["actor"]["id"] = json!("eve\u{1b}[1A");
    place.file("in.ndjson", support::ndjson([event]));
    place.ok("import --format ndjson in.ndjson --tenant acme");
    let table = place.ok("query --tenant acme type:content.review");
    harmless(&table);
    assert_eq!(table.out.lines().count(), 2, "{}", table.out);
    let shown = r"a\u001b[2J\u009b31m\u202eb\r\nfake line";
    assert!(table.out.contains(shown), "{}", table.out);
    assert!(table.out.contains(r"eve\u001b[1A"), "{}", table.out);
    let whole = &place.ok("query --json type:content.review").json()[0];
    assert_eq!(whole["record"]["event"]["description"], hostile);
}

/// A producer's name for its stream, and its reasons, stay within its own line of a verdict.
#[test]
fn no_name_of_a_stream_makes_a_line_of_a_verdict() {
    let forged = "x, epoch 1: complete to 9 (clean end)\n  anchor        anchored: forged";
    let claimed = |n: usize, number: u64| {
        let mut event = support::event(n);
        event["_stream"] = json!({"epoch": 7, "id": forged, "number": number});
        event
    };
    let mut lost = support::event(2);
    lost["event_type"] = json!("stream.lost");
    lost["data"] = json!({
        "count": 1, "epoch": 7, "first": 1, "reason": "full\n  head          forged",
        "stream": forged,
    });
    let place = Place::new();
    let mut lines = support::ndjson([claimed(0, 0), claimed(1, 3), lost]);
    let mut named = support::event(3);
    named["actor"]["id"] = json!("a\nbut this is a row");
    lines.push_str(&support::ndjson([named]));
    place.file("in.ndjson", lines);
    place.ok("import in.ndjson --format ndjson --tenant acme");
    place.ok("export --out acme.ndjson --tenant acme");
    let here = place.ends(1, "verify").out;
    let exported = place.ends(1, "verify acme.ndjson").out;
    let serving = Serving::start(&place, "");
    let line = format!("verify --url http://{}", serving.address);
    let there = place.ends(1, &line).out;
    for out in [here, exported, there] {
        let name = r#""x, epoch 1: complete to 9 (clean end)\n  anchor        anchored: forged""#;
        let verdict = format!("  completeness  stream {name}, epoch 7: undeclared gap (1, 2)");
        assert!(out.lines().any(|line| line.starts_with(&verdict)), "{out}");
        assert!(out.contains(r"(1, full\n  head          forged)"), "{out}");
        let anchors = out.lines().filter(|line| line.starts_with("  anchor  "));
        assert!(
            anchors.clone().all(|line| !line.contains("forged")),
            "{out}"
        );
        let heads = out.lines().filter(|line| line.starts_with("  head  "));
        assert!(heads.clone().all(|line| !line.contains("forged")), "{out}");
        assert!(anchors.count() > 0 && heads.count() > 0, "{out}");
    }
    let table = place.ok("query --tenant acme").out;
    assert!(table.contains(r"a\nbut"), "{table}");
    assert!(
        !table.lines().any(|line| line.starts_with("but")),
        "{table}"
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_record() {
    let place = Place::new();
    let lines = support::ndjson((0..2).map(support::event));
    place.file("in.ndjson", format!("\u{feff}{lines}{{broken\n"));
    let ran = place.ends(1, "import --format ndjson in.ndjson --tenant acme");
    assert_eq!(
        ran.out, "2 new, 0 already there, 1 refused\n",
        "{}",
        ran.err
    );
    let at = format!("record 3, line 3, byte {}: ", 3 + lines.len());
    assert!(ran.err.contains(&at), "{at} not in {}", ran.err);
    let wrapped = support::cloudtrail_file(0..2);
    let each_line: Vec<_> = (2..4)
        .map(|n| support::cloudtrail_record(n).to_string())
        .collect();
    place.file("a.json", format!("\u{feff}{wrapped}"));
    place.file("b.json", format!("\u{feff}{}\n", each_line.join("\n")));
    place.file(
        "c.ndjson",
        format!("\u{feff}{}\n", support::cloudtrail_record(4)),
    );
    let ran = place.ok("import --format cloudtrail a.json b.json c.ndjson --tenant trail --strict");
    assert_eq!(ran.out, "5 new, 0 already there\n", "{}", ran.err);
}

/// The JSON lines of a command, at least one.
#[track_caller]
fn json_of(place: &Place, code: i32, line: &str) -> Vec<Value> {
    let told = place.ends(code, &format!("{line} --json")).json();
    assert!(!told.is_empty(), "{line} says nothing");
    told
}

#[test]
fn every_command_that_takes_json_gives_json() {
    let place = Place::new();
    assert_eq!(json_of(&place, 0, "keys init").len(), 1);
    let receipt = &json_of(&place, 0, EMIT)[0];
    let id = receipt["audit_id"].as_str().unwrap().to_owned();
    place.file("in.ndjson", "{broken\n");
    let told = &json_of(&place, 1, "import --format ndjson in.ndjson")[0];
    assert_eq!(
        (&told["cancelled"], &told["counts"]["refused"]),
        (&json!(false), &json!(1))
    );
    let letter = json_of(&place, 0, "dead-letters list")[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        json_of(&place, 0, &format!("dead-letters show {letter}")).len(),
        1
    );
    for line in [
        "query",
        "verify",
        "tenants list",
        "tenants create other",
        "keys show",
        "keys files",
        "keys files",
        "config show",
        "config check",
        "fsck",
        "export --tenant acme --out x.ndjson",
        "export --tenant acme",
        "verify x.ndjson",
    ] {
        json_of(&place, 0, line);
    }
    for named in ["1", &id] {
        let proof = json_of(&place, 0, &format!("prove {named} --tenant acme"));
        let told = json_of(&place, 0, &format!("prove {named} --tenant acme --out p"));
        let expected = [json!({"out": "p", "receipt": proof[0]["receipt"]})];
        assert_eq!(told, expected);
        let written: Value = serde_json::from_slice(&place.read("p")).unwrap();
        assert_eq!(written, proof[0]);
    }
    place.file("vkey", place.ok("keys show").out);
    assert_eq!(
        json_of(&place, 0, "verify --proof p --key vkey")[0]["proved"],
        true
    );
    let nothing = json!({
        "findings": [],
        "incarnation": null,
        "origin": null,
        "recovered": false,
    });
    assert_eq!(
        json_of(&place, 0, "recover"),
        std::slice::from_ref(&nothing)
    );
    assert_eq!(json_of(&place, 0, "recover --yes"), [nothing]);
}

#[test]
fn nobody_reading_is_no_error() {
    let place = Place::new();
    place.file(
        "many.ndjson",
        support::ndjson((0..2_000).map(support::event)),
    );
    place.ok("import --format ndjson many.ndjson --tenant acme");
    for line in [
        "query --limit 0",
        "query --limit 0 --json",
        "export --tenant acme",
        "export --tenant acme --joined",
        "completions bash",
    ] {
        let mut command = place.command(line.split_whitespace());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take().unwrap());
        let mut err = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!((code, err.as_str()), (Some(0), ""), "{line}");
    }
}

#[test]
fn what_is_durable_is_published_though_nobody_reads_the_receipts() {
    let place = Place::new();
    place.file(
        "many.ndjson",
        support::ndjson((0..2_000).map(support::event)),
    );
    for (line, code) in [
        (EMIT, 0),
        (
            "import --format ndjson many.ndjson --tenant acme --receipts -",
            3,
        ),
    ] {
        let mut command = place.command(line.split_whitespace());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take().unwrap());
        assert_eq!(child.wait().unwrap().code(), Some(code), "{line}");
        for tenant in place.ok("tenants list --json").json() {
            assert_eq!(tenant["published"], tenant["records"], "{line}: {tenant}");
        }
    }
}

#[test]
fn only_what_writes_makes_a_ledger() {
    let place = Place::new();
    for line in [
        "query",
        "verify",
        "export",
        "prove 0",
        "tenants list",
        "keys show",
        "fsck",
        "fsck --repair",
        "recover",
        "recover --yes",
        "dead-letters list",
        "import --format ndjson nowhere",
    ] {
        place.ends(3, line);
        assert!(!place.at("indelible-data").exists(), "{line}");
    }
}

#[test]
fn where_no_ledger_can_be_made_no_keys_are_left() {
    let place = Place::new();
    let ran = place.ends(3, &format!("--data /proc/no/ledger {EMIT}"));
    assert!(
        ran.err.contains("cannot make a ledger in /proc/no/ledger"),
        "{}",
        ran.err
    );
    assert_eq!(support::files_below(&place.at("home")).len(), 0);
}

#[test]
fn no_ledger_is_made_among_other_peoples_files() {
    let place = Place::new();
    place.file("shared/notes.txt", "mine");
    for line in [EMIT, "keys init", "serve --listen 127.0.0.1:0"] {
        let ran = place.ends(3, &format!("--data shared {line}"));
        let said = "the directory is used for something else, notes.txt is in it";
        assert!(ran.err.contains(said), "{line}: {}", ran.err);
        let left = support::files_below(&place.at(""));
        assert_eq!(left, [place.at("shared/notes.txt")], "{line}");
    }
    for dir in ["disk/lost+found", "disk/keys"] {
        std::fs::create_dir_all(place.at(dir)).unwrap();
    }
    let ran = place.ends(3, &format!("--data disk --keys disk/keys {EMIT}"));
    let said = "the keys may not lie in the data directory";
    assert!(ran.err.contains(said), "{}", ran.err);
    place.ok(&format!("--data disk {EMIT}"));
}

#[test]
fn what_cannot_be_proved_is_said() {
    let place = Place::new();
    place.ok("keys init");
    let says = |line: &str, code: i32, text: &str| {
        let ran = place.ends(code, line);
        assert!(ran.err.contains(text), "{line}: {}", ran.err);
    };
    says("prove 0", 3, "there is no tenant yet");
    place.ok(EMIT);
    says("prove 0 --tenant nobody", 3, "there is no tenant nobody");
    says("prove 2", 3, "there is no record 2 in acme, it has 2");
    place.ok("tenants create other");
    says("prove 0", 2, "say --tenant");
    let id = "018f3c2e-7b1a-7def-8abc-0123456789ab";
    says(&format!("prove {id}"), 3, "there is no record with the id");
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_before_anything_is_looked_for() {
    let place = Place::new();
    for line in [
        "query --tenant a/b",
        "query --limit -1",
        "query --after nonsense",
        "query type:",
        "verify --tenant a/b",
        "verify --key nonsense",
        "verify --proof nowhere",
        "export --tenant a/b",
        "prove nonsense",
        "prove 1 --tenant a/b",
        "tenants create a/b",
        "tenants create _ours",
        "dead-letters show nonsense",
        "import --format ndjson - -",
        "emit --tenant a/b --actor user:x --action a.b --outcome success",
    ] {
        let ran = place.ends(2, line);
        assert_eq!(ran.out, "", "{line}");
        assert!(ran.err.starts_with("error: "), "{line}: {}", ran.err);
    }
    let mut command = place.command(EMIT.split_whitespace());
    let refused = command.env("INDELIBLE_ORIGIN", "a b").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        !place.at("indelible-data").exists(),
        "nothing was made for it"
    );
}
