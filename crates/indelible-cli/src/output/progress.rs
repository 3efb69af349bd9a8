//! Progress on standard error, only when that is a terminal.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Show;

/// Work that is done sooner than this shows no progress.
const PATIENCE: Duration = Duration::from_millis(300);
const TICK: Duration = Duration::from_millis(120);

/// A progress display that may be invisible.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    started: Instant,
    /// Whether it is still to be shown, when the work takes long.
    waiting: Cell<bool>,
}

impl Progress {
    /// A display; nothing is ever drawn unless `visible`.
    pub fn new(visible: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self {
            bar,
            started: Instant::now(),
            waiting: Cell::new(visible),
        }
    }

    /// Counts bytes of `total`; without a total, only what has come.
    pub fn of_bytes(&self, doing: &str, total: Option<u64>) {
        let template = if total.is_some() {
            "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}"
        } else {
            "{spinner} {msg} {bytes} {binary_bytes_per_sec}"
        };
        self.begin(template, doing, total);
    }

    /// Counts things of `total`; does nothing when it is counting them already.
    pub fn of_things(&self, doing: &str, total: Option<u64>) {
        if self.bar.length() == total && self.bar.message() == doing.shown() {
            return;
        }
        let template = if total.is_some() {
            "{spinner} {msg} [{bar:30}] {human_pos}/{human_len} {eta}"
        } else {
            "{spinner} {msg} {human_pos}"
        };
        self.begin(template, doing, total);
    }

    /// More bytes or things are done.
    pub fn add(&self, amount: u64) {
        self.bar.inc(amount);
        self.show();
    }

    /// So many bytes or things are done.
    pub fn set(&self, amount: u64) {
        self.bar.set_position(amount);
        self.show();
    }

    /// Runs `f` without the display in its way.
    pub fn suspend<T>(&self, f: impl FnOnce() -> T) -> T {
        self.bar.suspend(f)
    }

    /// Takes the display away.
    pub fn clear(&self) {
        self.waiting.set(false);
        self.bar.finish_and_clear();
    }

    fn begin(&self, template: &str, doing: &str, total: Option<u64>) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.reset();
        match total {
            Some(total) => self.bar.set_length(total),
            None => self.bar.unset_length(),
        }
        self.bar.set_message(doing.shown());
        self.show();
    }

    fn show(&self) {
        if self.waiting.get() && self.started.elapsed() >= PATIENCE {
            self.waiting.set(false);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.enable_steady_tick(TICK);
        }
    }
}
