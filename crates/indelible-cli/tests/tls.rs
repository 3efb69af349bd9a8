//! The served process speaks TLS, takes new certificates while it runs, and lets only pages of
//! named origins read what it answers.
//!
//! The certificates are for tests alone, made by `openssl` under an authority whose key is gone.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::Place;
use support::served::Serving;

const AUTHORITY: &str = include_str!("certificates/ca.pem");
const ONE: (&str, &str) = (
    include_str!("certificates/one.pem"),
    include_str!("certificates/one.key"),
);
const TWO: (&str, &str) = (
    include_str!("certificates/two.pem"),
    include_str!("certificates/two.key"),
);

fn put(place: &Place, certificate: &str, key: &str) {
    place.file("server.pem", certificate);
    place.file("server.key", key);
}

fn settings() -> Vec<(&'static str, String)> {
    vec![
        (
            "INDELIBLE_SERVER__TLS__CERTIFICATE",
            "server.pem".to_owned(),
        ),
        ("INDELIBLE_SERVER__TLS__KEY", "server.key".to_owned()),
    ]
}

/// The address of a server that said it listens there.
fn address(serving: &Serving) -> String {
    serving.address.replace("https://", "")
}

/// A connection that trusts the authority alone.
fn connect(address: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    StreamOwned::new(session, stream)
}

/// The answer to a request, and the certificate it came under.
fn ask(address: &str, head: &str) -> (String, Vec<u8>) {
    let mut stream = connect(address);
    let request = format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let shown = stream.conn.peer_certificates().unwrap();
    (answer, shown[0].as_ref().to_vec())
}

fn der(pem: &str) -> Vec<u8> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    der.as_ref().to_vec()
}

fn shown_within(address: &str, certificate: &str) -> bool {
    let end = Instant::now() + Duration::from_secs(15);
    while Instant::now() < end {
        if ask(address, "GET /health/live HTTP/1.1").1 == der(certificate) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    false
}

#[test]
fn who_is_refused_while_he_still_sends_sees_why() {
    let place = Place::new();
    put(&place, ONE.0, ONE.1);
    let serving = Serving::with_variables(&place, &settings(), "telemetry");
    let mut stream = connect(&address(&serving));
    let body = vec![b' '; 6 << 20];
    let head = format!(
        "POST /nothing/here HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.flush().unwrap();
    // The answer is there before the body.
    std::thread::sleep(Duration::from_millis(100));
    stream.write_all(&body).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn a_server_speaks_tls_and_the_command_with_it() {
    let place = Place::new();
    put(&place, ONE.0, ONE.1);
    place.file("authority.pem", AUTHORITY);
    let admin = place.ok("keys create --role admin").out.trim().to_owned();
    let serving = Serving::with_variables(&place, &settings(), "telemetry");
    let address = address(&serving);
    let (answer, shown) = ask(&address, "GET /health/live HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("strict-transport-security: max-age="),
        "{answer}"
    );
    assert_eq!(shown, der(ONE.0));
    let run = |trusted: &str| {
        let mut command = place.command(["keys", "list", "--json"]);
        command.env("INDELIBLE_URL", format!("https://{address}"));
        command.env("SSL_CERT_FILE", place.at(trusted));
        command.env("INDELIBLE_API_KEY", &admin).output().unwrap()
    };
    let listed = run("authority.pem");
    let told = String::from_utf8_lossy(&listed.stderr).into_owned();
    assert_eq!(listed.status.code(), Some(0), "{told}");
    assert!(!told.contains("unencrypted"), "{told}");
    // An authority that is not trusted is none.
    place.file("another.pem", TWO.0);
    assert_eq!(run("another.pem").status.code(), Some(3));
    // Who speaks HTTP there gets none.
    let mut plain = TcpStream::connect(&address).unwrap();
    plain
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    plain
        .write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP/"), "{bytes:?}");
}

#[test]
fn a_new_certificate_is_taken_while_it_runs_and_a_broken_one_is_not() {
    let place = Place::new();
    put(&place, ONE.0, ONE.1);
    let mut serving = Serving::with_variables(&place, &settings(), "telemetry");
    let address = address(&serving);
    assert!(shown_within(&address, ONE.0));
    let told = |what: &str| {
        let end = Instant::now() + Duration::from_secs(15);
        while !String::from_utf8_lossy(&place.read("telemetry")).contains(what) {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    // The key is that of another.
    put(&place, TWO.0, ONE.1);
    told("the old one stays");
    assert_eq!(ask(&address, "GET /health/live HTTP/1.1").1, der(ONE.0));
    put(&place, TWO.0, TWO.1);
    assert!(shown_within(&address, TWO.0));
    told("a new certificate is in force");
    put(&place, "nothing", "of this");
    told("no certificate");
    std::fs::remove_file(place.at("server.pem")).unwrap();
    told("the file of server.tls.certificate");
    assert_eq!(ask(&address, "GET /health/live HTTP/1.1").1, der(TWO.0));
    // A connection that never says anything does not hold up the end.
    let silent = TcpStream::connect(&address).unwrap();
    let began = Instant::now();
    assert_eq!(serving.signal("TERM"), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    drop(silent);
    let telemetry = String::from_utf8(place.read("telemetry")).unwrap();
    assert!(!telemetry.contains(TWO.1.lines().nth(1).unwrap()));
}

#[test]
fn a_server_without_a_good_certificate_does_not_start_in_the_clear() {
    let place = Place::new();
    for (certificate, key, why) in [
        (ONE.0, TWO.1, "server.tls.key"),
        ("", ONE.1, "no certificate"),
        (ONE.0, "", "no private key"),
    ] {
        put(&place, certificate, key);
        let mut command = place.command(["serve", "--listen", "127.0.0.1:0"]);
        for (name, value) in settings() {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why), "{told}");
    }
    let mut command = place.command(["config", "check"]);
    let alone = command.env("INDELIBLE_SERVER__TLS__KEY", "server.key");
    assert_eq!(alone.output().unwrap().status.code(), Some(2));
}
