//! A server between the command and the served process that alters answers, or gives none.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

use super::served::Client;

/// It ends when dropped.
pub struct Proxy {
    pub url: String,
    asked: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Passes requests on to `address`, and what `alter` makes of the path and the answer back;
    /// for `None` the connection is closed.
    pub fn start(
        address: &str,
        alter: impl Fn(&str, Value) -> Option<Value> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, ended) = (Arc::default(), Arc::default());
        let (counts, ends) = (Arc::clone(&asked), Arc::clone(&ended));
        let address = address.to_owned();
        let serve = move || {
            for stream in listener.incoming() {
                if AtomicBool::load(&ends, Ordering::SeqCst) {
                    return;
                }
                AtomicUsize::fetch_add(&counts, 1, Ordering::SeqCst);
                // Whoever asks may go before it has its answer.
                let _ = answer(stream.unwrap(), &address, &alter);
            }
        };
        let thread = Some(std::thread::spawn(serve));
        Self {
            url,
            asked,
            ended,
            thread,
        }
    }

    /// How many requests there were.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        let _ = self.thread.take().unwrap().join();
    }
}

fn answer(
    stream: TcpStream,
    address: &str,
    alter: &impl Fn(&str, Value) -> Option<Value>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let path = head.first().and_then(|line| line.split(' ').nth(1));
    let path = path.unwrap_or_default();
    let answer = Client::connect(address)?.ask("GET", path, &[], b"")?;
    let Some(altered) = alter(path, serde_json::from_slice(&answer.body)?) else {
        return Ok(());
    };
    // That of a problem stands in it.
    let status = altered["status"].as_u64().unwrap_or(200);
    let body = altered.to_string();
    let length = body.len();
    write!(
        stream.get_mut(),
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
