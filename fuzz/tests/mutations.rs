//! Every target over its seeds and some hundred mutations of them, so that none rots where nobody
//! runs libFuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use indelible_fuzz::{Mutator, TARGETS, Target, ledger_resealed};

const MUTATIONS: usize = 400;

fn target(name: &str) -> Target {
    let target = TARGETS.iter().find(|target| target.name == name);
    *target.expect("a target of that name")
}

/// Runs the target; of its seeds at least `taken` are to be what it reads, else it says little.
fn run(name: &str, taken: usize) {
    let target = target(name);
    let seeds = (target.seeds)();
    let right = seeds.iter().filter(|seed| (target.run)(seed)).count();
    assert!(right >= taken, "{right} of {} seeds", seeds.len());
    (target.run)(&[]);
    let mut mutator = Mutator::new(7);
    for _ in 0..MUTATIONS {
        (target.run)(&mutator.mutate(&seeds));
    }
}

#[test]
fn checkpoints() {
    run("checkpoint", 8);
}

#[test]
fn disclosures() {
    run("disclosure", 2);
}

#[test]
fn events() {
    run("event", 80);
}

#[test]
fn leaves() {
    run("leaf", 20);
}

#[test]
fn ledgers() {
    run("ledger", 4);
}

#[test]
fn ledgers_with_checksums_that_fit() {
    run("ledger_resealed", 4);
}

#[test]
fn ledgers_with_sizes_that_cannot_be() {
    let inputs = ledger_resealed::largest(7);
    assert!(inputs.len() > 1_000, "{}", inputs.len());
    for input in inputs {
        ledger_resealed::run(&input);
    }
}

#[test]
fn queries() {
    run("query", 40);
}

#[test]
fn receipts() {
    run("receipt", 10);
}

#[test]
fn every_target_has_its_binary_for_libfuzzer() {
    let names: BTreeSet<_> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets");
    let files = fs::read_dir(directory).expect("the directory of targets");
    let files: BTreeSet<_> = files
        .filter_map(|file| Some(file.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(files, names);
}
