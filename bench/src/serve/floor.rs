//! The floors: a server that reads bodies and throws them away, in a process of its own; how often
//! a second the disk syncs; and the same events into the ledger without a server.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use indelible_bench::event::Shape;
use indelible_bench::submit::{Appended, append};
use indelible_bench::usage::as_f64;

use crate::Fault;
use crate::load::Load;
use crate::ours::{self, Ours};
use crate::server::Running;

/// For how long the disk is asked to sync.
const SYNC_TIME: Duration = Duration::from_secs(1);
/// What is written before each sync.
const SYNC_BYTES: usize = 4 << 10;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of a receipt in the answer to a batch, about.
const RECEIPT_BYTES: usize = 290;
/// Events of a batch.
const EVENTS: usize = crate::load::BATCH_EVENTS;

/// Starts a server that throws away what it is sent.
pub fn start() -> Result<Running, Fault> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--discard");
    Running::start(command)
}

/// The discarding server's own main: answers every request with as many bytes as receipts have.
pub fn discard() -> Result<(), Fault> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let said = serde_json::json!({"listening": format!("http://{}", listener.local_addr()?)});
    let mut out = std::io::stdout().lock();
    writeln!(out, "{said}")?;
    out.flush()?;
    drop(out);
    let batch = answer(
        200,
        "OK",
        &format!(
            "{}{}",
            "0".repeat(EVENTS * RECEIPT_BYTES),
            ",\"repeated\":0,\"rejected\":0}"
        ),
    );
    let one = answer(201, "Created", &"0".repeat(RECEIPT_BYTES));
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            let (stream, batch, one) = (stream?, &batch, &one);
            // A connection that ends is an error of nobody.
            scope.spawn(move || drop(connection(stream, batch, one)));
        }
        Ok(())
    })
}

fn answer(status: u16, word: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} {word}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body.as_bytes()].concat()
}

fn connection(mut stream: TcpStream, batch: &[u8], one: &[u8]) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut filled = 0;
    loop {
        let read = stream.read(chunk.get_mut(filled..).unwrap_or_default())?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let got = chunk.get(..filled).unwrap_or_default();
        let Some(end) = memchr::memmem::find(got, b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(got.get(..end).unwrap_or_default())?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.ok_or("no length")?.parse()?;
        let is_batch = head.starts_with("POST /v1/events:batch ");
        let mut left = (end + 4 + length).saturating_sub(filled);
        while left > 0 {
            let read = stream.read(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            left = left.saturating_sub(read);
        }
        filled = 0;
        stream.write_all(if is_batch { batch } else { one })?;
    }
}

/// How often a second a small write is made durable, one after the other.
pub fn syncs_per_second(file: &Path) -> Result<f64, Fault> {
    let mut out = File::create_new(file)?;
    let block = [7; SYNC_BYTES];
    let started = Instant::now();
    let mut syncs = 0_u64;
    while started.elapsed() < SYNC_TIME {
        out.write_all(&block)?;
        out.sync_data()?;
        syncs += 1;
    }
    let rate = as_f64(syncs) / started.elapsed().as_secs_f64();
    std::fs::remove_file(file)?;
    Ok(rate)
}

/// Appends the events in this process: the same without a server between.
pub fn in_process(load: &Load, shape: Shape, dir: &Path) -> Result<Appended, Fault> {
    ours::create(dir)?;
    let ours = Ours::open(dir, shape.tenants)?;
    let appended = append(&ours, load)?;
    drop(ours);
    std::fs::remove_dir_all(dir)?;
    Ok(appended)
}
