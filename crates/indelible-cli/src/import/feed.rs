//! Reads the planned files on a thread of its own and hands out what was cut from them.
//!
//! Packed files are told by their first bytes, not by their names. A file that cannot be read to
//! its end gives what was before, and is named.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use flate2::read::MultiGzDecoder;

use super::document::Document;
use super::lines;
use super::piece::{BYTE_ORDER_MARK, Fault, Piece, Position};
use super::walk::{Origin, Plan};
use crate::args::Format;

/// Inputs that may wait between reading and submitting.
const WAITING_MAX: usize = 2_000;
const CHUNK_BYTES: usize = 64 * 1024;
/// How far into a file is looked to see whether each line is a record.
const SNIFF_BYTES_MAX: usize = 1024 * 1024;

/// One thing from a file.
#[derive(Debug)]
pub enum Fed {
    /// An input.
    Input(Input),
    /// Something to be said of a file, which was read nevertheless.
    Note(String),
    /// A file could not be read to its end.
    Unreadable(String),
}

/// An input and where it came from.
#[derive(Debug)]
pub struct Input {
    /// The file.
    pub file: Arc<str>,
    /// The place in it.
    pub position: Position,
    /// The bytes, unchanged.
    pub bytes: Vec<u8>,
    /// Why it could not be cut out whole, if so.
    pub fault: Option<Fault>,
}

/// Files being read.
#[derive(Debug)]
pub struct Feed {
    inputs: Receiver<Fed>,
    read: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Starts reading.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(plan: Plan, format: Format) -> io::Result<Self> {
        Self::of(move |sender, read| {
            let reading = Reading {
                sender,
                read,
                format,
            };
            for origin in &plan.origins {
                if !reading.origin(origin) {
                    return;
                }
            }
        })
    }

    /// What `reading` sends; it counts the bytes it has read.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn of<F>(reading: F) -> io::Result<Self>
    where
        F: FnOnce(SyncSender<Fed>, Arc<AtomicU64>) + Send + 'static,
    {
        let (sender, inputs) = sync_channel(WAITING_MAX);
        let read = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&read);
        let thread = std::thread::Builder::new()
            .name("import-feed".to_owned())
            .spawn(move || reading(sender, counted))?;
        Ok(Self {
            inputs,
            read,
            thread: Some(thread),
        })
    }

    /// What comes out, in order; ends when all is read.
    pub fn inputs(&self) -> &Receiver<Fed> {
        &self.inputs
    }

    /// Bytes read so far, as stored.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Waits for the reading thread; all inputs must have been taken.
    pub fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its own thread.
            let _ = thread.join();
        }
    }
}

struct Reading {
    sender: SyncSender<Fed>,
    read: Arc<AtomicU64>,
    format: Format,
}

impl Reading {
    /// Reads one origin; false when nobody listens any more.
    fn origin(&self, origin: &Origin) -> bool {
        let name: Arc<str> = origin.to_string().into();
        let result = match origin {
            Origin::Stdin => self.stream(&name, origin, io::stdin().lock()),
            Origin::File(path) => {
                File::open(path).and_then(|file| self.stream(&name, origin, file))
            }
        };
        match result {
            Ok(go_on) => go_on,
            Err(error) => {
                let text = format!("{name}: cannot be read to its end: {error}");
                self.sender.send(Fed::Unreadable(text)).is_ok()
            }
        }
    }

    fn stream(&self, name: &Arc<str>, origin: &Origin, raw: impl Read) -> io::Result<bool> {
        let counted = Counted {
            inner: raw,
            read: Arc::clone(&self.read),
        };
        let (head, counted) = peek(counted, 2)?;
        let packed = head == [0x1f, 0x8b];
        let whole = Cursor::new(head).chain(counted);
        if packed {
            self.text(name, origin, MultiGzDecoder::new(BufReader::new(whole)))
        } else {
            self.text(name, origin, whole)
        }
    }

    fn text(&self, name: &Arc<str>, origin: &Origin, input: impl Read) -> io::Result<bool> {
        let mut go_on = true;
        let mut visit = |piece: Piece| {
            let Piece {
                bytes,
                position,
                fault,
            } = piece;
            let input = Input {
                file: Arc::clone(name),
                position,
                bytes,
                fault,
            };
            go_on = self.sender.send(Fed::Input(input)).is_ok();
            go_on
        };
        if self.format == Format::Ndjson || named_as_lines(origin) {
            lines::cut(BufReader::with_capacity(CHUNK_BYTES, input), &mut visit)?;
            return Ok(go_on);
        }
        let (head, failed, rest) = peek_line(input);
        let each_line = is_record_line(&head);
        let whole = Cursor::new(head).chain(Failed(failed)).chain(rest);
        if each_line {
            lines::cut(BufReader::with_capacity(CHUNK_BYTES, whole), &mut visit)?;
            return Ok(go_on);
        }
        let mut document = Document::default();
        let read = feed_document(&mut document, whole, &mut visit);
        document.finish(&mut visit);
        read?;
        if document.is_cut_short() {
            let text = format!("{name}: ends before its list of records does");
            go_on = go_on && self.sender.send(Fed::Unreadable(text)).is_ok();
        }
        if document.has_more_than_records() {
            let text = format!("{name}: passed over what stands beside \"Records\"");
            go_on = go_on && self.sender.send(Fed::Note(text)).is_ok();
        }
        Ok(go_on)
    }
}

fn feed_document(
    document: &mut Document,
    mut input: impl Read,
    visit: &mut impl FnMut(Piece) -> bool,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                if !document.feed(chunk.get(..length).unwrap_or_default(), visit) {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn named_as_lines(origin: &Origin) -> bool {
    let Origin::File(path) = origin else {
        return false;
    };
    let name = path.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    [".ndjson", ".jsonl"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

/// Whether the first line is a record of its own, so that every line is one.
fn is_record_line(head: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b'\n', head) else {
        return false;
    };
    let line = head.get(..end).unwrap_or_default();
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let mut whole = 0;
    let mut document = Document::default();
    let mut visit = |piece: Piece| {
        let same = piece.bytes.len() == line.trim_ascii().len();
        whole += usize::from(same && piece.bytes.starts_with(b"{"));
        true
    };
    document.feed(line, &mut visit);
    document.finish(&mut visit);
    whole == 1 && !document.is_cut_short() && line.trim_ascii_end().ends_with(b"}")
}

/// Reads `length` bytes, or all there are.
fn peek<R: Read>(mut input: R, length: usize) -> io::Result<(Vec<u8>, R)> {
    let mut head = Vec::new();
    input.by_ref().take(length as u64).read_to_end(&mut head)?;
    Ok((head, input))
}

/// Reads the first line that is not blank with its line feed, or as much of it as is looked at; and
/// why no more, if it could not be read.
fn peek_line<R: Read>(mut input: R) -> (Vec<u8>, Option<io::Error>, R) {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while head.len() < SNIFF_BYTES_MAX {
        let length = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return (head, Some(error), input),
        };
        head.extend_from_slice(chunk.get(..length).unwrap_or_default());
        if head.trim_ascii_start().contains(&b'\n') {
            break;
        }
    }
    (head, None, input)
}

/// Fails once, if it has something to fail with.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    fn fed(name: &str, bytes: &[u8], format: Format) -> Vec<Fed> {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let plan = Plan {
            origins: vec![Origin::File(path)],
            ..Plan::default()
        };
        let feed = Feed::start(plan, format).unwrap();
        let all: Vec<_> = feed.inputs().iter().collect();
        assert_eq!(feed.bytes_read(), bytes.len() as u64);
        feed.finish();
        all
    }

    fn texts(all: &[Fed]) -> Vec<String> {
        all.iter()
            .map(|fed| match fed {
                Fed::Input(input) => String::from_utf8(input.bytes.clone()).unwrap(),
                Fed::Note(_) => "note".to_owned(),
                Fed::Unreadable(_) => "unreadable".to_owned(),
            })
            .collect()
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_shape_of_a_file_is_seen_whatever_its_name() {
        let cases: [(&str, &[u8], &[&str]); 8] = [
            (
                "a.json",
                b"\xef\xbb\xbf{\"a\":1}\n{\"b\":\n{\"c\":3}\n",
                &["{\"a\":1}", "{\"b\":", "{\"c\":3}"],
            ),
            (
                "a.json",
                b"\xef\xbb\xbf{\"Records\":[{\"a\":1}]}",
                &["{\"a\":1}"],
            ),
            (
                "a.json",
                b"{\"Records\":[{\"a\":1},{\"b\":2}]}",
                &["{\"a\":1}", "{\"b\":2}"],
            ),
            ("a.json", b"{\"Records\":[{\"a\":1}]}\n", &["{\"a\":1}"]),
            (
                "a.json",
                b"{\"a\":1}\n{\"b\":\n{\"c\":3}\n",
                &["{\"a\":1}", "{\"b\":", "{\"c\":3}"],
            ),
            ("a.json", b"\n{\n \"a\": 1\n}\n", &["{\n \"a\": 1\n}"]),
            ("a.ndjson", b"[1]\nbroken\n{}", &["[1]", "broken", "{}"]),
            ("a.json", b"{\"v\":0,\"Records\":[{}]}", &["{}", "note"]),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(texts(&fed(name, bytes, Format::Cloudtrail)), expected);
            assert_eq!(texts(&fed("x", &gz(bytes), Format::Ndjson)).len(), {
                bytes
                    .split(|b| *b == b'\n')
                    .filter(|l| !l.trim_ascii().is_empty())
                    .count()
            });
        }
        let packed = gz(b"{\"Records\":[{\"a\":1}]}");
        assert_eq!(
            texts(&fed("a.json", &packed, Format::Cloudtrail)),
            ["{\"a\":1}"]
        );
    }

    #[test]
    fn what_was_before_the_damage_is_kept_and_the_file_named() {
        let cut = fed(
            "a.json",
            b"{\"Records\":[{\"a\":1},{\"b\"",
            Format::Cloudtrail,
        );
        assert_eq!(texts(&cut), ["{\"a\":1}", "{\"b\"", "unreadable"]);
        let Fed::Input(input) = &cut[1] else { panic!() };
        assert_eq!(input.fault, Some(Fault::Unfinished));
        // The same, packed, whichever way it is read: as lines, or as a document.
        let lines = format!("{{\"a\":1}}\n{{\"b\":\"{}", "x".repeat(90_000));
        let document = format!(
            "{{\"Records\":[{{\"a\":1}},{{\"b\":\"{}",
            "x".repeat(90_000)
        );
        for (name, text) in [
            ("a.ndjson.gz", &lines),
            ("a.json.gz", &lines),
            ("a.json.gz", &document),
        ] {
            let mut packed = gz(text.as_bytes());
            packed.truncate(packed.len() - 20);
            let found = texts(&fed(name, &packed, Format::Cloudtrail));
            assert_eq!(found.len(), 3, "{name}: {found:?}");
            assert_eq!(found[0], "{\"a\":1}");
            assert!(found[1].starts_with("{\"b\":\"xxx"));
            assert_eq!(found[2], "unreadable");
        }
        let mut packed = gz("{\"a\":1}\n".repeat(10_000).as_bytes());
        packed.truncate(packed.len() - 8);
        let cut = fed("a.ndjson.gz", &packed, Format::Ndjson);
        assert_eq!(texts(&cut).last().unwrap(), "unreadable");
        assert!(cut.len() > 1);
    }
}
