//! A client that speaks HTTP by hand, so that it can be a bad one, and answers that tests ask.
//!
//! What it is not: a whole client. Answers have a `Content-Length`, as all of ours do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is kept.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    address: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects to a server at this address.
    ///
    /// # Errors
    /// As the system's.
    pub fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            address: address.to_owned(),
        })
    }

    /// The same, waiting for so long at most.
    ///
    /// # Errors
    /// As the system's.
    pub fn with_patience(self, patience: Duration) -> io::Result<Self> {
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        Ok(self)
    }

    /// The bytes as they are, with no answer waited for.
    ///
    /// # Errors
    /// As the system's.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
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
    ///
    /// # Errors
    /// As [`Client::answer`].
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> io::Result<Answer> {
        let head = self.head(method, path, headers, body.len());
        // The server may answer and close before it has read everything.
        let _ = self.say(head).and_then(|()| self.say(body));
        self.answer()
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when the connection ends before it does.
    pub fn answer(&mut self) -> io::Result<Answer> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|text| text.parse().ok());
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(cut)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status: status.ok_or_else(cut)?,
            headers,
            body: Vec::new(),
        };
        let length = answer.header("content-length").unwrap_or("0").parse();
        answer.body = vec![0; length.map_err(|_| cut())?];
        self.stream.read_exact(&mut answer.body)?;
        Ok(answer)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(cut()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// All that is still said until the server closes the connection, as far as it comes.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Closes its half.
    pub fn ends(&self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Whether the server closes the connection; what is still said is passed over.
    pub fn is_cut_off(&mut self) -> bool {
        match io::copy(&mut self.stream, &mut io::sink()) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Its socket.
    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

fn cut() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

impl Answer {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Its body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its body as JSON.
    ///
    /// # Panics
    /// When it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The JSON of an answer that must have this status.
    ///
    /// # Panics
    /// When it has another.
    #[track_caller]
    pub fn is(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// The problem document of an answer that must be one, of this status and kind.
    ///
    /// # Panics
    /// When it is not, or says too little.
    #[track_caller]
    pub fn is_problem(&self, status: u16, kind: &str) -> Value {
        let problem = self.is(status);
        let content_type = self.header("content-type");
        assert_eq!(content_type, Some("application/problem+json"));
        let expected = format!("https://indelible.dev/problems/{kind}");
        assert_eq!(problem["type"], expected, "{problem}");
        assert_eq!(problem["status"], status);
        for member in ["title", "detail", "next", "request_id"] {
            let told = problem[member]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            assert!(told, "{member}: {problem}");
        }
        if status == 503 {
            assert!(self.header("retry-after").is_some());
        }
        problem
    }
}
