//! Ctrl-C and SIGTERM: what was done is whole and told, nothing half is left, the code is 130.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::Place;
use support::served::Serving;

/// Longer than anything here takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_mins(1);

fn start(command: &mut Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The exit code and what stands on standard error; the child must end by itself.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let since = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if since.elapsed() > PATIENCE => {
                child.kill().unwrap();
                panic!("it did not end");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut err = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut err).unwrap();
    (status.code(), err)
}

/// Reads to the end, slowly enough that a signal is heeded long before.
fn lines_read_slowly(reader: &mut impl Read) -> Vec<String> {
    let mut all = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        match reader.read(&mut chunk).unwrap() {
            0 => break,
            length => all.extend_from_slice(&chunk[..length]),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = String::from_utf8(all).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// An import from a pipe that stays open, of which `count` events are durable.
fn import_of(place: &Place, count: usize, more: &str) -> Child {
    let line = format!("import --format ndjson - --tenant acme --receipts - {more}");
    let mut child = start(&mut place.command(line.split_whitespace()));
    let stdin = child.stdin.as_mut().unwrap();
    let events = support::ndjson((0..count).map(support::event));
    stdin.write_all(events.as_bytes()).unwrap();
    stdin.flush().unwrap();
    let receipts = BufReader::new(child.stdout.as_mut().unwrap());
    let told = receipts.lines().take(count).map(Result::unwrap).count();
    assert_eq!(told, count);
    child
}

#[test]
fn a_cancelled_import_publishes_what_it_has_and_says_how_much() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let child = import_of(&place, 5, "");
        send(&child, signal);
        let (code, err) = ended(child);
        assert_eq!(code, Some(130), "{err}");
        assert!(
            err.contains("cancelled: 5 new, 0 already there so far"),
            "{err}"
        );
        // Published: a checkpoint covers all five, and the log's own first record.
        place.file("vkey", place.ok("keys show").out);
        place.ok("export --tenant acme --out x.ndjson");
        let verified = place.ok("verify x.ndjson --key vkey --require-anchor");
        assert!(
            verified.out.contains("6 records checked"),
            "{}",
            verified.out
        );
        place.file("all.ndjson", support::ndjson((0..8).map(support::event)));
        let again = place.ok("import --format ndjson all.ndjson --tenant acme");
        assert_eq!(again.out, "3 new, 5 already there\n");
    }
}

#[test]
fn a_cancelled_import_tells_programs_too() {
    let place = Place::new();
    place.ok("keys init");
    let mut command = place.command("import --format ndjson - --json".split_whitespace());
    let mut child = start(&mut command);
    let stdin = child.stdin.as_mut().unwrap();
    let events = support::ndjson((0..3).map(support::event));
    stdin.write_all(events.as_bytes()).unwrap();
    stdin.flush().unwrap();
    let since = Instant::now();
    while place
        .run("query --json --tenant default type:content.review")
        .out
        .lines()
        .count()
        < 3
    {
        assert!(since.elapsed() < PATIENCE);
    }
    send(&child, Signal::INT);
    let mut out = String::new();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_to_string(&mut out).unwrap();
    let (code, err) = ended(child);
    assert_eq!(code, Some(130), "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["cancelled"], true);
    assert_eq!(told["counts"]["new"], 3);
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Place::new();
    place.file(
        "many.ndjson",
        support::ndjson((0..3_000).map(support::event)),
    );
    let line = "import --format ndjson many.ndjson --tenant acme --receipts -";
    let child = start(&mut place.command(line.split_whitespace()));
    // Nobody reads the receipts, so it hangs when the pipe is full.
    let since = Instant::now();
    while place
        .run("query --json --tenant acme --limit 1")
        .out
        .is_empty()
    {
        assert!(since.elapsed() < PATIENCE);
    }
    // Two that are different: of two equal ones the second may be lost in the first.
    send(&child, Signal::INT);
    send(&child, Signal::TERM);
    let (code, err) = ended(child);
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("cancelled"), "{err}");
    assert!(!err.contains("so far"), "it had no time to count: {err}");
    place.ok("verify");
}

#[test]
fn a_cancelled_export_leaves_no_file() {
    let place = Place::new();
    place.file(
        "many.ndjson",
        support::ndjson((0..2_000).map(support::event)),
    );
    place.ok("import --format ndjson many.ndjson --tenant acme");
    // What is unfinished goes into a pipe that is read slowly, so that the export is under way.
    let pipe = place.at("x.ndjson.unfinished");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let line = "export --tenant acme --out x.ndjson";
    let child = start(&mut place.command(line.split_whitespace()));
    let mut reader = std::fs::File::open(&pipe).unwrap();
    let mut head = [0; 1_000];
    reader.read_exact(&mut head).unwrap();
    send(&child, Signal::INT);
    let lines = lines_read_slowly(&mut reader);
    let (code, err) = ended(child);
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("cancelled: nothing was written"), "{err}");
    assert!(lines.len() < 1_900, "it went on to the end");
    let left = support::files_below(&place.at(""));
    let left: Vec<_> = left
        .iter()
        .filter(|path| path.to_string_lossy().contains("x.ndjson"))
        .collect();
    assert_eq!(left, [&pipe; 0], "half files");
}

#[test]
fn a_cancelled_query_ends_with_a_whole_line() {
    let place = Place::new();
    place.file(
        "many.ndjson",
        support::ndjson((0..2_000).map(support::event)),
    );
    place.ok("import --format ndjson many.ndjson --tenant acme");
    let serving = Serving::start(&place, "");
    let line = "query --limit 0 --json";
    is_cancelled(&place, line);
    is_cancelled(&place, &format!("{line} --url http://{}", serving.address));
}

fn is_cancelled(place: &Place, line: &str) {
    let mut child = start(&mut place.command(line.split_whitespace()));
    let mut stdout = child.stdout.take().unwrap();
    let mut head = [0; 1_000];
    stdout.read_exact(&mut head).unwrap();
    send(&child, Signal::INT);
    let lines = lines_read_slowly(&mut stdout);
    let (code, err) = ended(child);
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("cancelled: the answer is not whole"), "{err}");
    let last = lines.last().unwrap();
    assert!(last.ends_with('}'), "{last}");
    serde_json::from_str::<serde_json::Value>(last).unwrap();
    assert!(lines.len() < 1_900, "it went on to the end");
}

#[test]
fn where_nothing_is_half_the_first_signal_ends_at_once() {
    let place = Place::new();
    place.ok("keys init");
    // Reading an export from a pipe that nobody writes to.
    let pipe = place.at("slow.ndjson");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let child = start(&mut place.command(["verify", "slow.ndjson"]));
    let writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    send(&child, Signal::TERM);
    let (code, err) = ended(child);
    assert_eq!((code, err.as_str()), (Some(130), "cancelled\n"));
    drop(writer);
}

/// Whoever reads the telemetry may pause, or be gone: requests and the end go on.
#[test]
fn telemetry_that_nobody_reads_holds_up_nothing() {
    for gone in [false, true] {
        let place = Place::new();
        let mut serving = Serving::start(&place, "");
        let errors = Some(serving.errors()).filter(|_| !gone);
        for n in 0..1_500 {
            let (status, _) = serving.get("/v1/records?limit=0");
            assert_eq!(status, 400, "request {n}");
        }
        assert_eq!(serving.get("/health/live").0, 200);
        assert_eq!(serving.signal("TERM"), Some(0));
        drop(errors);
    }
}

/// What is durable does not wait for the end of an import to be published.
#[test]
fn an_import_that_goes_on_publishes_meanwhile() {
    let place = Place::new();
    let mut command = place.command(["import", "--format", "ndjson", "--tenant", "acme", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines = support::ndjson((0..20).map(support::event));
    input.write_all(lines.as_bytes()).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let is_published = || {
        let listed = place.run("tenants list --json").json();
        let mut logs = listed.iter();
        logs.any(|log| log["tenant_id"] == "acme" && log["published"] == 21)
    };
    while !is_published() {
        assert!(Instant::now() < until, "nothing is published");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    drop(input);
    assert!(child.wait().unwrap().success());
}
