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
