//! Clients that the served process must survive: each is told or cut off, others are served all the
//! while, and memory stays within what `docs/server.md` says.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::others::Others;
use support::served::{Client, Serving};
use support::{Place, event, ndjson};

const MIB: usize = 1 << 20;
/// What the parts of the memory for requests and answers may hold together.
const IN_FLIGHT_BYTES: usize = (128 + 64 + 16) * MIB;
/// What the others' events take meanwhile, and what the allocator keeps of what was let go.
const BESIDE_BYTES: usize = 64 * MIB;
const BATCH: &str = "/v1/events:batch?tenant=acme";
const LINES: &str = "Content-Type: application/x-ndjson";
const JSON: &str = "Content-Type: application/json";
/// How long something is waited for that must come.
const PATIENCE: Duration = Duration::from_mins(1);

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The memory it took at most since it had `before`.
#[track_caller]
fn took_at_most(serving: &Serving, before: usize, most: usize) {
    let took = serving.memory().1.saturating_sub(before);
    assert!(took <= most, "{} MiB", took / MIB);
}

/// How many events of a batch are new.
fn accepted(serving: &Serving, events: impl IntoIterator<Item = Value>) -> u64 {
    let body = ndjson(events);
    let answer = client(serving).ask("POST", BATCH, &[LINES], body.as_bytes());
    answer.unwrap().json()["accepted"].as_u64().unwrap()
}

fn client(serving: &Serving) -> Client {
    Client::connect(&serving.address).unwrap()
}

fn gzip(pieces: &[&[u8]], times: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write(&mut encoder, pieces, times);
    encoder.finish().unwrap()
}

fn zstd(pieces: &[&[u8]], times: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    write(&mut encoder, pieces, times);
    encoder.finish().unwrap()
}

/// The first piece once, then the others again and again.
fn write(to: &mut impl Write, pieces: &[&[u8]], times: usize) {
    to.write_all(pieces[0]).unwrap();
    for _ in 0..times {
        pieces[1..]
            .iter()
            .for_each(|piece| to.write_all(piece).unwrap());
    }
}

#[test]
fn bombs_in_a_batch_take_nothing_and_little_memory() {
    let place = Place::new();
    let serving = Serving::with(&place, &[]);
    // An event that could be taken, and behind it more than may be: blank lines, one endless line,
    // and one endless string in an array.
    let good = ndjson([event(1)]);
    let array = format!("[{},\"", event(1));
    let (blank, endless) = (vec![b'\n'; MIB], vec![b'x'; MIB]);
    let bombs = [
        (LINES, "gzip", gzip(&[good.as_bytes(), &blank], 257)),
        (LINES, "zstd", zstd(&[good.as_bytes(), &endless], 257)),
        (JSON, "gzip", gzip(&[array.as_bytes(), &endless], 257)),
        (JSON, "zstd", zstd(&[array.as_bytes(), &blank], 257)),
    ];
    let (before, _) = serving.memory();
    let others = Others::of(&serving);
    std::thread::scope(|scope| {
        for (kind, encoding, bomb) in bombs.iter().chain(&bombs) {
            let mut client = client(&serving);
            assert!(bomb.len() < 4 * MIB);
            scope.spawn(move || {
                let encoding = format!("Content-Encoding: {encoding}");
                let headers = [*kind, encoding.as_str()];
                let answer = client.ask("POST", BATCH, &headers, bomb).unwrap();
                answer.is_problem(413, "too-large");
                if bomb.len() < 200_000 {
                    let (path, headers) = ("/v1/events?tenant=acme", [JSON, encoding.as_str()]);
                    let answer = client.ask("POST", path, &headers, bomb).unwrap();
                    answer.is_problem(413, "too-large");
                }
            });
        }
    });
    others.were_served();
    took_at_most(&serving, before, 128 * MIB + BESIDE_BYTES);
    let id = event(1)["audit_id"].as_str().unwrap().to_owned();
    assert_eq!(serving.get(&format!("/v1/records/{id}")).0, 404);
    assert_eq!(serving.figure("indelible_in_flight_bytes"), 0);
}

#[test]
fn twenty_thousand_cursors_cost_nothing() {
    let place = Place::new();
    let serving = Serving::with(&place, &[]);
    let elsewhere = Place::new();
    let foreign = Serving::with(&elsewhere, &[]);
    let cursor_of = |serving: &Serving| {
        assert_eq!(accepted(serving, (0..3).map(event)), 3);
        let (status, list) = serving.get("/v1/records?limit=1");
        assert_eq!(status, 200);
        list["next_cursor"].as_str().unwrap().to_owned()
    };
    let (ours, foreign) = (cursor_of(&serving), cursor_of(&foreign));
    let (text, code) = ours.split_at(ours.len() - 22);
    let (before, _) = serving.memory();
    let others = Others::of(&serving);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (serving, ours, foreign) = (&serving, &ours, &foreign);
            scope.spawn(move || {
                let mut client = client(serving);
                for n in (0..20_000).filter(|n| n % 4 == part) {
                    let bad = match n % 5 {
                        0 => format!("{n:x}"),
                        1 => format!("{text}{n:x}{code}"),
                        2 => format!("{}{n:022}", &text[..n % text.len()]),
                        3 => format!("{n}{foreign}"),
                        _ => format!("{ours}&q=id:{n}"),
                    };
                    let path = format!("/v1/records?limit=1&cursor={bad}");
                    let answer = client.ask("GET", &path, &[], b"").unwrap();
                    answer.is_problem(400, "bad-cursor");
                }
                let path = format!("/v1/records?cursor={foreign}");
                client
                    .ask("GET", &path, &[], b"")
                    .unwrap()
                    .is_problem(400, "bad-cursor");
            });
        }
    });
    others.were_served();
    took_at_most(&serving, before, 32 * MIB);
    let good = serving.get(&format!("/v1/records?limit=1&cursor={ours}"));
    assert_eq!(good.0, 200);
}

/// Events of about 50,000 bytes.
fn large(n: usize) -> Value {
    let mut event = event(n);
    event["data"] = json!({"text": format!("{n} ").repeat(50_000 / format!("{n} ").len())});
    event
}

#[test]
fn who_does_not_read_pages_is_cut_off_and_keeps_nobody_from_writing() {
    let place = Place::new();
    let serving = Serving::with(&place, &[]);
    assert_eq!(accepted(&serving, (0..400).map(large)), 400);
    // A page ends with its bytes, and the next goes on.
    let (mut seen, mut next) = (0, String::new());
    loop {
        let (status, list) = serving.get(&format!("/v1/records?tenant=acme&limit=1000{next}"));
        assert_eq!(status, 200);
        let page = list["records"].as_array().unwrap().len();
        assert!((1..=4 * MIB / 50_000 + 2).contains(&page), "{page}");
        seen += page;
        match list["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, 401, "log.created and the events");
    let (before, _) = serving.memory();
    let others = Others::of(&serving);
    let mut unread: Vec<_> = (0..60).map(|_| client(&serving)).collect();
    for client in &mut unread {
        let request = client.head("GET", "/v1/records?tenant=acme&limit=1000", &[], 0);
        // Many at once, none of whose answers is read.
        client.say(request.repeat(20).as_bytes()).unwrap();
    }
    until("an answer is held", || {
        serving.figure("indelible_in_flight_bytes") > 16 * MIB
    });
    until("what nobody reads is let go", || {
        serving.figure("indelible_in_flight_bytes") == 0
    });
    others.were_served();
    // The lists, and what four reads at a time make them of.
    took_at_most(&serving, before, (64 + 4 * 64) * MIB);
    for client in &mut unread {
        assert!(client.is_cut_off());
    }
    assert_eq!(serving.get("/v1/records?tenant=acme&limit=1000").0, 200);
}

#[test]
fn who_does_not_read_what_became_of_a_batch_is_cut_off() {
    let place = Place::new();
    let serving = Serving::with(&place, &[]);
    let (before, _) = serving.memory();
    let bad = "{}\n".repeat(100_000);
    let mut reads = client(&serving);
    let answer = reads
        .ask("POST", BATCH, &[LINES], bad.as_bytes())
        .unwrap()
        .is(200);
    let results = answer["results"].as_array().unwrap();
    assert_eq!(
        (results.len(), &answer["rejected"]),
        (100_000, &json!(100_000))
    );
    for result in [&results[0], &results[99_999]] {
        let problem = &result["problem"];
        assert_eq!(
            problem["type"],
            "https://indelible.dev/problems/invalid-event"
        );
    }
    assert!(results[0]["problem"]["problems"].is_array());
    let others = Others::of(&serving);
    let mut unread: Vec<_> = (0..12).map(|_| client(&serving)).collect();
    for client in &mut unread {
        let request = client.head("POST", BATCH, &[LINES], bad.len());
        client.say(request.as_bytes()).unwrap();
        client.say(bad.as_bytes()).unwrap();
    }
    until("an answer is held", || {
        serving.figure("indelible_in_flight_bytes") > 16 * MIB
    });
    until("what nobody reads is let go", || {
        serving.figure("indelible_in_flight_bytes") == 0
    });
    others.were_served();
    took_at_most(&serving, before, IN_FLIGHT_BYTES + BESIDE_BYTES);
}

#[test]
fn problems_are_no_larger_than_what_caused_them_allows() {
    let place = Place::new();
    let serving = Serving::with(&place, &[]);
    let (before, _) = serving.memory();
    let others = Others::of(&serving);
    // Sixty places with the same long way to them.
    let twice = "\"a\":1,".repeat(60);
    let long = format!("{{\"{}\":{{{}\"b\":1}}}}\n", "k".repeat(200_000), twice);
    let answer = client(&serving)
        .ask("POST", BATCH, &[LINES], long.repeat(200).as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() < MIB, "{}", answer.body.len());
    let short = format!("{{\"{}\":{{{}\"b\":1}}}}\n", "k".repeat(200), twice);
    let answer = client(&serving)
        .ask("POST", BATCH, &[LINES], short.repeat(50_000).as_bytes())
        .unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() < (16 + 24) * MIB, "{}", answer.body.len());
    others.were_served();
    took_at_most(&serving, before, IN_FLIGHT_BYTES + BESIDE_BYTES);
}

#[test]
fn the_slow_are_cut_off() {
    let place = Place::new();
    let times = [("HEADER_TIMEOUT_MS", "4000"), ("BODY_TIMEOUT_MS", "5000")];
    let serving = Serving::with(&place, &times);
    let others = Others::of(&serving);
    let mut bodies: Vec<_> = (0..50).map(|_| client(&serving)).collect();
    let mut heads: Vec<_> = (0..50).map(|_| client(&serving)).collect();
    let mut halves: Vec<_> = (0..50).map(|_| client(&serving)).collect();
    for (body, (head, half)) in bodies.iter_mut().zip(heads.iter_mut().zip(&mut halves)) {
        let request = body.head("POST", BATCH, &[LINES], 1_000);
        body.say(request.as_bytes()).unwrap();
        head.say(&request.as_bytes()[..40]).unwrap();
        // Said by halves, and closed.
        half.say(request.as_bytes()).unwrap();
        half.say(b"{\"a\":").unwrap();
        half.ends();
    }
    // A byte now and then does not help.
    for _ in 0..60 {
        for client in bodies.iter_mut().chain(&mut heads) {
            let _ = client.say(b" ");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    for half in &mut halves {
        half.answer().unwrap().is_problem(400, "bad-request");
    }
    for body in &mut bodies {
        body.answer().unwrap().is_problem(408, "timeout");
    }
    for client in bodies.iter_mut().chain(&mut heads).chain(&mut halves) {
        assert!(client.is_cut_off());
    }
    others.were_served();
}

/// Who has waited longest for a request goes, so that nobody is locked out; who has asked stays.
#[test]
fn more_connections_than_there_may_be_lock_nobody_out() {
    let place = Place::new();
    let serving = Serving::with(&place, &[("CONNECTIONS_MAX", "20")]);
    let body = ndjson([event(1)]);
    let mut asks = client(&serving);
    let request = asks.head("POST", BATCH, &[LINES], body.len());
    asks.say(request.as_bytes()).unwrap();
    // A body is under way once some of it is read.
    asks.say(&body.as_bytes()[..9]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let mut idle: Vec<Client> = Vec::new();
    for n in 0..60 {
        let mut one = client(&serving);
        if n % 2 == 0 {
            one.say(b"GET /health/live HTT").unwrap();
        }
        idle.push(one);
        assert_eq!(serving.get("/health/live").0, 200, "with {n} of them");
    }
    let cut = idle
        .iter_mut()
        .take(40)
        .filter_map(|one| one.is_cut_off().then_some(()));
    assert!(cut.count() >= 40, "the first went");
    assert!(serving.figure("indelible_connections_gave_way_total") >= 40);
    assert_eq!(serving.figure("indelible_connections_refused_total"), 0);
    asks.say(&body.as_bytes()[9..]).unwrap();
    assert_eq!(
        asks.answer().unwrap().status,
        200,
        "it has asked, and stays"
    );
}

#[test]
fn a_body_that_pauses_gives_way_when_memory_is_short() {
    let place = Place::new();
    let serving = Serving::with(&place, &[("IN_FLIGHT_BYTES_MAX", "8388608")]);
    let mut holds = client(&serving);
    let request = holds.head("POST", BATCH, &[LINES], 16 * MIB);
    holds.say(request.as_bytes()).unwrap();
    holds.say(vec![b'\n'; 8 * MIB - 4_096]).unwrap();
    holds.answer().unwrap().is_problem(408, "timeout");
    assert_eq!(accepted(&serving, [event(1)]), 1);
}

/// Status, kind of problem, path, headers, body.
type Case<'a> = (u16, &'a str, &'a str, &'a [&'a str], &'a [u8]);

#[test]
fn nonsense_is_told_what_it_is() {
    let place = Place::new();
    let serving = Serving::with(&place, &[]);
    let others = Others::of(&serving);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("{{\"data\":{}1{}}}", "{\"a\":".repeat(40), "}".repeat(40));
    let one = "/v1/events?tenant=acme";
    let long = format!("/v1/records?q={}", "a".repeat(5_000));
    let broken = gzip(&[ndjson((0..50).map(event)).as_bytes()], 0);
    let gz = "Content-Encoding: gzip";
    let spaces = vec![b' '; 300_000];
    let cases: [Case<'_>; 10] = [
        (422, "invalid-event", one, &[JSON], nested.as_bytes()),
        (422, "invalid-event", one, &[JSON], deep.as_bytes()),
        (400, "bad-request", BATCH, &[JSON], b"[{},"),
        (
            400,
            "bad-request",
            BATCH,
            &[LINES, gz],
            &broken[..broken.len() / 2],
        ),
        (
            415,
            "unsupported-type",
            BATCH,
            &["Content-Type: text/csv"],
            b"a,b",
        ),
        (415, "unsupported-type", one, &[LINES], b"{}"),
        (
            415,
            "unsupported-type",
            BATCH,
            &[LINES, "Content-Encoding: br"],
            b"{}",
        ),
        (415, "unsupported-type", one, &[], b"{}"),
        (413, "too-large", one, &[JSON], &spaces),
        (404, "not-found", "/v2/events", &[JSON], b"{}"),
    ];
    for (status, kind, path, headers, body) in cases {
        let answer = client(&serving).ask("POST", path, headers, body).unwrap();
        answer.is_problem(status, kind);
    }
    client(&serving)
        .ask("GET", &long, &[], b"")
        .unwrap()
        .is_problem(400, "bad-query");
    // Broken lines in the middle are problems of their own.
    let lines = format!("{}\n{{\"a\n{deep}\n\u{0}\n{}\n", event(1), event(2));
    let answer = client(&serving).ask("POST", BATCH, &[LINES], lines.as_bytes());
    let answer = answer.unwrap().is(200);
    let results = answer["results"].as_array().unwrap().iter();
    let statuses: Vec<_> = results
        .map(|result| result["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 422, 422, 422, 201]);
    others.were_served();
}

#[test]
fn what_is_no_request_gets_a_status_at_most() {
    let place = Place::new();
    let serving = Serving::with(&place, &[]);
    let others = Others::of(&serving);
    let huge = format!("X-Huge: {}", "x".repeat(100_000));
    let many: Vec<_> = (0..100).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for headers in [&[huge.as_str()][..], &many] {
        let answer = client(&serving).ask("GET", "/v1/records", headers, b"");
        assert_eq!(answer.unwrap().status, 431);
    }
    for nonsense in [&b"\x16\x03\x01\x02\x00\x01"[..], b"\r\n\r\nhello\r\n\r\n"] {
        let mut client = client(&serving);
        client.say(nonsense).unwrap();
        client.ends();
        assert!(client.is_cut_off());
    }
    others.were_served();
}
