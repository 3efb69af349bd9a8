//! The served process takes tokens of an issuer, viewer tokens and the word of a proxy, as it is
//! configured, and tells of none of them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use support::served::Serving;
use support::{Place, event};

const ISSUER: &str = "https://id.example.com/";
const SUBJECT: &str = "dana.geheim@example.com";

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn pair() -> Ed25519KeyPair {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap()
}

fn key_set(keys: &[(&str, &Ed25519KeyPair)]) -> String {
    let key = |(kid, pair): &(&str, &Ed25519KeyPair)| {
        let x = encoded(pair.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
    };
    json!({"keys": keys.iter().map(key).collect::<Vec<_>>()}).to_string()
}

/// A token for acme with this role, as its issuer calls it.
fn token(kid: &str, pair: &Ed25519KeyPair, role: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
    let claims = json!({
        "iss": ISSUER,
        "aud": "indelible",
        "sub": SUBJECT,
        "exp": now + 600,
        "tenants": "acme",
        "realm_access": {"roles": [role]},
    });
    let message = format!("{}.{}", encoded(header), encoded(claims.to_string()));
    let signature = encoded(pair.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// Settings of a server that trusts the issuer whose keys are there.
fn settings(key_set: &str) -> Vec<(&'static str, String)> {
    vec![
        ("INDELIBLE_AUTH__JWT__ISSUER", ISSUER.to_owned()),
        ("INDELIBLE_AUTH__JWT__AUDIENCE", "indelible".to_owned()),
        ("INDELIBLE_AUTH__JWT__JWKS", key_set.to_owned()),
        (
            "INDELIBLE_AUTH__JWT__ROLE_CLAIM",
            "realm_access.roles".to_owned(),
        ),
        (
            "INDELIBLE_AUTH__JWT__ROLES",
            "sends=emitter, reads=reader".to_owned(),
        ),
    ]
}

fn with(serving: &Serving, bearer: &str, path: &str) -> (u16, Value) {
    let header = format!("Authorization: Bearer {bearer}");
    serving.send("GET", path, &[&header], "").unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// An issuer over HTTP: whatever it is asked, it answers with the key set.
fn over_http(keys: Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4_096]);
            let body = keys.lock().unwrap().clone();
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}",
                body.len()
            );
            let _ = write!(stream, "{head}\r\n\r\n{body}");
        }
    });
    format!("http://{address}/keys?of=all")
}

#[test]
fn an_issuer_closes_the_server_and_its_new_keys_are_taken_while_it_runs() {
    let place = Place::new();
    let (old, new) = (pair(), pair());
    let keys = Arc::new(Mutex::new(key_set(&[("old", &old)])));
    let url = over_http(Arc::clone(&keys));
    let serving = Serving::with_variables(&place, &settings(&url), "telemetry");
    assert_eq!(serving.get("/v1/records").0, 401);
    let header = format!("Authorization: Bearer {}", token("old", &old, "sends"));
    let sent = serving
        .send("POST", "/v1/events", &[&header], &event(1).to_string())
        .unwrap();
    assert_eq!(sent.0, 201, "{}", sent.1);
    let reads = token("new", &new, "reads");
    assert_eq!(with(&serving, &reads, "/v1/records").0, 401);
    *keys.lock().unwrap() = key_set(&[("old", &old), ("new", &new)]);
    until("the new key is taken", || {
        with(&serving, &reads, "/v1/records").0 == 200
    });
    let (_, list) = with(&serving, &reads, "/v1/records");
    let text = list.to_string();
    assert!(text.contains("jwt:"), "{text}");
    assert!(!text.contains("geheim"), "{text}");
    drop(serving);
    let told = String::from_utf8(place.read("telemetry")).unwrap();
    assert!(told.contains("jwt:"), "{told}");
    let parts = reads.split('.').chain(header.split('.').skip(1));
    for never in parts.chain(["geheim", "example.com"]) {
        assert!(!told.contains(never), "{never}\n{told}");
    }
}

#[test]
fn keys_of_an_issuer_are_in_a_file_and_a_proxy_speaks_from_its_address() {
    let place = Place::new();
    let pair = pair();
    place.file("keys.json", key_set(&[("one", &pair)]));
    let mut settings = settings("keys.json");
    settings.push(("INDELIBLE_AUTH__PROXY__NETWORKS", "127.0.0.1".to_owned()));
    settings.push(("INDELIBLE_AUTH__NAMES", "clear".to_owned()));
    let admin = place.ok("keys create --role admin").out.trim().to_owned();
    let serving = Serving::with_variables(&place, &settings, "telemetry");
    let all = [
        "X-Forwarded-User: ops-7",
        "X-Indelible-Tenants: *",
        "X-Indelible-Roles: admin",
    ];
    let made = serving.send("POST", "/v1/tenants", &all, "{\"tenant_id\":\"acme\"}");
    assert_eq!(made.unwrap().0, 201);
    let key = serving.send(
        "POST",
        "/v1/keys",
        &all,
        "{\"role\":\"reader\",\"tenants\":\"*\"}",
    );
    assert_eq!(key.unwrap().0, 201);
    assert_eq!(
        with(&serving, &token("one", &pair, "reads"), "/v1/records").0,
        200
    );
    let query = "/v1/records?tenant=_system&q=type:config.changed";
    let (_, list) = with(&serving, &admin, query);
    assert!(list.to_string().contains("proxy:ops-7"), "{list}");
}

#[test]
fn a_viewer_token_is_made_on_the_command_line_and_told_by_nobody() {
    let place = Place::new();
    place.file("acme.ndjson", event(1).to_string() + "\n");
    place.ok("import --format ndjson acme.ndjson --tenant acme");
    let admin = place.ok("keys create --role admin").out.trim().to_owned();
    let serving = Serving::with_variables(&place, &[], "telemetry");
    let run = |line: &str| {
        let mut command = place.command(line.split_whitespace());
        command.env("INDELIBLE_URL", format!("http://{}", serving.address));
        let output = command.env("INDELIBLE_API_KEY", &admin).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, token, told) = run("keys viewer --tenant acme --for 2h");
    assert_eq!(code, 0, "{told}");
    let token = token.trim();
    assert!(
        token.starts_with("indv_") && told.contains("acme"),
        "{token} {told}"
    );
    let (status, list) = with(&serving, token, "/v1/records");
    assert_eq!(status, 200);
    // The log's own first record is one.
    assert_eq!(list["records"].as_array().unwrap().len(), 2, "{list}");
    assert_eq!(with(&serving, token, "/v1/tenants").0, 403);
    assert_eq!(run("keys viewer --tenant acme --for 25h").0, 2);
    assert_eq!(run("keys viewer --tenant nobody").0, 3);
    let here = place.run("keys viewer --tenant acme");
    assert_eq!(here.code, 2);
    assert!(here.err.contains("--url"), "{}", here.err);
    drop(serving);
    let telemetry = String::from_utf8(place.read("telemetry")).unwrap();
    assert!(telemetry.contains("viewer:"), "{telemetry}");
    for never in [token, &token[5..], admin.rsplit('_').next().unwrap()] {
        assert!(!telemetry.contains(never), "{never}\n{telemetry}");
    }
}

#[test]
fn settings_that_trust_nobody_in_particular_are_refused() {
    let place = Place::new();
    for (file, why) in [
        (
            "[auth.jwt]\nissuer = \"x\"",
            "auth.jwt.audience and auth.jwt.jwks is not set",
        ),
        ("[auth.jwt]\nalgorithms = [\"HS256\"]", "`HS256`"),
        ("[auth.jwt]\nalgorithms = \"none\"", "`none`"),
        (
            "[auth.jwt]\njwks = \"http://id.example.com/keys\"",
            "must be https",
        ),
        ("[auth.jwt]\nleeway_s = 3600", "300"),
        ("[auth.jwt]\nroles = [\"x=root\"]", "`x=root`"),
        (
            "[auth.proxy]\nnetworks = \"proxy.internal\"",
            "`proxy.internal`",
        ),
        ("[auth.proxy]\nuser_header = \"authorization\"", "already"),
        (
            "[auth.jwt]\nisuer = \"x\"",
            "did you mean `auth.jwt.issuer`",
        ),
    ] {
        place.file("indelible.toml", file);
        let ran = place.run("config check");
        assert_eq!(ran.code, 2, "{file}: {}", ran.out);
        assert!(ran.err.contains(why), "{file}: {}", ran.err);
    }
}
