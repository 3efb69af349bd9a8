//! Pages of other origins read nothing, unless their origin is named; and what every answer says to
//! a browser.

use indelible_api::Role;

use crate::support::{Answer, Served};

const NAMED: &str = "https://audit.example.com";

fn served(origins: &[&str]) -> Served {
    let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
    Served::start(&[(Role::Admin, None)], |settings| {
        settings.cors_origins = origins;
    })
}

fn ask(served: &Served, method: &str, origin: &str) -> Answer {
    let origin = format!("Origin: {origin}");
    let key = format!("Authorization: Bearer {}", served.key(0));
    served.send(method, "/v1/records", &[&origin, &key], b"")
}

fn preflight(served: &Served, origin: &str) -> Answer {
    let origin = format!("Origin: {origin}");
    let wanted = "Access-Control-Request-Method: POST";
    let headers = "Access-Control-Request-Headers: authorization";
    served.send("OPTIONS", "/v1/events", &[&origin, wanted, headers], b"")
}

/// A page may read every header of an answer that is not for the browser itself.
fn is_exposed(answer: &Answer) {
    let exposed = answer.header("access-control-expose-headers").unwrap();
    let exposed: Vec<&str> = exposed.split(", ").collect();
    let known = [
        "cache-control",
        "connection",
        "content-length",
        "content-security-policy",
        "content-type",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "date",
        "referrer-policy",
        "transfer-encoding",
        "vary",
        "x-content-type-options",
        "x-frame-options",
    ];
    for (name, _) in &answer.headers {
        let is_known = known.contains(&name.as_str()) || name.starts_with("access-control-");
        assert!(is_known || exposed.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn a_page_reads_what_answers_say_in_headers() {
    let served = served(&[NAMED]);
    let tenant = serde_json::json!({"tenant_id": "acme"});
    served.post_as(0, "/v1/tenants", &tenant).is(201);
    for n in 1..=3 {
        let mut event = crate::support::event(n);
        event["actor"]["ip"] = serde_json::json!("10.0.0.7");
        served.post_as(0, "/v1/events?tenant=acme", &event).is(201);
    }
    let origin = format!("Origin: {NAMED}");
    let key = format!("Authorization: Bearer {}", served.key(0));
    let ask = |method: &str, path: &str, more: &[&str], body: &[u8]| {
        let headers = [&[origin.as_str(), &key], more].concat();
        let answer = served.send(method, path, &headers, body);
        is_exposed(&answer);
        answer
    };
    let lines = "Accept: application/x-ndjson";
    let list = ask("GET", "/v1/records?limit=1", &[lines], b"");
    assert!(list.header("x-next-cursor").is_some());
    let export = ask("GET", "/v1/export?tenant=acme&q=-actor:zz*", &[], b"");
    assert!(export.header("x-export-records").is_some());
    assert!(export.header("x-export-unsearched").is_some());
    let json = "Content-Type: application/json";
    let made = ask("POST", "/v1/exports", &[json], br#"{"format":"leaves"}"#);
    let place = made.header("location").unwrap().to_owned();
    crate::support::until("it is written", || {
        ask("GET", &place, &[], b"").is(200)["status"] == "done"
    });
    let part = ask("GET", &format!("{place}/file"), &["Range: bytes=0-9"], b"");
    assert_eq!(part.status, 206);
    assert!(part.header("etag").is_some() && part.header("content-range").is_some());
    assert_eq!(ask("PUT", "/v1/records", &[], b"").status, 405);
    is_exposed(&served.send("GET", "/v1/records", &[&origin], b""));
}

fn says_nothing(answer: &Answer) -> bool {
    let of_cors = |(name, _): &&(String, String)| name.starts_with("access-control-");
    answer.headers.iter().find(of_cors).is_none()
}

#[test]
fn without_a_name_no_page_elsewhere_reads_an_answer() {
    let served = served(&[]);
    for origin in [NAMED, "null", "http://localhost:3000"] {
        let answer = ask(&served, "GET", origin);
        assert!(answer.status == 200 && says_nothing(&answer), "{answer:?}");
        let answer = preflight(&served, origin);
        assert!(answer.status == 405 && says_nothing(&answer), "{answer:?}");
    }
}

#[test]
fn a_page_of_a_named_origin_asks_and_reads_and_one_of_another_does_not() {
    let served = served(&[NAMED]);
    let answer = ask(&served, "GET", NAMED);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some(NAMED));
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    is_exposed(&answer);
    let answer = preflight(&served, NAMED);
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(NAMED));
    let allowed = answer.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization"), "{allowed}");
    // Refusals are read too, so that a page can tell why.
    let origin = format!("Origin: {NAMED}");
    let refused = served.send("GET", "/v1/records", &[&origin], b"");
    refused.is_problem(401, "unauthorized");
    assert_eq!(refused.header("access-control-allow-origin"), Some(NAMED));
    for other in [
        "https://audit.example.com.evil.example",
        "https://audit.example.co",
        "http://audit.example.com",
        "https://audit.example.com:8443",
        "null",
        "*",
    ] {
        let answer = ask(&served, "GET", other);
        assert!(answer.status == 200 && says_nothing(&answer), "{answer:?}");
        assert_eq!(answer.header("vary"), Some("origin"));
        let answer = preflight(&served, other);
        assert!(answer.status == 405 && says_nothing(&answer), "{answer:?}");
    }
}

#[test]
fn every_answer_says_what_a_browser_may_do_with_it() {
    let served = served(&[]);
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/docs"),
        ("GET", "/v1/records"),
        ("GET", "/nowhere"),
        ("PATCH", "/v1/records"),
        ("GET", "/health/live"),
        ("POST", "/v1/events"),
    ] {
        let answer = served.send(method, path, &[], b"");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{method} {path}: {name}");
        }
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(answer.header("strict-transport-security"), None);
    }
}

#[test]
fn one_page_stands_in_a_frame_and_only_where_it_was_named() {
    let nobody = served(&[]);
    let answer = nobody.send("GET", "/embed", &[], b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    let named = Served::start(&[(Role::Admin, None)], |settings| {
        settings.frame_ancestors = vec![NAMED.to_owned(), "http://localhost:3000".to_owned()];
    });
    let answer = named.send("GET", "/embed", &[], b"");
    assert_eq!(answer.header("x-frame-options"), None);
    let policy = answer.header("content-security-policy").unwrap();
    let ends = format!("frame-ancestors {NAMED} http://localhost:3000");
    assert!(policy.ends_with(&ends), "{policy}");
    for path in ["/", "/docs", "/v1/records", "/ui/app.js", "/embed/x"] {
        let answer = named.send("GET", path, &[], b"");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.ends_with("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
    }
}
