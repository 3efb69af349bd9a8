//! Batches: arrays and lines, compressed and not; one result per event, neighbours unharmed;
//! limits.

use std::io::Write;

use indelible_api::limits::{BATCH_EVENTS_MAX, DECODED_BYTES_MAX};
use serde_json::{Value, json};

use crate::support::{Answer, Served, event};

const PATH: &str = "/v1/events:batch?tenant=acme";

fn lines(events: &[Value]) -> Vec<u8> {
    events.iter().fold(Vec::new(), |mut all, event| {
        writeln!(all, "{event}").unwrap();
        all
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn send(served: &Served, kind: &str, encoding: Option<&str>, body: &[u8]) -> Answer {
    let kind = format!("Content-Type: {kind}");
    let encoding = encoding.map(|name| format!("Content-Encoding: {name}"));
    let headers: Vec<&str> = [Some(kind.as_str()), encoding.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    served.send("POST", PATH, &headers, body)
}

#[test]
fn both_forms_and_all_encodings_give_one_result_per_event() {
    let served = Served::open();
    let events: Vec<_> = (0..2_500).map(event).collect();
    let array = Value::Array(events.clone()).to_string().into_bytes();
    let lines = lines(&events);
    let all: [(&str, Option<&str>, Vec<u8>); 6] = [
        ("application/json", None, array.clone()),
        ("application/x-ndjson", None, lines.clone()),
        (
            "application/json; charset=utf-8",
            Some("gzip"),
            gzip(&array),
        ),
        ("application/x-ndjson", Some("gzip"), gzip(&lines)),
        ("application/json", Some("zstd"), zstd(&array)),
        ("application/x-ndjson", Some("zstd"), zstd(&lines)),
    ];
    for (round, (kind, encoding, body)) in all.into_iter().enumerate() {
        let answer = send(&served, kind, encoding, &body).is(200);
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), 2_500);
        let (new, repeated) = if round == 0 { (2_500, 0) } else { (0, 2_500) };
        assert_eq!(
            (&answer["accepted"], &answer["repeated"]),
            (&json!(new), &json!(repeated))
        );
        for (index, result) in results.iter().enumerate() {
            assert_eq!(result["index"], index);
            assert_eq!(result["receipt"]["sequence_number"], index + 1);
            assert_eq!(result["status"], if round == 0 { 201 } else { 200 });
        }
    }
}

#[test]
fn a_broken_line_in_the_middle_is_its_own_problem() {
    let served = Served::open();
    let mut body = lines(&[event(0)]);
    body.extend_from_slice(b"{\"actor\": broken\n\n");
    body.extend_from_slice(&lines(&[event(1)]));
    body.extend_from_slice(b"{\"tenant_id\":\"a b\"}\n\xff\xfe\n");
    body.extend_from_slice("x".repeat(300_000).as_bytes());
    body.push(b'\n');
    let mut other = event(1);
    other["outcome"] = json!("failure");
    body.extend_from_slice(&lines(&[other, event(2)]));
    let answer = send(&served, "application/x-ndjson", None, &body).is(200);
    let results = answer["results"].as_array().unwrap();
    let statuses: Vec<_> = results
        .iter()
        .map(|r| r["status"].as_u64().unwrap())
        .collect();
    assert_eq!(
        statuses,
        [201, 422, 201, 422, 422, 413, 409, 201],
        "{answer}"
    );
    assert_eq!(
        (&answer["accepted"], &answer["rejected"]),
        (&json!(3), &json!(5))
    );
    assert_eq!(results[1]["index"], 1);
    assert_eq!(results[1]["problem"]["problems"][0]["code"], "syntax");
    assert_eq!(
        results[4]["problem"]["problems"][0]["code"],
        "invalid-utf-8"
    );
}

#[test]
fn what_cannot_be_split_or_decompressed_is_refused_as_a_whole() {
    let served = Served::open();
    let mut array = Value::Array(vec![event(0), event(1)])
        .to_string()
        .into_bytes();
    array.pop();
    let problem = send(&served, "application/json", None, &array).is_problem(400, "bad-request");
    assert!(
        problem["detail"].as_str().unwrap().contains("byte"),
        "{problem}"
    );
    send(&served, "application/json", None, b"{}").is_problem(400, "bad-request");
    send(&served, "application/json", Some("gzip"), b"no gzip").is_problem(400, "bad-request");
    let whole = zstd(&lines(&[event(3)]));
    let cut = &whole[..whole.len() - 4];
    send(&served, "application/x-ndjson", Some("zstd"), cut).is_problem(400, "bad-request");
    send(&served, "application/x-ndjson", Some("br"), b"").is_problem(415, "unsupported-type");
    send(&served, "text/csv", None, b"a,b").is_problem(415, "unsupported-type");
    let list = served.get("/v1/records").is(200);
    assert!(
        list["records"].as_array().unwrap().is_empty(),
        "nothing of them was taken"
    );
    assert!(send(&served, "application/json", None, b"[]").is(200)["results"] == json!([]));
}

#[test]
fn too_many_events_and_bombs_are_stopped_and_take_nothing() {
    let served = Served::open();
    let many = "{}\n".repeat(BATCH_EVENTS_MAX + 1);
    send(
        &served,
        "application/x-ndjson",
        Some("zstd"),
        &zstd(many.as_bytes()),
    )
    .is_problem(413, "too-large");
    let bomb = zstd::encode_all(
        std::io::Read::take(std::io::repeat(b' '), DECODED_BYTES_MAX + 1),
        1,
    );
    let bomb = bomb.unwrap();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    send(&served, "application/x-ndjson", Some("zstd"), &bomb).is_problem(413, "too-large");
    let spaces = vec![b' '; 32 << 20];
    let one = served.send(
        "POST",
        "/v1/events",
        &["Content-Type: application/json", "Content-Encoding: gzip"],
        &gzip(&spaces),
    );
    one.is_problem(413, "too-large");
    served.get("/health/live").is(200);
}

#[test]
fn a_large_batch_is_decompressed_twice_rather_than_kept() {
    let served = Served::open();
    // Over what is kept decompressed, so that it is read a second time.
    let filler = "x".repeat(10_000);
    let events = (0..1_200).map(|n| {
        let mut event = event(n);
        event["data"]["filler"] = json!(filler);
        event
    });
    let events: Vec<_> = events.collect();
    let answer = send(
        &served,
        "application/x-ndjson",
        Some("zstd"),
        &zstd(&lines(&events)),
    )
    .is(200);
    assert_eq!(answer["accepted"], 1_200);
}

#[test]
fn a_byte_order_mark_at_the_beginning_is_passed_over() {
    let served = Served::open();
    let (first, second) = (event(1).to_string(), event(2).to_string());
    for (kind, body) in [
        (
            "application/x-ndjson",
            format!("\u{feff}{first}\n{second}\n"),
        ),
        ("application/json", format!("\u{feff}[{first},{second}]")),
    ] {
        let header = format!("Content-Type: {kind}");
        let path = "/v1/events:batch?tenant=acme";
        let answer = served
            .send("POST", path, &[&header], body.as_bytes())
            .is(200);
        assert_eq!(answer["rejected"], 0, "{answer}");
    }
    let inside = format!("{first}\n\u{feff}{second}\n");
    let header = ["Content-Type: application/x-ndjson"];
    let answer = served.send(
        "POST",
        "/v1/events:batch?tenant=acme",
        &header,
        inside.as_bytes(),
    );
    assert_eq!(answer.is(200)["rejected"], 1);
}

#[test]
fn a_batch_with_a_503_in_it_says_when_to_send_it_again() {
    let served = Served::without_master_key(|_| {});
    let mut personal = event(1);
    personal["actor"]["email"] = json!("ada@example.com");
    let mut wrong = event(2);
    wrong["outcome"] = json!(5);
    let batch = [event(0), personal, wrong];
    let answer = send(&served, "application/x-ndjson", None, &lines(&batch));
    let told = answer.is(200);
    let statuses: Vec<_> = (0..3)
        .map(|n| told["results"][n]["status"].clone())
        .collect();
    assert_eq!(statuses, [201, 503, 422]);
    assert_eq!(answer.header("retry-after"), Some("1"));
    let others = [batch[0].clone(), batch[2].clone()];
    let answer = send(&served, "application/x-ndjson", None, &lines(&others));
    answer.is(200);
    assert_eq!(answer.header("retry-after"), None);
}
