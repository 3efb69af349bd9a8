//! How a data directory is opened, and what opening and mending tell about their progress.

use indelible_event::ids::Micros;

/// How a data directory is opened. Sizes have defaults that were measured; tests make them small.
#[derive(Clone, Debug)]
pub struct Options {
    /// Without the lock and without changing anything, beside a writer.
    pub read_only: bool,
    /// Records after which the open tail is sealed into a segment; from 2^23 on it always is.
    pub seal_records: u32,
    /// Bytes of a journal file after which the open tail is sealed.
    pub seal_bytes: u64,
    /// Text of a block of the journal before compression, bytes; a block holds at least one record.
    /// Half as much costs 8 % more room on disk, twice as much twice the time for a lone record.
    pub block_bytes: usize,
    /// Segments that are merged into one; below 2 none are.
    pub merge_segments: usize,
    /// Rows of segments from which on two threads count them.
    pub shared_rows: u64,
    /// Whether segments are sealed and merged on a thread of their own, or by the append that
    /// fills the tail.
    pub background: bool,
    /// When the directory is opened; said to those who find it locked.
    pub now: Option<Micros>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            seal_records: 81_920,
            seal_bytes: 256 << 20,
            block_bytes: 32 << 10,
            merge_segments: 8,
            shared_rows: 1 << 20,
            background: true,
            now: None,
        }
    }
}

/// What is being done, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The work, in words: "reading the journal", "rebuilding postings".
    pub what: String,
    /// How much is done, in units of `total`.
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
}

/// Bytes on disk by the kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records committed.
    pub records: u64,
    /// Sealed segments.
    pub segments: u64,
    /// The journal's files.
    pub journal: u64,
    /// The records of sealed segments.
    pub sealed_records: u64,
    /// Postings.
    pub postings: u64,
    /// Columns.
    pub columns: u64,
    /// Ids.
    pub ids: u64,
    /// Tiles.
    pub tiles: u64,
    /// Find indexes of personal rows.
    pub personal: u64,
    /// The manifest, the heads and `FORMAT`.
    pub other: u64,
}

impl Stats {
    /// All of it.
    pub fn total(&self) -> u64 {
        let sealed = self.sealed_records + self.postings + self.columns + self.ids + self.tiles;
        self.journal + sealed + self.personal + self.other
    }
}
