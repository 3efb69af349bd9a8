//! How the client sends: batches over a few connections, as fast as they are answered or in even
//! steps; single events over many connections from one thread.
//!
//! An answer counts when its status is right and, of a batch, when it says that every event is new.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::sample::Sample;
use rustix::event::epoll;

use crate::Fault;
use crate::http::Connection;

/// Bytes read at a time of the answer to a single event.
const SMALL_READ_BYTES: usize = 2 << 10;

/// What is wrong with the answer to a batch, if anything.
fn check_batch(status: u16, body: &[u8]) -> Result<(), Fault> {
    let clean = body.ends_with(b",\"repeated\":0,\"rejected\":0}");
    if status == 200 && clean {
        return Ok(());
    }
    Err(refused(status, body))
}

fn refused(status: u16, body: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(body.get(..body.len().min(500)).unwrap_or_default());
    format!("not every event was taken: status {status}, {text}").into()
}

/// Sends every request over so many connections, each as soon as the one before is answered; how
/// long each answer took.
///
/// # Errors
/// When an event was not taken.
pub fn flood(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
) -> Result<Sample, Fault> {
    let next = AtomicUsize::new(0);
    threads(connections, |_| {
        let mut connection = Connection::open(address)?;
        let mut sample = Sample::default();
        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let sent = Instant::now();
            let (status, body) = connection.ask(request)?;
            check_batch(status, body)?;
            sample.push(sent.elapsed());
        }
        Ok(sample)
    })
}

/// Sends the requests in even steps by turns over so many connections. A time counts from when its
/// request was due: one that had to wait for its connection waited for the server.
///
/// # Errors
/// When an event was not taken.
pub fn paced(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    step: Duration,
) -> Result<Sample, Fault> {
    let started = Instant::now();
    threads(connections, |which| {
        let mut connection = Connection::open(address)?;
        let mut sample = Sample::default();
        for (place, request) in requests.iter().enumerate().skip(which).step_by(connections) {
            let due = started + step * u32::try_from(place)?;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (status, body) = connection.ask(request)?;
            check_batch(status, body)?;
            sample.push(due.elapsed());
        }
        Ok(sample)
    })
}

fn threads(
    count: usize,
    each: impl Fn(usize) -> Result<Sample, Fault> + Sync,
) -> Result<Sample, Fault> {
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..count)
            .map(|which| {
                let each = &each;
                scope.spawn(move || each(which))
            })
            .collect();
        let mut all = Sample::default();
        for thread in started {
            all.extend(thread.join().map_err(|_| "a client panicked")??);
        }
        Ok(all)
    })
}

/// Sends single events over so many connections, each with one under way, from one thread; how long
/// each receipt took.
///
/// # Errors
/// When an event was not taken.
pub fn singles(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
) -> Result<Sample, Fault> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut open = Vec::with_capacity(connections);
    let mut requests = requests.iter();
    for request in requests.by_ref().take(connections) {
        let mut connection = Connection::open(address)?;
        let data = epoll::EventData::new_u64(open.len() as u64);
        epoll::add(&poll, connection.socket(), data, epoll::EventFlags::IN)?;
        connection.send(request)?;
        open.push((connection, Instant::now()));
    }
    let mut sample = Sample::default();
    let mut under_way = open.len();
    let mut ready = Vec::with_capacity(connections);
    while under_way > 0 {
        ready.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut ready), None)?;
        for event in &ready {
            let place = usize::try_from(event.data.u64())?;
            let Some((connection, sent)) = open.get_mut(place) else {
                return Err("an answer on a connection that is not there".into());
            };
            let Some((status, body)) = connection.read(SMALL_READ_BYTES)? else {
                continue;
            };
            if status != 201 {
                return Err(refused(status, body));
            }
            sample.push(sent.elapsed());
            match requests.next() {
                Some(request) => {
                    *sent = Instant::now();
                    connection.send(request)?;
                }
                None => under_way -= 1,
            }
        }
    }
    Ok(sample)
}
