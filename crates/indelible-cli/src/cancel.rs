//! Being told to stop: what Ctrl-C (SIGINT) and SIGTERM do.
//!
//! The process ends at once, with exit code 130: whatever it was writing survives `kill -9`, so it
//! survives this. Work that can end better than that is done [`gently`]: it looks whether stopping
//! is [`wanted`], ends where it is whole, and says so. A second signal ends that too, at once.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::CANCELLED;

static WANTED: AtomicBool = AtomicBool::new(false);
static GENTLE: AtomicBool = AtomicBool::new(false);

/// While it lives, the first signal only asks.
#[derive(Debug)]
pub struct Gently(());

impl Drop for Gently {
    fn drop(&mut self) {
        GENTLE.store(false, Ordering::SeqCst);
    }
}

/// Begins work that looks at [`wanted`] often.
#[must_use]
pub fn gently() -> Gently {
    GENTLE.store(true, Ordering::SeqCst);
    Gently(())
}

/// Whether a signal has asked to stop.
pub fn wanted() -> bool {
    WANTED.load(Ordering::SeqCst)
}

/// Waits for signals, on a thread of its own.
///
/// # Errors
/// When signals cannot be waited for; they then end the process as they always do.
pub fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        for _ in signals.forever() {
            let first = !WANTED.swap(true, Ordering::SeqCst);
            if !(first && GENTLE.load(Ordering::SeqCst)) {
                end();
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map(drop)
}

fn end() {
    let mut stderr = io::stderr();
    // A progress display may stand on the line.
    let start = if stderr.is_terminal() { "\n" } else { "" };
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(stderr, "{start}cancelled");
    std::process::exit(i32::from(CANCELLED));
}
