//! No other tenant's shadow: whatever a reader of one tenant asks, it is answered the same whether
//! another tenant and its data are there or not; and what is the other's is refused as what does
//! not exist. Routes are those of the description, so that a new one must be asked here.

use std::time::Duration;

use indelible_api::Role;
use indelible_api::openapi::{ROUTES, Route};
use serde_json::{Value, json};

use crate::following::Tail;
use crate::support::{Answer, Served, Stand, event, until};

const ADMIN: usize = 0;
pub const READER: usize = 1;
const OTHER: usize = 2;
pub const AUDITOR: usize = 3;
/// Of the tenant that is there on both, of the other one's, of nobody's.
const OURS: &str = "acme";
pub const THEIRS: &str = "beta";
pub const NOBODYS: &str = "nope";
const DIGEST: &str = "sha256:a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447";
pub const THEIR_DIGEST: &str =
    "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
pub const NO_DIGEST: &str =
    "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// What is asked of lists, counts and exports; `{t}` stands for the other tenant.
const LISTS: &[&str] = &[
    "",
    "?limit=3",
    "?limit=3&order=seq",
    "?limit=3&order=newest&q=actor:ada",
    "?q=mallory-7f3a",
    "?q=tenant:{t}",
    "?q=tenant:acme,{t}",
    "?q=id:ext-50",
    "?tenant={t}",
    "?tenant=_system",
    "?after=acme/3",
    "?after={t}/1",
    "?q=acter:x",
    "?cursor=abc",
];
const COUNTS: &[&str] = &[
    "?facet=actor,target,type,correlation&every=day&stats=duration",
    "?q=tenant:{t}&facet=actor",
    "?q=mallory-7f3a",
    "?q=data.n>2&facet=actor",
    "?tenant={t}",
];
const EXPORTS: &[&str] = &[
    "",
    "?format=joined&order=newest",
    "?format=csv&columns=all",
    "?format=csv&q=tenant:{t}",
    "?q=mallory-7f3a",
    "?tenant={t}",
];

pub fn id(n: usize) -> String {
    event(n)["audit_id"].as_str().unwrap().to_owned()
}

fn emit(served: &Served, tenant: &str, n: usize, who: &str) {
    let mut event = event(n);
    event["actor"] = json!({"id": who, "name": who, "type": "user"});
    event["context"] = json!({"correlation_id": "corr-1", "request_id": "req-1"});
    event["source_event_id"] = json!(format!("ext-{n}"));
    let path = format!("/v1/events?tenant={tenant}");
    served.post_as(ADMIN, &path, &event).is(201);
}

fn attach(served: &Served, tenant: &str, digest: &str, bytes: &[u8]) {
    let path = format!("/v1/attachments/{digest}?tenant={tenant}");
    let admin = format!("Authorization: Bearer {}", served.key(ADMIN));
    served.send("PUT", &path, &[&admin], bytes).is(201);
}

/// One with our tenant's data, and with the other's, or not.
fn served(with_theirs: bool) -> Served {
    served_on(Stand::default(), with_theirs)
}

pub fn served_on(stand: Stand, with_theirs: bool) -> Served {
    let keys = [
        (Role::Admin, None),
        (Role::Reader, Some(OURS)),
        (Role::Reader, Some(THEIRS)),
        (Role::Auditor, Some(OURS)),
    ];
    let served = Served::start_on(stand, &keys, |_| {});
    let tenant = json!({"tenant_id": OURS});
    served.post_as(ADMIN, "/v1/tenants", &tenant).is(201);
    if with_theirs {
        let tenant = json!({"tenant_id": THEIRS});
        served.post_as(ADMIN, "/v1/tenants", &tenant).is(201);
        // So many that what counts all records has more digits; some have ids that ours have too.
        for n in 1..=120 {
            emit(&served, THEIRS, n, "mallory-7f3a");
        }
        attach(&served, THEIRS, THEIR_DIGEST, b"hello\n");
    }
    for n in 1..=8 {
        emit(&served, OURS, n, "ada");
    }
    attach(&served, OURS, DIGEST, b"hello world\n");
    // What is told of the newest pass of the verifier comes to rest.
    until("all is published and verified", || {
        let list = served.get_as(READER, "/v1/tenants").is(200);
        let ours = &list["tenants"][0];
        ours["published"] == 9 && ours["verdict"]["records"] == 9
    });
    served
}

/// What is asked of a route: ours, what is theirs or nobody's, and mistakes. `{t}` stands for the
/// other tenant.
pub fn asked(route: &Route) -> Vec<String> {
    let (ours, theirs) = (id(3), id(50));
    let each = |end: &str| {
        [ours.as_str(), &theirs, "ext-3", "ext-50", "nothing"]
            .into_iter()
            .flat_map(|id| {
                ["", "?tenant=acme", "?tenant={t}"].map(|t| format!("/v1/records/{id}{end}{t}"))
            })
            .collect()
    };
    let with = |path: &str, queries: &[&str]| {
        queries
            .iter()
            .map(|query| format!("{path}{query}"))
            .collect()
    };
    match route.path {
        "/v1/records" => with(route.path, LISTS),
        "/v1/counts" => with(route.path, COUNTS),
        "/v1/records/{audit_id}" => each(""),
        "/v1/records/{audit_id}/proof" => each("/proof"),
        "/v1/records/{audit_id}/related" => each("/related"),
        "/v1/attachments/{digest}" => [DIGEST, THEIR_DIGEST, NO_DIGEST]
            .into_iter()
            .flat_map(|digest| ["", "?tenant={t}"].map(|t| format!("/v1/attachments/{digest}{t}")))
            .collect(),
        "/v1/tenants" => with(
            route.path,
            &["", "?limit=1", "?integrity=broken", "?cursor=abc"],
        ),
        "/v1/streams" | "/v1/checkpoints" => {
            with(route.path, &["", "?limit=1", "?tenant=acme", "?tenant={t}"])
        }
        "/v1/export" => with(route.path, EXPORTS),
        "/v1/exports/{id}" | "/v1/exports/{id}/file" => {
            vec![route.path.replace("{id}", &"0".repeat(32))]
        }
        "/v1/exports" | "/v1/keys" | "/v1/access" | "/v1/configuration" | "/metrics" => {
            with(route.path, &[""])
        }
        // Followed below.
        "/v1/tail" => with(route.path, &["?q=acter:x", "?cursor=abc", "?tenant={t}"]),
        path => panic!("{path}: say here what is asked of it"),
    }
}

/// An answer without what is of its moment: ids that were drawn, hashes, times; of what is sealed
/// the length. A proof says how many logs there are, and has their hashes, which is documented.
fn bare(path: &str, answer: &Answer) -> String {
    let is_proof = path.contains("/proof") || path.starts_with("/v1/checkpoints");
    let mut text = format!("{}\n", answer.status);
    let mut headers = answer.headers.clone();
    headers.sort();
    for (name, value) in headers {
        let is_length = name == "content-length" && (is_proof || path.contains("tenants"));
        if !["date", "x-request-id"].contains(&name.as_str()) && !is_length {
            text.extend([&name, ": ", &value, "\n"]);
        }
    }
    let body = answer.text();
    if is_proof && answer.status == 200 {
        let proof: Value = serde_json::from_str(&body).unwrap();
        let names: Vec<_> = proof.as_object().unwrap().keys().collect();
        text += &json!([names, proof["receipt"]["sequence_number"]]).to_string();
    } else {
        text += &body;
    }
    normalised(&text)
}

fn normalised(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_.:+-".contains(c);
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|c| !is_word(c))
            .unwrap_or(rest.len())
            .max(first.len_utf8());
        let (word, behind) = rest.split_at(end);
        out += &of_its_moment(word).unwrap_or_else(|| word.to_owned());
        rest = behind;
    }
    out
}

fn of_its_moment(word: &str) -> Option<String> {
    let is_time = word.len() >= 20 && word.starts_with("20") && word.contains('T');
    let word = ["sub_", "key:"]
        .iter()
        .find_map(|kind| word.strip_prefix(kind))
        .unwrap_or(word);
    let is_hex = word.len() >= 16 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let is_sealed = word.len() >= 40;
    if is_time {
        return Some("<time>".to_owned());
    }
    (is_hex || is_sealed).then(|| format!("<{} signs>", word.len()))
}

/// Names the place where they begin to differ.
#[track_caller]
fn same(one: &str, other: &str, what: &str) {
    let differ = one
        .bytes()
        .zip(other.bytes())
        .position(|(one, other)| one != other);
    let from = differ
        .unwrap_or(one.len().min(other.len()))
        .saturating_sub(200);
    let near = |text: &str| String::from_utf8_lossy(&text.as_bytes()[from..]).into_owned();
    let near = |text: &str| near(text).chars().take(500).collect::<String>();
    assert!(one == other, "{what}:\n{}\n{}", near(one), near(other));
}

pub fn get(served: &Served, key: usize, path: &str) -> Answer {
    served.get_as(key, path)
}

pub fn reading() -> impl Iterator<Item = &'static Route> {
    ROUTES
        .iter()
        .filter(|route| route.method == "get" && !route.who.is_empty())
}

#[test]
fn answers_are_the_same_whether_another_tenant_is_there_or_not() {
    let (alone, beside) = (served(false), served(true));
    let mut count = 0;
    for route in reading() {
        for path in asked(route) {
            let path = path.replace("{t}", THEIRS);
            let of = |served: &Served| bare(&path, &get(served, READER, &path));
            let answer = of(&beside);
            same(&of(&alone), &answer, &path);
            assert!(!answer.contains("mallory"), "{path}: {answer}");
            let of = |served: &Served| bare(&path, &get(served, AUDITOR, &path));
            assert_eq!(
                of(&alone),
                of(&beside),
                "{path} by an auditor of the tenant"
            );
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
    for (path, wanted) in [
        ("/v1/exports", json!({"format": "csv", "tenant": THEIRS})),
        ("/v1/exports", json!({"format": "csv", "q": "mallory-7f3a"})),
        ("/v1/viewer-tokens", json!({"tenant": THEIRS})),
        (
            "/v1/viewer-tokens",
            json!({"tenant": OURS, "query": "mallory-7f3a"}),
        ),
    ] {
        let of = |served: &Served| {
            let answer = served.post_as(READER, path, &wanted);
            bare(path, &answer)
        };
        same(&of(&alone), &of(&beside), &format!("{path} {wanted}"));
    }
}

/// What stands in `_system` of what a key asked, when all is written.
fn noted(served: &Served, key: usize) -> Vec<String> {
    served.move_clock(Duration::from_secs(61));
    let by = format!("key:{}", served.key(key).split('_').nth(1).unwrap());
    let mut last = Vec::new();
    until("what was asked is written", || {
        std::thread::sleep(Duration::from_millis(300));
        let all = ["access.denied", "access.read", "access.exported"];
        let all = all.map(|event_type| served.own_records(ADMIN, event_type));
        let all = all.into_iter().flatten();
        let mut noted: Vec<_> = all
            .filter(|one| one["actor"]["id"] == by)
            .map(|one| {
                let (data, target) = (&one["data"], &one["target"]["id"]);
                let of = ["route", "query", "reason", "requests", "records"];
                json!([one["event_type"], target, of.map(|name| &data[name])]).to_string()
            })
            .collect();
        noted.sort();
        let is_all = !noted.is_empty() && noted == last;
        last = noted;
        is_all
    });
    last
}

#[test]
fn what_is_asked_of_another_tenant_is_noted_alike_whether_it_is_there_or_not() {
    let (alone, beside) = (served(false), served(true));
    for served in [&alone, &beside] {
        for path in reading().flat_map(asked) {
            get(served, READER, &path.replace("{t}", THEIRS));
        }
        for (path, wanted) in [
            ("/v1/exports", json!({"format": "csv", "tenant": THEIRS})),
            ("/v1/viewer-tokens", json!({"tenant": THEIRS})),
        ] {
            served.post_as(READER, path, &wanted).is(404);
        }
    }
    let (alone, beside) = (noted(&alone, READER), noted(&beside, READER));
    same(&alone.join("\n"), &beside.join("\n"), "what is noted");
    let is_denied = |one: &&String| one.contains(THEIRS) && one.contains("access.denied");
    assert!(beside.iter().filter(is_denied).count() >= 5, "{beside:#?}");
}

#[test]
fn what_a_query_keeps_back_is_noted_as_what_is_not_there() {
    let served = served(false);
    let sees = |query: &str| {
        let key = json!({"role": "reader", "tenants": [OURS], "query": query});
        let key = served.post_as(ADMIN, "/v1/keys", &key).is(201);
        let bearer = key["bearer"].as_str().unwrap().to_owned();
        for id in [id(3), id(5_000), "ext-3".to_owned(), "ext-5000".to_owned()] {
            let path = format!("/v1/records/{id}");
            let answer = served.ask_with(&bearer, "GET", &path, &Value::Null);
            answer.is_problem(404, "not-found");
        }
        served.move_clock(Duration::from_secs(61));
        let by = format!("key:{}", key["key"]["id"].as_str().unwrap());
        let mut requests = Value::Null;
        until("it is written", || {
            let mut all = served.own_records(ADMIN, "access.denied").into_iter();
            let one = all.find(|one| one["actor"]["id"] == by);
            requests = one.map_or(Value::Null, |one| one["data"]["requests"].clone());
            requests.is_u64()
        });
        requests
    };
    assert_eq!(sees("actor:nobody"), 4);
}

#[test]
fn what_is_theirs_is_refused_in_the_words_for_what_is_not_there() {
    let beside = served(true);
    for route in reading() {
        for path in asked(route).into_iter().filter(|path| path.contains("{t}")) {
            let of = |name: &str| {
                let path = path.replace("{t}", name);
                bare(&path, &get(&beside, READER, &path)).replace(name, "{t}")
            };
            assert_eq!(of(THEIRS), of(NOBODYS), "{path}");
        }
    }
    // Ids that are theirs alone, beside those that nobody has.
    for end in ["", "/proof", "/related"] {
        let of = |id: &str| {
            let path = format!("/v1/records/{id}{end}");
            bare(&path, &get(&beside, READER, &path)).replace(id, "{id}")
        };
        assert_eq!(of(&id(50)), of(&id(5_000)));
        assert_eq!(of("ext-50"), of("ext-5000"));
        // One that both have is ours, and not one of several.
        let path = format!("/v1/records/{}{end}", id(3));
        assert_eq!(get(&beside, READER, &path).status, 200);
    }
    let of = |digest: &str| {
        let path = format!("/v1/attachments/{digest}?tenant=acme");
        bare(&path, &get(&beside, READER, &path))
    };
    assert_eq!(of(THEIR_DIGEST), of(NO_DIGEST));
    for wanted in [
        json!({"format": "csv", "tenant": "{t}"}),
        json!({"tenant": "{t}"}),
    ] {
        let path = if wanted["format"].is_null() {
            "/v1/viewer-tokens"
        } else {
            "/v1/exports"
        };
        let of = |name: &str| {
            let wanted = serde_json::from_str(&wanted.to_string().replace("{t}", name)).unwrap();
            bare(path, &beside.post_as(READER, path, &wanted)).replace(name, "{t}")
        };
        assert_eq!(of(THEIRS), of(NOBODYS), "{path}");
    }
}

#[test]
fn a_tail_tells_the_same_beside_another_tenants_events() {
    let (alone, beside) = (served(false), served(true));
    let told = |served: &Served| {
        let path = "/v1/tail?from=start";
        let (mut tail, open) = Tail::of(served, served.key(READER), path);
        let mut told = vec![format!("{} {}", open.data, open.cursor.len())];
        for _ in 0..9 {
            let said = tail.next().unwrap();
            told.push(normalised(&format!(
                "{} {} {}",
                said.event, said.cursor, said.data
            )));
        }
        told
    };
    same(
        &told(&alone).join("\n"),
        &told(&beside).join("\n"),
        "a tail",
    );
}

#[test]
fn cursors_are_of_whom_they_were_given_to() {
    let served = served(true);
    let list = served
        .get_as(READER, "/v1/records?limit=2&order=seq")
        .is(200);
    let cursor = list["next_cursor"].as_str().unwrap();
    let path = |cursor: &str| format!("/v1/records?limit=2&order=seq&cursor={cursor}");
    // Again and again the same page, for the same reader.
    let second = served.get_as(READER, &path(cursor)).is(200);
    assert_eq!(
        served.get_as(READER, &path(cursor)).is(200)["records"],
        second["records"]
    );
    for key in [OTHER, ADMIN] {
        served
            .get_as(key, &path(cursor))
            .is_problem(400, "bad-cursor");
    }
    let theirs = served
        .get_as(OTHER, "/v1/records?limit=2&order=seq")
        .is(200);
    let theirs = theirs["next_cursor"].as_str().unwrap();
    served
        .get_as(READER, &path(theirs))
        .is_problem(400, "bad-cursor");
    for forged in forgeries(cursor) {
        served
            .get_as(READER, &path(&forged))
            .is_problem(400, "bad-cursor");
    }
    let all = served.get_as(ADMIN, "/v1/tenants?limit=1").is(200);
    let next = all["next_cursor"].as_str().unwrap();
    served
        .get_as(ADMIN, &format!("/v1/tenants?limit=1&cursor={next}"))
        .is(200);
    for (key, path) in [
        (READER, "tenants"),
        (AUDITOR, "checkpoints"),
        (READER, "streams"),
    ] {
        let path = format!("/v1/{path}?limit=1&cursor={next}");
        served.get_as(key, &path).is_problem(400, "bad-cursor");
    }
    let (mut tail, _) = Tail::of(&served, served.key(OTHER), "/v1/tail?from=start");
    let theirs = tail.next().unwrap().cursor;
    for forged in forgeries(&theirs).into_iter().chain([theirs]) {
        let path = format!("/v1/tail?after={forged}");
        let accept = "Accept: text/event-stream";
        let key = format!("Authorization: Bearer {}", served.key(READER));
        let refused = served.send("GET", &path, &[accept, &key], b"");
        refused.is_problem(400, "bad-cursor");
    }
}

/// Texts that are nearly this one.
fn forgeries(text: &str) -> Vec<String> {
    let changed = |at: usize| {
        let mut text = text.to_owned().into_bytes();
        // Hex digits are read in either case.
        let is_a = text[at].eq_ignore_ascii_case(&b'A');
        text[at] = if is_a { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    let end = text.len() - 2;
    let mut forged = vec![changed(0), changed(text.len() / 2), changed(end)];
    forged.extend([
        text[..end].to_owned(),
        format!("{text}AAAA"),
        String::from("AAAA"),
    ]);
    forged
}

#[test]
fn viewer_links_keys_and_jobs_that_are_forged_expired_or_anothers_are_refused() {
    let served = served(true);
    let wanted = json!({"tenant": THEIRS, "for": "1m"});
    let made = served.post_as(OTHER, "/v1/viewer-tokens", &wanted).is(201);
    let link = made["bearer"].as_str().unwrap().to_owned();
    let ask = |bearer: &str, path: &str| served.ask_with(bearer, "GET", path, &Value::Null);
    assert_eq!(ask(&link, "/v1/records").status, 200);
    // It shows theirs, and of ours it knows nothing.
    ask(&link, "/v1/records?tenant=acme").is_problem(404, "not-found");
    let none = ask(&link, "/v1/records?q=ada").is(200);
    assert_eq!(none["records"], json!([]));
    let body = link.strip_prefix("indv_").unwrap();
    for forged in forgeries(body) {
        ask(&format!("indv_{forged}"), "/v1/records").is_problem(401, "unauthorized");
    }
    let key = served.key(READER).to_owned();
    for forged in forgeries(key.rsplit('_').next().unwrap()) {
        let (id, _) = key.rsplit_once('_').unwrap();
        ask(&format!("{id}_{forged}"), "/v1/records").is_problem(401, "unauthorized");
    }
    // A secret is not that of another key.
    let (_, theirs) = served.key(OTHER).rsplit_once('_').unwrap();
    let (id, _) = key.rsplit_once('_').unwrap();
    ask(&format!("{id}_{theirs}"), "/v1/records").is_problem(401, "unauthorized");
    let job = served
        .post_as(OTHER, "/v1/exports", &json!({"format": "csv"}))
        .is(201);
    let job = job["id"].as_str().unwrap();
    let nobodys = "0".repeat(32);
    for forged in [
        job,
        &job.to_uppercase(),
        &job[..31],
        &nobodys,
        "..%2f..%2fFORMAT",
        "%00",
    ] {
        for end in ["", "/file"] {
            ask(&key, &format!("/v1/exports/{forged}{end}")).is_problem(404, "not-found");
        }
    }
    served.move_clock(Duration::from_mins(2));
    assert_eq!(
        ask(&link, "/v1/records").status,
        401,
        "it was good for a minute"
    );
}
