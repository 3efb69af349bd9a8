//! A small run of the benchmark of PostgreSQL: every part starts, checks its own answers and ends
//! with its figures. How large they are is nobody's business here.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn a_small_run_has_every_figure_and_leaves_nothing_behind() {
    if !Path::new("/usr/lib/postgresql").exists() {
        indelible_testing::declare_skipped("bench_postgres", "no PostgreSQL on this machine");
        return;
    }
    // Where the user that PostgreSQL runs as comes to.
    let dir = tempfile::tempdir().unwrap();
    let mut open = Command::new("chmod");
    assert!(open.arg("711").arg(dir.path()).status().unwrap().success());
    let run = Command::new(env!("CARGO_BIN_EXE_postgres"))
        .args(["--events", "5000", "--singles", "500", "--records", "5000"])
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
    for part in ["append, 200 tenants", "append, one tenant"] {
        for name in [
            "acknowledged",
            "our CPU",
            "PostgreSQL's CPU",
            "receipt p99, full load",
            "on disk",
            "floor, bare COPY",
            "of a bare COPY",
            "embedded ledger",
        ] {
            assert!(value(part, name) > 0.0, "{part}: {name}");
        }
    }
    for (part, name) in [
        ("single events", "receipts"),
        ("single events", "receipt p99"),
        ("single events", "PostgreSQL's CPU"),
        ("single events", "embedded ledger, receipts"),
        ("search", "index alone, p99"),
        ("search", "page with bodies, p50"),
    ] {
        assert!(value(part, name) > 0.0, "{part}: {name}");
    }
    let targets = figures.iter().filter(|f| !f["target"].is_null());
    assert_eq!(targets.count(), 2);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
