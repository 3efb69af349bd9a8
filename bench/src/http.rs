//! The client: HTTP/1.1 by hand over a connection that stays open, so that as little as possible of
//! the two cores goes to it. Requests are bytes that were made before the clock started.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Fault;

/// What a server may take for an answer before the run is given up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// How a request's body is typed and packed.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Where it goes.
    pub path: &'a str,
    /// Its type.
    pub content_type: &'a str,
    /// How it is compressed, if it is.
    pub encoding: Option<&'a str>,
}

/// A `POST` with this body.
pub fn post(sent: Sent<'_>, body: &[u8]) -> Vec<u8> {
    let Sent {
        path,
        content_type,
        encoding,
    } = sent;
    let encoding = encoding.map_or_else(String::new, |e| format!("Content-Encoding: {e}\r\n"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {content_type}\r\n{encoding}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A `GET`.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    got: Vec<u8>,
    filled: usize,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            got: Vec::new(),
            filled: 0,
        })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        self.filled = 0;
        Ok(self.stream.write_all(request)?)
    }

    /// Reads once; the status and body of the answer when all of it is there.
    ///
    /// # Errors
    /// When the server ends the connection, or what it says is no answer.
    pub fn read(&mut self, at_a_time: usize) -> Result<Option<(u16, &[u8])>, Fault> {
        let room = self.filled + at_a_time;
        if self.got.len() < room {
            self.got.resize(room, 0);
        }
        let space = self.got.get_mut(self.filled..room).unwrap_or_default();
        let read = self.stream.read(space)?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        self.filled += read;
        answer(self.got.get(..self.filled).unwrap_or_default())
    }

    /// Sends a request and waits for the status and body of its answer.
    ///
    /// # Errors
    /// As [`Connection::send`] and [`Connection::read`].
    pub fn ask(&mut self, request: &[u8]) -> Result<(u16, &[u8]), Fault> {
        self.send(request)?;
        while self.read(CHUNK_BYTES)?.is_none() {}
        let answer = answer(self.got.get(..self.filled).unwrap_or_default())?;
        answer.ok_or_else(|| "an answer that was whole is not".into())
    }

    /// The socket alone.
    pub fn into_socket(self) -> TcpStream {
        self.stream
    }

    /// The socket, to wait for several of them.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }
}

/// Status and body of an answer, when all of it is there.
fn answer(got: &[u8]) -> Result<Option<(u16, &[u8])>, Fault> {
    let Some(end) = memchr::memmem::find(got, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(got.get(..end).unwrap_or_default())?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let ours = name.eq_ignore_ascii_case("content-length");
        ours.then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    let length = length.ok_or("an answer without a length")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or("an answer without a status")?;
    let body = got.get(end + 4..end + 4 + length);
    Ok(body.map(|body| (status, body)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        let whole = b"HTTP/1.1 201 Created\r\ncontent-type: x\r\nContent-Length: 3\r\n\r\nabc";
        for end in 0..whole.len() {
            assert!(answer(&whole[..end]).unwrap().is_none(), "{end}");
        }
        assert_eq!(answer(whole).unwrap(), Some((201, b"abc".as_slice())));
        assert!(answer(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_request_says_what_its_body_is() {
        let sent = Sent {
            path: "/v1/events",
            content_type: "application/json",
            encoding: Some("zstd"),
        };
        let text = String::from_utf8(post(sent, b"{}")).unwrap();
        assert!(text.starts_with("POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"));
        assert!(text.contains("\r\nContent-Encoding: zstd\r\nContent-Length: 2\r\n\r\n{}"));
    }
}
