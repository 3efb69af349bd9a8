//! What comes from elsewhere, written so that a terminal shows it and does not obey it.
//!
//! File names and texts of events are anybody's: they may hold control characters, and marks that
//! turn the direction of writing around. These are written as JSON would, `\u001b`; bytes that are
//! no UTF-8 as `\xff`. What is written for programs to read is not touched (`--json`, redirected
//! output). A backslash stays a backslash: this is for looking at, not for reading back.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What our own colours are made of.
const COLOURS: [&str; 6] = [
    "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m",
];

/// A name or a text as one line for people.
pub trait Show {
    /// It, with nothing in it that a terminal would obey.
    fn shown(&self) -> String;
}

impl Show for str {
    fn shown(&self) -> String {
        escape(self.as_bytes(), false)
    }
}

impl Show for OsStr {
    fn shown(&self) -> String {
        escape(self.as_bytes(), false)
    }
}

impl Show for Path {
    fn shown(&self) -> String {
        self.as_os_str().shown()
    }
}

/// Bytes of several lines: line feeds and tabs stay.
pub fn lines(bytes: &[u8]) -> String {
    escape(bytes, true)
}

/// One line, in which the colours are ours and stay.
pub fn coloured_line(text: &str) -> String {
    coloured(text, false)
}

/// As [`lines`], but the colours in it are ours and stay.
pub fn coloured_lines(text: &str) -> String {
    coloured(text, true)
}

fn coloured(text: &str, is_lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        let (before, from) = rest.split_at(at);
        out.push_str(&escape(before.as_bytes(), is_lines));
        let ours = COLOURS.iter().find(|colour| from.starts_with(**colour));
        let length = ours.map_or(1, |colour| colour.len());
        let (code, after) = from.split_at(length);
        match ours {
            Some(_) => out.push_str(code),
            None => push(&mut out, '\x1b', is_lines),
        }
        rest = after;
    }
    out.push_str(&escape(rest.as_bytes(), is_lines));
    out
}

fn escape(bytes: &[u8], is_lines: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push(&mut out, c, is_lines);
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push(out: &mut String, c: char, is_lines: bool) {
    match c {
        '\n' | '\t' if is_lines => out.push(c),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_obeyed(c) => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// Control characters, line separators, and what turns the direction of writing around.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let hostile = "a\x1b[2J\u{9b}31m\u{202e}b\r\n\tc\u{2028}\x7f\\";
        assert_eq!(
            hostile.shown(),
            r"a\u001b[2J\u009b31m\u202eb\r\n\tc\u2028\u007f\"
        );
        assert_eq!(lines(b"a\n\tb\x1bc\xff\xfe"), "a\n\tb\\u001bc\\xff\\xfe");
        assert_eq!(
            Path::new(OsStr::from_bytes(b"x\xe9\n.json")).shown(),
            r"x\xe9\n.json"
        );
        let plain = "caf\u{e9} 日本語 🦀 \\u001b";
        assert_eq!(plain.shown(), plain);
        assert_eq!(lines(plain.as_bytes()), plain);
    }

    #[test]
    fn only_our_own_colours_pass() {
        assert_eq!(
            coloured_lines("\x1b[32msound\x1b[0m \x1b[5mx\x1b]0;t\x07\ny\x1b"),
            "\x1b[32msound\x1b[0m \\u001b[5mx\\u001b]0;t\\u0007\ny\\u001b"
        );
        assert_eq!(coloured_line("\x1b[31ma\x1b[0m\nb"), "\x1b[31ma\x1b[0m\\nb");
    }
}
