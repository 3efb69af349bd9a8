//! Progress on standard error, only when that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress display that may be invisible.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A display; nothing is drawn unless `visible`.
    pub fn new(visible: bool) -> Self {
        let target = if visible {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            bar: ProgressBar::with_draw_target(None, target),
        }
    }

    /// Counts bytes of `total`; without a total, only what has come.
    pub fn of_bytes(&self, total: Option<u64>) {
        let template = if total.is_some() {
            "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}"
        } else {
            "{spinner} {msg} {bytes} {binary_bytes_per_sec}"
        };
        self.begin(template, total);
    }

    /// Counts `things` of `total`; does nothing when it is counting them already.
    pub fn of_things(&self, things: &str, total: u64) {
        if self.bar.length() == Some(total) && self.bar.message() == things {
            return;
        }
        self.begin(
            "{spinner} {msg} [{bar:30}] {human_pos}/{human_len} {eta}",
            Some(total),
        );
        self.bar.set_message(things.to_owned());
    }

    /// Says what is going on.
    pub fn message(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// More bytes or things are done.
    pub fn add(&self, amount: u64) {
        self.bar.inc(amount);
    }

    /// So many bytes or things are done.
    pub fn set(&self, amount: u64) {
        self.bar.set_position(amount);
    }

    /// Runs `f` without the display in its way.
    pub fn suspend<T>(&self, f: impl FnOnce() -> T) -> T {
        self.bar.suspend(f)
    }

    /// Takes the display away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn begin(&self, template: &str, total: Option<u64>) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style.progress_chars("=> "));
        }
        self.bar.reset();
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        if !self.bar.is_hidden() {
            self.bar.enable_steady_tick(Duration::from_millis(120));
        }
    }
}
