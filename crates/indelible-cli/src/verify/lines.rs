//! Lines of a file beside what an export writes: other ends of lines, blank lines, no end at all.
//!
//! What it is not: a judgement of what is in the lines.

use std::collections::VecDeque;
use std::io::{BufRead, Read};
use std::ops::Range;

use indelible_proof::finding::Span;

/// A line longer than this is none of ours; the verifier says so from its beginning.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Bytes of lines that are kept for having been looked at.
const LOOKED_AT_BYTES_MAX: usize = 8 * LINE_BYTES_MAX;
pub(super) const LINE_ENDINGS: &str = "line endings were changed to CR LF: an export has LF";

/// What of a file is not as an export writes it, though its lines may all be.
#[derive(Default)]
pub(super) struct Form {
    /// The record that the lines read now are of.
    pub(super) number: u64,
    /// Blank lines, and lines that end in CR LF: how many, of which records, where.
    blank: Option<(u64, Span, Range<u64>)>,
    crlf: Option<(u64, Span, Range<u64>)>,
    /// Whether the last line has no end.
    pub(super) cut: bool,
    last: Range<u64>,
}

impl Form {
    fn count(of: &mut Option<(u64, Span, Range<u64>)>, number: u64, bytes: Range<u64>) {
        let (count, span, all) = of.get_or_insert((0, Span::one(number), bytes.clone()));
        *count += 1;
        *span = Span::new(span.first.min(number), span.last.max(number));
        all.end = bytes.end;
    }

    /// The sentence, the records and the bytes of what is odd, if anything is.
    pub(super) fn says(&self) -> Option<(String, Span, Range<u64>)> {
        if let Some((count, span, bytes)) = &self.crlf {
            let lines = if *count == 1 { "line" } else { "lines" };
            let text =
                format!("{LINE_ENDINGS}; the records are compared without ({count} {lines})");
            return Some((text, *span, bytes.clone()));
        }
        if let Some((count, span, bytes)) = &self.blank {
            let text = format!("blank lines that no export has: {count}");
            return Some((text, *span, bytes.clone()));
        }
        // What is not there any more comes after it.
        let span = Span::new(self.number.saturating_sub(1), u64::MAX);
        let text = "the file does not end with the end of a line: it was cut";
        self.cut.then(|| (text.to_owned(), span, self.last.clone()))
    }
}

/// One line, without its end.
#[derive(Default)]
struct Line {
    text: Vec<u8>,
    bytes: Range<u64>,
    number: u64,
}

/// Lines of a file into a buffer that is used again, without their ends; blank lines are passed
/// over and, like other ends of lines, kept in mind.
pub(super) struct Lines<R> {
    input: R,
    line: Line,
    /// Lines that were looked at and are still to be read.
    ahead: VecDeque<Line>,
    /// Where the next line of the input starts, and how many were before it.
    at: u64,
    count: u64,
    pub(super) form: Form,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            line: Line::default(),
            ahead: VecDeque::new(),
            at: 0,
            count: 0,
            form: Form::default(),
        }
    }

    /// The next line.
    pub(super) fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        let there = match self.ahead.pop_front() {
            Some(line) => {
                self.line = line;
                true
            }
            None => self.read()?,
        };
        Ok(there.then_some(self.line.text.as_slice()))
    }

    /// The next line that was not looked at yet; [`Lines::next`] gives it again, in its turn. None
    /// either when as much was looked at as is kept.
    pub(super) fn look(&mut self) -> std::io::Result<Option<&[u8]>> {
        let kept: usize = self.ahead.iter().map(|line| line.text.len()).sum();
        if kept >= LOOKED_AT_BYTES_MAX || !self.read()? {
            return Ok(None);
        }
        self.ahead.push_back(std::mem::take(&mut self.line));
        Ok(self.ahead.back().map(|line| line.text.as_slice()))
    }

    /// Where the last line stands, and its number, from 1.
    pub(super) fn place(&self) -> (Range<u64>, u64) {
        (self.line.bytes.clone(), self.line.number)
    }

    fn read(&mut self) -> std::io::Result<bool> {
        loop {
            let line = &mut self.line.text;
            line.clear();
            let limit = LINE_BYTES_MAX as u64;
            let input = self.input.by_ref();
            let read = input.take(limit).read_until(b'\n', line)?;
            if read == 0 {
                return Ok(false);
            }
            let from = self.at;
            self.at += read as u64;
            self.count += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if read == LINE_BYTES_MAX {
                // The rest of a line that is too long is passed over.
                self.at += self.input.skip_until(b'\n')? as u64;
            } else {
                self.form.cut = true;
            }
            let (number, bytes) = (self.form.number, from..self.at);
            self.form.last = bytes.clone();
            if line.last() == Some(&b'\r') {
                line.pop();
                Form::count(&mut self.form.crlf, number, bytes.clone());
            } else if line.is_empty() {
                Form::count(&mut self.form.blank, number, bytes.clone());
            }
            if !line.is_empty() {
                (self.line.bytes, self.line.number) = (bytes, self.count);
                return Ok(true);
            }
        }
    }
}
