//! What people and programs read: the result on standard output, everything else on standard error.
//!
//! Tables, colours and cut values are for terminals and people; `--json` gets everything, whole.
//! Whatever goes to a terminal, and all text for people, is written so that it is only shown there.

mod escape;
mod progress;
mod table;
mod time;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use crate::args::Color;
use crate::config::{Config, Environment};
use crate::exit::{Failure, Result};

pub use escape::Show;
pub use progress::Progress;
pub use table::{Column, Table};
pub use time::Zone;

/// Emphasis in text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Headings.
    Bold,
    /// What matters less.
    Dim,
    /// All is well.
    Good,
    /// Look at this.
    Warn,
    /// All is not well.
    Bad,
}

/// How and where to write.
pub struct Output {
    out: Box<dyn Write>,
    /// Whether the result is wanted as JSON.
    pub json: bool,
    /// Whether notes and progress are not wanted.
    pub quiet: bool,
    /// The time zone of times in tables.
    pub zone: Zone,
    reader: Reader,
    width: Option<usize>,
    progress: bool,
    colours: Colours,
}

/// Who gets standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// A terminal, which obeys some characters.
    Terminal,
    /// A file or a pipe.
    Program,
}

/// Where colours are used.
#[derive(Clone, Copy, Debug)]
struct Colours {
    out: bool,
    err: bool,
}

impl Output {
    /// Output to this process's standard streams.
    pub fn of_process(config: &Config, environment: &Environment, json: bool, quiet: bool) -> Self {
        let set = |name: &str| environment.variables.get(name).filter(|v| !v.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        let plain = set("NO_COLOR").is_some() || dumb;
        let coloured = |terminal: bool| match config.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        let terminal_out = io::stdout().is_terminal();
        let terminal_err = io::stderr().is_terminal();
        let columns = set("COLUMNS").and_then(|columns| columns.parse().ok());
        let (zone, unknown_zone) = match (!config.utc).then(Zone::local) {
            None => (Zone::UTC, None),
            Some(Ok(zone)) => (zone, None),
            // Without TZ it is UTC because nobody said anything else.
            Some(Err(error)) => (Zone::UTC, set("TZ").map(|name| (name, error))),
        };
        let output = Self {
            out: Box::new(BufWriter::with_capacity(64 * 1024, io::stdout())),
            json,
            quiet,
            zone,
            reader: if terminal_out {
                Reader::Terminal
            } else {
                Reader::Program
            },
            width: columns.or_else(|| terminal_out.then(terminal_width).flatten()),
            progress: terminal_err && !quiet,
            colours: Colours {
                out: coloured(terminal_out),
                err: coloured(terminal_err),
            },
        };
        if let Some((name, error)) = unknown_zone {
            output.warn(format_args!(
                "times are in UTC, TZ={name} is no zone: {error}"
            ));
        }
        output
    }

    /// Output that knows nothing of the configuration, for saying what is wrong with it.
    pub fn plain() -> Self {
        Self {
            out: Box::new(io::stdout()),
            json: false,
            quiet: false,
            zone: Zone::UTC,
            reader: Reader::Program,
            width: None,
            progress: false,
            colours: Colours {
                out: false,
                err: false,
            },
        }
    }

    /// Writes one line of the result, for people: whatever is in it, it stays one.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&mut self, text: impl Display) -> Result {
        let text = text.to_string();
        let text = if self.colours.out {
            escape::coloured_line(&text)
        } else {
            text.shown()
        };
        self.write(text.as_bytes())?;
        self.write(b"\n")
    }

    /// Writes bytes of the result, just so; only on a terminal what it would obey is escaped.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result {
        if self.reader == Reader::Terminal {
            self.write(escape::lines(bytes).as_bytes())
        } else {
            self.write(bytes)
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result {
        self.out
            .write_all(bytes)
            .map_err(|e| Failure::of_output(&e))
    }

    /// Writes one JSON value as one line of the result.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result {
        let mut text = serde_json::to_string(value)
            .map_err(|e| Failure::Could(format!("cannot write the result as json: {e}")))?;
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// Sends what was written on its way.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn flush(&mut self) -> Result {
        self.out.flush().map_err(|e| Failure::of_output(&e))
    }

    /// Writes a table, cut to the terminal's width.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn table(&mut self, table: &Table) -> Result {
        let (width, colour) = (self.width, self.colours.out);
        for line in table.lines(width, |text, tone| paint(colour, text, tone)) {
            self.line(line)?;
        }
        Ok(())
    }

    /// The text with its tone, for the result.
    pub fn paint(&self, text: &str, tone: Tone) -> String {
        paint(self.colours.out, text, tone)
    }

    /// Says something beside the result, unless quiet.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            tell(text);
        }
    }

    /// Says that something needs looking at.
    pub fn warn(&self, text: impl Display) {
        tell(format_args!(
            "{} {text}",
            paint(self.colours.err, "warning:", Tone::Warn)
        ));
    }

    /// Says what went wrong.
    pub fn error(&self, text: impl Display) {
        tell(format_args!(
            "{} {text}",
            paint(self.colours.err, "error:", Tone::Bad)
        ));
    }

    /// Says that a signal ended it, and what was done before.
    pub fn cancelled(&self, text: impl Display) {
        let word = paint(self.colours.err, "cancelled:", Tone::Warn);
        tell(format_args!("{word} {text}"));
    }

    /// A progress display on standard error: none when that is no terminal, or quiet.
    pub fn progress(&self) -> Progress {
        Progress::new(self.progress)
    }
}

fn tell(text: impl Display) {
    let text = escape::coloured_lines(&text.to_string());
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

fn paint(colour: bool, text: &str, tone: Tone) -> String {
    let code = match tone {
        Tone::Bold => "1",
        Tone::Dim => "2",
        Tone::Good => "32",
        Tone::Warn => "33",
        Tone::Bad => "31",
        Tone::Plain => return text.shown(),
    };
    if colour {
        format!("\x1b[{code}m{}\x1b[0m", text.shown())
    } else {
        text.shown()
    }
}
