//! Tokens of a trusted issuer: what they make somebody, which are none, and where its keys come
//! from while the server runs.

use std::time::{Duration, Instant};

use indelible_api::Role;
use serde_json::{Value, json};

use crate::issuer::{Issuer, Pair, claims, encoded};
use crate::support::{Answer, Served, Stand, bare, event, until};

const ADMIN: usize = 0;

fn trusting(issuer: &Issuer) -> Served {
    let stand = Stand::trusting(issuer.trusted());
    Served::start_on(stand, &[(Role::Admin, None)], |_| {})
}

fn records(served: &Served, token: &str) -> Answer {
    served.ask_with(token, "GET", "/v1/records", &Value::Null)
}

#[test]
fn a_token_makes_somebody_as_a_key_does() {
    let pair = Pair::ec();
    let served = trusting(&Issuer::of(&[pair.jwk("one")]));
    let token = |change: Value| pair.token("one", &claims(&change));
    for tenant in ["acme", "globex"] {
        let made = json!({"tenant_id": tenant});
        served.post_as(ADMIN, "/v1/tenants", &made).is(201);
        let path = format!("/v1/events?tenant={tenant}");
        served.post_as(ADMIN, &path, &event(1)).is(201);
    }
    let emitter = token(json!({"roles": "emitter"}));
    let sent = served.ask_with(&emitter, "POST", "/v1/events", &event(2));
    assert_eq!(sent.is(201)["receipt"]["tenant_id"], "acme");
    records(&served, &emitter).is_problem(403, "forbidden");
    let other = served.ask_with(&emitter, "POST", "/v1/events?tenant=globex", &event(3));
    other.is_problem(404, "not-found");

    let seen = records(&served, &token(json!({}))).is(200);
    let leaves: Vec<_> = seen["records"].as_array().unwrap().iter().collect();
    // The log's own first record is one.
    assert_eq!(leaves.len(), 3, "{seen}");
    assert!(!seen.to_string().contains("globex"), "{seen}");
    let text = seen.to_string();
    let name = text.split("jwt:").nth(1).unwrap().chars();
    let name: String = name.take_while(char::is_ascii_hexdigit).collect();
    assert_eq!(name.len(), 32, "{text}");
    assert!(!text.contains("geheim"), "{text}");

    // Who forgot the query reads nothing, and is told which claim it is.
    let unbound = records(&served, &token(json!({"query": null})));
    let problem = unbound.is_problem(401, "unauthorized");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`query`"), "{detail}");
    for (claim, name) in [("tenants", "`tenants`"), ("roles", "`roles`")] {
        let without = records(&served, &token(json!({claim: null})));
        let problem = without.is_problem(401, "unauthorized");
        assert!(
            problem["detail"].as_str().unwrap().contains(name),
            "{problem}"
        );
    }

    let bound = token(json!({"query": "type:nothing.ever"}));
    assert_eq!(records(&served, &bound).is(200)["records"], json!([]));
    let path = "/v1/streams";
    served
        .ask_with(&bound, "GET", path, &Value::Null)
        .is_problem(403, "forbidden");

    let admin = token(json!({"roles": ["admin"], "tenants": "*", "sub": "root"}));
    let made = served.ask_with(
        &admin,
        "POST",
        "/v1/keys",
        &json!({"role": "reader", "tenants": "*"}),
    );
    let id = made.is(201)["key"]["id"].clone();
    let told = served.own_records(ADMIN, "config.changed");
    let told = told.iter().find(|told| told["target"]["id"] == id).unwrap();
    let actor = told["actor"]["id"].as_str().unwrap();
    assert!(
        actor.starts_with("jwt:") && !actor.contains(&name),
        "{actor}"
    );
}

#[test]
fn every_kind_of_key_signs_and_an_issuer_alone_closes_the_server() {
    let pairs = [("r", Pair::rsa()), ("e", Pair::ec()), ("d", Pair::ed())];
    let keys: Vec<_> = pairs.iter().map(|(kid, pair)| pair.jwk(kid)).collect();
    let stand = Stand::trusting(Issuer::of(&keys).trusted());
    let served = Served::start_on(stand, &[], |_| {});
    served.get("/v1/records").is_problem(401, "unauthorized");
    for (kid, pair) in &pairs {
        records(&served, &pair.token(kid, &claims(&json!({})))).is(200);
    }
}

/// What is no token by these keys of the issuer, made of one that is, and by a key of another.
fn forged(token: &str, (rsa, ec, other): (&Pair, &Pair, &Pair)) -> Vec<String> {
    let good = claims(&json!({}));
    let parts: Vec<&str> = token.split('.').collect();
    let message = |header: Value| format!("{}.{}", encoded(header.to_string()), parts[1]);
    let hmac = |kid: &str, secret: &[u8]| {
        let message = message(json!({"alg": "HS256", "kid": kid}));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
        let tag = ring::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", encoded(tag))
    };
    let altered = encoded(claims(&json!({"tenants": "*", "roles": "admin"})).to_string());
    let with = |pair: &Pair, header: Value| pair.sign(&header, &good);
    [
        format!("{}.", message(json!({"alg": "none", "kid": "ec"}))),
        format!(
            "{}.{}",
            message(json!({"alg": "none", "kid": "ec"})),
            parts[2]
        ),
        hmac("ec", ec.jwk("ec").to_string().as_bytes()),
        hmac("rsa", rsa.jwk("rsa")["n"].as_str().unwrap().as_bytes()),
        hmac("shared", &[7; 32]),
        format!("{}.{altered}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}."),
        format!("{token}="),
        other.token("ec", &good),
        ec.token("ed", &good),
        ec.token("rsa", &good),
        ec.token("enc", &good),
        with(ec, json!({"alg": "EdDSA", "kid": "ec"})),
        with(ec, json!({"alg": "es256", "kid": "ec"})),
        with(rsa, json!({"alg": "PS256", "kid": "rsa"})),
        with(rsa, json!({"alg": "RS256", "kid": "only-rs512"})),
        with(ec, json!({"alg": "ES256"})),
        with(ec, json!({"alg": "ES256", "kid": 7})),
        with(
            ec,
            json!({"alg": "ES256", "kid": "ec", "crit": ["b64"], "b64": false}),
        ),
        with(
            ec,
            json!({"alg": "ES256", "kid": "ec", "typ": "logout+jwt"}),
        ),
        with(
            other,
            json!({"alg": "ES256", "kid": "ec", "jwk": other.jwk("ec")}),
        ),
        with(
            other,
            json!({"alg": "ES256", "kid": "gone", "jku": "http://127.0.0.1:1/"}),
        ),
        ec.sign(&json!({"alg": "ES256", "kid": "ec"}), &json!([1])),
        ec.token("ec", &claims(&json!({"long": "x".repeat(9_000)}))),
        "..".to_owned(),
        "eyJ.eyJ.x".to_owned(),
    ]
    .into()
}

#[test]
fn what_the_issuer_did_not_sign_so_is_answered_as_a_key_that_nobody_has() {
    let (rsa, ec, ed, other) = (Pair::rsa(), Pair::ec(), Pair::ed(), Pair::ec());
    let mut only = rsa.jwk("only-rs512");
    only["alg"] = json!("RS512");
    let mut encrypts = ec.jwk("enc");
    encrypts["use"] = json!("enc");
    let keys = [rsa.jwk("rsa"), ec.jwk("ec"), ed.jwk("ed"), only, encrypts];
    let shared = json!({"kty": "oct", "kid": "shared", "k": encoded([7; 32])});
    let served = trusting(&Issuer::of(&[&keys[..], &[shared]].concat()));
    let good = claims(&json!({}));
    let token = ec.token("ec", &good);
    records(&served, &token).is(200);
    let unknown = format!("ind_0011223344556677_{}", "00".repeat(32));
    let expected = bare(&records(&served, &unknown));
    assert_eq!(expected["status"], 401);

    let forged = forged(&token, (&rsa, &ec, &other));
    for (n, forged) in forged.iter().enumerate() {
        assert_eq!(
            bare(&records(&served, forged)),
            expected,
            "{n}: {forged:.200}"
        );
    }
}

#[test]
fn who_has_a_token_of_the_issuer_is_told_why_it_is_not_taken() {
    let pair = Pair::ed();
    let served = trusting(&Issuer::of(&[pair.jwk("one")]));
    let ask = |change: Value| records(&served, &pair.token("one", &claims(&change)));
    for (change, why) in [
        (json!({"tenants": null}), "`tenants`"),
        (json!({"roles": "guest"}), "`roles`"),
        (json!({"aud": "another"}), "`aud`"),
        (json!({"iss": "https://evil.example.com/"}), "`iss`"),
        (json!({"exp": null}), "`exp`"),
        (json!({"nbf": 32_503_680_000_i64}), "`nbf`"),
    ] {
        let problem = ask(change).is_problem(401, "unauthorized");
        assert!(
            problem["detail"].as_str().unwrap().contains(why),
            "{problem}"
        );
    }
    ask(json!({})).is(200);
    served.move_clock(Duration::from_hours(1) + Duration::from_secs(31));
    ask(json!({"exp": 1_700_000_000})).is_problem(401, "key-expired");
}

#[test]
fn a_new_key_of_the_issuer_is_fetched_when_a_token_names_it_and_unknown_ones_not_often() {
    let (old, new) = (Pair::ec(), Pair::ec());
    let issuer = Issuer::of(&[old.jwk("old")]);
    let served = trusting(&issuer);
    records(&served, &old.token("old", &claims(&json!({})))).is(200);
    assert_eq!(issuer.asked(), 1);
    issuer.shows(&[old.jwk("old"), new.jwk("new")]);
    let token = new.token("new", &claims(&json!({})));
    // Not twice within some seconds, and then at once.
    until("the new key is taken", || {
        records(&served, &token).status == 200
    });
    assert_eq!(issuer.asked(), 2);
    for n in 0..50 {
        let unknown = new.token(&format!("made-up-{n}"), &claims(&json!({})));
        records(&served, &unknown).is_problem(401, "unauthorized");
    }
    assert!(issuer.asked() <= 3, "{}", issuer.asked());
    issuer.shows(&[new.jwk("new")]);
    let gone = old.token("old", &claims(&json!({})));
    until("the old key is not taken", || {
        records(&served, &new.token("made-up", &claims(&json!({}))));
        records(&served, &gone).status == 401
    });
}

#[test]
fn while_the_issuer_is_away_its_keys_stay_and_without_any_yet_tokens_wait() {
    let pair = Pair::ec();
    let issuer = Issuer::of(&[pair.jwk("one")]);
    *issuer.away.lock().unwrap() = true;
    let served = trusting(&issuer);
    let token = pair.token("one", &claims(&json!({})));
    let answer = records(&served, &token);
    answer.is_problem(503, "unavailable");
    assert!(answer.header("retry-after").is_some());
    *issuer.away.lock().unwrap() = false;
    until("the keys are there", || {
        records(&served, &token).status == 200
    });
    let before = issuer.asked();
    *issuer.away.lock().unwrap() = true;
    until("it was asked in vain", || {
        records(&served, &pair.token("two", &claims(&json!({}))));
        issuer.asked() > before
    });
    records(&served, &token).is(200);
}

#[test]
fn a_fetch_that_hangs_holds_up_only_whoever_named_an_unknown_key() {
    let pair = Pair::ec();
    let issuer = Issuer::of(&[pair.jwk("one")]);
    let served = trusting(&issuer);
    let token = pair.token("one", &claims(&json!({})));
    records(&served, &token).is(200);
    let busy = issuer.busy.lock().unwrap();
    let unknown = pair.token("two", &claims(&json!({})));
    until("it hangs", || {
        let mut client = served.connect();
        let header = format!("Authorization: Bearer {unknown}");
        let asked = issuer.asked();
        std::thread::spawn(move || drop(client.ask("GET", "/v1/records", &[&header], b"")));
        std::thread::sleep(Duration::from_millis(100));
        issuer.asked() > 1 || asked > 1
    });
    let began = Instant::now();
    for _ in 0..20 {
        records(&served, &token).is(200);
        served.get_as(ADMIN, "/v1/records").is(200);
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    drop(busy);
}

#[test]
fn a_token_that_says_something_twice_is_none() {
    let pair = Pair::ec();
    let served = trusting(&Issuer::of(&[pair.jwk("one")]));
    let good = claims(&json!({"more": {"a": 1}})).to_string();
    let head = r#"{"alg":"ES256","kid":"one"}"#;
    records(&served, &pair.sign_text(head, &good)).is(200);
    let behind = |more: &str| format!("{},{more}}}", good.strip_suffix('}').unwrap());
    for (head, claims) in [
        (head, behind(r#""tenants":["acme"]"#)),
        (head, behind(r#""roles":["reader"]"#)),
        (head, behind(r#""ten\u0061nts":["acme"]"#)),
        (head, good.replace(r#"{"a":1}"#, r#"{"a":1,"a":2}"#)),
        (r#"{"alg":"ES256","kid":"one","kid":"one"}"#, good.clone()),
        (r#"{"alg":"ES256","kid":"one","x":1,"x":1}"#, good.clone()),
    ] {
        let answer = records(&served, &pair.sign_text(head, &claims));
        answer.is_problem(401, "unauthorized");
    }
}

#[test]
fn who_is_nobody_is_told_how_to_be_somebody_here() {
    let issuer = Issuer::of(&[Pair::ec().jwk("one")]);
    let next = |served: &Served| {
        let problem = served.get("/v1/records").is_problem(401, "unauthorized");
        problem["next"].as_str().unwrap().to_owned()
    };
    let alone = Served::start_on(Stand::trusting(issuer.trusted()), &[], |_| {});
    let said = next(&alone);
    assert!(said.contains("issuer") && !said.contains("ind_"), "{said}");
    let said = next(&trusting(&issuer));
    assert!(said.contains("issuer") && said.contains("ind_"), "{said}");
    let said = next(&Served::closed(&[(Role::Admin, None)]));
    assert!(!said.contains("issuer") && said.contains("ind_"), "{said}");
}
