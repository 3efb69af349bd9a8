//! Live tails: every record once and in its order, for whoever may see it, as long as it may.

use std::io::Write;
use std::time::{Duration, Instant};

use indelible_api::Role;
use serde_json::{Value, json};

use crate::following::{Socket, Tail};
use crate::support::{Served, Stand, event, until};

const ADMIN: usize = 0;
const EMITTER: usize = 1;
const READER: usize = 2;

fn served() -> Served {
    let served = Served::closed(&KEYS);
    create(&served, "acme");
    served
}

const KEYS: [(Role, Option<&str>); 3] = [
    (Role::Admin, None),
    (Role::Emitter, None),
    (Role::Reader, Some("acme")),
];

fn create(served: &Served, tenant: &str) {
    let created = served.post_as(ADMIN, "/v1/tenants", &json!({"tenant_id": tenant}));
    assert!(created.status < 300, "{created:?}");
}

fn emit(served: &Served, tenant: &str, numbers: std::ops::RangeInclusive<usize>) {
    for n in numbers {
        let mut event = event(n);
        event["actor"]["id"] = json!(if n % 2 == 0 { "eve" } else { "ada" });
        let path = format!("/v1/events?tenant={tenant}");
        served.post_as(EMITTER, &path, &event).is(201);
    }
}

#[test]
fn records_come_once_in_their_order_and_a_tail_goes_on_where_it_was() {
    let served = served();
    emit(&served, "acme", 1..=3);
    let (mut tail, open) = Tail::of(&served, served.key(READER), "/v1/tail");
    emit(&served, "acme", 4..=9);
    let mut last = open.cursor.clone();
    for n in 4..=7 {
        let said = tail.next().unwrap();
        assert_eq!(said.number(), n, "from now on, in order");
        let leaf: Value = serde_json::from_str(said.data["leaf"].as_str().unwrap()).unwrap();
        assert_eq!(leaf, said.data["record"]);
        last = said.cursor;
    }
    drop(tail);
    emit(&served, "acme", 10..=12);
    // As a browser says it, and as everybody else does.
    let bearer = format!("Authorization: Bearer {}", served.key(READER));
    let id = format!("Last-Event-ID: {last}");
    let mut again = Tail::open(&served, "/v1/tail", &[&bearer, &id]).unwrap();
    assert_eq!(again.next().unwrap().event, "open");
    assert_eq!(again.numbers(5), [8, 9, 10, 11, 12]);
    let path = "/v1/tail?from=start&q=seq:2..9";
    let (mut start, _) = Tail::of(&served, served.key(READER), path);
    assert_eq!(start.numbers(8), (2..=9).collect::<Vec<_>>());
    // A browser opens the same URL again and says where it was beside it.
    let id = format!("Last-Event-ID: {}", open.cursor);
    let path = "/v1/tail?from=start";
    let mut whole = Tail::open(&served, path, &[&bearer, &id]).unwrap();
    assert_eq!(whole.next().unwrap().event, "open");
    // In one URL only one of the two can hold.
    let path = format!("/v1/tail?from=now&after={}", open.cursor);
    let refused = served.get_as(READER, &path);
    let problem = refused.is_problem(400, "bad-request");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("`from`") && detail.contains("`after`"),
        "{detail}"
    );
    emit(&served, "acme", 13..=14);
    assert_eq!(whole.numbers(11), (4..=14).collect::<Vec<_>>());
    assert_eq!(again.numbers(2), [13, 14]);
}

#[test]
fn a_tail_is_of_what_is_asked_and_its_cursor_of_nothing_else() {
    let served = served();
    create(&served, "globex");
    let admin = served.key(ADMIN);
    let (mut eve, open) = Tail::of(&served, admin, "/v1/tail?q=actor:eve&tenant=acme");
    let (mut late, _) = Tail::of(
        &served,
        admin,
        "/v1/tail?q=tenant:globex%20since:2020-01-01",
    );
    emit(&served, "globex", 20..=23);
    emit(&served, "acme", 1..=6);
    assert_eq!(eve.numbers(3), [2, 4, 6]);
    assert_eq!(late.numbers(4), [1, 2, 3, 4]);
    let refused = |path: &str, status, problem| {
        served.get_as(ADMIN, path).is_problem(status, problem);
    };
    let cursor = &open.cursor;
    for path in [
        format!("/v1/tail?q=actor:ada&tenant=acme&after={cursor}"),
        format!("/v1/tail?q=actor:eve&tenant=globex&after={cursor}"),
        format!("/v1/tail?q=actor:eve&after={cursor}"),
        format!("/v1/records?q=actor:eve&tenant=acme&cursor={cursor}"),
        "/v1/tail?after=bWFkZSB1cA".to_owned(),
    ] {
        refused(&path, 400, "bad-cursor");
    }
    refused("/v1/tail?q=actor:", 400, "bad-query");
    refused("/v1/tail?tenant=hooli", 404, "not-found");
    refused("/v1/tail?limit=3", 400, "bad-request");
    // What one may not see answers as what does not exist.
    let told = |path: &str| {
        let mut answer = served.get_as(READER, path).json();
        answer["request_id"] = Value::Null;
        answer
    };
    let there = told("/v1/tail?tenant=globex").to_string();
    let not = told("/v1/tail?tenant=initech").to_string();
    assert_eq!(there, not.replace("initech", "globex"));
    let accept = [
        &*format!("Authorization: Bearer {admin}"),
        "Accept: application/json",
    ];
    served
        .send("GET", "/v1/tail", &accept, b"")
        .is_problem(400, "bad-request");
}

#[test]
fn logs_that_come_later_are_followed_and_those_of_others_are_not() {
    let served = served();
    let (mut all, open) = Tail::of(&served, served.key(ADMIN), "/v1/tail");
    let (mut own, _) = Tail::of(&served, served.key(READER), "/v1/tail");
    create(&served, "globex");
    emit(&served, "globex", 30..=31);
    emit(&served, "acme", 1..=1);
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let said = all.next().unwrap();
        let tenant = said.data["record"]["tenant_id"]
            .as_str()
            .unwrap()
            .to_owned();
        seen.push((tenant, said.number()));
    }
    seen.sort();
    let expected = [("acme", 1), ("globex", 0), ("globex", 1), ("globex", 2)];
    let expected = expected.map(|(tenant, n)| (tenant.to_owned(), n));
    assert_eq!(seen, expected, "from the first record of the new log on");
    assert_eq!(own.numbers(1), [1]);
    emit(&served, "globex", 32..=32);
    emit(&served, "acme", 2..=2);
    assert_eq!(own.numbers(1), [2], "and nothing of globex");
    // A cursor of before knows nothing of the log, and all of it is behind the cursor.
    let path = format!("/v1/tail?after={}", open.cursor);
    let (mut again, _) = Tail::of(&served, served.key(ADMIN), &path);
    let mut count = 0;
    while count < 6 {
        again.next().unwrap().number();
        count += 1;
    }
}

#[test]
fn a_bound_reader_follows_its_own_query_and_no_more() {
    let served = served();
    let wanted = json!({"role": "reader", "tenants": ["acme"], "query": "-actor:eve"});
    let made = served.post_as(ADMIN, "/v1/keys", &wanted).is(201);
    let key = made["bearer"].as_str().unwrap();
    let (mut all, open) = Tail::of(&served, key, "/v1/tail");
    let (mut eve, _) = Tail::of(&served, key, "/v1/tail?q=actor:eve%20OR%20seq:5");
    emit(&served, "acme", 1..=6);
    assert_eq!(all.numbers(3), [1, 3, 5]);
    assert_eq!(eve.numbers(1), [5]);
    // Also of what came before; and the cursor of a reader who sees more is not for it.
    let (_, whole) = Tail::of(&served, served.key(READER), "/v1/tail");
    emit(&served, "acme", 7..=9);
    let after = |cursor: &str| format!("/v1/tail?after={cursor}");
    let (mut again, _) = Tail::of(&served, key, &after(&open.cursor));
    assert_eq!(again.numbers(5), [1, 3, 5, 7, 9]);
    let header = format!("Authorization: Bearer {key}");
    let refused = Tail::open(&served, &after(&whole.cursor), &[&header]);
    assert_eq!(refused.err(), Some(400));
}

#[test]
fn a_key_that_is_in_force_no_more_ends_its_tails_and_no_others() {
    let served = served();
    let key = |expires: Option<&str>| {
        let wanted = json!({"role": "reader", "tenants": ["acme"], "expires": expires});
        served.post_as(ADMIN, "/v1/keys", &wanted).is(201)
    };
    let (revoked, expiring) = (key(None), key(Some("1h")));
    let bearer = |key: &Value| key["bearer"].as_str().unwrap().to_owned();
    let (mut first, _) = Tail::of(&served, &bearer(&revoked), "/v1/tail");
    let (mut second, _) = Tail::of(&served, &bearer(&expiring), "/v1/tail");
    let (mut third, _) = Tail::of(&served, served.key(READER), "/v1/tail");
    let id = revoked["key"]["id"].as_str().unwrap();
    let began = Instant::now();
    served
        .ask_with(
            served.key(ADMIN),
            "DELETE",
            &format!("/v1/keys/{id}"),
            &Value::Null,
        )
        .is(200);
    served.move_clock(Duration::from_secs(3_601));
    for tail in [&mut first, &mut second] {
        let end = tail.end();
        assert_eq!(end.data["reason"], "not-in-force", "{end:?}");
        assert_eq!(end.data["next_cursor"], Value::Null);
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    emit(&served, "acme", 1..=1);
    assert_eq!(third.numbers(1), [1]);
}

#[test]
fn a_slow_reader_ends_alone_and_goes_on_where_it_was() {
    let served = Served::start(&KEYS, |settings| {
        settings.tail_queue_records = 8;
        settings.tail_patience = Duration::from_millis(500);
    });
    create(&served, "acme");
    let path = "/v1/tail?tenant=acme";
    let (mut slow, _) = Tail::of(&served, served.key(READER), path);
    let (mut fast, _) = Tail::of(&served, served.key(READER), path);
    let count: u64 = 700;
    let reads = std::thread::spawn(move || {
        for number in 1..=count {
            assert_eq!(fast.next().unwrap().number(), number);
        }
    });
    for n in 1..=count {
        let mut event = event(usize::try_from(n).unwrap());
        event["data"]["text"] = json!("x".repeat(40_000));
        let path = "/v1/events?tenant=acme";
        served.post_as(EMITTER, path, &event).is(201);
    }
    reads.join().unwrap();
    let mut seen = Vec::new();
    let end = loop {
        let said = slow.next().unwrap();
        if said.event == "end" {
            break said;
        }
        seen.push(said.number());
    };
    assert_eq!(end.data["reason"], "too-slow", "{end:?}");
    assert!(seen.len() < 700, "{}", seen.len());
    let cursor = end.data["next_cursor"].as_str().unwrap();
    let path = format!("{path}&after={cursor}");
    let (mut again, _) = Tail::of(&served, served.key(READER), &path);
    seen.extend(again.numbers(700 - seen.len()));
    assert_eq!(seen, (1..=count).collect::<Vec<_>>());
    let metrics = served.get_as(ADMIN, "/metrics");
    assert!(
        metrics
            .text()
            .contains("indelible_tails_too_slow_total 1\n")
    );
}

#[test]
fn a_slow_websocket_ends_behind_a_whole_message_with_the_reason_and_where_to_go_on() {
    let served = Served::start(&KEYS, |settings| {
        settings.tail_patience = Duration::from_millis(300);
    });
    create(&served, "acme");
    let count = 600;
    for n in 1..=count {
        let mut event = event(n);
        event["data"]["text"] = json!("x".repeat(20_000));
        let path = "/v1/events?tenant=acme";
        served.post_as(EMITTER, path, &event).is(201);
    }
    let reader = format!("Authorization: Bearer {}", served.key(READER));
    let path = "/v1/tail?from=start";
    let mut slow = Socket::open(&served, path, &[&reader]).unwrap();
    until("it is too slow", || {
        let metrics = served.get_as(ADMIN, "/metrics").text();
        metrics.contains("indelible_tails_too_slow_total 1\n")
    });
    assert_eq!(slow.next().event, "open");
    let mut seen = Vec::new();
    let end = loop {
        let said = slow.next();
        if said.event == "end" {
            break said;
        }
        seen.push(said.number());
    };
    assert_eq!(end.data["reason"], "too-slow", "{end:?}");
    assert!(seen.len() < count, "{}", seen.len());
    let (kind, data) = slow.frame();
    assert_eq!((kind, &data[..2]), (8, &1013_u16.to_be_bytes()[..]));
    assert_eq!(&data[2..], b"too-slow: see the last message");
    let path = format!(
        "/v1/tail?after={}",
        end.data["next_cursor"].as_str().unwrap()
    );
    let mut again = Socket::open(&served, &path, &[&reader]).unwrap();
    assert_eq!(again.next().event, "open");
    seen.extend((seen.len()..=count).map(|_| again.next().number()));
    assert_eq!(seen, (0..=count as u64).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_takes_a_little_at_a_time_is_never_cut_off_in_the_middle() {
    let served = Served::start(&KEYS, |settings| {
        settings.answer_timeout = Duration::from_millis(300);
        settings.write_timeout = Duration::from_millis(300);
        settings.tail_patience = Duration::from_millis(1_500);
    });
    create(&served, "acme");
    let count = 300;
    for n in 1..=count {
        let mut event = event(n);
        event["data"]["text"] = json!("x".repeat(40_000));
        let path = "/v1/events?tenant=acme";
        served.post_as(EMITTER, path, &event).is(201);
    }
    let path = "/v1/tail?from=start";
    let (mut tail, _) = Tail::of(&served, served.key(READER), path);
    // Longer than an answer may take as a whole, and than one may pause.
    let mut numbers = Vec::new();
    for n in 0..=count {
        let pause = if n == 10 { 700 } else { 8 };
        std::thread::sleep(Duration::from_millis(pause));
        numbers.push(tail.next().unwrap().number());
    }
    assert_eq!(numbers, (0..=count as u64).collect::<Vec<_>>());
}

#[test]
fn tails_end_with_the_server_and_go_on_with_the_next() {
    let stand = Stand::default();
    let first = Served::start_on(stand.clone(), &KEYS, |_| {});
    create(&first, "acme");
    let key = first.key(READER).to_owned();
    let (mut tail, _) = Tail::of(&first, &key, "/v1/tail");
    emit(&first, "acme", 1..=2);
    assert_eq!(tail.numbers(2), [1, 2]);
    let began = Instant::now();
    first.tell_to_stop();
    let end = tail.end();
    first.end().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(end.data["reason"], "stopping");
    let cursor = end.data["next_cursor"].as_str().unwrap();
    let second = Served::start_on(stand, &[(Role::Emitter, None)], |_| {});
    let path = format!("/v1/tail?after={cursor}");
    let (mut tail, _) = Tail::of(&second, &key, &path);
    let path = "/v1/events?tenant=acme";
    second.post_as(0, path, &event(3)).is(201);
    assert_eq!(tail.numbers(1), [3]);
}

#[test]
fn tails_are_bounded_by_key_and_in_all_and_keep_their_connections() {
    let served = Served::start(&KEYS, |settings| {
        settings.tails_max = 3;
        settings.tails_per_key_max = 2;
        settings.connections_max = 5;
        settings.tail_heartbeat = Duration::from_millis(1);
    });
    create(&served, "acme");
    let reader = format!("Authorization: Bearer {}", served.key(READER));
    let admin = format!("Authorization: Bearer {}", served.key(ADMIN));
    let open = |header: &str| Tail::open(&served, "/v1/tail?tenant=acme", &[header]);
    let mut first = open(&reader).unwrap();
    assert_eq!(first.next().unwrap().event, "open");
    let second = open(&reader).unwrap();
    assert_eq!(open(&reader).err(), Some(429));
    let third = Socket::open(&served, "/v1/tail?tenant=acme", &[&admin]);
    let mut third = third.unwrap();
    assert_eq!(third.next().event, "open");
    assert_eq!(open(&admin).err(), Some(503));
    // Where there is no room for a connection, others give way, and a tail does not.
    let idle: Vec<_> = (0..8).map(|_| served.connect()).collect();
    emit(&served, "acme", 1..=4);
    drop(idle);
    let mut seen = Vec::new();
    let mut heartbeats = 0;
    while seen.len() < 4 || heartbeats == 0 {
        let said = first.any().unwrap();
        match said.event.as_str() {
            "record" => seen.push(said.number()),
            "heartbeat" => heartbeats += 1,
            _ => panic!("{said:?}"),
        }
    }
    assert_eq!(seen, [1, 2, 3, 4]);
    let mut last = third.next();
    while last.event == "heartbeat" || last.number() < 4 {
        last = third.next();
    }
    drop((second, third));
    until("places are given back", || open(&reader).is_ok());
}

#[test]
fn tails_of_one_tenant_leave_some_to_those_of_others() {
    let keys = [
        (Role::Admin, None),
        (Role::Reader, Some("acme")),
        (Role::Reader, Some("acme")),
        (Role::Reader, Some("globex")),
        (Role::Reader, Some("acme globex")),
        // The same tenants, however they are named.
        (Role::Reader, Some("globex acme globex")),
        (Role::Reader, Some("acme acme")),
    ];
    let served = Served::start(&keys, |settings| settings.tails_max = 16);
    create(&served, "acme");
    create(&served, "globex");
    let open = |n: usize| {
        let key = format!("Authorization: Bearer {}", served.key(n));
        Tail::open(&served, "/v1/tail", &[&key])
    };
    let open_all = |n: usize| {
        let mut held = Vec::new();
        loop {
            match open(n) {
                Ok(tail) => held.push(tail),
                Err(429) => return held,
                Err(status) => panic!("{status} for {n} with {}", held.len()),
            }
        }
    };
    // The tenant has half, by whichever of its keys; each who comes half of what is left, or as
    // much as is left then.
    let all: Vec<_> = [1, 2, 6, 3, 4, 5, 0].into_iter().map(open_all).collect();
    let counts: Vec<_> = all.iter().map(Vec::len).collect();
    assert_eq!(counts, [8, 0, 0, 4, 2, 0, 1]);
    drop(all);
    until("places are given back", || open(3).is_ok());
}

#[test]
fn a_reader_that_goes_gives_its_place_back_although_nothing_is_said() {
    let served = Served::start(&KEYS, |settings| {
        settings.tails_per_key_max = 1;
        settings.tail_heartbeat = Duration::from_hours(1);
    });
    create(&served, "acme");
    let reader = format!("Authorization: Bearer {}", served.key(READER));
    for _ in 0..3 {
        let mut tail = None;
        until("the place is given back", || {
            let opened = Tail::open(&served, "/v1/tail?tenant=acme", &[&reader]);
            tail = opened.ok();
            tail.is_some()
        });
        assert_eq!(tail.unwrap().next().unwrap().event, "open");
    }
}

#[test]
fn a_websocket_says_the_same_and_no_page_of_others_opens_one() {
    let served = Served::open();
    served.post("/v1/events?tenant=acme", &event(1)).is(201);
    let address = served.address;
    let own = format!("Origin: http://{address}");
    let mut socket = Socket::open(&served, "/v1/tail?tenant=acme", &[&own]).unwrap();
    let open = socket.next();
    assert_eq!(open.event, "open");
    served.post("/v1/events?tenant=acme", &event(2)).is(201);
    let record = socket.next();
    assert_eq!(record.number(), 2);
    // A ping is answered, and what else is said is passed over.
    let stream = socket.stream();
    stream
        .write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i'])
        .unwrap();
    assert_eq!(socket.frame(), (10, b"hi".to_vec()));
    served.post("/v1/events?tenant=acme", &event(3)).is(201);
    let path = format!("/v1/tail?tenant=acme&after={}", record.cursor);
    let mut again = Socket::open(&served, &path, &[]).unwrap();
    assert_eq!(again.next().event, "open");
    assert_eq!(again.next().number(), 3);
    for other in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let origin = format!("Origin: {other}");
        let refused = Socket::open(&served, "/v1/tail", &[&origin]);
        assert_eq!(refused.err(), Some(403), "{other}");
    }
    assert_eq!(
        Socket::open(&served, "/v1/tail?q=actor:", &[]).err(),
        Some(400)
    );
    let began = Instant::now();
    served.tell_to_stop();
    let mut last = again.next();
    while last.event == "record" {
        last = again.next();
    }
    assert_eq!(
        (last.event.as_str(), &last.data["reason"]),
        ("end", &json!("stopping"))
    );
    let (kind, data) = again.frame();
    assert_eq!((kind, &data[..2]), (8, &1001_u16.to_be_bytes()[..]));
    assert_eq!(&data[2..], b"stopping: see the last message");
    drop((socket, again));
    served.end().unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
