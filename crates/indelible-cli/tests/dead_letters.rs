//! Events of a program that a served process refuses: kept, listed, shown, sent again when the
//! cause is mended, and gone for good afterwards.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use indelible::{Actor, Attachment, Audit, EmitError, Ticket};
use serde_json::Value;
use support::served::Serving;
use support::{Place, Ran, files_below};

const SOON: Duration = Duration::from_mins(1);
const LETTERS: &str = "dead-letters --spool spool";

fn emit(audit: &Audit, tenant: &str, target: &str) -> Ticket {
    let event = audit.for_tenant(tenant).action("content.publish");
    let event = event.actor(Actor::user("u-1")).target("post", target);
    let file = Attachment::bytes("text/plain", "asdfghjkl");
    let event = event.succeeded().description("qwertyuiop");
    event.attach("file", file).emit()
}

/// A served process that is closed, with the tenant acme, and the keys of an administrator and of
/// an emitter.
fn closed(place: &Place) -> (Serving, [String; 2]) {
    let key = |role: &str| {
        let ran = place.ok(&format!("keys create --role {role} --all-tenants"));
        ran.out.trim().to_owned()
    };
    let keys = ["admin", "emitter"].map(key);
    place.ok("tenants create acme");
    (Serving::start(place, ""), keys)
}

fn make_tenant(serving: &Serving, key: &str, tenant: &str) {
    let headers = [&*format!("Authorization: Bearer {key}")];
    let body = format!("{{\"tenant_id\":\"{tenant}\"}}");
    let (status, answer) = serving
        .send("POST", "/v1/tenants", &headers, &body)
        .unwrap();
    assert_eq!(status, 201, "{answer}");
}

fn connect(serving: &Serving, key: &str) -> indelible::AuditBuilder<indelible::ToServer> {
    let audit = Audit::connect(&format!("http://{}", serving.address)).unwrap();
    audit.service("shop").api_key(key)
}

/// Runs a line with a key for the server.
fn with_key(place: &Place, key: &str, line: &str) -> Ran {
    let mut command = place.command(line.split_whitespace());
    let output = command.env("INDELIBLE_API_KEY", key).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The one file of letters.
fn file_of(list: &[Value]) -> String {
    let id = list[0]["id"].as_str().unwrap();
    id.rsplit_once('/').unwrap().0.to_owned()
}

fn holds(dir: &Path, word: &str) -> bool {
    let has = |path: &std::path::PathBuf| {
        // A file of the spool may go meanwhile.
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes
            .windows(word.len())
            .any(|window| window == word.as_bytes())
    };
    files_below(dir).iter().any(has)
}

/// What is said of the one letter; the list.
fn is_listed_and_shown(place: &Place, id: &str) -> Vec<Value> {
    let listed = place.ok(&format!("{LETTERS} list --json")).json();
    assert_eq!(listed.len(), 1);
    let letter = &listed[0]["letter"];
    assert_eq!(
        (&letter["audit_id"], &letter["tenant_id"]),
        (&id.into(), &"beta".into())
    );
    assert_eq!(letter["stream"]["number"], 0);
    assert_eq!(letter["attachments"][0]["bytes"], 9);
    let detail = letter["problem"]["detail"].as_str().unwrap();
    assert!(detail.contains("there is no tenant beta"), "{detail}");
    let table = place.ok(&format!("{LETTERS} list")).out;
    assert!(
        table.contains("beta") && table.contains("content.publish"),
        "{table}"
    );

    let shown = place.ok(&format!(
        "{LETTERS} show {}",
        listed[0]["id"].as_str().unwrap()
    ));
    let event: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(
        (&event["audit_id"], &event["description"]),
        (&id.into(), &"qwertyuiop".into())
    );
    assert!(
        shown.err.contains("there is no tenant beta"),
        "{}",
        shown.err
    );

    listed
}

#[test]
fn a_tenant_that_is_missing_holds_nobody_up_and_gets_its_events_later() {
    let place = Place::new();
    let (mut serving, [admin, emitter]) = closed(&place);
    let url = format!("http://{}", serving.address);
    let audit = connect(&serving, &emitter);
    let audit = audit.spool(place.at("spool")).build().unwrap();
    let tickets = ["acme", "beta", "acme"].map(|tenant| emit(&audit, tenant, "1"));
    for (ticket, committed) in tickets.iter().zip([true, false, true]) {
        let settled = ticket.committed_blocking(SOON);
        assert_eq!(settled.is_ok(), committed, "{settled:?}");
    }
    for word in ["qwertyuiop", "asdfghjkl"] {
        assert!(!holds(&place.at("spool"), word));
    }
    // The program still runs.
    let listed = is_listed_and_shown(&place, &tickets[1].audit_id().to_string());

    // Not mended yet: it is kept again, and nothing is lost.
    let file = file_of(&listed);
    let again = with_key(
        &place,
        &emitter,
        &format!("{LETTERS} retry {file} --url {url}"),
    );
    assert_eq!(again.code, 1, "{}", again.err);
    let listed = place.ok(&format!("{LETTERS} list --json")).json();
    let next = file_of(&listed);
    assert!(again.out.contains(&next) && next != file, "{}", again.out);
    let why = again.out.lines().nth(1).unwrap();
    let told = why.starts_with("  1 refused: ") && why.contains("there is no tenant beta");
    assert!(told, "{}", again.out);
    // A wrong key is nobody's letter's fault.
    let denied = with_key(
        &place,
        "ind_0_0",
        &format!("{LETTERS} retry --all --url {url}"),
    );
    assert!(
        denied.code == 3 && denied.err.contains("(401)"),
        "{}",
        denied.err
    );

    make_tenant(&serving, &admin, "beta");
    let sent = with_key(
        &place,
        &emitter,
        &format!("{LETTERS} retry --all --url {url} --json"),
    );
    assert_eq!(sent.code, 0, "{}", sent.err);
    assert_eq!(
        (&sent.json()[0]["committed"], &sent.json()[0]["kept"]),
        (&1.into(), &Value::Null)
    );
    assert_eq!(audit.metrics().dead_lettered, 1);
    let report = audit.close(SOON);
    assert_eq!(
        (report.committed, report.failed, report.dead_lettered),
        (2, 1, 1),
        "{report}"
    );
    assert_eq!(serving.signal("TERM"), Some(0));

    let none = place.ok(&format!("{LETTERS} list"));
    assert!(none.err.contains("no dead letters"), "{}", none.err);
    let left = files_below(&place.at("spool/dead-letters"));
    assert_eq!(
        left,
        [place.at("spool/dead-letters/LOCK")],
        "nothing is on disk"
    );
    let verified = place.ok("verify --require-anchor --tenant beta");
    assert!(
        verified.out.contains("complete to 0"),
        "it is declared lost no more: {}",
        verified.out
    );
}

#[test]
fn letters_go_into_a_directory_or_are_dropped() {
    let place = Place::new();
    let (mut serving, [_, emitter]) = closed(&place);
    let audit = connect(&serving, &emitter);
    let audit = audit.dead_letters(place.at("spool")).build().unwrap();
    let first = emit(&audit, "acme", "1").committed_blocking(SOON).unwrap();
    let event = audit.for_tenant("acme").action("content.delete");
    let event = event.actor(Actor::user("u-1")).target("post", "1");
    let taken = event.succeeded().id(first.audit_id).emit();
    let settled = taken.committed_blocking(SOON);
    assert!(
        matches!(settled, Err(EmitError::Conflict(_))),
        "{settled:?}"
    );
    assert!(emit(&audit, "beta", "1").committed_blocking(SOON).is_err());
    drop(audit);
    assert_eq!(serving.signal("TERM"), Some(0));

    // Beside the wrong directory, nothing is made there.
    let ran = place.ends(3, &format!("{LETTERS} retry --all --data ./other"));
    assert!(
        ran.err.contains("--url") && !place.at("other").exists(),
        "{}",
        ran.err
    );
    place.ends(
        2,
        &format!("{LETTERS} retry --all --data ./other --url http://127.0.0.1:9"),
    );
    place.ends(2, &format!("{LETTERS} retry --all --lenient"));
    place.ends(2, &format!("{LETTERS} retry"));
    place.ends(2, "dead-letters retry --all --url http://127.0.0.1:9");
    place.ends(3, &format!("{LETTERS} drop 1795233906000000"));
    let nowhere = place.ends(3, "dead-letters --spool nowhere list");
    assert!(nowhere.err.contains("--spool names"), "{}", nowhere.err);

    // Here a tenant is made when it is written to; the conflict stays one.
    let sent = place.ends(1, &format!("{LETTERS} retry --all"));
    let why = "\n  1 refused: the id is taken by other content\n";
    assert!(sent.out.contains(why), "{}", sent.out);
    assert_eq!(sent.out.lines().count(), 3, "{}", sent.out);
    let listed = place.ok(&format!("{LETTERS} list --json")).json();
    let problem = &listed[0]["letter"]["problem"];
    assert_eq!((listed.len(), &problem["status"]), (1, &409.into()));
    assert_eq!(problem["receipt"]["audit_id"], first.audit_id.to_string());
    assert_eq!(
        place
            .ok("query --tenant beta --json type:content.publish")
            .json()
            .len(),
        1
    );
    place.ok("verify --require-anchor");

    let file = file_of(&listed);
    let key = place.read(&format!("spool/dead-letters/{file}.key"));
    place.ok(&format!("{LETTERS} drop {file}"));
    let left = files_below(&place.at("spool"));
    assert!(
        left.iter()
            .all(|path| !path.to_string_lossy().contains(&file)),
        "{left:?}"
    );
    assert!(left.iter().all(|path| std::fs::read(path).unwrap() != key));
}

/// The command is killed while it sends; the program goes on meanwhile, and who comes second waits.
#[test]
fn a_killed_retry_loses_nothing_and_a_cut_file_hides_no_other() {
    let place = Place::new();
    let (serving, [admin, emitter]) = closed(&place);
    let url = format!("http://{}", serving.address);
    let audit = connect(&serving, &emitter).spool(place.at("spool"));
    let audit = audit.batches(10, Duration::from_millis(5)).build().unwrap();
    let tickets: Vec<_> = (0..100)
        .map(|n| emit(&audit, "beta", &n.to_string()))
        .collect();
    for ticket in &tickets {
        assert!(ticket.committed_blocking(SOON).is_err());
    }
    make_tenant(&serving, &admin, "beta");
    serving.stop();
    let line = format!("{LETTERS} retry --all --url {url}");
    let mut command = place.command(line.split_whitespace());
    command
        .env("INDELIBLE_API_KEY", &emitter)
        .stderr(Stdio::null());
    let mut killed = command.stdout(Stdio::null()).spawn().unwrap();
    let lock = place.at("spool/dead-letters/LOCK");
    while !lock.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    let second = with_key(&place, &emitter, &line);
    assert!(
        second.code == 3 && second.err.contains("process"),
        "{}",
        second.err
    );
    killed.kill().unwrap();
    killed.wait().unwrap();
    serving.go_on();
    let listed = place.ok(&format!("{LETTERS} list --json")).json();
    assert_eq!(listed.len(), 100, "all are still there");

    // One file loses its last byte: its other letters and all other files are delivered, and what
    // is left of it stays until somebody drops it.
    let file = file_of(&listed);
    let of_file = |letter: &&Value| letter["id"].as_str().unwrap().starts_with(&file);
    let good = listed.iter().filter(of_file).count() - 1;
    let path = place.at(&format!("spool/dead-letters/{file}.spool"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let cut = place.ends(3, &format!("{LETTERS} list --json"));
    assert_eq!(cut.json().len(), 99);
    assert!(cut.err.contains(&file), "{}", cut.err);
    for _ in 0..2 {
        let sent = with_key(&place, &emitter, &line);
        assert_eq!(sent.code, 3, "{}", sent.err);
        let told = format!("{file}.spool is damaged: its end is cut off");
        assert!(sent.err.contains(&told), "{}", sent.err);
        let stays = format!(", 0 refused, kept as {file}\n");
        assert!(sent.out.contains(&stays), "{}", sent.out);
        let left = place.ends(3, &format!("{LETTERS} list --json"));
        assert_eq!(left.json().len(), good);
        assert!(path.exists() && path.with_extension("key").exists());
    }
    place.ok(&format!("{LETTERS} drop {file}"));
    assert_eq!(place.ok(&format!("{LETTERS} list --json")).json().len(), 0);
    drop(audit);
    drop(serving);
    let there = place.ok("query --tenant beta --json --limit 0 type:content.publish");
    // What was killed may have reached the server, with the letter that was cut afterwards.
    let there = there.json().len();
    assert!((99..=100).contains(&there), "{there}");
    let verified = place.run("verify --tenant beta").out;
    assert!(verified.contains("integrity     sound"), "{verified}");
    // Declared or not: while its tenant was missing, nobody could say in its log what was lost.
    let missing = ["undeclared gap (1, ", "declared loss (1, "];
    let missing = missing.iter().any(|words| verified.contains(words));
    assert_eq!(missing, there == 99, "{verified}");
}

/// Damage at the beginning of the first file, and a file whose only letter is damaged.
#[test]
fn a_damaged_file_holds_up_no_other_and_is_not_removed() {
    let place = Place::new();
    let (serving, [admin, emitter]) = closed(&place);
    let audit = connect(&serving, &emitter).spool(place.at("spool"));
    let audit = audit.build().unwrap();
    for n in 0..3 {
        let ticket = emit(&audit, "beta", &n.to_string());
        assert!(ticket.committed_blocking(SOON).is_err());
    }
    audit.close(SOON);
    make_tenant(&serving, &admin, "beta");
    let listed = place.ok(&format!("{LETTERS} list --json")).json();
    let of = |letter: &Value| file_of(std::slice::from_ref(letter));
    let files: Vec<_> = listed.iter().map(of).collect();
    assert_eq!(files.len(), 3);
    for file in &files[..2] {
        let path = place.at(&format!("spool/dead-letters/{file}.spool"));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let line = format!("{LETTERS} retry --all --url http://{}", serving.address);
    let sent = with_key(&place, &emitter, &line);
    assert_eq!(sent.code, 3, "{}", sent.err);
    let last = format!("{}: 1 committed, 0 were there, 0 refused\n", files[2]);
    assert!(sent.out.contains(&last), "{}", sent.out);
    for file in &files {
        let damaged = *file != files[2];
        assert_eq!(sent.err.contains(file.as_str()), damaged, "{}", sent.err);
        for ending in ["spool", "key"] {
            let path = place.at(&format!("spool/dead-letters/{file}.{ending}"));
            assert_eq!(path.exists(), damaged, "{}", path.display());
        }
    }
}

#[test]
fn where_there_are_no_letters_that_is_said() {
    let place = Place::new();
    std::fs::create_dir(place.at("spool")).unwrap();
    for (line, told) in [
        ("list", "there are no dead letters"),
        (
            "retry --all",
            "there are no dead letters: nothing to send again",
        ),
        ("drop --all", "there are no dead letters: nothing to remove"),
    ] {
        let ran = place.ok(&format!("{LETTERS} {line}"));
        assert_eq!((ran.out.as_str(), ran.err.trim()), ("", told));
        let ran = place.ok(&format!("{LETTERS} {line} --json"));
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    }
    // Whoever looks among those of imports is told where the others are.
    place.ok("tenants create acme");
    let ran = place.ok("dead-letters list");
    assert!(ran.err.contains("--spool"), "{}", ran.err);
    let ran = place.ok("dead-letters retry --all");
    assert!(ran.err.contains("nothing to send again"), "{}", ran.err);
}
