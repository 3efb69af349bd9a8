//! A restored backup: writing stops, reading goes on, and recovery says what is missing.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use support::Place;

const EMIT: &str = "emit --tenant acme --actor user:x --action a.b --outcome success";

/// A ledger whose data directory was put back to where it was 20 records before.
fn rolled_back() -> Place {
    let place = Place::new();
    place.file("a.ndjson", support::ndjson((0..30).map(support::event)));
    place.file("b.ndjson", support::ndjson((30..50).map(support::event)));
    place.ok("import --format ndjson a.ndjson --tenant acme");
    support::copy_dir(&place.at("indelible-data"), &place.at("backup"));
    place.ok("import --format ndjson b.ndjson --tenant acme");
    place.ok("export --tenant acme --out before.ndjson");
    place.file("vkey", place.ok("keys show").out);
    place.file("registry.checkpoint", signed_last(&place));
    std::fs::remove_dir_all(place.at("indelible-data")).unwrap();
    support::copy_dir(&place.at("backup"), &place.at("indelible-data"));
    place
}

/// What the signer keeps: its last checkpoint of the registry.
fn signed_last(place: &Place) -> Vec<u8> {
    let files = support::files_below(&place.at("home"));
    let kept = files
        .iter()
        .find(|path| path.ends_with("signer.checkpoint"));
    std::fs::read(kept.unwrap()).unwrap()
}

#[test]
fn nothing_is_written_to_it_and_reading_goes_on() {
    let place = rolled_back();
    let refused = place.ends(3, EMIT);
    assert!(refused.err.contains("rolled-back"), "{}", refused.err);
    assert!(refused.err.contains("indelible recover"), "{}", refused.err);
    let verified = place.ends(1, "verify");
    assert!(verified.out.contains("rolled-back"), "{}", verified.out);
    assert_eq!(
        place
            .ok("query --json --limit 0 type:content.review")
            .json()
            .len(),
        30
    );
    // The newer state brought back, everything goes on.
    let told = place.ends(1, "recover");
    assert!(told.out.contains("rolled-back"), "{}", told.out);
    let told = place.ends(1, "recover --json").json();
    assert_eq!(told.len(), 1, "one document");
    assert_eq!(told[0]["recovered"], false);
    assert_eq!(told[0]["findings"][0]["finding"], "rolled-back");
    place.ends(3, EMIT);
}

#[test]
fn recovery_starts_an_incarnation_that_says_what_is_missing() {
    let place = rolled_back();
    let told = place.ok("recover --yes --json").json();
    assert_eq!(told.len(), 1, "one document");
    assert_eq!(told[0]["recovered"], true);
    assert_eq!(told[0]["incarnation"], 2);
    assert_eq!(told[0]["findings"][0]["finding"], "rolled-back");
    place.ok(EMIT);
    let said = place
        .ok("query --json type:log.recovered --tenant _system")
        .json();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0]["record"]["event"]["data"]["incarnation"], 2);
    assert_eq!(said[0]["record"]["ledger"]["incarnation"], 2);
    place.ok("verify");
    let again = place.ok("recover");
    assert!(
        again.err.contains("nothing to recover from"),
        "{}",
        again.err
    );
    // What was exported before still verifies with the key of before, and the new log does not
    // pass for its continuation.
    place.ok("verify before.ndjson --key vkey --require-anchor");
    place.ok("export --tenant acme --out after.ndjson");
    place.file("vkey2", place.ok("keys show").out);
    place.ok("verify after.ndjson --key vkey2 --require-anchor");
    let kept = "verify after.ndjson --key vkey --checkpoint before.ndjson.checkpoint --json";
    let ran = place.ends(1, kept);
    assert!(
        ran.out.contains("\"finding\":\"rolled-back\""),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("declared loss"), "{}", ran.out);
}

#[test]
fn every_verifier_tells_the_recovery() {
    let place = rolled_back();
    place.ok("recover --yes");
    place.ok(EMIT);
    place.ok("export --tenant acme --out after.ndjson");
    for line in ["verify", "verify after.ndjson"] {
        let told = place.ok(line);
        assert!(told.out.contains("incarnation   2"), "{}", told.out);
        assert!(told.out.contains("declared loss"), "{}", told.out);
        let told = place.ok(&format!("{line} --json")).json();
        let of_acme = told.iter().find(|log| log["tenant_id"] == "acme").unwrap();
        assert_eq!(of_acme["incarnation"], 2);
        assert_eq!(of_acme["recoveries"][0]["incarnation"], 2);
        assert_eq!(of_acme["recoveries"][0]["record"], 31);
    }
    let told = place.ok("fsck");
    assert!(told.out.contains("incarnation 2"), "{}", told.out);
    let told = place.ok("fsck --json").json();
    assert_eq!(told.last().unwrap()["incarnation"], 2);
    // An export of before says nothing of it, being whole.
    let told = place.ok("verify before.ndjson --json").json();
    assert_eq!(told[0]["incarnation"], 1);
    assert_eq!(told[0]["recoveries"], serde_json::json!([]));
}

#[test]
fn a_checkpoint_of_before_is_held_against_what_is_left() {
    let place = rolled_back();
    place.ok("recover --yes");
    place.ok(EMIT);
    // Of the tenant's log, of the registry, and either by the key of before.
    for (kept, says) in [
        ("before.ndjson.checkpoint", "declared loss"),
        ("registry.checkpoint", "each log declares its loss"),
    ] {
        for key in ["", " --key vkey"] {
            let told = place.ends(1, &format!("verify --checkpoint {kept}{key}"));
            assert!(told.out.contains("rolled-back"), "{}", told.out);
            assert!(told.out.contains(says), "{}", told.out);
        }
    }
    // What nothing here is compared with is not passed over.
    let told = place.ends(
        1,
        "verify --tenant _system --checkpoint before.ndjson.checkpoint",
    );
    assert!(told.out.contains("unknown-checkpoint"), "{}", told.out);
    // A checkpoint of now is fine.
    place.ok("export --tenant acme --out after.ndjson");
    place.ok("verify --checkpoint after.ndjson.checkpoint");
    place.file("now.checkpoint", signed_last(&place));
    place.ok("verify --checkpoint now.checkpoint");
}

#[test]
fn a_second_recovery_is_told_beside_the_first() {
    let place = rolled_back();
    place.ok("recover --yes");
    support::copy_dir(&place.at("indelible-data"), &place.at("backup2"));
    place.ok(EMIT);
    place.ok("export --tenant acme --out second.ndjson");
    std::fs::remove_dir_all(place.at("indelible-data")).unwrap();
    support::copy_dir(&place.at("backup2"), &place.at("indelible-data"));
    place.ok("recover --yes");
    place.ok(EMIT);
    let told = place.ok("verify --tenant acme --json").json();
    assert_eq!(told[0]["incarnation"], 3);
    assert_eq!(told[0]["recoveries"].as_array().unwrap().len(), 2);
    for kept in ["before.ndjson.checkpoint", "second.ndjson.checkpoint"] {
        let told = place.ends(1, &format!("verify --checkpoint {kept}"));
        assert!(told.out.contains("rolled-back"), "{}", told.out);
    }
}

#[test]
fn a_ledger_that_is_whole_needs_no_recovery() {
    let place = Place::new();
    place.ok(EMIT);
    let ran = place.ok("recover --yes");
    assert!(ran.err.contains("nothing to recover from"), "{}", ran.err);
    assert_eq!(place.ok("query --json type:log.recovered").json().len(), 0);
}

/// The records are all there, and what was published of them went back.
#[test]
fn an_older_state_store_beside_a_newer_signer_is_told() {
    let place = Place::new();
    place.file("a.ndjson", support::ndjson((0..15).map(support::event)));
    place.file("b.ndjson", support::ndjson((15..40).map(support::event)));
    place.ok("import --format ndjson a.ndjson --tenant acme");
    let state = place.at("indelible-data/state.redb");
    let older = std::fs::read(&state).unwrap();
    place.ok("import --format ndjson b.ndjson --tenant acme");
    let lines = [
        "export --tenant acme --out x.ndjson",
        "prove 7 --tenant acme",
    ];
    let unwarned = |err: &str| assert!(!err.contains("signed"), "{err}");
    for line in lines.into_iter().chain(["tenants list"]) {
        unwarned(&place.ok(line).err);
    }
    std::fs::write(&state, older).unwrap();
    let exported = place.ends(1, "export --tenant acme --out x.ndjson --force");
    let proved = place.ends(1, "prove 7 --tenant acme --out p.json");
    let listed = place.ok("tenants list");
    let unproved = place.ends(3, "prove 39 --tenant acme");
    for ran in [&exported, &proved, &listed, &unproved] {
        assert!(ran.err.contains("rolled-back"), "{}", ran.err);
        assert!(ran.err.contains("snapshots were signed"), "{}", ran.err);
    }
    place.file("vkey", place.ok("keys show").out);
    place.ok("verify --proof p.json --key vkey");
    // Where the signer's memory is not, there is nothing to compare with.
    unwarned(&place.ok("tenants list --keys elsewhere").err);
}

#[test]
fn without_what_the_signer_has_nobody_is_told_that_nothing_is_lost() {
    let place = rolled_back();
    let files = support::files_below(&place.at("home"));
    for name in ["signing.key", "signer.checkpoint"] {
        let file = files.iter().find(|path| path.ends_with(name)).unwrap();
        std::fs::remove_file(file).unwrap();
    }
    let told = place.run("recover");
    assert_eq!(told.code, 3, "{}{}", told.out, told.err);
    assert!(!told.err.contains("nothing to recover"), "{}", told.err);
}
