//! Committing: one frame, one write, one sync, then the index, then the heads.
//!
//! A failed write or sync ends the file, since nothing is certain about it any more. The next file
//! begins where the acknowledged records end, which voids whatever of the failed frame may be
//! there; once it is durable the commit certainly did not happen.

use indelible_disk::{DiskError, DiskErrorKind};
use indelible_event::{EventView, LeafView};
use indelible_store::terms::extract_hashes;
use indelible_store::{
    Append, Column, Commit, Error, FindHash, Handle, Kind, NewRecord, Result, TermKey,
};

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::block::SealedRef;
use crate::bytes::to_u32;
use crate::failure::{from_disk, from_zstd};
use crate::frame::{
    Arrangement, FILE_ROWS_MAX, FRAME_BODY_BYTES_MAX, FrameRun, FrameWriter, Sealed,
};
use crate::heads::HeadState;
use crate::replay::next_header;
use crate::store::{Store, Writer};
use crate::tail::{Entry, PersonalPlace, Tail};

/// The most bytes of one commit: packed, with what is said about them, they fit in a frame.
const COMMIT_BYTES_MAX: usize = FRAME_BODY_BYTES_MAX / 2;

/// What this ledger does not take, whatever its heads are.
fn check_shape(commit: &Commit) -> Result<()> {
    let records = commit.appends.iter().flat_map(|append| &append.records);
    if records.map(bytes_of).sum::<usize>() > COMMIT_BYTES_MAX {
        let said = "a commit has at most 512 MiB of leaves and personal values";
        return Err(Error::new(Kind::Invalid, said));
    }
    commit.check()
}

fn bytes_of(record: &NewRecord) -> usize {
    let sealed = record.sealed.iter().map(|value| value.row.len());
    record.leaf.len() + sealed.sum::<usize>()
}

/// A personal row that is new in the file.
struct NewRow {
    key: u128,
    /// Where it starts among the frame's personal rows.
    at: usize,
    find: Option<FindHash>,
}

/// A frame as it was put together, and what the index needs to know of it.
struct Built {
    /// In the order of the file.
    appends: Vec<usize>,
    refs: Vec<Vec<SealedRef>>,
    rows: Vec<NewRow>,
    /// First record of the block in the frame, and its bytes.
    blocks: Vec<(u32, usize)>,
    sealed: Sealed,
}

impl Store {
    /// Appends all of a commit or nothing.
    pub(crate) fn commit(&self, commit: &Commit) -> Result<()> {
        check_shape(commit)?;
        let mut guard = self.writer.lock();
        let Some(writer) = guard.as_mut() else {
            let said = "the data directory was opened for reading: open it for writing to append";
            return Err(Error::new(Kind::ReadOnly, said));
        };
        if writer.broken {
            self.start_file(writer)?;
        }
        {
            let heads = self.heads.read();
            for append in &commit.appends {
                heads.check(&append.tenant, &append.expected)?;
            }
        }
        let (rows, personal) = {
            let index = writer.tail.index.read();
            (index.rows(), to_u32(index.personal.len()))
        };
        // With room for one more frame.
        let most = FILE_ROWS_MAX / 2;
        if rows >= self.options.seal_records.min(most)
            || personal >= most
            || writer.end >= self.options.seal_bytes
        {
            self.start_file(writer)?;
        }
        let built = self.build(writer, commit).inspect_err(|_| {
            // What was packed belongs to no frame; the file is as it was.
            writer.frame = FrameWriter::default();
            writer.packer.clear();
        })?;
        if let Err(error) = Self::write(writer) {
            return Err(self.failed(writer, error));
        }
        self.publish(writer, commit, &built);
        Ok(())
    }

    /// Puts the frame into the writer's buffer.
    fn build(&self, writer: &mut Writer, commit: &Commit) -> Result<Built> {
        let mut appends: Vec<usize> = (0..commit.appends.len()).collect();
        appends.sort_unstable_by_key(|&at| commit.appends.get(at).map(|append| &append.tenant));
        let tail = Arc::clone(&writer.tail);
        let index = tail.index.read();
        let mut personal = Personal::new(self, &index);
        let (mut refs, mut blocks) = (Vec::new(), Vec::new());
        let (mut records, mut block_first) = (0_u32, 0_u32);
        for append in appends.iter().filter_map(|&at| commit.appends.get(at)) {
            writer.frame.run(&run_of(append), Arrangement::Committed);
            for record in &append.records {
                let values = personal.refs(writer, &record.sealed);
                writer.packer.add(&record.leaf, &record.audit_id, &values);
                refs.push(values);
                records += 1;
                if writer.packer.text_bytes() >= self.options.block_bytes {
                    blocks.push((block_first, end_block(writer)?));
                    block_first = records;
                }
            }
        }
        if writer.packer.records() > 0 {
            blocks.push((block_first, end_block(writer)?));
        }
        let first_personal = to_u32(index.personal.len());
        let header = next_header(writer.number, writer.link, index.rows(), first_personal);
        writer.buffer.clear();
        let sealed = writer.frame.finish(header, &mut writer.buffer);
        let rows = personal.rows;
        Ok(Built {
            appends,
            refs,
            rows,
            blocks,
            sealed,
        })
    }

    fn write(writer: &Writer) -> std::result::Result<(), DiskError> {
        let file = &writer.tail.records.file;
        file.write_at(&writer.buffer, writer.end)?;
        // If we die here the frame is there as a whole or is cut on opening.
        file.sync_data()
    }

    /// The answer to a failed write or sync.
    fn failed(&self, writer: &mut Writer, error: DiskError) -> Error {
        writer.broken = true;
        if error.kind() == DiskErrorKind::NoSpace {
            // Not all of the frame fitted, so it is none. Give its space back, as far as that goes.
            let _ = writer.tail.records.file.set_len(writer.end);
            return from_disk(error);
        }
        let (kind, said) = match self.start_file(writer) {
            Ok(()) => (
                Kind::Unavailable,
                "the disk failed and nothing was kept: try again",
            ),
            Err(_) => (
                Kind::UnknownOutcome,
                "the disk failed and the records may be kept: read the head",
            ),
        };
        Error::new(kind, said).caused_by(error)
    }

    /// Makes what is durable visible.
    fn publish(&self, writer: &mut Writer, commit: &Commit, built: &Built) {
        let mut index = writer.tail.index.write();
        let first_row = index.rows();
        let start = writer.end;
        for row in &built.rows {
            let at = start + (built.sealed.personal_at + row.at) as u64;
            index.push_personal(row.key, PersonalPlace { at, find: row.find });
        }
        let mut at = start + built.sealed.blocks_at as u64;
        for &(first, bytes) in &built.blocks {
            index.block(first_row + first, at, bytes);
            at += bytes as u64;
        }
        let mut heads = self.heads.write();
        let mut refs = built.refs.iter();
        let mut from_leaf = FromLeaf::new(self.hashing.terms);
        for append in built
            .appends
            .iter()
            .filter_map(|&at| commit.appends.get(at))
        {
            let tenant = index.tenant(&append.tenant, || heads.frontier(&append.tenant));
            for (seq, record) in (append.expected.size..).zip(&append.records) {
                let (terms, numbers) = match &record.filed {
                    Some(filed) => (&*filed.terms, &*filed.numbers),
                    None => from_leaf.read(&record.leaf),
                };
                let entry = Entry {
                    record_hash: record.record_hash,
                    audit_id: record.audit_id,
                    occurred_at: record.occurred_at,
                    ingested_at: record.ingested_at,
                    terms,
                    numbers,
                    sealed: refs.next().map_or(&[], Vec::as_slice),
                };
                index.push(tenant, seq, &entry);
            }
            let head = HeadState::Known(Arc::new(append.head.clone()));
            heads.map.insert(append.tenant.clone(), head);
        }
        writer.end += writer.buffer.len() as u64;
        writer.link = built.sealed.crc;
        writer.number += 1;
    }
}

/// What records are filed under of which that was not said.
struct FromLeaf {
    key: TermKey,
    terms: Vec<u64>,
    numbers: Vec<(Column, f64)>,
}

impl FromLeaf {
    fn new(key: TermKey) -> Self {
        Self {
            key,
            terms: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Bytes that are no leaf are filed under nothing.
    fn read(&mut self, leaf: &[u8]) -> (&[u64], &[(Column, f64)]) {
        self.terms.clear();
        self.numbers.clear();
        let leaf = LeafView::locate(leaf).ok();
        let event = leaf.and_then(|leaf| EventView::parse(leaf.event()).ok());
        if let Some(event) = event {
            extract_hashes(&event, &self.key, &mut self.terms, &mut self.numbers);
        }
        (&self.terms, &self.numbers)
    }
}

fn run_of(append: &Append) -> FrameRun {
    FrameRun {
        tenant: append.tenant.clone(),
        first_seq: append.expected.size,
        count: to_u32(append.records.len()),
        last_hash: append.head.last_hash,
        last_ingested: append.head.last_ingested_at.0,
        positions: Vec::new(),
    }
}

/// Ends a block; returns its bytes.
fn end_block(writer: &mut Writer) -> Result<usize> {
    let before = writer.frame.block_bytes();
    writer
        .packer
        .finish(writer.frame.blocks())
        .map_err(from_zstd)?;
    writer.frame.block_done();
    Ok(writer.frame.block_bytes() - before)
}

/// Gives personal values their row numbers.
struct Personal<'a> {
    store: &'a Store,
    index: &'a Tail,
    known: HashMap<u128, u32, RandomState>,
    rows: Vec<NewRow>,
}

impl<'a> Personal<'a> {
    fn new(store: &'a Store, index: &'a Tail) -> Self {
        Self {
            store,
            index,
            known: HashMap::default(),
            rows: Vec::new(),
        }
    }

    fn refs(
        &mut self,
        writer: &mut Writer,
        sealed: &[indelible_store::SealedValue],
    ) -> Vec<SealedRef> {
        let mut refs = Vec::with_capacity(sealed.len());
        for value in sealed {
            refs.push(if value.blob {
                SealedRef::Blob(value.handle, value.row.to_vec())
            } else {
                SealedRef::Row(self.number(writer, &value.handle, &value.row, value.find))
            });
        }
        refs
    }

    fn number(
        &mut self,
        writer: &mut Writer,
        handle: &Handle,
        row: &[u8],
        find: Option<FindHash>,
    ) -> u32 {
        let key = self.store.hashing.row(handle, row);
        if let Some(number) = self.index.personal_number(key) {
            return number;
        }
        if let Some(&number) = self.known.get(&key) {
            return number;
        }
        let number = to_u32(self.index.personal.len() + self.rows.len());
        let at = writer.frame.personal(handle, row);
        self.known.insert(key, number);
        self.rows.push(NewRow { key, at, find });
        number
    }
}
