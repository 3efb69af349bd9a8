//! The examples do what they say, as the programs that they are.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The example of a name: beside the tests, where cargo puts them.
fn example(name: &str, dir: &Path) -> Command {
    let built = std::env::current_exe().unwrap();
    let built = built.parent().unwrap().parent().unwrap();
    let mut command = Command::new(built.join("examples").join(name));
    command.env("INDELIBLE_KEYS", dir.join("keys"));
    command.arg(dir.join("data"));
    command
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn testing() {
    let dir = tempfile::tempdir().unwrap();
    let output = example("testing", dir.path()).output().unwrap();
    assert!(output.status.success());
    assert_eq!(said(&output).lines().count(), 2);
}

#[test]
fn outbox() {
    if indelible_testing::postgres("outbox").is_none() {
        return;
    }
    let database = indelible_testing::database::Database::make();
    let dir = tempfile::tempdir().unwrap();
    let mut command = example("outbox", dir.path());
    let output = command.arg(&database.url).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = said(&output);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[1], "order 1002 is not: it was not paid");
    assert_eq!(lines[3], "2 events were relayed");
    assert_eq!(lines.len(), 5, "{said}");
}

#[test]
fn tracing() {
    let dir = tempfile::tempdir().unwrap();
    let output = example("tracing", dir.path()).output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        said(&output),
        "2 committed, 0 dropped, 0 failed, 0 not settled\n"
    );
    let lines = String::from_utf8(output.stderr).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
}

#[test]
fn short_lived() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "abc").unwrap();
    for (file, ends, success) in [
        (file.as_path(), "3 bytes\n", true),
        (Path::new("no/such/file"), "(os error 2)\n", false),
    ] {
        let output = example("short_lived", dir.path())
            .arg(file)
            .output()
            .unwrap();
        let said = said(&output);
        assert_eq!(output.status.success(), success, "{said}");
        let report = "1 committed, 0 dropped, 0 failed, 0 not settled\n";
        assert!(said.starts_with(report) && said.ends_with(ends), "{said}");
    }
}

#[test]
fn axum_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = example("axum_server", dir.path())
        .arg("127.0.0.1:0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.strip_prefix("listening on ").unwrap();
    for (method, path, user, expected) in [
        ("GET", "/health", None, 200),
        ("GET", "/posts/1", None, 401),
        ("GET", "/posts/1", Some("bob"), 200),
        ("DELETE", "/posts/1", Some("bob"), 403),
        ("DELETE", "/posts/1", Some("ada"), 204),
        ("GET", "/metrics", None, 200),
    ] {
        let user = user.map_or(String::new(), |user| format!("x-user: {user}\r\n"));
        let mut stream = TcpStream::connect(address).unwrap();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{user}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{answer}"
        );
        let told = answer.contains("\naudit_events_buffered_total{service=\"blog\"} 5\n");
        assert_eq!(told, path == "/metrics", "{answer}");
    }
    drop(server.stdin.take());
    // Four requests, for health and metrics are left out, and the deletion itself.
    let report = lines.next().unwrap().unwrap();
    assert_eq!(report, "5 committed, 0 dropped, 0 failed, 0 not settled");
    assert!(server.wait().unwrap().success());
}

#[test]
fn tonic_server() {
    let dir = tempfile::tempdir().unwrap();
    let output = example("tonic_server", dir.path()).output().unwrap();
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let (_, said) = said.split_once('\n').unwrap();
    let expected = "\
/blog.Posts/Read: Unauthenticated
/blog.Posts/Read: post 1
/blog.Posts/Delete: PermissionDenied
/blog.Posts/Delete: deleted 1
/blog.Posts/Burn: Unimplemented
/blog.Posts/List: 2 posts, DataLoss
6 committed, 0 dropped, 0 failed, 0 not settled
";
    assert_eq!(said, expected);
}
