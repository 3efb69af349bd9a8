//! Those who use the server as they should, while somebody else does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::event;
use super::served::{Client, Serving};

const JSON: &str = "Content-Type: application/json";
/// Where the ids of their events begin, apart from those of tests.
static NEXT: AtomicUsize = AtomicUsize::new(5_000_000);

/// One client that sends an event and reads it back, again and again.
pub struct Others {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Others {
    pub fn of(serving: &Serving) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (address, end) = (serving.address.clone(), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(&address).unwrap();
            let mut rounds = 0;
            while !end.load(Relaxed) || rounds == 0 {
                round(&mut client);
                rounds += 1;
                std::thread::sleep(Duration::from_millis(2));
            }
            rounds
        });
        Self { ended, thread }
    }

    /// Ends; panics if any of them was not served.
    #[track_caller]
    pub fn were_served(self) {
        self.ended.store(true, Relaxed);
        assert!(self.thread.join().unwrap() > 0);
    }
}

fn round(client: &mut Client) {
    let event = event(NEXT.fetch_add(1, Relaxed));
    let body = event.to_string();
    let path = "/v1/events?tenant=others";
    let answer = client.ask("POST", path, &[JSON], body.as_bytes()).unwrap();
    answer.is(201);
    let path = format!(
        "/v1/records/{}?tenant=others",
        event["audit_id"].as_str().unwrap()
    );
    client.ask("GET", &path, &[], b"").unwrap().is(200);
}

/// The time of an event's receipt that 99 of a hundred keep, of `count` of them.
pub fn p99(client: &mut Client, count: usize) -> Duration {
    paced_p99(client, count, Duration::ZERO)
}

/// The same with a pause before each.
pub fn paced_p99(client: &mut Client, count: usize, pause: Duration) -> Duration {
    let mut times: Vec<_> = (0..count)
        .map(|_| {
            std::thread::sleep(pause);
            let body = event(NEXT.fetch_add(1, Relaxed)).to_string();
            let began = Instant::now();
            let path = "/v1/events?tenant=others";
            let answer = client.ask("POST", path, &[JSON], body.as_bytes()).unwrap();
            assert_eq!(answer.status, 201);
            began.elapsed()
        })
        .collect();
    times.sort();
    times[count * 99 / 100]
}
