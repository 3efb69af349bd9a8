//! A small run of the benchmark of the server: every part starts, checks its own answers and ends
//! with its figures. How large they are is nobody's business here.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Command;

use serde_json::Value;

#[test]
fn a_small_run_has_every_figure_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_serve"))
        .args(["--events", "3000", "--records", "3000", "--seconds", "1"])
        .args(["--tails", "60"])
        .args(["--profile", "dev", "--json", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{told}");
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let figures = report["figures"].as_array().unwrap();
    let value = |part: &str, name: &str| {
        let figure = figures
            .iter()
            .find(|f| f["part"] == part && f["name"] == name);
        figure.and_then(|f| f["value"].as_f64()).unwrap_or_default()
    };
    for part in ["batches", "batches, four personal fields"] {
        for packing in ["lines", "zstd"] {
            for name in ["acknowledged", "server's CPU", "receipt p99, half load"] {
                let name = format!("{packing}: {name}");
                assert!(value(part, &name) > 0.0, "{part}: {name}");
            }
        }
        assert!(value(part, "floor, read and thrown away") > 0.0, "{part}");
        assert!(value(part, "in process") > 0.0, "{part}");
    }
    for (part, name) in [
        ("memory, 10,000 tenants", "lines: peak memory of the server"),
        ("single events", "receipts"),
        ("single events", "floor, syncs of the disk"),
        ("tails beside writing", "of the rate alone"),
        ("tails beside writing", "alone"),
        ("search while writing", "search p99"),
        ("search while writing", "write p95"),
    ] {
        assert!(value(part, name) > 0.0, "{part}: {name}");
    }
    let targets = figures.iter().filter(|f| !f["target"].is_null());
    // Two packings of two kinds of events with four each, memory, single events, tails, search,
    // writes.
    assert_eq!(targets.count(), 2 * 2 * 4 + 5);
    let notes = report["notes"].to_string();
    assert!(!notes.contains("found nothing") || notes.contains(" 0 of them found nothing"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_run_that_cannot_start_its_server_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_serve"))
        .args(["--only", "batches", "--server", "/no/such/program", "--dir"])
        .arg(dir.path())
        .args(["--events", "1000"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(3));
    assert!(!run.stderr.is_empty());
}
