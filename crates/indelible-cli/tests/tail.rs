//! `indelible tail`: everything once, of a server that is killed meanwhile and beside a writer.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::served::{Serving, send_signal};
use support::{Place, event, ndjson};

const PATIENCE: Duration = Duration::from_mins(1);

/// A tail that runs; killed when dropped.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    fn start(place: &Place, args: &[&str]) -> Self {
        let mut child = place
            .command([&["tail"], args].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap()
    }

    /// The next number of a log, from JSON.
    fn number(&self) -> u64 {
        let line: Value = serde_json::from_str(&self.line()).unwrap();
        line["record"]["sequence_number"].as_u64().unwrap()
    }

    fn numbers(&self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.number()).collect()
    }

    /// Its exit code and what it said on standard error.
    fn ended(&mut self) -> (Option<i32>, String) {
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut said = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    /// Ends it by Ctrl-C; where it says to go on.
    fn cancelled(&mut self) -> String {
        send_signal(&self.child, "INT");
        let (code, said) = self.ended();
        assert_eq!(code, Some(130), "{said}");
        let (_, cursor) = said.split_once("--after ").unwrap();
        cursor.trim().to_owned()
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn post(serving: &Serving, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let body = event(n).to_string();
        let (status, answer) = serving
            .send("POST", "/v1/events?tenant=acme", &[], &body)
            .unwrap();
        assert_eq!(status, 201, "{answer}");
    }
}

/// A log of five records, and who serves it.
fn served() -> (Place, Serving) {
    let place = Place::new();
    place.file("some.ndjson", ndjson((0..4).map(event)));
    place.ok("import --format ndjson some.ndjson --tenant acme");
    let serving = Serving::start(&place, "");
    (place, serving)
}

#[test]
fn a_server_that_is_killed_is_followed_on_without_a_gap() {
    let (place, serving) = served();
    let address = serving.address.clone();
    let url = format!("http://{address}");
    let args = ["--url", &url, "--json", "--tenant", "acme"];
    let since = [&args[..], &["--since", "2000-01-01"]].concat();
    let mut tail = Tail::start(&place, &since);
    assert_eq!(tail.numbers(5), [0, 1, 2, 3, 4]);
    post(&serving, 10..13);
    assert_eq!(tail.numbers(3), [5, 6, 7]);
    drop(serving);
    let serving = Serving::start_at(&place, &address, "");
    post(&serving, 13..16);
    assert_eq!(tail.numbers(3), [8, 9, 10]);
    let cursor = tail.cancelled();
    assert!(tail.lines.try_recv().is_err(), "nothing twice");
    post(&serving, 16..18);
    let after = [&since[..], &["--after", &cursor]].concat();
    let again = Tail::start(&place, &after);
    assert_eq!(again.numbers(2), [11, 12]);
    // From now on, and only what is asked for, for people.
    let asked = [
        "content.review actor:user-3",
        "--url",
        &url,
        "--color",
        "always",
    ];
    let people = Tail::start(&place, &asked);
    // It follows when it is known to.
    let count = |name| serving.figure(name);
    let since = Instant::now();
    while count("indelible_tails") < 2 {
        assert!(since.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    post(&serving, 21..25);
    let line = people.line();
    assert!(line.contains("acme/15"), "{line}");
    assert!(
        line.contains("post-23") && line.contains("\u{1b}["),
        "{line}"
    );
}

#[test]
fn a_data_directory_is_followed_beside_its_writer() {
    let (place, serving) = served();
    let mut tail = Tail::start(
        &place,
        &["--json", "--since", "2023-01-01", "--", "-actor:user-1"],
    );
    assert_eq!(tail.numbers(4), [0, 1, 3, 4]);
    post(&serving, 10..13);
    assert_eq!(tail.numbers(2), [5, 7]);
    let cursor = tail.cancelled();
    assert_eq!(cursor, "acme/8");
    post(&serving, 14..16);
    let again = Tail::start(&place, &["--json", "--after", "acme/8"]);
    assert_eq!(again.numbers(2), [8, 9]);
}

#[test]
fn who_stops_reading_ends_it_quietly_and_what_is_wrong_is_said() {
    let (place, serving) = served();
    let url = format!("http://{}", serving.address);
    let mut child = place
        .command(["tail", "--since", "2000-01-01", "--url", &url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    post(&serving, 10..11);
    let (lines, mut tail) = (channel().1, None);
    let tail = tail.get_or_insert(Tail { child, lines });
    assert_eq!(tail.ended(), (Some(0), String::new()));
    for (code, line) in [
        (2, format!("tail actor: --url {url}")),
        (2, format!("tail --since soon --url {url}")),
        (2, format!("tail --after made-up --url {url}")),
        (2, "tail --after made-up".to_owned()),
        (3, format!("tail --tenant nobody --url {url}")),
        (3, "tail --tenant nobody".to_owned()),
        (3, "tail --url http://127.0.0.1:9".to_owned()),
    ] {
        let ran = place.run(&line);
        assert_eq!(ran.code, code, "{line}: {}", ran.err);
        assert!(ran.out.is_empty(), "{line}");
    }
}
