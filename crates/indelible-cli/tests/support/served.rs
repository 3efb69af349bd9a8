//! The served process: started, asked, measured and ended; the client is of `indelible_testing`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

pub use indelible_testing::http::Client;
use serde_json::Value;

use super::Place;

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
        command.stderr(Stdio::piped());
        command.env("INDELIBLE_SERVER__TELEMETRY", "debug");
        Self::run(command)
    }

    /// Starts it on a port of its own; what it tells goes to the end of a file.
    pub fn telling(place: &Place, more: &str, file: &str) -> Self {
        Self::telling_at(place, "127.0.0.1:0", more, file)
    }

    /// As [`telling`](Self::telling), at an address.
    pub fn telling_at(place: &Place, address: &str, more: &str, file: &str) -> Self {
        let line = format!("serve --listen {address} {more}");
        let mut command = place.command(line.split_whitespace());
        let file = File::options()
            .create(true)
            .append(true)
            .open(place.at(file));
        command.stderr(file.unwrap());
        Self::run(command)
    }

    /// Starts it with settings of the server, by name, and without telemetry, which nobody reads.
    pub fn with(place: &Place, settings: &[(&str, &str)]) -> Self {
        let mut command = place.command(["serve", "--listen", "127.0.0.1:0"]);
        command.stderr(Stdio::piped());
        command.env("INDELIBLE_SERVER__TELEMETRY", "off");
        for (name, value) in settings {
            command.env(format!("INDELIBLE_SERVER__{name}"), value);
        }
        Self::run(command)
    }

    /// Starts it with these variables; what it tells, all of it, goes to the end of a file.
    pub fn with_variables(place: &Place, variables: &[(&str, String)], file: &str) -> Self {
        let mut command = place.command(["serve", "--listen", "127.0.0.1:0"]);
        let file = File::options()
            .create(true)
            .append(true)
            .open(place.at(file));
        command.stderr(file.unwrap());
        command.env("INDELIBLE_SERVER__TELEMETRY", "debug");
        for (name, value) in variables {
            command.env(name, value);
        }
        Self::run(command)
    }

    fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        out.read_line(&mut said).unwrap();
        let address = said
            .trim()
            .strip_prefix("listening on ")
            .map(|url| url.trim_start_matches("http://").to_owned());
        let Some(address) = address else {
            let mut errors = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                stderr.read_to_string(&mut errors).unwrap();
            }
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
        send_signal(&self.child, name);
    }

    /// Its memory now, and the most it had, in bytes; files mapped into it count.
    pub fn memory(&self) -> (usize, usize) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |name| {
            let mut lines = status.lines();
            let line = lines.find_map(|line| line.strip_prefix(name)).unwrap();
            let kib = line.trim().trim_end_matches(" kB");
            kib.parse::<usize>().unwrap() << 10
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// A figure of `/metrics`.
    pub fn figure(&self, name: &str) -> usize {
        let mut client = Client::connect(&self.address).unwrap();
        let answer = client.ask("GET", "/metrics", &[], b"").unwrap();
        assert_eq!(answer.status, 200);
        let text = answer.text();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
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

/// Sends a process a signal by its name.
pub fn send_signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status();
    assert!(sent.unwrap().success());
}

/// One request on a connection of its own.
pub fn send(
    address: &str,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> std::io::Result<(u16, Value)> {
    let headers = [&["Content-Type: application/json"], headers].concat();
    let answer = Client::connect(address)?.ask(method, path, &headers, body.as_bytes())?;
    // A body that was cut off is no answer.
    let body = serde_json::from_slice(&answer.body).map_err(std::io::Error::other)?;
    Ok((answer.status, body))
}
