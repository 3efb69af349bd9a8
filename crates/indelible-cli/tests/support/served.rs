//! The served process, and a client of it that speaks HTTP by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::Place;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `indelible serve`; killed when dropped.
pub struct Serving {
    pub child: Child,
    pub address: String,
    /// What it said when it started.
    pub said: Vec<String>,
}

impl Serving {
    /// Starts it on a port of its own with more arguments, and waits until it listens.
    pub fn start(place: &Place, more: &str) -> Self {
        Self::start_at(place, "127.0.0.1:0", more)
    }

    /// Starts it at an address.
    pub fn start_at(place: &Place, address: &str, more: &str) -> Self {
        let line = format!("serve --listen {address} {more}");
        let mut command = place.command(line.split_whitespace());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("INDELIBLE_SERVER__TELEMETRY", "debug");
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        let address = said
            .trim()
            .strip_prefix("listening on http://")
            .map(str::to_owned);
        let Some(address) = address else {
            let mut errors = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut errors)
                .unwrap();
            panic!("it does not listen: {said}{errors}");
        };
        // The rest comes in one piece with it; reading on would wait for the end.
        let rest = String::from_utf8_lossy(out.buffer()).into_owned();
        let said = std::iter::once(said.trim().to_owned()).chain(rest.lines().map(str::to_owned));
        Self {
            address,
            said: said.collect(),
            child,
        }
    }

    pub fn errors(&mut self) -> ChildStderr {
        self.child.stderr.take().unwrap()
    }

    /// Sends a signal by its name and waits for the end; the exit code.
    pub fn signal(&mut self, name: &str) -> Option<i32> {
        self.send_signal(name);
        self.child.wait().unwrap().code()
    }

    /// Has it hang: connections are taken by the system, and nobody answers.
    pub fn stop(&self) {
        self.send_signal("STOP");
    }

    /// Has it go on after [`stop`](Self::stop).
    pub fn go_on(&self) {
        self.send_signal("CONT");
    }

    fn send_signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    pub fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, &[], "").unwrap()
    }

    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> std::io::Result<(u16, Value)> {
        send(&self.address, method, path, headers, body)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own.
pub fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .ok_or_else(cut)?;
    // A body that was cut off is no answer.
    Ok((status, serde_json::from_str(body).map_err(|_| cut())?))
}
