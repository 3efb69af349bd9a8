//! A writer at work: readers beside it, and what a second writer is told.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use support::Place;

#[test]
fn readers_work_beside_a_writer_and_a_second_writer_is_told_who_it_is() {
    let place = Place::new();
    place.file("first.ndjson", support::ndjson((0..20).map(support::event)));
    place.ok("import --format ndjson first.ndjson --tenant acme");
    let line = "import --format ndjson - --tenant acme --receipts -";
    let mut command = place.command(line.split_whitespace());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut writer = command.spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    let mut receipts = BufReader::new(writer.stdout.take().unwrap()).lines();
    for n in 20..30 {
        // Each event is committed though more may come: a receipt is not kept waiting for others.
        input
            .write_all(support::ndjson([support::event(n)]).as_bytes())
            .unwrap();
        let receipt = receipts.next().unwrap().unwrap();
        assert!(
            receipt.contains(&format!("\"sequence_number\":{}", n + 1)),
            "{receipt}"
        );
        if n % 4 == 0 {
            let rows = place
                .ok("query --json --limit 0 type:content.review")
                .json();
            assert_eq!(rows.len(), n + 1, "what is committed is found");
        }
    }
    place.ok("verify");
    place.ok("tenants list");
    let refused = place.ends(3, "emit --actor user:x --action a.b --outcome success");
    let process = format!("process {}", writer.id());
    assert!(refused.err.contains(&process), "{process}: {}", refused.err);
    assert!(refused.err.contains("import"), "{}", refused.err);
    drop(input);
    assert!(writer.wait().unwrap().success());
    place.ok("emit --actor user:x --action a.b --outcome success");
}

#[test]
fn checks_beside_a_writer_that_publishes_find_nothing() {
    const IMPORTS: usize = 6;
    const EVENTS: usize = 1_000;
    let place = Place::new();
    for n in 0..IMPORTS {
        let events = (n * EVENTS..(n + 1) * EVENTS).map(support::event);
        place.file(&format!("{n}.ndjson"), support::ndjson(events));
    }
    let import = |n| {
        place.ok(&format!("import --format ndjson {n}.ndjson --tenant acme"));
    };
    import(0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..IMPORTS).for_each(import));
        while !writer.is_finished() {
            // Records that were published before they were read would be called cut off.
            place.ok("verify");
            place.ok("fsck");
            place.ok("export --tenant acme --out x.ndjson --force");
        }
    });
}

#[test]
fn what_is_left_of_a_ledger_is_not_written_over() {
    let place = Place::new();
    place.file("e.ndjson", support::ndjson((0..20).map(support::event)));
    place.ok("import --format ndjson e.ndjson --tenant acme");
    let format = place.at("indelible-data/FORMAT");
    let kept = std::fs::read(&format).unwrap();
    std::fs::remove_file(&format).unwrap();
    let keys = support::files_below(&place.at("home"));
    let emit = place.ends(3, "emit --actor user:x --action a.b --outcome success");
    assert!(emit.err.contains("no FORMAT"), "{}", emit.err);
    assert!(!format.exists());
    assert_eq!(support::files_below(&place.at("home")), keys);
    std::fs::write(&format, kept).unwrap();
    place.ok("verify");
}
