//! Bad clients: each is told or cut off, and others do not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use indelible_api::limits::BODY_BYTES_MAX;

use crate::support::{Served, answer, event};

fn is_cut_off(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // Reset or closed, either way there is nothing more to wait for.
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

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
    paused.write_all(head.as_bytes()).unwrap();
    answer(&mut paused).unwrap().is_problem(408, "timeout");
    assert!(began.elapsed() < Duration::from_secs(5));
    // A byte now and then, each in time, and too long as a whole.
    let mut slow = served.connect();
    slow.write_all(head.as_bytes()).unwrap();
    let mut writer = slow.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        while writer.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    answer(&mut slow).unwrap().is_problem(408, "timeout");
    assert!(is_cut_off(&mut slow));
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
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x").unwrap();
    let began = Instant::now();
    assert!(is_cut_off(&mut slow) && is_cut_off(&mut idle));
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
        stream.write_all(nonsense).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 400"),
            "{said}"
        );
    }
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
    stream.write_all(head.as_bytes()).unwrap();
    answer(&mut stream).unwrap().is_problem(413, "too-large");
    // Without a length it is counted as it comes.
    let mut stream = served.connect();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        served.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    for _ in 0..5 {
        let _ = stream.write_all(chunk.as_bytes());
    }
    answer(&mut stream).unwrap().is_problem(413, "too-large");
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
    holding.write_all(head.as_bytes()).unwrap();
    holding.write_all(&vec![b' '; 900 << 10]).unwrap();
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
    let idle: Vec<TcpStream> = (0..400).map(|_| served.connect()).collect();
    // Half of them have begun a request and say no more; descriptors are shared by all tests.
    for (n, mut stream) in idle.iter().enumerate() {
        if n % 2 == 0 {
            stream
                .write_all(b"POST /v1/events HTTP/1.1\r\nHost: 127")
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
            stream.write_all(request.as_bytes()).unwrap();
            // It is being read: the request is under way.
            let mut told = [0; 25];
            stream.read_exact(&mut told).unwrap();
            assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
            stream
        })
        .collect();
    let refused = answer(&mut served.connect()).unwrap();
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
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    answer(&mut stream).unwrap().is(201);
}
