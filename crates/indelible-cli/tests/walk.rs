//! The walk of a newcomer: import, query, verify, export, verify elsewhere, emit.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;

use support::{Place, cloudtrail_file, files_below};

#[test]
fn everything_a_newcomer_does() {
    let place = Place::new();
    place.file("logs/a.json", cloudtrail_file(0..1200));
    place.file("logs/deep/b.json", cloudtrail_file(1200..1500));
    place.file("logs/README", "not a log");
    walk(&place, Path::new("logs"), 1500);
}

#[test]
fn everything_a_newcomer_does_with_real_data() {
    let test = "walk::everything_a_newcomer_does_with_real_data";
    let Some(data) = indelible_testing::real_data(test, "cloudtrail") else {
        return;
    };
    let data = data.canonicalize().unwrap();
    walk(&Place::new(), &data, 2900);
}

fn walk(place: &Place, logs: &Path, count: u64) {
    let import = format!(
        "import --format cloudtrail {} --tenant acme --data ./d",
        logs.display()
    );
    let ran = place.ok(&import);
    assert_eq!(ran.out, format!("{count} new, 0 already there\n"));
    assert!(ran.err.contains("passed over: "), "{}", ran.err);
    assert_eq!(
        place.ok(&import).out,
        format!("0 new, {count} already there\n")
    );
    find(place);
    let verified = place.ok("verify --data ./d").out;
    assert!(
        verified.contains(&format!("sound: {} records checked", count + 1)),
        "{verified}"
    );
    assert!(
        verified.contains("anchored: a checkpoint by the trusted key"),
        "{verified}"
    );
    assert!(
        verified.contains("registry: sound\nfiles: sound\n"),
        "{verified}"
    );
    let elsewhere = export(place);
    emit(place, &elsewhere, count + 1);
}

fn find(place: &Place) {
    const QUERY: &str = "actor:bert-jan outcome:failure";
    let found = place.run_args(["query", "--data", "./d", "--json", "--limit", "0", QUERY]);
    assert_eq!(found.code, 0, "{}", found.err);
    let rows = found.json();
    assert!(!rows.is_empty());
    for row in &rows {
        let event = &row["record"]["event"];
        assert_eq!(
            event["actor"]["name"], "bert-jan",
            "values are back in their places"
        );
        assert_eq!(event["outcome"], "failure");
        let leaf = row["leaf"].as_str().unwrap();
        assert!(
            !leaf.contains("\"name\":\"bert-jan\""),
            "and not in the leaf"
        );
    }
    let table = place.run_args(["query", "--data", "./d", QUERY]);
    assert!(table.out.starts_with("TIME"), "{}", table.out);
}

/// Exports, and verifies elsewhere with nothing else, then with the key.
fn export(place: &Place) -> Place {
    place.ok("export --data ./d --tenant acme --out acme.ndjson");
    let key = place.ok("keys show --data ./d").out;
    let elsewhere = Place::new();
    for name in [
        "acme.ndjson",
        "acme.ndjson.checkpoint",
        "acme.ndjson.disclosures",
    ] {
        elsewhere.file(name, place.read(name));
    }
    let verified = elsewhere.ok("verify acme.ndjson").out;
    assert!(verified.contains("consistent, not anchored"), "{verified}");
    elsewhere.ends(1, "verify acme.ndjson --require-anchor");
    elsewhere.file("vkey", key);
    elsewhere.ok("verify acme.ndjson --require-anchor --key vkey");
    let home = files_below(&elsewhere.at("home"));
    assert_eq!(home.len(), 0, "nothing was needed or left there");
    elsewhere
}

fn emit(place: &Place, elsewhere: &Place, number: u64) {
    let emit = "emit --data ./d --tenant acme --action content.publish --actor agent:publisher \
                --target post:456 --outcome success --json";
    let receipt = place.ok(emit).json().pop().unwrap();
    assert_eq!(receipt["sequence_number"], number);
    let id = receipt["audit_id"].as_str().unwrap();
    place.ok(&format!("prove {id} --data ./d --out p.json"));
    elsewhere.file("p.json", place.read("p.json"));
    let proved = elsewhere.ok("verify --proof p.json --key vkey").out;
    assert!(
        proved.contains(&format!("record {number} of log ")),
        "{proved}"
    );
    let found = place.ok(&format!("query --data ./d id:{id} --json")).json();
    assert_eq!(found.len(), 1);
}

#[test]
fn packed_files_standard_input_and_shapes() {
    use std::io::Write;
    let place = Place::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(cloudtrail_file(0..10).as_bytes()).unwrap();
    place.file("a.json.gz", packed.finish().unwrap());
    assert_eq!(
        place.ok("import --format cloudtrail a.json.gz").out,
        "10 new, 0 already there\n"
    );
    let lines = support::ndjson((5..15).map(support::cloudtrail_record));
    let ran = place.run_with_input("import --format cloudtrail -", lines.as_bytes());
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "5 new, 5 already there\n"),
        "{}",
        ran.err
    );
    let single = support::cloudtrail_record(15).to_string();
    let ran = place.run_with_input("import --format cloudtrail -", single.as_bytes());
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "1 new, 0 already there\n")
    );
    assert_eq!(
        place
            .ok("query --limit 0 --json tenant:default")
            .json()
            .len(),
        17
    );
}

#[test]
fn what_cannot_be_mapped_is_kept_whole_and_named() {
    let place = Place::new();
    let mut broken = support::cloudtrail_record(1);
    broken.as_object_mut().unwrap().remove("eventName");
    let records = serde_json::json!({"Records": [support::cloudtrail_record(0), broken, 7]});
    place.file("a.json", records.to_string());
    let ran = place.ok("import --format cloudtrail a.json");
    assert_eq!(ran.out, "3 new, 0 already there, 2 unmapped, kept whole\n");
    assert!(ran.err.contains("a.json: record 2, line 1"), "{}", ran.err);
    assert!(ran.err.contains("there is no eventName"), "{}", ran.err);
    let kept = place
        .ok("query --json type:import.unmapped --order seq --oldest-first")
        .json();
    assert_eq!(kept[0]["record"]["event"]["raw"], broken);
    assert_eq!(kept[1]["record"]["event"]["raw"], 7);
    // What has no time of its own occurred when it was imported first.
    let (event, ledger) = (&kept[1]["record"]["event"], &kept[1]["record"]);
    let (occurred, ingested) = (
        event["occurred_at"].as_str(),
        ledger["ingested_at"].as_str(),
    );
    assert!(occurred > Some("2020") && occurred <= ingested, "{ledger}");
    for row in &kept {
        assert_eq!(
            row["record"]["ledger"]["flags"]
                .as_array()
                .unwrap()
                .last()
                .unwrap(),
            "lenient"
        );
        assert!(
            !row["leaf"].as_str().unwrap().contains("\"raw\""),
            "the record is sealed"
        );
    }
    let again = place.ends(1, "import --format cloudtrail a.json --strict");
    assert_eq!(
        again.out,
        "0 new, 3 already there, 2 unmapped, kept whole\n"
    );
    place.ok("verify");
}

#[test]
fn receipts_come_in_order_and_stand_for_records() {
    let place = Place::new();
    let lines = support::ndjson((0..2500).map(support::event));
    let ran = place.run_with_input("import --format ndjson - --receipts -", lines.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let receipts = ran.json();
    assert_eq!(receipts.len(), 2500);
    for (n, receipt) in receipts.iter().enumerate() {
        assert_eq!(receipt["sequence_number"], n + 1);
        assert_eq!(receipt["audit_id"], support::event(n)["audit_id"]);
    }
    place.file("events.ndjson", lines);
    let again = place.ok("import --format ndjson events.ndjson --receipts r.ndjson");
    assert_eq!(again.out, "0 new, 2500 already there\n");
    assert_eq!(
        String::from_utf8(place.read("r.ndjson")).unwrap(),
        ran.out,
        "the same for ever"
    );
}

#[test]
fn a_page_goes_on_where_the_one_before_ended() {
    let place = Place::new();
    place.file("e.ndjson", support::ndjson((0..250).map(support::event)));
    place.ok("import --format ndjson e.ndjson");
    let all = place
        .ok("query --json --limit 0 type:content.review")
        .json();
    assert_eq!(all.len(), 250);
    let mut paged = Vec::new();
    let mut line = "query --json --limit 60 type:content.review".to_owned();
    for _ in 0..10 {
        let page = place.ok(&line);
        paged.extend(page.json());
        let Some((_, cursor)) = page.err.split_once("--after ") else {
            break;
        };
        line = format!(
            "query --json --limit 60 type:content.review --after {}",
            cursor.trim()
        );
    }
    assert_eq!(paged, all);
    let (_, cursor) = line.rsplit_once(' ').unwrap();
    let foreign = place.ends(2, &format!("query outcome:denied --after {cursor}"));
    assert!(foreign.err.contains("another query"), "{}", foreign.err);
}
