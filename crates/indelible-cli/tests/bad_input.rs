//! Bad input: each a clear error naming the place, nothing lost, no neighbour refused.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Place, Ran};

/// Imports one bad line between two good ones and gives what was said.
fn between_good_lines(bad: &[u8], says: &[&str]) {
    let place = Place::new();
    let mut input = support::ndjson([support::event(0)]).into_bytes();
    let offset = input.len();
    input.extend_from_slice(bad);
    input.push(b'\n');
    input.extend_from_slice(support::ndjson([support::event(1)]).as_bytes());
    place.file("in.ndjson", &input);
    let ran = place.ends(1, "import --format ndjson in.ndjson --tenant acme");
    assert_eq!(
        ran.out, "2 new, 0 already there, 1 refused\n",
        "{}",
        ran.err
    );
    let at = format!("in.ndjson: record 2, line 2, byte {offset}: ");
    assert!(ran.err.contains(&at), "{at} not in {}", ran.err);
    for said in says {
        assert!(ran.err.contains(said), "{said} not in {}", ran.err);
    }
    kept(&place, &[bad]);
    let rows = place
        .ok("query --tenant acme --json type:content.review")
        .json();
    assert_eq!(rows.len(), 2, "the neighbours are in the log");
    place.ok("verify");
    // Refused again, the good ones are there already, and what is kept is not kept twice.
    let again = place.ends(1, "import --format ndjson in.ndjson --tenant acme");
    assert_eq!(again.out, "0 new, 2 already there, 1 refused\n");
    assert!(again.err.contains(&at), "{at} not in {}", again.err);
    kept(&place, &[bad]);
}

/// The dead letters are these inputs, byte for byte, and stand in no file as they are.
fn kept(place: &Place, inputs: &[&[u8]]) {
    let letters = place.ok("dead-letters list --json").json();
    assert_eq!(letters.len(), inputs.len());
    for (letter, input) in letters.iter().zip(inputs) {
        let id = letter["id"].as_str().unwrap();
        assert_eq!(letter["bytes"], input.len());
        let shown = place
            .command(["dead-letters", "show", id])
            .output()
            .unwrap();
        assert_eq!(shown.stdout, *input);
    }
    for file in support::files_below(&place.at("indelible-data")) {
        let bytes = std::fs::read(&file).unwrap();
        for input in inputs {
            let found = memchr::memmem::find(&bytes, input).is_some();
            assert!(!found, "{} holds refused input as it is", file.display());
        }
    }
}

fn with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut event = support::event(7);
    change(&mut event);
    event.to_string().into_bytes()
}

#[test]
fn malformed_json() {
    between_good_lines(b"{\"event_type\":\"content.review\",", &["[syntax]"]);
}

#[test]
fn duplicate_keys() {
    let line = br#"{"event_type":"a.b","x":{"k":1,"k":2},"outcome":"success"}"#;
    between_good_lines(line, &["/x/k", "[duplicate-key]"]);
}

#[test]
fn invalid_utf8() {
    between_good_lines(
        b"{\"event_type\":\"a.b\",\"x\":\"\xff\xfe\"}",
        &["[invalid-utf-8]"],
    );
}

#[test]
fn seventy_kibibytes() {
    let event = with(|event| event["data"] = json!({"blob": "x".repeat(70 * 1024)}));
    between_good_lines(&event, &["[too-large]"]);
}

#[test]
fn wrong_types() {
    let event = with(|event| {
        event["actor"]["id"] = json!(5);
        event["outcome"] = json!(true);
    });
    // All problems of the event at once.
    between_good_lines(&event, &["/actor/id", "/outcome", "[wrong-type]"]);
}

#[test]
fn fifty_levels() {
    let deep = format!("{}1{}", "[".repeat(50), "]".repeat(50));
    let line = format!(r#"{{"event_type":"a.b","outcome":"success","data":{deep}}}"#);
    between_good_lines(line.as_bytes(), &["[too-deep]"]);
}

#[test]
fn a_clock_in_the_future() {
    let event = with(|event| event["occurred_at"] = json!("2099-01-01T00:00:00Z"));
    between_good_lines(&event, &["/occurred_at", "[future-time]"]);
    let place = Place::new();
    place.file("in.ndjson", [event.as_slice(), b"\n"].concat());
    place.ok("import --format ndjson --lenient in.ndjson");
    let row = &place.ok("query --json type:content.review").json()[0];
    assert_eq!(
        row["record"]["ledger"]["flags"],
        json!(["future"]),
        "lenient takes and flags it"
    );
}

#[test]
fn numbers_keep_every_digit_up_to_64_characters() {
    let number = format!("0.{}", "1234567890".repeat(7).get(..62).unwrap());
    assert_eq!(number.len(), 64);
    let line = |number: &str| {
        let event = support::event(7).to_string();
        format!(
            "{},\"data\":{{\"n\":{number}}}}}",
            event.strip_suffix('}').unwrap()
        )
    };
    let place = Place::new();
    place.file("in.ndjson", line(&number) + "\n");
    place.ok("import --format ndjson in.ndjson");
    let ran: Ran = place.ok("query --json type:content.review");
    assert!(ran.out.contains(&format!("\"n\":{number}")), "{}", ran.out);
    between_good_lines(line(&format!("{number}9")).as_bytes(), &["/data/n", "64"]);
}

/// The dead letters and the one file they are in.
fn letters(place: &Place) -> (Vec<Value>, String) {
    let letters = place.ok("dead-letters list --json").json();
    let files = letters.iter().map(|letter| {
        let (file, _) = letter["id"].as_str().unwrap().rsplit_once('/').unwrap();
        file.to_owned()
    });
    let mut files: Vec<_> = files.collect();
    files.dedup();
    assert_eq!(files.len(), 1);
    let places = letters.into_iter().map(|mut letter| {
        letter["letter"].as_object_mut().unwrap().remove("at");
        letter["letter"].clone()
    });
    (places.collect(), files.remove(0))
}

#[test]
fn dead_letters_are_imported_again_from_their_places_and_dropped() {
    let place = Place::new();
    let future = with(|event| event["occurred_at"] = json!("2099-01-01T00:00:00Z"));
    let input = [future.as_slice(), b"\n{broken\n"].concat();
    place.file("in.ndjson", &input);
    place.ends(1, "import --format ndjson in.ndjson --tenant acme");
    let (refused, file) = letters(&place);
    let again = place.ends(1, &format!("dead-letters retry {file}"));
    assert_eq!(again.out, "0 new, 0 already there, 2 refused\n");
    assert!(
        again.err.contains("in.ndjson: record 2, line 2, byte "),
        "{}",
        again.err
    );
    let (refused_again, next) = letters(&place);
    assert_eq!(refused_again, refused);
    assert_ne!(next, file);
    place.ends(3, &format!("dead-letters retry {file}"));
    let again = place.ends(1, &format!("dead-letters retry {next} --lenient"));
    assert_eq!(again.out, "1 new, 0 already there, 1 refused\n");
    assert_eq!(
        place
            .ok("query --tenant acme --json type:content.review")
            .json()
            .len(),
        1
    );
    kept(&place, &[b"{broken"]);
    let (_, last) = letters(&place);
    place.ends(3, &format!("dead-letters drop {last}/0"));
    assert_eq!(
        place
            .ok(&format!("dead-letters drop {last} --json"))
            .json()
            .len(),
        1
    );
    kept(&place, &[]);
    let left = support::files_below(&place.at("indelible-data/dead-letters"));
    assert_eq!(left.len(), 0);
    // All of it taken, nothing is left.
    place.file("in.ndjson", &future);
    let said = place
        .ends(1, "import --format ndjson in.ndjson --tenant beta")
        .err;
    let (_, file) = letters(&place);
    assert!(said.contains(&file), "{said}");
    let all = place.ok(&format!("dead-letters retry {file} --lenient"));
    assert_eq!(all.out, "1 new, 0 already there\n");
    kept(&place, &[]);
    place.ok("verify");
}

#[test]
fn an_input_that_is_kept_is_not_kept_twice() {
    let place = Place::new();
    let other = support::event(0).to_string().replace("post-0", "another");
    let input = format!("{{broken\n{}\n{other}\n{{broken\n", support::event(0));
    place.file("in.ndjson", input);
    let import = "import --format ndjson in.ndjson --tenant";
    let first = place.ends(1, &format!("{import} acme"));
    assert!(first.err.contains("kept already: 1 of 3"), "{}", first.err);
    let inputs: [&[u8]; 2] = [b"{broken", other.as_bytes()];
    kept(&place, &inputs);
    for _ in 0..2 {
        let ran = place.ends(1, &format!("{import} acme --json"));
        let told = &ran.json()[0];
        assert_eq!(told["counts"]["refused"], 2);
        assert_eq!(told["counts"]["conflicts"], 1);
        assert_eq!(told["dead_letters"], Value::Null);
        assert!(ran.err.contains("in.ndjson: record 4"), "{}", ran.err);
        assert!(ran.err.contains("kept already: 3 of 3"), "{}", ran.err);
        kept(&place, &inputs);
    }
    // What is refused once more of a file that then goes is kept in a new one.
    let (_, file) = letters(&place);
    place.ends(1, &format!("dead-letters retry {file}"));
    kept(&place, &inputs);
    let (_, file) = letters(&place);
    // Dropped, it is kept again; so it is for another tenant, and beside a damaged file.
    place.ok(&format!("dead-letters drop {file}"));
    kept(&place, &[]);
    place.ends(1, &format!("{import} acme"));
    kept(&place, &inputs);
    let (_, file) = letters(&place);
    place.ends(1, &format!("{import} beta"));
    let beta = place.ok("dead-letters list --json").json();
    assert_eq!(beta.len(), 4, "{beta:?}");
    let path = format!("indelible-data/dead-letters/{file}.letters");
    let mut bytes = place.read(&path);
    *bytes.last_mut().unwrap() ^= 1;
    place.file(&path, bytes);
    let ran = place.ends(1, &format!("{import} acme"));
    assert!(ran.err.contains("kept already: 1 of 3"), "{}", ran.err);
}

#[test]
fn a_record_cut_in_a_packed_file_is_kept_as_in_a_plain_one() {
    let noise = |n: usize| indelible_merkle::leaf_hash(&n.to_le_bytes()).to_string();
    let events = (0..100).map(|n| {
        let mut event = support::event(n);
        event["data"] = json!({"noise": noise(n)});
        event
    });
    let text = support::ndjson(events);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let place = Place::new();
    place.file("in.ndjson.gz", &packed[..packed.len() / 2]);
    let ran = place.ends(3, "import --format ndjson in.ndjson.gz --tenant acme");
    assert!(ran.err.contains("cannot be read to its end"), "{}", ran.err);
    assert!(
        ran.out.ends_with("already there, 1 refused\n"),
        "{}",
        ran.out
    );
    let letters = place.ok("dead-letters list --json").json();
    let letter = &letters[0]["letter"];
    let at = usize::try_from(letter["offset"].as_u64().unwrap()).unwrap();
    let bytes = usize::try_from(letters[0]["bytes"].as_u64().unwrap()).unwrap();
    kept(&place, &[&text.as_bytes()[at..at + bytes]]);
}

#[test]
fn what_is_said_of_inputs_comes_in_their_order_and_is_true() {
    let place = Place::new();
    let wrong = with(|event| event["outcome"] = json!(5));
    place.file("a.ndjson", &wrong);
    place.file("b.ndjson.gz", b"\x1f\x8bbroken");
    let ran = place.ends(3, "import --format ndjson a.ndjson b.ndjson.gz");
    let at = |name: &str| ran.err.find(name).unwrap();
    assert!(
        at("a.ndjson: record 1") < at("b.ndjson.gz: cannot be read"),
        "{}",
        ran.err
    );
    // Too large to be kept whole.
    let mut large = support::cloudtrail_record(0);
    large.as_object_mut().unwrap().remove("eventName");
    large["filler"] = json!("x".repeat(70_000));
    place.file("large.json", large.to_string());
    let ran = place.ends(1, "import --format cloudtrail large.json");
    assert_eq!(
        ran.out, "0 new, 0 already there, 1 refused\n",
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("kept whole"), "{}", ran.err);
}

#[test]
fn one_id_with_two_contents() {
    let place = Place::new();
    let mut other = support::event(0);
    other["target"]["id"] = json!("another");
    place.file(
        "in.ndjson",
        support::ndjson([support::event(0), other.clone(), support::event(1)]),
    );
    let ran = place.ends(1, "import --format ndjson in.ndjson");
    assert_eq!(
        ran.out,
        "2 new, 0 already there, 1 in conflict with what is there\n"
    );
    assert!(ran.err.contains("record 1 has the id"), "{}", ran.err);
    kept(&place, &[other.to_string().as_bytes()]);
}

#[test]
fn broken_records_in_a_cloudtrail_file() {
    let place = Place::new();
    let good = |n| support::cloudtrail_record(n).to_string();
    let broken = r#"{"eventName": tru}"#;
    let twice = r#"{"eventName":"A","eventName":"B"}"#;
    let text = format!(
        "{{\"Records\":[{},{broken},{},\n{twice},{}",
        good(0),
        good(1),
        good(2)
    );
    place.file("a.json", text);
    let ran = place.ends(3, "import --format cloudtrail a.json");
    assert_eq!(
        ran.out, "3 new, 0 already there, 2 refused\n",
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("a.json: record 2, line 1, byte "),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("a.json: record 4, line 2, byte "),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("ends before its list of records does"),
        "{}",
        ran.err
    );
    kept(&place, &[broken.as_bytes(), twice.as_bytes()]);
}

#[test]
fn emit_says_what_is_wrong_with_the_event() {
    let place = Place::new();
    let emit = |rest: &str| place.run(&format!("emit --actor user:ada --outcome success {rest}"));
    let wrong = |rest: &str, says: &str| {
        let ran = emit(rest);
        assert_eq!(ran.code, 2, "{rest}: {}", ran.err);
        assert!(ran.err.contains(says), "{rest}: {}", ran.err);
        assert_eq!(ran.out, "");
    };
    wrong("--action login", "--action: ");
    wrong("--action privacy.erased", "--action: ");
    wrong("--action content.publish", "--target: ");
    wrong("--action a.b --at yesterday", "--at: ");
    wrong("--action a.b --at 2099-01-01T00:00:00Z", "[future-time]");
    wrong("--action a.b --outcome2 x", "--outcome");
    let long = format!("--action a.b --correlation {}", "x".repeat(256));
    wrong(&long, "--correlation: ");
    let big = format!(
        "--action a.b --payload {{\"x\":\"{}\"}}",
        "x".repeat(70_000)
    );
    wrong(&big, "[too-large]");
    wrong("--action a.b --payload {\"a\":1,\"a\":2}", "--payload: /a");
    for actor in ["ada", "robot:ada", ":ada", "user:"] {
        let args = [
            "emit",
            "--actor",
            actor,
            "--outcome",
            "success",
            "--action",
            "a.b",
        ];
        let ran = place.run_args(args);
        assert_eq!(ran.code, 2, "{actor}: {}", ran.err);
        assert!(ran.err.contains("--actor"), "{}", ran.err);
    }
    let ran = place.run("emit --actor user:ada --outcome done --action a.b");
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(
        ran.err.contains("--outcome: write one of success, "),
        "{}",
        ran.err
    );
    assert!(
        !place.at("indelible-data").exists(),
        "nothing was made for it"
    );
    assert_eq!(emit("--action a.b --payload [1]").code, 2);
    assert_eq!(emit("--action a.b --tenant _system").code, 2);
    assert_eq!(emit("--action a.b --tenant sp/ace").code, 2);
    assert_eq!(emit("--action a.b").code, 0);
}
