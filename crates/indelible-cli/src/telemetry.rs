//! Telemetry on standard error, written by a thread of its own: who does not read it, or is gone,
//! holds up nothing and nobody. Lines for which there is no room are left out and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing::Level;

/// Lines that may wait to be read.
const LINES_MAX: usize = 4_096;
/// How often the end looks whether all is written, and how often it looks at most.
const GLANCE: Duration = Duration::from_millis(5);
const GLANCES_MAX: u32 = 40;

/// Telemetry under way; its end waits a moment for what is not written yet.
pub struct Telemetry {
    waiting: Arc<AtomicU64>,
}

/// Takes lines and never waits.
#[derive(Clone)]
struct Lines {
    lines: SyncSender<Vec<u8>>,
    waiting: Arc<AtomicU64>,
    left_out: Arc<AtomicU64>,
}

/// JSON lines on standard error from now on.
pub fn start(level: Level) -> Option<Telemetry> {
    let (lines, taken) = sync_channel(LINES_MAX);
    let lines = Lines {
        lines,
        waiting: Arc::default(),
        left_out: Arc::default(),
    };
    let (waiting, left_out) = (Arc::clone(&lines.waiting), Arc::clone(&lines.left_out));
    let told = Arc::clone(&waiting);
    std::thread::Builder::new()
        .name("telemetry".to_owned())
        .spawn(move || write(&taken, &told, &left_out))
        .ok()?;
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_max_level(level)
        .with_writer(move || lines.clone())
        .finish();
    // There is one command in a process, so none is set yet.
    tracing::subscriber::set_global_default(subscriber).ok()?;
    Some(Telemetry { waiting })
}

fn write(lines: &Receiver<Vec<u8>>, waiting: &AtomicU64, left_out: &AtomicU64) {
    for line in lines {
        // Nobody may be there to read it.
        let _ = io::stderr().write_all(&line);
        let count = left_out.swap(0, Relaxed);
        if count > 0 {
            let said = format!("{{\"level\":\"WARN\",\"message\":\"lines left out: {count}\"}}\n");
            let _ = io::stderr().write_all(said.as_bytes());
        }
        waiting.fetch_sub(1, Relaxed);
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        for _ in 0..GLANCES_MAX {
            if self.waiting.load(Relaxed) == 0 {
                return;
            }
            std::thread::sleep(GLANCE);
        }
    }
}

/// Each call is one line.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.waiting.fetch_add(1, Relaxed);
        if self.lines.try_send(line.to_vec()).is_err() {
            self.waiting.fetch_sub(1, Relaxed);
            self.left_out.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
