//! Lines of a file beside what an export writes: other ends of lines, blank lines, no end at all.
//!
//! What it is not: a judgement of what is in the lines.

use std::io::{BufRead, Read};
use std::ops::Range;

use indelible_proof::finding::Span;

/// A line longer than this is none of ours; the verifier says so from its beginning.
const LINE_BYTES_MAX: usize = 1 << 20;
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
            let text = format!("{LINE_ENDINGS}; the records are compared without ({count} lines)");
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

/// Lines of a file into a buffer that is used again, without their ends; blank lines are passed
/// over and, like other ends of lines, kept in mind.
pub(super) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// Where the next line starts.
    pub(super) at: u64,
    /// The number of the last line, from 1.
    pub(super) number: u64,
    pub(super) form: Form,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            at: 0,
            number: 0,
            form: Form::default(),
        }
    }

    pub(super) fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        loop {
            self.line.clear();
            let limit = LINE_BYTES_MAX as u64;
            let input = self.input.by_ref();
            let read = input.take(limit).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            let from = self.at;
            self.at += read as u64;
            self.number += 1;
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            } else if read == LINE_BYTES_MAX {
                self.skip()?;
            } else {
                self.form.cut = true;
            }
            let (number, bytes) = (self.form.number, from..self.at);
            self.form.last = bytes.clone();
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
                Form::count(&mut self.form.crlf, number, bytes);
            } else if self.line.is_empty() {
                Form::count(&mut self.form.blank, number, bytes);
            }
            if !self.line.is_empty() {
                break;
            }
        }
        Ok(Some(&self.line))
    }

    /// Passes over the rest of a line that is too long.
    fn skip(&mut self) -> std::io::Result<()> {
        self.at += self.input.skip_until(b'\n')? as u64;
        Ok(())
    }
}
