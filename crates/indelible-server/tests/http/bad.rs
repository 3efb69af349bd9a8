//! Bad clients: each is told or cut off, and others do not notice.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use indelible_api::Role;
use indelible_api::limits::BODY_BYTES_MAX;

use crate::support::{Client, Served, event};

#[test]
fn a_body_that_pauses_is_cut_off() {
    let served = Served::start(&[], |settings| {
        settings.pause_timeout = Duration::from_millis(200);
        settings.body_timeout = Duration::from_millis(900);
    });
    let began = Instant::now();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{{",
        served.address
    );
    let mut paused = served.connect();
    paused.say(&head).unwrap();
    paused.answer().unwrap().is_problem(408, "timeout");
    assert!(began.elapsed() < Duration::from_secs(5));
    // A byte now and then, each in time, and too long as a whole.
    let mut slow = served.connect();
    slow.say(&head).unwrap();
    let mut writer = slow.socket().try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        while writer.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    slow.answer().unwrap().is_problem(408, "timeout");
    assert!(slow.is_cut_off());
    drop(slow);
    dripping.join().unwrap();
    served.post("/v1/events", &event(1)).is(201);
}

#[test]
fn slow_and_idle_headers_are_cut_off() {
    let served = Served::start(&[], |settings| {
        settings.header_timeout = Duration::from_millis(200);
    });
    let mut idle = served.connect();
    let mut slow = served.connect();
    slow.say(b"GET / HTTP/1.1\r\nHost: x").unwrap();
    let began = Instant::now();
    assert!(slow.is_cut_off() && idle.is_cut_off());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn huge_headers_and_nonsense_are_refused() {
    let served = Served::open();
    let huge = format!("X-Huge: {}", "x".repeat(100_000));
    assert_eq!(
        served.send("GET", "/health/live", &[&huge], b"").status,
        431
    );
    let many: Vec<String> = (0..200).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(served.send("GET", "/health/live", &many, b"").status, 431);
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01"[..],
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        let mut stream = served.connect();
        stream.say(nonsense).unwrap();
        let said = stream.rest();
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 400"),
            "{said}"
        );
    }
    // Whoever reads HTTP for us says it without a document.
    let mut stream = served.connect();
    stream.say("hello\r\n\r\n").unwrap();
    let said = stream.rest().to_ascii_lowercase();
    assert!(said.starts_with("http/1.1 400"), "{said}");
    assert!(
        said.contains("content-length: 0") && said.ends_with("\r\n\r\n"),
        "{said}"
    );
    served.get("/health/live").is(200);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let served = Served::open();
    let mut stream = served.connect();
    let head = format!(
        "POST /v1/events:batch HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        served.address,
        BODY_BYTES_MAX + 1
    );
    stream.say(head).unwrap();
    stream.answer().unwrap().is_problem(413, "too-large");
    // Without a length it is counted as it comes.
    let mut stream = served.connect();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        served.address
    );
    stream.say(head).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..5 {
        let _ = stream.say(&chunk);
    }
    stream.answer().unwrap().is_problem(413, "too-large");
}

#[test]
fn memory_in_flight_is_bounded_and_given_back() {
    let served = Served::start(&[], |settings| settings.in_flight_bytes_max = 1 << 20);
    let head = format!(
        "POST /v1/events:batch?tenant=acme HTTP/1.1\r\nHost: {}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: 2000000\r\n\r\n",
        served.address
    );
    let mut holding = served.connect();
    holding.say(head).unwrap();
    holding.say(vec![b' '; 900 << 10]).unwrap();
    // Until it is held: the two would else race for the same bytes.
    let held = Instant::now() + Duration::from_secs(10);
    while !served
        .get("/metrics")
        .text()
        .contains(&format!("indelible_in_flight_bytes {}", 900 << 10))
    {
        assert!(Instant::now() < held, "the body is not counted");
    }
    let line = "x".repeat(400 << 10);
    let kind = ["Content-Type: application/x-ndjson"];
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = served.send(
            "POST",
            "/v1/events:batch?tenant=acme",
            &kind,
            line.as_bytes(),
        );
        if answer.status == 503 {
            answer.is_problem(503, "overloaded");
            break;
        }
        assert!(Instant::now() < until, "the bound never held");
    }
    served.post("/v1/events", &event(1)).is(201);
    drop(holding);
    let until = Instant::now() + Duration::from_secs(10);
    while served
        .send(
            "POST",
            "/v1/events:batch?tenant=acme",
            &kind,
            line.as_bytes(),
        )
        .status
        == 503
    {
        assert!(Instant::now() < until, "what was granted is not given back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a byte every now and then, until it is cut off.
fn trickle(mut stream: Client) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(30);
        while stream.say(b" ").is_ok() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

#[test]
fn a_slow_body_gives_its_memory_to_others() {
    let served = Served::start(&[], |settings| settings.in_flight_bytes_max = 1 << 20);
    let head = format!(
        "POST /v1/events:batch?tenant=acme HTTP/1.1\r\nHost: {}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: 2000000\r\n\r\n",
        served.address
    );
    let mut slow = served.connect();
    slow.say(head).unwrap();
    slow.say(vec![b' '; 900 << 10]).unwrap();
    let slow = trickle(slow);
    let line = "x".repeat(400 << 10);
    let kind = ["Content-Type: application/x-ndjson"];
    let path = "/v1/events:batch?tenant=acme";
    let until = Instant::now() + Duration::from_secs(20);
    while served.send("POST", path, &kind, line.as_bytes()).status == 503 {
        assert!(Instant::now() < until, "the slow one keeps its memory");
        std::thread::sleep(Duration::from_millis(50));
    }
    slow.join().unwrap();
    assert!(Instant::now() < until, "it was cut off");
}

#[test]
fn slow_bodies_give_their_connections_to_others() {
    let served = Served::start(&[], |settings| settings.connections_max = 3);
    let slow: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = served.connect();
            let request = format!(
                "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
                 Content-Length: 9999\r\n\r\n",
                served.address
            );
            stream.say(request).unwrap();
            trickle(stream)
        })
        .collect();
    let until = Instant::now() + Duration::from_secs(20);
    for n in 0..3 {
        let mut client = served.connect();
        let body = event(n).to_string();
        let kind = ["Content-Type: application/json"];
        while !client
            .ask("POST", "/v1/events", &kind, body.as_bytes())
            .is_ok_and(|answer| [200, 201].contains(&answer.status))
        {
            assert!(Instant::now() < until, "the slow ones keep their places");
            std::thread::sleep(Duration::from_millis(50));
            client = served.connect();
        }
    }
    drop(served);
    for slow in slow {
        slow.join().unwrap();
    }
}

#[test]
fn wrong_content_types_are_told() {
    let served = Served::open();
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        let header = format!("Content-Type: {kind}");
        let body = event(1).to_string();
        let answer = served.send("POST", "/v1/events", &[&header], body.as_bytes());
        let problem = answer.is_problem(415, "unsupported-type");
        assert!(
            problem["next"]
                .as_str()
                .unwrap()
                .contains("application/json")
        );
    }
    let answer = served.send("POST", "/v1/events", &[], b"{}");
    answer.is_problem(415, "unsupported-type");
}

#[test]
fn four_hundred_idle_connections_harm_nobody() {
    let served = Served::open();
    let mut idle: Vec<Client> = (0..400).map(|_| served.connect()).collect();
    // Half of them have begun a request and say no more; descriptors are shared by all tests.
    for (n, stream) in idle.iter_mut().enumerate() {
        if n % 2 == 0 {
            stream
                .say(b"POST /v1/events HTTP/1.1\r\nHost: 127")
                .unwrap();
        }
    }
    for n in 0..50 {
        served.post("/v1/events", &event(n)).is(201);
    }
    drop(idle);
    served.end().unwrap();
}

#[test]
fn a_connection_too_many_is_told_and_closed_while_all_others_have_asked() {
    let served = Served::start(&[], |settings| settings.connections_max = 3);
    let kept: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = served.connect();
            let request = format!(
                "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
                 Content-Length: 99\r\nExpect: 100-continue\r\n\r\n",
                served.address
            );
            stream.say(request).unwrap();
            // It is being read: the request is under way.
            let mut told = [0; 25];
            stream.socket().read_exact(&mut told).unwrap();
            assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
            stream
        })
        .collect();
    let refused = served.connect().answer().unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    drop(kept);
    let until = Instant::now() + Duration::from_secs(5);
    while served.get("/health/live").status != 200 {
        assert!(Instant::now() < until);
    }
}

#[test]
fn a_half_closed_connection_gets_its_answer() {
    let served = Served::open();
    let mut stream = served.connect();
    let body = event(1).to_string();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        served.address,
        body.len()
    );
    stream.say(request).unwrap();
    stream.ends();
    stream.answer().unwrap().is(201);
}

#[test]
fn who_is_refused_while_he_still_sends_sees_why() {
    let served = Served::closed(&[(Role::Admin, None)]);
    let body = vec![b' '; 6 << 20];
    for path in ["/v1/events:batch", "/nothing/here"] {
        let mut stream = served.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer ind_0_0\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            served.address,
            body.len()
        );
        stream.say(head).unwrap();
        // The answer is there before the body.
        std::thread::sleep(Duration::from_millis(100));
        stream.say(&body).unwrap();
        stream.answer().unwrap().is_problem(401, "unauthorized");
    }
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_and_ends_the_connection() {
    let served = Served::open();
    let chunks = "2\r\n[]\r\n0\r\n\r\n";
    let batch = format!(
        "POST /v1/events:batch HTTP/1.1\r\nHost: {}\r\n",
        served.address
    );
    let batch = format!("{batch}Content-Type: application/json\r\n");
    let next = format!(
        "GET /health/live HTTP/1.1\r\nHost: {}\r\n\r\n",
        served.address
    );
    for doubtful in [
        format!(
            "GET / HTTP/1.1\r\nHost: {0}\r\nHost: {0}\r\n\r\n",
            served.address
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nHost: other\r\n\r\n",
            served.address
        ),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        format!("{batch}Transfer-Encoding: gzip, chunked\r\n\r\n{chunks}"),
        format!("{batch}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
    ] {
        let mut stream = served.connect();
        stream.say(&doubtful).unwrap();
        stream.say(&next).unwrap();
        let said = stream.rest();
        assert!(said.starts_with("HTTP/1.1 400"), "{doubtful}\n{said}");
        assert!(said.contains("problems/bad-request"), "{said}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
    }
    // Two lengths: the chunks count, and nothing that follows is taken for a request.
    for lengths in [
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut stream = served.connect();
        let request = format!("{batch}{lengths}\r\n{chunks}{next}");
        stream.say(request).unwrap();
        let said = stream.rest();
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{said}");
    }
    for refused in [
        "Transfer-Encoding: gzip",
        "Content-Length: 2\r\nContent-Length: 3",
    ] {
        let mut stream = served.connect();
        let request = format!("{batch}{refused}\r\n\r\n{chunks}");
        stream.say(request).unwrap();
        let said = stream.rest();
        assert!(said.starts_with("HTTP/1.1 400"), "{said}");
        assert!(
            said.to_ascii_lowercase().contains("connection: close"),
            "{said}"
        );
    }
    served.get("/health/live").is(200);
}

#[test]
fn a_body_that_is_cut_off_is_told_from_one_with_broken_chunks() {
    let served = Served::open();
    let digest = format!("/v1/attachments/sha256:{}?tenant=acme", "0".repeat(64));
    for (method, path) in [("POST", "/v1/events:batch"), ("PUT", digest.as_str())] {
        for (body, expected) in [
            ("2\r\n[]\r\n", "was cut off"),
            ("5\r\n[]", "was cut off"),
            ("zz\r\n[]\r\n0\r\n\r\n", "chunks"),
            ("-1\r\n", "chunks"),
            ("2\r\n[]xx", "chunks"),
            ("fffffffffffffffff\r\n[]", "chunks"),
        ] {
            let mut stream = served.connect();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
                 Transfer-Encoding: chunked\r\n\r\n",
                served.address
            );
            stream.say(head + body).unwrap();
            stream.socket().shutdown(Shutdown::Write).unwrap();
            let problem = stream.answer().unwrap().is_problem(400, "bad-request");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(expected), "{body:?}: {detail}");
        }
    }
    served.get("/health/live").is(200);
}

#[test]
fn methods_without_a_path_are_told_what_is_wrong() {
    let served = Served::open();
    for (method, target) in [
        ("OPTIONS", "*"),
        ("CONNECT", "127.0.0.1:1"),
        ("CONNECT", "example.com:443"),
    ] {
        let answer = served.send(method, target, &[], b"");
        let problem = answer.is_problem(405, "method-not-allowed");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(method), "{detail}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, PUT, DELETE"));
    }
}

#[test]
fn what_is_not_utf_8_is_told_as_that() {
    let served = Served::open();
    for path in [
        "/v1/records?q=%ff",
        "/v1/records/%ff",
        "/v1/tenants?cursor=%c3",
    ] {
        let problem = served.get(path).is_problem(400, "bad-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("UTF-8"), "{detail}");
    }
    let body = event(1).to_string();
    for charset in ["latin1", "\"ISO-8859-1\"", "utf-16"] {
        for kind in ["application/json", "application/x-ndjson"] {
            let header = format!("Content-Type: {kind}; charset={charset}");
            let path = "/v1/events:batch?tenant=acme";
            let answer = served.send("POST", path, &[&header], body.as_bytes());
            let problem = answer.is_problem(415, "unsupported-type");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("UTF-8"), "{detail}");
        }
    }
    let header = "Content-Type: application/json; Charset=\"UTF-8\"";
    served
        .send("POST", "/v1/events", &[header], body.as_bytes())
        .is(201);
}

#[test]
fn problems_are_told_in_our_words() {
    let served = Served::open();
    let json = ["Content-Type: application/json"];
    for (body, expected) in [
        ("nonsense", "the body is not JSON: line 1, column 2"),
        ("{\"role\":\"king\"}", "describes: line 1, column 14"),
        ("[null]", "not the object that /openapi.json describes"),
    ] {
        let answer = served.send("POST", "/v1/keys", &json, body.as_bytes());
        let problem = answer.is_problem(400, "bad-request");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.ends_with(expected), "{detail}");
    }
    for body in ["nonsense", "{\"a\":", "{\"a\":01}", "[]", "{\"outcome\":5}"] {
        let text = served
            .send("POST", "/v1/events", &json, body.as_bytes())
            .text();
        assert!(!text.contains("at line 1 column"), "{text}");
    }
    let problem = served
        .get("/v1/records?since=now")
        .is_problem(400, "bad-request");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.ends_with("`since` is not one of q, tenant, limit, cursor, order, after, purpose"),
        "{detail}"
    );
}
