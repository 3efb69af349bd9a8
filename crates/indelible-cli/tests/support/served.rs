//! The served process, and a client of it that speaks HTTP by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
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
        command.stderr(Stdio::piped());
        command.env("INDELIBLE_SERVER__TELEMETRY", "debug");
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

    fn run(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
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
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
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
        let (status, body) = client.ask("GET", "/metrics", &[], b"").unwrap();
        assert_eq!(status, 200);
        let text = String::from_utf8(body).unwrap();
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

/// A connection that is kept.
pub struct Client {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Client {
    pub fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            address: address.to_owned(),
        })
    }

    /// The bytes as they are, with no answer waited for.
    pub fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// A request without its body, which has so many bytes.
    pub fn head(&self, method: &str, path: &str, headers: &[&str], bytes: usize) -> String {
        let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
        let address = &self.address;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\
             Content-Length: {bytes}\r\n\r\n"
        )
    }

    /// Asks and reads the answer.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let head = self.head(method, path, headers, body.len());
        self.say(head.as_bytes())?;
        // The answer may come before the whole body is taken.
        let _ = self.say(body);
        self.answer()
    }

    /// Reads the next answer.
    pub fn answer(&mut self) -> std::io::Result<(u16, Vec<u8>)> {
        let cut = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let (mut status, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(cut());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if status.is_none() {
                status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(|_| cut())?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status.ok_or_else(cut)?, body))
    }

    /// Closes its half.
    pub fn ends(&self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Whether the server closes the connection; what is still said is passed over.
    pub fn is_cut_off(&mut self) -> bool {
        match std::io::copy(&mut self.stream, &mut std::io::sink()) {
            Ok(_) => true,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
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
