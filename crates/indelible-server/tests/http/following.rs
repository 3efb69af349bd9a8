//! Readers of tails, which speak by hand: server-sent events, and WebSocket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::Served;

const PATIENCE: Duration = Duration::from_secs(15);

/// An event of a tail.
#[derive(Clone, Debug)]
pub struct Said {
    pub event: String,
    pub cursor: String,
    pub data: Value,
}

impl Said {
    pub fn number(&self) -> u64 {
        assert_eq!(self.event, "record", "{self:?}");
        self.data["record"]["sequence_number"].as_u64().unwrap()
    }
}

/// A reader of server-sent events.
pub struct Tail {
    stream: BufReader<TcpStream>,
    text: String,
}

impl Tail {
    /// Opens one; the status where that is refused.
    pub fn open(served: &Served, path: &str, headers: &[&str]) -> Result<Self, u16> {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let headers: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        let address = served.address;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let status = line(&mut stream).split(' ').nth(1).unwrap().parse();
        let status: u16 = status.unwrap();
        let mut all = String::new();
        loop {
            let header = line(&mut stream);
            if header.is_empty() {
                break;
            }
            all += &header.to_ascii_lowercase();
            all.push('\n');
        }
        if status != 200 {
            let again = all.contains("retry-after: 1\n");
            assert_eq!(again, [429, 503].contains(&status), "{status}: {all}");
            return Err(status);
        }
        assert!(all.contains("content-type: text/event-stream\n"), "{all}");
        let text = String::new();
        Ok(Self { stream, text })
    }

    /// As [`Tail::open`], with this bearer text, and its first event.
    pub fn of(served: &Served, bearer: &str, path: &str) -> (Self, Said) {
        let header = format!("Authorization: Bearer {bearer}");
        let mut tail = Self::open(served, path, &[&header]).unwrap();
        let first = tail.next().unwrap();
        assert_eq!(first.event, "open");
        (tail, first)
    }

    /// The next event but heartbeats; `None` where the answer is over.
    pub fn next(&mut self) -> Option<Said> {
        loop {
            let said = self.any()?;
            if said.event != "heartbeat" {
                return Some(said);
            }
        }
    }

    pub fn any(&mut self) -> Option<Said> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let said = said(event);
                self.text = rest.to_owned();
                return Some(said);
            }
            let length = usize::from_str_radix(&line(&mut self.stream), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            self.stream.read_exact(&mut chunk).unwrap();
            if length == 0 {
                return None;
            }
            self.text += std::str::from_utf8(&chunk[..length]).unwrap();
        }
    }

    pub fn numbers(&mut self, count: usize) -> Vec<u64> {
        let next = |_| self.next().unwrap().number();
        (0..count).map(next).collect()
    }

    /// The event that it ends with, which nothing follows.
    pub fn end(&mut self) -> Said {
        loop {
            let said = self.next().unwrap();
            if said.event == "end" {
                assert!(self.next().is_none());
                return said;
            }
        }
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    stream.read_line(&mut text).unwrap();
    text.trim_end().to_owned()
}

fn said(event: &str) -> Said {
    let field = |name: &str| {
        let found = event.lines().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("{event}")).to_owned()
    };
    Said {
        event: field("event: "),
        cursor: field("id: "),
        data: serde_json::from_str(&field("data: ")).unwrap(),
    }
}

/// A WebSocket, spoken by hand.
pub struct Socket(BufReader<TcpStream>);

impl Socket {
    pub fn open(served: &Served, path: &str, headers: &[&str]) -> Result<Self, u16> {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let headers: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        let address = served.address;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let status: u16 = line(&mut stream)
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let mut accepted = false;
        loop {
            let header = line(&mut stream).to_ascii_lowercase();
            // The example of RFC 6455 §1.3.
            accepted |= header == "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=";
            if header.is_empty() {
                break;
            }
        }
        assert_eq!(accepted, status == 101);
        if status == 101 {
            Ok(Self(stream))
        } else {
            Err(status)
        }
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        self.0.get_mut()
    }

    /// The next frame: what it is, and what is in it.
    pub fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            length => usize::from(length),
        };
        let mut data = vec![0; length];
        self.0.read_exact(&mut data).unwrap();
        (head[0] & 0x0f, data)
    }

    pub fn next(&mut self) -> Said {
        let (kind, data) = self.frame();
        assert_eq!(kind, 1, "text");
        let said: Value = serde_json::from_slice(&data).unwrap();
        Said {
            event: said["event"].as_str().unwrap().to_owned(),
            cursor: said["cursor"].as_str().unwrap().to_owned(),
            data: said["data"].clone(),
        }
    }
}
