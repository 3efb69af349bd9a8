//! Making the index of a file of records from its bytes: on opening, and to rebuild a segment.
//!
//! Everything but the ciphertexts' find hashes comes from the leaves themselves; those come from
//! the opener, if there is one.

use std::ops::Range;

use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_event::leaf::LeafView;
use indelible_event::{EventView, Field};

use indelible_merkle::{Frontier, leaf_hash};
use indelible_store::{Column, Result, RowOpener, TermKey, terms};

use crate::block::{Block, SealedRef};
use crate::bytes::to_u32;
use crate::frame::{Arrangement, FRAME_HEADER_BYTES, FileHeader, FrameBody, FrameHeader, FrameRun};
use crate::hashing::Hashing;
use crate::heads::Heads;
use crate::records::{RecordFile, Scanner, Step};
use crate::tail::{Entry, PersonalPlace, Tail};

/// What is found in a file of records.
pub(crate) struct Replayed {
    pub(crate) tail: Tail,
    pub(crate) header: Option<FileHeader>,
    /// Where the valid frames end.
    pub(crate) end: u64,
    /// Checksum of the last header.
    pub(crate) link: Option<u32>,
    /// Number of the next frame.
    pub(crate) number: u32,
    /// Bytes behind the valid frames that are none, and whether they are the beginning of one.
    pub(crate) torn: Option<(Range<u64>, bool)>,
    /// Bytes between valid frames that are none.
    pub(crate) damaged: Vec<Range<u64>>,
}

impl Replayed {
    /// What is found where there is no file: rows of which nothing is known.
    pub(crate) fn nothing(hashing: Hashing, rows: u32, arrangement: Arrangement) -> Self {
        let mut tail = Tail::new(hashing);
        tail.hole(rows);
        if arrangement == Arrangement::Clustered {
            tail.positions.resize(tail.rows() as usize, 0);
        }
        Self {
            tail,
            header: None,
            end: 0,
            link: None,
            number: 0,
            torn: None,
            damaged: Vec::new(),
        }
    }
}

/// What a replay goes by.
pub(crate) struct Replay<'a> {
    pub(crate) hashing: Hashing,
    pub(crate) opener: Option<&'a dyn RowOpener>,
    /// Read no byte from here on.
    pub(crate) limit_bytes: Option<u64>,
    /// Read no row from here on: a later file begins there.
    pub(crate) limit_row: Option<u32>,
    /// How the file is arranged, if its header cannot be read.
    pub(crate) arrangement: Arrangement,
    /// Told the number of records read so far.
    pub(crate) progress: &'a mut dyn FnMut(u64),
}

/// Where the trees of tenants come from, and where they go.
pub(crate) enum Trees<'a> {
    /// The heads before the file, moved by what is in it.
    Heads(&'a mut Heads),
    /// A tree of the tenant with this many leaves.
    At(&'a mut dyn FnMut(&TenantId, u64) -> Result<Frontier>),
}

impl Replay<'_> {
    /// Replays a file.
    pub(crate) fn run(&mut self, file: &RecordFile, mut trees: Trees<'_>) -> Result<Replayed> {
        let mut scanner = Scanner::new(std::sync::Arc::clone(&file.file), self.limit_bytes)?;
        let header = scanner.header;
        let arrangement = header.map_or(self.arrangement, |header| header.arrangement);
        let mut tail = Tail::new(self.hashing);
        let (mut torn, mut damaged) = (None, Vec::new());
        let mut end = scanner.at();
        let (mut link, mut number) = (scanner.link(), 0);
        loop {
            match scanner.step()? {
                Step::Frame { at, header, body } => {
                    if self
                        .limit_row
                        .is_some_and(|limit| header.first_row >= limit)
                    {
                        break;
                    }
                    tail.hole(header.first_row);
                    tail.personal_hole(header.first_personal);
                    if let Some(frame) = FrameBody::parse(&header, &body, arrangement) {
                        self.frame(&mut tail, &mut trees, at, &frame)?;
                    } else {
                        damaged.push(at..scanner.at());
                        tail.hole(header.first_row.saturating_add(header.records));
                    }
                    (self.progress)(u64::from(tail.rows()));
                    (end, link, number) = (scanner.at(), scanner.link(), scanner.number());
                }
                Step::Damaged(range) => damaged.push(range),
                Step::Torn { bytes, clean } => {
                    torn = Some((bytes, clean));
                    break;
                }
                Step::End => break,
            }
        }
        if let Some(limit) = self.limit_row {
            tail.hole(limit);
        }
        if arrangement == Arrangement::Clustered {
            tail.positions.resize(tail.rows() as usize, 0);
        }
        Ok(Replayed {
            tail,
            header,
            end,
            link,
            number,
            torn,
            damaged,
        })
    }

    fn frame(
        &mut self,
        tail: &mut Tail,
        trees: &mut Trees<'_>,
        at: u64,
        frame: &FrameBody<'_>,
    ) -> Result<()> {
        let body_at = at + FRAME_HEADER_BYTES as u64;
        let mut blocks = Vec::with_capacity(frame.blocks.len());
        let mut row = tail.rows();
        for &(from, bytes, records) in &frame.blocks {
            let parsed = frame.bytes.get(from..from + bytes).and_then(Block::parse);
            blocks.push((parsed.map(|(block, _)| block).unwrap_or_default(), records));
            tail.block(row, body_at + from as u64, bytes);
            row += records;
        }
        let first_personal = to_u32(tail.personal.len());
        let owners = owners(frame, &blocks, first_personal);
        for (personal, owner) in frame.personal.iter().zip(owners) {
            let find = owner.and_then(|tenant: &TenantId| {
                self.opener?.find(tenant, personal.handle, personal.row)
            });
            let key = self.hashing.row(&personal.handle, personal.row);
            tail.push_personal(
                key,
                PersonalPlace {
                    at: body_at + personal.at as u64,
                    find,
                },
            );
        }
        let mut records = Records::new(&blocks);
        for run in &frame.runs {
            run_of(tail, trees, run, &mut records)?;
            let mut positions = Vec::with_capacity(run.count as usize);
            for &(count, first) in &run.positions {
                positions
                    .extend(first.cast_signed()..first.saturating_add(count.into()).cast_signed());
            }
            // Rows before them that cannot be read have none that anybody asks for.
            if !run.positions.is_empty() {
                let from = tail.rows().saturating_sub(run.count) as usize;
                tail.positions.resize(from, 0);
                tail.positions.append(&mut positions);
            }
        }
        Ok(())
    }
}

/// Adds the records of a run to the tail and its trees.
fn run_of(
    tail: &mut Tail,
    trees: &mut Trees<'_>,
    run: &FrameRun,
    records: &mut Records<'_>,
) -> Result<()> {
    let frontier = match trees {
        Trees::Heads(heads) => heads.frontier(&run.tenant),
        Trees::At(_) if tail.directory.find(&run.tenant).is_some() => Frontier::new(),
        Trees::At(at) => at(&run.tenant, run.first_seq)?,
    };
    let tenant = tail.tenant(&run.tenant, || frontier);
    let mut hashes = Vec::with_capacity(run.count as usize);
    for seq in (run.first_seq..).take(run.count as usize) {
        let Some((block, at)) = records.next_record() else {
            tail.hole(tail.rows() + 1);
            continue;
        };
        let facts = records.facts(&tail.hashing.terms, block, at);
        hashes.push(facts.record_hash);
        let entry = Entry {
            record_hash: facts.record_hash,
            audit_id: block.audit_id(at).unwrap_or(AuditId([0; 16])),
            occurred_at: facts.occurred_at,
            ingested_at: facts.ingested_at,
            terms: &records.terms,
            numbers: &records.numbers,
            sealed: block.sealed(at),
        };
        tail.push(tenant, seq, &entry);
    }
    if let Trees::Heads(heads) = trees {
        heads.replay(
            &run.tenant,
            run.first_seq,
            &hashes,
            Micros(run.last_ingested),
        );
    }
    Ok(())
}

/// For each personal row of a frame the tenant of the first record that refers to it.
fn owners<'a>(
    frame: &'a FrameBody<'_>,
    blocks: &[(Block, u32)],
    first: u32,
) -> Vec<Option<&'a TenantId>> {
    let mut owners = vec![None; frame.personal.len()];
    let mut tenants = frame
        .runs
        .iter()
        .flat_map(|run| std::iter::repeat_n(&run.tenant, run.count as usize));
    for (block, records) in blocks {
        for at in 0..*records as usize {
            let tenant = tenants.next();
            for value in block.sealed(at) {
                if let SealedRef::Row(row) = value
                    && let Some(number) = row.checked_sub(first)
                    && let Some(owner) = owners.get_mut(number as usize)
                {
                    *owner = owner.or(tenant);
                }
            }
        }
    }
    owners
}

/// What a leaf says that the index keeps.
struct Facts {
    record_hash: indelible_merkle::Hash,
    occurred_at: Micros,
    ingested_at: Micros,
}

/// The records of a frame one after the other, with the buffers to read them into.
struct Records<'a> {
    blocks: &'a [(Block, u32)],
    block: usize,
    at: usize,
    leaf: Vec<u8>,
    terms: Vec<u64>,
    numbers: Vec<(Column, f64)>,
}

impl<'a> Records<'a> {
    fn new(blocks: &'a [(Block, u32)]) -> Self {
        let (terms, numbers) = (Vec::new(), Vec::new());
        Self {
            blocks,
            block: 0,
            at: 0,
            leaf: Vec::new(),
            terms,
            numbers,
        }
    }

    fn next_record(&mut self) -> Option<(&'a Block, usize)> {
        loop {
            let (block, records) = self.blocks.get(self.block)?;
            if self.at < *records as usize {
                self.at += 1;
                return (block.records() == *records as usize).then_some((block, self.at - 1));
            }
            (self.block, self.at) = (self.block + 1, 0);
        }
    }

    /// Reads a record's leaf; its terms and numbers are left in `self`.
    fn facts(&mut self, key: &TermKey, block: &Block, at: usize) -> Facts {
        self.leaf.clear();
        let _ = block.leaf(at, &mut self.leaf);
        self.numbers.clear();
        self.terms.clear();
        let record_hash = leaf_hash(&self.leaf);
        let Ok(leaf) = LeafView::locate(&self.leaf) else {
            return Facts {
                record_hash,
                occurred_at: Micros(0),
                ingested_at: Micros(0),
            };
        };
        let mut occurred_at = None;
        if let Ok(event) = EventView::parse(leaf.event()) {
            terms::extract_hashes(&event, key, &mut self.terms, &mut self.numbers);
            let text = event.text(Field::OccurredAt);
            occurred_at = text.and_then(|text| Micros::parse(&text).ok());
        }
        let ingested_at = leaf.ingested_at;
        Facts {
            record_hash,
            occurred_at: occurred_at.unwrap_or(ingested_at),
            ingested_at,
        }
    }
}

/// The header a file of records has that belongs here, or why it does not.
pub(crate) fn check_header(
    header: Option<&FileHeader>,
    path: &str,
    ledger_id: &[u8; 16],
    first: u64,
) -> Result<()> {
    match header {
        Some(header) if header.ledger_id != *ledger_id => Err(crate::records::foreign(path)),
        Some(header) if header.first != first => Err(crate::records::misplaced(path)),
        _ => Ok(()),
    }
}

/// The frame header of the next frame.
pub(crate) fn next_header(
    number: u32,
    link: u32,
    first_row: u32,
    first_personal: u32,
) -> FrameHeader {
    FrameHeader {
        number,
        body_bytes: 0,
        records: 0,
        first_row,
        first_personal,
        link,
        body_crc: 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::block::Packer;
    use crate::frame::FrameWriter;
    use crate::records::Caches;
    use indelible_disk::{Disk as _, FaultyDisk, Open};

    const FIRST: u64 = 100;
    /// Positions of the records of each frame of a clustered file, in pieces.
    const FRAMES: [&[(u32, u64)]; 3] = [&[(2, 103), (1, 110)], &[(1, 100), (3, 105)], &[(2, 101)]];

    /// A clustered file of these frames, each with the records of a tenant of its own; and where
    /// the bodies of the frames begin.
    fn clustered(disk: &FaultyDisk) -> Vec<u64> {
        let header = FileHeader {
            arrangement: Arrangement::Clustered,
            first: FIRST,
            ledger_id: [1; 16],
        };
        let mut bytes = header.encode().to_vec();
        let mut link = FileHeader::parse(&bytes).unwrap().1;
        let (mut writer, mut packer) = (FrameWriter::default(), Packer::new(1).unwrap());
        let (mut row, mut bodies) = (0, Vec::new());
        for ((number, pieces), name) in (0..).zip(FRAMES).zip(["a", "b", "c"]) {
            let count = pieces.iter().map(|(count, _)| count).sum();
            for n in 0..count {
                packer.add(&[b'{', n.to_le_bytes()[0]], &AuditId([9; 16]), &[]);
            }
            packer.finish(writer.blocks()).unwrap();
            writer.block_done();
            let run = FrameRun {
                tenant: TenantId::parse(name).unwrap(),
                first_seq: 0,
                count,
                last_hash: indelible_merkle::Hash::ZERO,
                last_ingested: 0,
                positions: pieces.to_vec(),
            };
            writer.run(&run, Arrangement::Clustered);
            bodies.push((bytes.len() + FRAME_HEADER_BYTES) as u64);
            link = writer
                .finish(next_header(number, link, row, 0), &mut bytes)
                .crc;
            row += count;
        }
        let file = disk.open("f", Open::New).unwrap();
        file.write_at(&bytes, 0).unwrap();
        bodies
    }

    fn positions(disk: &FaultyDisk) -> Vec<i64> {
        let file = RecordFile::open(disk, "f", Open::Read, &Caches::default()).unwrap();
        let mut replay = Replay {
            hashing: Hashing::new(&[0; 16]),
            opener: None,
            limit_bytes: None,
            limit_row: Some(9),
            arrangement: Arrangement::Clustered,
            progress: &mut |_| {},
        };
        let trees = Trees::At(&mut |_, _| Ok(Frontier::new()));
        let tail = replay.run(&file, trees).unwrap().tail;
        assert_eq!(tail.rows(), 9);
        tail.positions
    }

    #[test]
    fn records_behind_those_that_cannot_be_read_keep_their_positions() {
        let disk = FaultyDisk::new(0);
        let bodies = clustered(&disk);
        let whole = [103, 104, 110, 100, 105, 106, 107, 101, 102];
        assert_eq!(positions(&disk), whole);
        // Each frame in turn, and two together: what is left has the positions it had.
        let rows = [0..3, 3..7, 7..9];
        for damaged in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2]] {
            let mut left = whole;
            for &frame in damaged {
                disk.damage("f", bodies[frame], |byte| *byte ^= 1).unwrap();
                left[rows[frame].clone()].fill(0);
            }
            assert_eq!(positions(&disk), left, "{damaged:?}");
            for &frame in damaged {
                disk.damage("f", bodies[frame], |byte| *byte ^= 1).unwrap();
            }
        }
    }
}
