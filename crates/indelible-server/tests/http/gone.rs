//! Readers that go while it is searched for them: the search ends where it is, and what others ask
//! is answered.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::support::{Served, Stand, event, until};

/// Many more than fit the pages of hits that are looked at.
const RECORDS: usize = 800;

fn filled(stand: Stand) -> Served {
    let served = Served::start_on(stand, &[], |_| {});
    let events: Vec<_> = (1..=RECORDS).map(event).collect();
    let answer = served.post("/v1/events:batch?tenant=acme", &json!(events));
    assert_eq!(answer.is(200)["accepted"], RECORDS);
    served
}

fn asked(served: &Served, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).unwrap();
    let address = served.address;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn a_search_ends_when_whoever_asked_has_gone() {
    let (stand, counted) = Stand::counting();
    let served = filled(stand);
    let paths = [
        "/v1/records?q=data.n%3E100000",
        "/v1/counts?q=data.n%3E100000&facet=actor",
        "/v1/export?q=data.n%3E100000",
    ];
    for path in paths {
        counted.hold(usize::MAX);
        assert_eq!(served.get(path).status, 200);
        let whole = counted.searches();
        assert!(whole > 30, "{path}: {whole}");
        counted.hold(12);
        let stream = asked(&served, path);
        counted.is_held();
        drop(stream);
        // However soon that is noticed, no more is asked of the index from then on.
        std::thread::sleep(Duration::from_millis(300));
        counted.let_go();
        // Its turn is over: as many others as there are places find one.
        for _ in 0..4 {
            assert_eq!(served.get("/v1/tenants").status, 200);
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(counted.searches(), 12, "{path}: of {whole}");
    }
}

#[test]
fn who_closes_only_his_half_gets_what_is_found_soon() {
    let (stand, counted) = Stand::counting();
    let served = filled(stand);
    counted.hold(1);
    let mut stream = asked(&served, "/v1/records?limit=1");
    stream.shutdown(Shutdown::Write).unwrap();
    counted.is_held();
    std::thread::sleep(Duration::from_millis(300));
    counted.let_go();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    until("it is over", || served.get("/v1/tenants").status == 200);
}
