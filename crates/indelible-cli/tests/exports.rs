//! Exports elsewhere: whole they verify, changed anywhere they do not, and the finding says where.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use serde_json::Value;
use support::Place;

/// An export of 100 records with personal data, and the key.
fn exported() -> Place {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..100));
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.ok("export --tenant acme --out acme.ndjson");
    let key = place.ok("keys show").out;
    let elsewhere = Place::new();
    elsewhere.file("vkey", key);
    for name in [
        "acme.ndjson",
        "acme.ndjson.checkpoint",
        "acme.ndjson.disclosures",
    ] {
        elsewhere.file(name, place.read(name));
    }
    elsewhere
}

/// The findings of verifying with the key: codes and first record numbers.
fn findings(place: &Place) -> Vec<(String, Option<u64>)> {
    let ran = place.run("verify acme.ndjson --key vkey --json");
    let report = &ran.json()[0];
    let found: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["finding"].as_str().unwrap().to_owned(),
                f["first"].as_u64(),
            )
        })
        .collect();
    assert_eq!(ran.code, i32::from(!found.is_empty()), "{}", ran.out);
    assert_eq!(
        report["integrity"],
        if found.is_empty() {
            "sound"
        } else {
            "not-sound"
        }
    );
    found
}

fn lines(place: &Place) -> Vec<String> {
    let text = String::from_utf8(place.read("acme.ndjson")).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn rewrite(place: &Place, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines = lines(place);
    change(&mut lines);
    place.file("acme.ndjson", lines.join("\n") + "\n");
}

fn one(code: &str, number: u64) -> Vec<(String, Option<u64>)> {
    vec![(code.to_owned(), Some(number))]
}

#[test]
fn whole_it_is_clean_and_a_leaf_is_checked_by_hand() {
    let place = exported();
    assert_eq!(findings(&place), []);
    let ran = place.ok("verify acme.ndjson --key vkey --json");
    let report: &Value = &ran.json()[0];
    assert_eq!(report["records_checked"], 101);
    assert_eq!(report["anchored"], true);
    let lines = lines(&place);
    let hash = indelible_merkle::leaf_hash(lines[41].as_bytes());
    assert!(lines[42].contains(&format!("\"previous_hash\":\"{hash}\"")));
}

#[test]
fn one_change_gives_one_finding() {
    for number in [1, 50, 99] {
        let place = exported();
        let at = usize::try_from(number).unwrap();
        rewrite(&place, |lines| {
            lines[at] = lines[at].replacen("2023-07-10", "2023-07-11", 1);
        });
        assert_eq!(findings(&place), one("content-mismatch", number));
    }
    // No record stands after the last one, so only the signed root shows that it was changed.
    let place = exported();
    rewrite(&place, |lines| {
        lines[100] = lines[100].replacen("2023-07-10", "2023-07-11", 1);
    });
    assert_eq!(findings(&place), one("root-mismatch", 0));
    let place = exported();
    rewrite(&place, |lines| drop(lines.remove(50)));
    assert_eq!(findings(&place), one("missing-record", 50));
    let place = exported();
    rewrite(&place, |lines| lines.swap(50, 51));
    assert_eq!(findings(&place), one("out-of-order", 50));
    let place = exported();
    rewrite(&place, |lines| lines.truncate(60));
    assert_eq!(findings(&place), one("truncated-tail", 60));
}

#[test]
fn disclosures_that_are_changed_or_missing_are_found() {
    let place = exported();
    let disclosures = String::from_utf8(place.read("acme.ndjson.disclosures")).unwrap();
    assert!(disclosures.contains("198.51.100.7"));
    place.file(
        "acme.ndjson.disclosures",
        disclosures.replacen("198.51.100.7\"", "198.51.100.8\"", 1),
    );
    assert_eq!(findings(&place), one("sealed-value-mismatch", 8));
    let without: Vec<_> = disclosures.lines().skip(1).collect();
    place.file("acme.ndjson.disclosures", without.join("\n") + "\n");
    assert_eq!(findings(&place), one("sealed-value-missing", 1));
    std::fs::remove_file(place.at("acme.ndjson.disclosures")).unwrap();
    assert_eq!(
        findings(&place),
        [],
        "without disclosures the values are simply not checked"
    );
    let ran = place.ok("verify acme.ndjson --key vkey");
    assert!(
        ran.out.contains("not checked   sealed values"),
        "{}",
        ran.out
    );
}

#[test]
fn a_forged_checkpoint_and_another_ledgers_are_told_apart() {
    let place = exported();
    let other = exported();
    let own = String::from_utf8(place.read("acme.ndjson.checkpoint")).unwrap();
    let mut lines: Vec<_> = own.lines().map(str::to_owned).collect();
    lines[1] = "102".to_owned();
    place.file("acme.ndjson.checkpoint", lines.join("\n") + "\n");
    assert_eq!(findings(&place), [("bad-signature".to_owned(), None)]);
    place.file("acme.ndjson.checkpoint", &own);
    place.file("vkey", other.read("vkey"));
    assert_eq!(findings(&place), [("unknown-checkpoint".to_owned(), None)]);
}

#[test]
fn a_rewritten_log_contradicts_the_checkpoint_somebody_kept() {
    let place = exported();
    // Another ledger's log of the same tenant, complete and consistent in itself.
    let other = exported();
    other.file("kept.checkpoint", place.read("acme.ndjson.checkpoint"));
    let ran = other.ends(1, "verify acme.ndjson --checkpoint kept.checkpoint --json");
    let report = &ran.json()[0];
    // Its own key cannot vouch for a checkpoint of another origin: nothing is anchored by it.
    assert_eq!(report["anchored"], false, "{}", ran.out);
    let findings = &report["findings"];
    assert_eq!(findings[0]["finding"], "unknown-checkpoint", "{}", ran.out);
    assert_eq!(findings.as_array().unwrap().len(), 1);
    assert_eq!(other.run("verify acme.ndjson --require-anchor").code, 1);
}

#[test]
fn joined_records_are_readable_and_part_files_never_stay() {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..10));
    place.ok("import --format cloudtrail a.json --tenant acme");
    let joined = place.ok("export --tenant acme --joined");
    let first: Value = serde_json::from_str(joined.out.lines().nth(1).unwrap()).unwrap();
    assert_eq!(first["event"]["actor"]["name"], "ada");
    place.ok("export --tenant acme --out x.ndjson");
    let refused = place.ends(3, "export --tenant acme --out x.ndjson");
    assert!(refused.err.contains("--force"), "{}", refused.err);
    place.ok("export --tenant acme --out x.ndjson --force");
    place.ends(3, "export --tenant nobody --out y.ndjson");
    let names: Vec<_> = support::files_below(&place.at(""))
        .into_iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| name.contains("ndjson"))
        .collect();
    assert_eq!(
        names,
        ["x.ndjson", "x.ndjson.checkpoint", "x.ndjson.disclosures"]
    );
}

#[test]
fn a_dash_is_standard_output() {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..10));
    place.ok("import --format cloudtrail a.json --tenant acme");
    let plain = place.ok("export --tenant acme");
    let dashed = place.ok("export --tenant acme --out -");
    assert_eq!((&dashed.out, &dashed.err), (&plain.out, &plain.err));
    let dashed = place.ok("export --tenant acme --out - --json");
    assert_eq!(dashed.out, plain.out);
    let told: Value = serde_json::from_str(&dashed.err).unwrap();
    assert_eq!(told["records"], plain.out.lines().count());
    let proof = place.ok("prove 1 --tenant acme");
    assert_eq!(place.ok("prove 1 --tenant acme --out -").out, proof.out);
    assert!(!place.at("-").exists());
}

#[test]
fn without_keys_values_stay_sealed_and_verify_works() {
    let place = Place::new();
    place.file("a.json", support::cloudtrail_file(0..10));
    place.ok("import --format cloudtrail a.json --tenant acme");
    let ran = place.ok("export --tenant acme --out x.ndjson --keys elsewhere");
    assert!(ran.err.contains("stay sealed"), "{}", ran.err);
    // A file without them would say that they are gone.
    assert!(!place.at("x.ndjson.disclosures").exists());
    let elsewhere = place.ok("verify x.ndjson");
    assert!(
        elsewhere
            .out
            .contains("sealed values: there are no disclosures"),
        "{}",
        elsewhere.out
    );
    let query = place.ok("query actor:ada --keys elsewhere");
    assert!(
        query.err.contains("the master key is not here"),
        "{}",
        query.err
    );
    assert!(
        query.out.contains("ada"),
        "the arn's last segment still finds: {}",
        query.out
    );
    let verified = place.ok("verify --keys elsewhere");
    assert!(
        verified.out.contains("consistent, not anchored"),
        "{}",
        verified.out
    );
    assert!(
        verified.out.contains("the master key is not here"),
        "{}",
        verified.out
    );
    let emit = "emit --actor user:x --action a.b --outcome success --keys elsewhere";
    assert!(
        place.ends(3, emit).err.contains("signing key"),
        "a writer needs its keys"
    );
}

const FILES: [&str; 3] = [
    "acme.ndjson",
    "acme.ndjson.disclosures",
    "acme.ndjson.checkpoint",
];

/// One act of tampering with a file of lines, and its name.
fn tamper(whole: &[u8], act: usize, dice: &mut indelible_testing::Dice) -> (Vec<u8>, String) {
    let mut bytes = whole.to_vec();
    let mut lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let (a, b) = (dice.place(lines.len()), dice.place(lines.len()));
    let name = match act {
        0 => {
            let (at, bit) = (dice.place(bytes.len()), dice.place(8));
            bytes[at] ^= 1 << bit;
            return (bytes, format!("bit {bit} of byte {at} flipped"));
        }
        1 => {
            bytes.truncate(dice.place(bytes.len()));
            let name = format!("cut at byte {}", bytes.len());
            return (bytes, name);
        }
        2 => return (Vec::new(), "emptied".to_owned()),
        3 => {
            let text = String::from_utf8(bytes).unwrap();
            let text = text.replace('\n', "\r\n");
            return (text.into_bytes(), "line endings".to_owned());
        }
        4 => {
            lines.swap(a, b);
            format!("lines {a} and {b} swapped")
        }
        5 => {
            lines.remove(a);
            format!("line {a} removed")
        }
        6 => {
            lines.insert(b, lines[a]);
            format!("line {a} again at {b}")
        }
        _ => {
            lines.insert(a, b"\n");
            format!("blank line at {a}")
        }
    };
    (lines.concat(), name)
}

/// One random act on one of the three files: one finding, never none and never its consequences.
#[test]
fn one_act_of_tampering_with_a_file_is_one_finding() {
    let place = exported();
    let whole = FILES.map(|name| place.read(name));
    let seed = 0x1DE1_1B1E;
    let rounds = indelible_testing::rounds("INDELIBLE_EXPORT_ROUNDS", 12, 500);
    let mut dice = indelible_testing::Dice::of(seed);
    assert_eq!(findings(&place), []);
    for round in 0..rounds {
        for (name, whole) in FILES.iter().zip(&whole) {
            for act in 0..8 {
                let (changed, what) = tamper(whole, act, &mut dice);
                place.file(name, &changed);
                let found = findings(&place);
                let expected = usize::from(changed != *whole);
                let why = format!("seed {seed}, round {round}, {name}: {what}");
                assert_eq!(found.len(), expected, "{why}: {found:?}");
            }
            place.file(name, whole);
        }
    }
    assert_eq!(findings(&place), []);
}

#[test]
fn the_finding_names_the_file_and_the_range() {
    let place = exported();
    let whole = FILES.map(|name| place.read(name));
    let [leaves, disclosures, checkpoint] = &whole;
    let crlf = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec())
            .unwrap()
            .replace('\n', "\r\n")
    };
    let cases = [
        (
            0,
            String::new(),
            "truncated-tail",
            Some((0, 100)),
            "101 records",
        ),
        (0, crlf(leaves), "corrupt", Some((0, 100)), "line endings"),
        (
            1,
            String::new(),
            "corrupt",
            Some((1, 100)),
            "no disclosures in the file",
        ),
        (
            1,
            "x\n".repeat(50),
            "corrupt",
            Some((1, 100)),
            "lines 1 to 50",
        ),
        (2, String::new(), "corrupt", None, "no checkpoint"),
        (2, crlf(checkpoint), "corrupt", None, "no checkpoint"),
    ];
    for (file, content, code, records, words) in cases {
        place.file(FILES[file], &content);
        let ran = place.ends(1, "verify acme.ndjson --key vkey --json");
        let findings = ran.json()[0]["findings"].as_array().unwrap().clone();
        assert_eq!(findings.len(), 1, "{}", ran.out);
        let finding = &findings[0];
        assert_eq!(finding["finding"], code, "{finding}");
        assert_eq!(finding["tenant_id"], "acme", "{finding}");
        let span = finding["first"].as_u64().zip(finding["last"].as_u64());
        assert_eq!(span, records, "{finding}");
        assert!(
            finding["message"].as_str().unwrap().contains(words),
            "{finding}"
        );
        if code == "corrupt" {
            assert_eq!(finding["file"], FILES[file], "{finding}");
        }
        place.file(FILES[file], &whole[file]);
    }
    // Cut where a record ends, the file of disclosures lacks what comes behind it.
    let half: Vec<_> = disclosures
        .split_inclusive(|byte| *byte == b'\n')
        .take(20)
        .collect();
    place.file(FILES[1], half.concat());
    assert_eq!(findings(&place)[0].0, "sealed-value-missing");
}

#[test]
fn a_pipe_is_verified_whole_and_a_dash_is_standard_input() {
    let place = exported();
    let whole = place.read("acme.ndjson");
    let cut = &whole[..whole.len() / 2];
    for given in [
        "",
        "--disclosures acme.ndjson.disclosures --checkpoint acme.ndjson.checkpoint",
    ] {
        for file in ["-", "/dev/stdin"] {
            let line = format!("verify {file} {given} --key vkey --json");
            let ran = place.run_with_input(&line, &whole);
            assert_eq!(ran.code, 0, "{line}: {}", ran.out);
            let report = &ran.json()[0];
            assert_eq!(report["records_checked"], 101, "{line}");
            assert_eq!(report["integrity"], "sound", "{line}");
            assert_eq!(report["anchored"], !given.is_empty(), "{line}");
            let checked = report["unchecked"].as_array().unwrap().is_empty();
            assert_eq!(checked, !given.is_empty(), "{line}");
            assert_eq!(place.run_with_input(&line, cut).code, 1, "{line}");
            // One line of what is looked at first is changed: it is judged, too.
            let altered = String::from_utf8(whole.clone()).unwrap();
            let altered = altered.replacen("2023-07-10", "2023-07-11", 1);
            let ran = place.run_with_input(&line, altered.as_bytes());
            let findings = &ran.json()[0]["findings"];
            assert_eq!(findings[0]["finding"], "content-mismatch", "{line}");
            assert_eq!(findings.as_array().unwrap().len(), 1, "{line}");
        }
    }
    let file = &place.run_with_input("verify - --json", &whole).json()[0]["file"];
    assert_eq!(file, "standard input");
    assert_eq!(place.run_with_input("verify -", b"{}\n").code, 3);
    assert_eq!(place.run_with_input("verify - -", &whole).code, 2);
}

#[test]
fn a_line_that_is_much_too_long_is_told_as_that() {
    let place = exported();
    let long = "x".repeat(5 << 20);
    rewrite(&place, |lines| lines[0] = long.clone());
    let ran = place.ends(1, "verify acme.ndjson");
    assert!(ran.out.contains("longer than a leaf can be"), "{}", ran.out);
    assert!(!ran.out.contains("1048576"), "{}", ran.out);
    assert_eq!(findings(&place), one("content-mismatch", 0));
    // What is kept of them to learn whose log it is has a bound.
    let longer = [long.as_str(); 9].join("\n") + "\n";
    let none = place.run_with_input("verify -", longer.as_bytes());
    assert_eq!(none.code, 3, "{}", none.err);
}

/// What is told of the anchor is true of a checkpoint that does not hold, or is another's; and one
/// record is one.
#[test]
fn a_checkpoint_that_anchors_nothing_is_not_said_to_be_missing() {
    let place = exported();
    rewrite(&place, |lines| lines.truncate(1));
    let out = place.ends(1, "verify acme.ndjson --key vkey").out;
    assert!(out.contains("truncated-tail"), "{out}");
    let anchor = "not anchored: no checkpoint that is here";
    assert!(out.contains(&format!("{anchor} holds")), "{out}");
    assert!(out.contains("1 record checked (number 0)"), "{out}");
    assert!(out.contains("head          1 record, root"), "{out}");
    let place = exported();
    place.file("vkey", exported().read("vkey"));
    let out = place.ends(1, "verify acme.ndjson --key vkey").out;
    assert!(out.contains("unknown-checkpoint"), "{out}");
    assert!(
        out.contains(&format!("{anchor} could be compared")),
        "{out}"
    );
    for name in ["vkey", "acme.ndjson.checkpoint", "acme.ndjson.disclosures"] {
        std::fs::remove_file(place.at(name)).unwrap();
    }
    let out = place.ok("verify acme.ndjson").out;
    assert!(out.contains("not anchored: no checkpoint\n"), "{out}");
}

/// A file of disclosures without a line, beside values that want some, would not verify.
#[test]
fn keys_that_open_nothing_make_no_file_of_disclosures() {
    let place = Place::new();
    place.ok("keys init");
    let store = place.at("indelible-data/keys/keys.redb");
    let older = std::fs::read(&store).unwrap();
    place.file("a.json", support::cloudtrail_file(0..9));
    place.ok("import --format cloudtrail a.json --tenant acme");
    place.ok("export --tenant acme --out x.ndjson");
    std::fs::write(&store, older).unwrap();
    let told = place.ok("export --tenant acme --out x.ndjson --force");
    let said = "no file of disclosures is written";
    assert!(told.err.contains(said), "{}", told.err);
    assert!(!place.at("x.ndjson.disclosures").exists());
    place.ok("verify x.ndjson");
    let told = place.ok("export --tenant acme --out y.ndjson");
    assert!(told.err.contains(said), "{}", told.err);
    assert!(!place.at("y.ndjson.disclosures").exists());
    let left = std::fs::read_dir(place.at(".")).unwrap();
    let unfinished = |name: &std::ffi::OsStr| name.to_string_lossy().contains("unfinished");
    assert!(!left.flatten().any(|entry| unfinished(&entry.file_name())));
}
