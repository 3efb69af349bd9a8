//! The records of a merged segment: leaves and personal rows of the sources, repacked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use indelible_event::ids::TenantId;
use indelible_event::leaf::LeafView;
use indelible_merkle::{Hash, leaf_hash};
use indelible_store::{Error, Kind, Result};

use super::order::{Order, Stretch};
use crate::block::{Block, Packer, SealedRef};
use crate::bytes::to_u32;
use crate::container::{FileFacts, Stream};
use crate::directory::{BlockPlace, Directory};
use crate::failure::{corrupt, from_zstd};
use crate::frame::{Arrangement, FileHeader, FrameRun, FrameWriter};
use crate::records::Caches;
use crate::replay::next_header;
use crate::segment::Segment;
use crate::store::{BLOCK_LEVEL, Store};

/// How much larger blocks are than in the journal: what is asked for together lies together here.
const MERGED_BLOCK_FACTOR: usize = 2;
/// Bytes of blocks after which a frame of a merged segment ends.
const FRAME_BYTES: usize = 1 << 20;
/// Unpacked blocks kept: consecutive tenants stand in the same blocks of the sources' frames, so
/// it takes about one a frame. Of 32 KiB each.
const BLOCKS_KEPT: usize = 1024;
const UNKNOWN: u32 = u32::MAX;

/// What is known of the merged records when they are written.
pub(super) struct Merged {
    pub(super) facts: FileFacts,
    pub(super) directory: Directory,
    pub(super) positions: Vec<i64>,
    /// Where each personal row starts in the file.
    pub(super) personal: Vec<i64>,
    /// What finds each personal row.
    pub(super) finds: Vec<Option<u64>>,
    /// (personal row, row), rows ascending for each personal row.
    pub(super) personal_uses: Vec<(u32, u32)>,
}

/// A record of a source: a place in a block.
struct Old {
    source: usize,
    block: Arc<Block>,
    at: usize,
}

/// A run of the frame being written.
struct OpenRun {
    run: FrameRun,
    last: Old,
}

/// Writes the merged file of records.
struct Repacker<'a> {
    store: &'a Store,
    sources: &'a [Arc<Segment>],
    stream: Stream,
    packer: Packer,
    frame: FrameWriter,
    buffer: Vec<u8>,
    link: u32,
    number: u32,
    run: Option<OpenRun>,
    /// First row and bytes of the blocks of this frame.
    blocks: Vec<(u32, usize)>,
    block_first: u32,
    frame_first: u32,
    frame_personal: usize,
    /// Offsets in the frame of the personal rows of this frame.
    new_personal: Vec<usize>,
    /// For each source, the new numbers of its personal rows.
    renumbered: Vec<Vec<u32>>,
    /// For each source, where its personal rows start in its file.
    places: Vec<Vec<i64>>,
    /// For each source, what finds its personal rows.
    finds: Vec<Vec<Option<u64>>>,
    known: HashMap<u128, u32, RandomState>,
    /// Blocks with the rows in them that are still to come.
    kept: HashMap<(usize, u64), (Arc<Block>, u32), RandomState>,
    kept_order: VecDeque<(usize, u64)>,
    merged: Merged,
}

impl Store {
    /// Writes the records of `sources` in `order` as a file in `dir`.
    pub(super) fn merge_records(
        &self,
        sources: &[Arc<Segment>],
        order: &Order,
        dir: &str,
        first: u64,
    ) -> Result<Merged> {
        let mut repacker = Repacker::new(self, sources, &format!("{dir}/records"), first)?;
        let positions: Result<Vec<_>> = sources
            .iter()
            .map(|s| s.columns()?.all_positions(s.facts.first))
            .collect();
        repacker.merged.positions = order.gather(&positions?);
        for stretch in &order.stretches {
            if self.stopping.load(Ordering::Relaxed) {
                return Err(Error::new(
                    Kind::Unavailable,
                    "the directory is being closed",
                ));
            }
            repacker.stretch(stretch)?;
        }
        repacker.end_frame()?;
        repacker.merged.facts = repacker.stream.finish()?;
        Ok(repacker.merged)
    }
}

impl<'a> Repacker<'a> {
    fn new(store: &'a Store, sources: &'a [Arc<Segment>], path: &str, first: u64) -> Result<Self> {
        let mut stream = Stream::create(&*store.disk, path)?;
        let ledger_id = store.format.ledger_id();
        let header = FileHeader {
            arrangement: Arrangement::Clustered,
            first,
            ledger_id,
        }
        .encode();
        stream.put(&header)?;
        let (mut renumbered, mut finds, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for source in sources {
            finds.push(source.personal()?.all()?);
            renumbered.push(vec![UNKNOWN; source.columns()?.personal_rows() as usize]);
            places.push(source.columns()?.all_personal()?);
        }
        Ok(Self {
            store,
            sources,
            stream,
            packer: Packer::new(BLOCK_LEVEL).map_err(from_zstd)?,
            frame: FrameWriter::default(),
            buffer: Vec::new(),
            link: FileHeader::parse(&header).map_or(0, |(_, crc)| crc),
            number: 0,
            run: None,
            blocks: Vec::new(),
            block_first: 0,
            frame_first: 0,
            frame_personal: 0,
            new_personal: Vec::new(),
            renumbered,
            places,
            finds,
            known: HashMap::default(),
            kept: HashMap::default(),
            kept_order: VecDeque::new(),
            merged: Merged {
                facts: FileFacts { bytes: 0, crc: 0 },
                directory: Directory::default(),
                positions: Vec::new(),
                personal: Vec::new(),
                finds: Vec::new(),
                personal_uses: Vec::new(),
            },
        })
    }

    fn row(&self) -> u32 {
        self.merged.directory.rows
    }

    /// Repacks consecutive rows of a source.
    fn stretch(&mut self, stretch: &Stretch) -> Result<()> {
        let source = self
            .sources
            .get(stretch.source)
            .ok_or_else(|| corrupt("no such source"))?;
        let directory = &source.columns()?.directory;
        let tenant = self.merged.directory.tenant_number(&stretch.tenant);
        if let Some(part) = directory
            .find(&stretch.tenant)
            .and_then(|n| directory.tenant(n))
        {
            self.merged.directory.occurred(tenant, part.occurred.0);
            self.merged.directory.occurred(tenant, part.occurred.1);
        }
        let mut row = stretch.rows.start;
        while row < stretch.rows.end {
            let found = directory.block_of(row);
            let (number, place) = found.ok_or_else(|| corrupt("a row has no block"))?;
            let (rows, place) = (directory.rows_of_block(number), *place);
            let wanted = row..rows.end.min(stretch.rows.end);
            let here = self.block(stretch.source, place, rows.end - rows.start, wanted.len())?;
            for row in wanted.clone() {
                let old = Old {
                    source: stretch.source,
                    block: Arc::clone(&here),
                    at: (row - place.row) as usize,
                };
                let seq = stretch.first_seq + u64::from(row - stretch.rows.start);
                self.record(&stretch.tenant, (tenant, seq), old)?;
            }
            row = wanted.end;
        }
        Ok(())
    }

    /// Repacks a record: the tenant by name and number, and its sequence number.
    fn record(&mut self, name: &TenantId, (tenant, seq): (u32, u64), old: Old) -> Result<()> {
        let row = self.row();
        let mut refs = Vec::with_capacity(old.block.sealed(old.at).len());
        for value in old.block.sealed(old.at) {
            refs.push(match value {
                SealedRef::Row(row_before) => {
                    let new = self.personal(old.source, *row_before)?;
                    self.merged.personal_uses.push((new, row));
                    SealedRef::Row(new)
                }
                SealedRef::Blob(..) => value.clone(),
            });
        }
        let copied = self.packer.copy(&old.block, old.at, &refs);
        self.readable(old.source, copied)?;
        self.continue_run(name, seq, old)?;
        self.merged.directory.push_run(tenant, seq, 1);
        if self.packer.text_bytes() >= MERGED_BLOCK_FACTOR * self.store.options.block_bytes {
            self.end_block()?;
            if self.frame.block_bytes() >= FRAME_BYTES {
                self.end_frame()?;
            }
        }
        Ok(())
    }

    /// What was read of a block of a source.
    fn readable<T>(&self, source: usize, read: Option<T>) -> Result<T> {
        let read = read.ok_or_else(|| corrupt("a block cannot be read"));
        match self.sources.get(source) {
            Some(source) => self.store.of_source(source, read),
            None => read,
        }
    }

    fn continue_run(&mut self, tenant: &TenantId, seq: u64, old: Old) -> Result<()> {
        let position = self
            .merged
            .positions
            .get(self.row() as usize)
            .copied()
            .unwrap_or(0);
        let position = position.cast_unsigned();
        let open = self.run.take_if(|open| {
            open.run.tenant == *tenant && open.run.first_seq + u64::from(open.run.count) == seq
        });
        let mut run = if let Some(open) = open {
            open.run
        } else {
            self.end_run()?;
            FrameRun {
                tenant: tenant.clone(),
                first_seq: seq,
                count: 0,
                last_hash: Hash::ZERO,
                last_ingested: 0,
                positions: Vec::new(),
            }
        };
        run.count += 1;
        match run.positions.last_mut() {
            Some((count, first)) if *first + u64::from(*count) == position => *count += 1,
            _ => run.positions.push((1, position)),
        }
        self.run = Some(OpenRun { run, last: old });
        Ok(())
    }

    fn end_run(&mut self) -> Result<()> {
        if let Some(OpenRun { mut run, last }) = self.run.take() {
            let mut leaf = Vec::new();
            self.readable(last.source, last.block.leaf(last.at, &mut leaf))?;
            run.last_hash = leaf_hash(&leaf);
            run.last_ingested = LeafView::locate(&leaf).map_or(0, |leaf| leaf.ingested_at.0);
            self.frame.run(&run, Arrangement::Clustered);
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let before = self.frame.block_bytes();
        self.packer.finish(self.frame.blocks()).map_err(from_zstd)?;
        self.frame.block_done();
        self.blocks
            .push((self.block_first, self.frame.block_bytes() - before));
        self.block_first = self.row();
        Ok(())
    }

    fn end_frame(&mut self) -> Result<()> {
        if self.packer.records() > 0 {
            self.end_block()?;
        }
        self.end_run()?;
        if self.frame.records() == 0 {
            return Ok(());
        }
        let first_personal = to_u32(self.frame_personal);
        let header = next_header(self.number, self.link, self.frame_first, first_personal);
        self.buffer.clear();
        let sealed = self.frame.finish(header, &mut self.buffer);
        let start = self.stream.at();
        let personal_at = start + sealed.personal_at as u64;
        let places = self
            .new_personal
            .drain(..)
            .map(|at| (personal_at + at as u64).cast_signed());
        self.merged.personal.extend(places);
        let mut at = start + sealed.blocks_at as u64;
        for (row, bytes) in self.blocks.drain(..) {
            self.merged.directory.blocks.push(BlockPlace {
                row,
                at,
                bytes: to_u32(bytes),
            });
            at += bytes as u64;
        }
        self.stream.put(&self.buffer)?;
        (self.link, self.number) = (sealed.crc, self.number + 1);
        self.frame_first = self.row();
        self.frame_personal = self.merged.finds.len();
        Ok(())
    }

    /// The new number of a source's personal row.
    fn personal(&mut self, source: usize, old: u32) -> Result<u32> {
        let known = self
            .renumbered
            .get(source)
            .and_then(|rows| rows.get(old as usize));
        if let Some(&new) = known.filter(|new| **new != UNKNOWN) {
            return Ok(new);
        }
        let segment = self
            .sources
            .get(source)
            .ok_or_else(|| corrupt("no such source"))?;
        let at = self
            .places
            .get(source)
            .and_then(|places| places.get(old as usize))
            .ok_or_else(|| corrupt("no such personal row"))?;
        let read = segment.records()?.personal(at.cast_unsigned());
        let (handle, row) = self.store.of_source(segment, read)?;
        let find = self
            .finds
            .get(source)
            .and_then(|finds| finds.get(old as usize).copied()?);
        let key = self.store.hashing.row(&handle, &row);
        let next = to_u32(self.merged.finds.len());
        let new = *self.known.entry(key).or_insert(next);
        if new == next {
            self.new_personal.push(self.frame.personal(&handle, &row));
            self.merged.finds.push(find);
        } else if let Some(place) = self.merged.finds.get_mut(new as usize) {
            *place = place.or(find);
        }
        let rows = self
            .renumbered
            .get_mut(source)
            .and_then(|rows| rows.get_mut(old as usize));
        *rows.ok_or_else(|| corrupt("no such personal row"))? = new;
        Ok(new)
    }

    /// The block at `place`, which holds `rows` rows: each row is asked for once, `wanted` of them
    /// now, and the last lets it go.
    fn block(
        &mut self,
        source: usize,
        place: BlockPlace,
        rows: u32,
        wanted: usize,
    ) -> Result<Arc<Block>> {
        let (key, wanted) = ((source, place.at), to_u32(wanted));
        if let Some((block, left)) = self.kept.get_mut(&key) {
            *left = left.saturating_sub(wanted);
            let block = Arc::clone(block);
            if *left == 0 {
                self.kept.remove(&key);
            }
            return Ok(block);
        }
        let segment = self
            .sources
            .get(source)
            .ok_or_else(|| corrupt("no such source"))?;
        // The caches of readers are left alone.
        let block = segment.records()?.block(&Caches::default(), &place);
        let block = self.store.of_source(segment, block)?;
        while self.kept.len() >= BLOCKS_KEPT
            && let Some(oldest) = self.kept_order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        if rows > wanted {
            self.kept.insert(key, (Arc::clone(&block), rows - wanted));
            self.kept_order.push_back(key);
        }
        Ok(block)
    }
}
