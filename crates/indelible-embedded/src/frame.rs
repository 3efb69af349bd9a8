//! A frame: what one group commit writes, and the header of the file it is in.
//!
//! A frame holds the personal rows seen for the first time in its file, the runs of sequence
//! numbers it adds to tenants' logs with the record hash each ends in, and the leaves in blocks. It
//! names the frame before it by that frame's checksum. Layout: `spec/segment.md` §2.

use indelible_event::ids::TenantId;
use indelible_merkle::Hash;
use indelible_store::Handle;

use crate::block;
use crate::bytes::{Reader, put_chunk, put_varint, to_u32, unzigzag, zigzag};

/// First bytes of every file of records.
pub(crate) const FILE_MAGIC: [u8; 8] = *b"indl-rec";
/// First bytes of every frame.
pub(crate) const FRAME_MAGIC: [u8; 4] = *b"iFRM";
/// Bytes of a file's header.
pub(crate) const FILE_HEADER_BYTES: usize = 44;
/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 36;
/// The most records of a file, and the most personal rows: what a file says to hold beyond it is
/// damage, which is noticed before there is room made for it.
pub(crate) const FILE_ROWS_MAX: u32 = 1 << 24;
/// The longest body of a frame.
pub(crate) const FRAME_BODY_BYTES_MAX: usize = 1 << 30;

/// How the rows of a file of records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrangement {
    /// In the order they were committed: row = position - first position.
    Committed,
    /// By tenant and sequence number; positions stand in the frames.
    Clustered,
}

/// The header of a file of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) arrangement: Arrangement,
    /// The position of the first record in it.
    pub(crate) first: u64,
    pub(crate) ledger_id: [u8; 16],
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0; FILE_HEADER_BYTES];
        out[..8].copy_from_slice(&FILE_MAGIC);
        out[8..12].copy_from_slice(&1_u32.to_le_bytes());
        let kind: u32 = match self.arrangement {
            Arrangement::Committed => 0,
            Arrangement::Clustered => 1,
        };
        out[12..16].copy_from_slice(&kind.to_le_bytes());
        out[16..24].copy_from_slice(&self.first.to_le_bytes());
        out[24..40].copy_from_slice(&self.ledger_id);
        let crc = crc32c::crc32c(&out[..40]);
        out[40..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header and its checksum, which the first frame names as the frame before it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, u32)> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != FILE_MAGIC || reader.u32()? != 1 {
            return None;
        }
        let arrangement = match reader.u32()? {
            0 => Arrangement::Committed,
            1 => Arrangement::Clustered,
            _ => return None,
        };
        let (first, ledger_id, crc) = (reader.u64()?, reader.array()?, reader.u32()?);
        (crc32c::crc32c(bytes.get(..40)?) == crc).then_some((
            Self {
                arrangement,
                first,
                ledger_id,
            },
            crc,
        ))
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) number: u32,
    pub(crate) body_bytes: u32,
    pub(crate) records: u32,
    /// Row in the file of its first record.
    pub(crate) first_row: u32,
    /// Number in the file of its first personal row.
    pub(crate) first_personal: u32,
    /// Checksum of the header before: the previous frame's, or the file's.
    pub(crate) link: u32,
    pub(crate) body_crc: u32,
}

impl FrameHeader {
    pub(crate) fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[..4].copy_from_slice(&FRAME_MAGIC);
        let numbers = [
            self.number,
            self.body_bytes,
            self.records,
            self.first_row,
            self.first_personal,
            self.link,
            self.body_crc,
        ];
        for (place, number) in out[4..32].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..32]);
        out[32..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header and its checksum.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Self, u32)> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != FRAME_MAGIC {
            return None;
        }
        let header = Self {
            number: reader.u32()?,
            body_bytes: reader.u32()?,
            records: reader.u32()?,
            first_row: reader.u32()?,
            first_personal: reader.u32()?,
            link: reader.u32()?,
            body_crc: reader.u32()?,
        };
        let crc = reader.u32()?;
        let end = header.first_row.checked_add(header.records)?;
        let whole = crc32c::crc32c(bytes.get(..32)?) == crc;
        (whole && end.max(header.first_personal) <= FILE_ROWS_MAX).then_some((header, crc))
    }

    /// Whether `body` is what was written under this header.
    pub(crate) fn fits(&self, body: &[u8]) -> bool {
        body.len() == self.body_bytes as usize && crc32c::crc32c(body) == self.body_crc
    }
}

/// A run of sequence numbers that a frame adds to a tenant's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameRun {
    pub(crate) tenant: TenantId,
    pub(crate) first_seq: u64,
    pub(crate) count: u32,
    /// Record hash of the last record of the run.
    pub(crate) last_hash: Hash,
    /// `ingested_at` of the last record of the run, microseconds.
    pub(crate) last_ingested: i64,
    /// In a clustered file: the positions of its records, as (count, first position).
    pub(crate) positions: Vec<(u32, u64)>,
}

/// A personal row as it stands in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PersonalRow<'a> {
    /// Whose key opens it.
    pub(crate) handle: Handle,
    /// The ciphertext.
    pub(crate) row: &'a [u8],
    /// Where it starts in the body of its frame.
    pub(crate) at: usize,
}

/// Puts a frame together.
#[derive(Debug, Default)]
pub(crate) struct FrameWriter {
    personal: Vec<u8>,
    personal_count: u32,
    runs: Vec<u8>,
    run_count: u32,
    blocks: Vec<u8>,
    block_count: u32,
    records: u32,
}

/// What was put into a frame, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed {
    /// The header's checksum, which the next frame names.
    pub(crate) crc: u32,
    /// Where the first personal row starts, from the start of the frame.
    pub(crate) personal_at: usize,
    /// Where the first block starts, from the start of the frame.
    pub(crate) blocks_at: usize,
}

impl FrameWriter {
    /// Adds a personal row; returns where it starts among the frame's personal rows.
    pub(crate) fn personal(&mut self, handle: &Handle, row: &[u8]) -> usize {
        let at = self.personal.len();
        self.personal.extend_from_slice(&handle.0);
        put_chunk(&mut self.personal, row);
        // Rows are read one by one, and the checksum of the frame is not: each has its own.
        let crc = crc32c::crc32c(self.personal.get(at..).unwrap_or_default());
        self.personal.extend_from_slice(&crc.to_le_bytes());
        self.personal_count += 1;
        at
    }

    /// Adds a run.
    pub(crate) fn run(&mut self, run: &FrameRun, arrangement: Arrangement) {
        put_chunk(&mut self.runs, run.tenant.as_str().as_bytes());
        put_varint(&mut self.runs, run.first_seq);
        put_varint(&mut self.runs, u64::from(run.count));
        self.runs.extend_from_slice(run.last_hash.as_bytes());
        put_varint(&mut self.runs, zigzag(run.last_ingested));
        if arrangement == Arrangement::Clustered {
            put_varint(&mut self.runs, run.positions.len() as u64);
            for &(count, first) in &run.positions {
                put_varint(&mut self.runs, u64::from(count));
                put_varint(&mut self.runs, first);
            }
        }
        self.run_count += 1;
        self.records += run.count;
    }

    /// The buffer blocks are appended to; call [`FrameWriter::block_done`] after each.
    pub(crate) fn blocks(&mut self) -> &mut Vec<u8> {
        &mut self.blocks
    }

    /// Counts a block appended to [`FrameWriter::blocks`].
    pub(crate) fn block_done(&mut self) {
        self.block_count += 1;
    }

    /// Bytes of the blocks so far.
    pub(crate) fn block_bytes(&self) -> usize {
        self.blocks.len()
    }

    /// Records of the runs so far.
    pub(crate) fn records(&self) -> u32 {
        self.records
    }

    /// Appends the frame to `out` and starts the next. `header` needs its number, first row, first
    /// personal row and link; the rest is filled in.
    pub(crate) fn finish(&mut self, mut header: FrameHeader, out: &mut Vec<u8>) -> Sealed {
        let start = out.len();
        let body = start + FRAME_HEADER_BYTES;
        out.resize(body, 0);
        put_varint(out, u64::from(self.personal_count));
        let personal_at = out.len() - start;
        out.extend_from_slice(&self.personal);
        put_varint(out, u64::from(self.run_count));
        out.extend_from_slice(&self.runs);
        put_varint(out, u64::from(self.block_count));
        let blocks_at = out.len() - start;
        out.extend_from_slice(&self.blocks);
        header.records = self.records;
        let written = out.get(body..).unwrap_or_default();
        header.body_bytes = to_u32(written.len());
        header.body_crc = crc32c::crc32c(written);
        let fixed = header.encode();
        if let Some(place) = out.get_mut(start..body) {
            place.copy_from_slice(&fixed);
        }
        for buffer in [&mut self.personal, &mut self.runs, &mut self.blocks] {
            buffer.clear();
        }
        (
            self.personal_count,
            self.run_count,
            self.block_count,
            self.records,
        ) = (0, 0, 0, 0);
        let crc = u32::from_le_bytes([fixed[32], fixed[33], fixed[34], fixed[35]]);
        Sealed {
            crc,
            personal_at,
            blocks_at,
        }
    }
}

/// A frame's body, taken apart.
#[derive(Debug)]
pub(crate) struct FrameBody<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) personal: Vec<PersonalRow<'a>>,
    pub(crate) runs: Vec<FrameRun>,
    /// The blocks' places in the body with the records in each.
    pub(crate) blocks: Vec<(usize, usize, u32)>,
}

impl<'a> FrameBody<'a> {
    /// Takes a body apart that fits its header; `None` when it is not one of ours.
    pub(crate) fn parse(
        header: &FrameHeader,
        body: &'a [u8],
        arrangement: Arrangement,
    ) -> Option<Self> {
        let mut reader = Reader::new(body);
        let mut personal = Vec::new();
        for _ in 0..reader.varint()? {
            let at = reader.at();
            let (handle, row) = (Handle(reader.array()?), reader.chunk()?);
            // Covered by the checksum of the body like everything else.
            reader.u32()?;
            personal.push(PersonalRow { handle, row, at });
        }
        let mut runs = Vec::new();
        let mut records = 0_u64;
        for _ in 0..reader.varint()? {
            let tenant = TenantId::parse(str::from_utf8(reader.chunk()?).ok()?).ok()?;
            let (first_seq, count) = (reader.varint()?, reader.varint_u32()?);
            let last_hash = Hash::from_bytes(reader.array()?);
            let last_ingested = unzigzag(reader.varint()?);
            first_seq.checked_add(u64::from(count))?;
            let mut positions = Vec::new();
            if arrangement == Arrangement::Clustered {
                let mut left = count;
                for _ in 0..reader.varint()? {
                    let (count, first) = (reader.varint_u32()?, reader.varint()?);
                    left = left.checked_sub(count)?;
                    positions.push((count, first));
                }
                (left == 0).then_some(())?;
            }
            records += u64::from(count);
            runs.push(FrameRun {
                tenant,
                first_seq,
                count,
                last_hash,
                last_ingested,
                positions,
            });
        }
        let mut blocks = Vec::new();
        let mut packed = 0_u64;
        for _ in 0..reader.varint()? {
            let at = reader.at();
            let (count, bytes) = block::measure(body.get(at..)?)?;
            reader.take(bytes)?;
            packed += u64::from(count);
            blocks.push((at, bytes, count));
        }
        let whole = reader.is_done() && records == packed && records == u64::from(header.records);
        whole.then_some(Self {
            bytes: body,
            personal,
            runs,
            blocks,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::block::Packer;
    use proptest::prelude::*;

    fn run(tenant: &str, first_seq: u64, count: u32) -> FrameRun {
        let tenant = TenantId::parse(tenant).unwrap();
        let last_hash = Hash::from_bytes([count.to_le_bytes()[0]; 32]);
        let positions = vec![(count, first_seq * 3)];
        FrameRun {
            tenant,
            first_seq,
            count,
            last_hash,
            last_ingested: -7,
            positions,
        }
    }

    fn frame(runs: &[FrameRun], rows: &[Vec<u8>], arrangement: Arrangement) -> (Vec<u8>, Sealed) {
        let mut writer = FrameWriter::default();
        for (n, row) in rows.iter().enumerate() {
            writer.personal(&Handle([n.to_le_bytes()[0]; 16]), row);
        }
        let mut packer = Packer::new(1).unwrap();
        for run in runs {
            writer.run(run, arrangement);
            for n in 0..run.count {
                packer.add(
                    &n.to_le_bytes(),
                    &indelible_event::ids::AuditId([0; 16]),
                    &[],
                );
            }
            if packer.records() > 0 {
                packer.finish(writer.blocks()).unwrap();
                writer.block_done();
            }
        }
        let header = FrameHeader {
            number: 3,
            body_bytes: 0,
            records: 0,
            first_row: 70,
            first_personal: 9,
            link: 0xABCD,
            body_crc: 0,
        };
        let mut out = Vec::new();
        let sealed = writer.finish(header, &mut out);
        (out, sealed)
    }

    #[test]
    fn a_header_comes_back_and_any_flipped_bit_is_noticed() {
        for arrangement in [Arrangement::Committed, Arrangement::Clustered] {
            let header = FileHeader {
                arrangement,
                first: 99,
                ledger_id: [5; 16],
            };
            let bytes = header.encode();
            assert_eq!(FileHeader::parse(&bytes).unwrap().0, header);
            for at in 0..bytes.len() {
                let mut damaged = bytes;
                damaged[at] ^= 4;
                assert!(FileHeader::parse(&damaged).is_none());
            }
        }
        let (bytes, sealed) = frame(&[run("acme", 4, 2)], &[], Arrangement::Committed);
        let (header, crc) = FrameHeader::parse(&bytes).unwrap();
        assert_eq!(
            (crc, header.number, header.first_row, header.first_personal),
            (sealed.crc, 3, 70, 9)
        );
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let parsed = FrameHeader::parse(&damaged);
            let fits = parsed.is_some_and(|(h, _)| h.fits(&damaged[FRAME_HEADER_BYTES..]));
            assert!(!fits, "byte {at}");
        }
    }

    #[test]
    fn a_header_that_says_more_than_a_file_holds_is_none() {
        let most = FrameHeader {
            records: 1,
            first_row: FILE_ROWS_MAX - 1,
            first_personal: FILE_ROWS_MAX,
            ..crate::replay::next_header(0, 0, 0, 0)
        };
        assert!(FrameHeader::parse(&most.encode()).is_some());
        let one = |change: &dyn Fn(&mut FrameHeader)| {
            let mut header = most;
            change(&mut header);
            FrameHeader::parse(&header.encode())
        };
        assert_eq!(one(&|header| header.first_row += 1), None);
        assert_eq!(one(&|header| header.first_row = u32::MAX), None);
        assert_eq!(one(&|header| header.records = u32::MAX), None);
        assert_eq!(one(&|header| header.first_personal += 1), None);
    }

    #[test]
    fn runs_whose_numbers_cannot_be_are_none() {
        let arrangement = Arrangement::Clustered;
        let parse = |run: &FrameRun| {
            let bytes = frame(std::slice::from_ref(run), &[], arrangement).0;
            let (header, _) = FrameHeader::parse(&bytes).unwrap();
            FrameBody::parse(&header, &bytes[FRAME_HEADER_BYTES..], arrangement).map(|_| ())
        };
        let right = run("acme", u64::MAX / 4, 2);
        assert_eq!(parse(&right), Some(()));
        // Its last sequence number is beyond what 64 bits hold.
        let first_seq = u64::MAX - 1;
        let beyond = FrameRun {
            first_seq,
            ..right.clone()
        };
        assert_eq!(parse(&beyond), None);
        // Positions of other records than it has.
        for pieces in [
            vec![],
            vec![(1, 0)],
            vec![(1, 0), (2, 9)],
            vec![(u32::MAX, 0)],
        ] {
            let positions = pieces.clone();
            let other = FrameRun {
                positions,
                ..right.clone()
            };
            assert_eq!(parse(&other), None, "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn a_frame_comes_back(
            runs in proptest::collection::vec(("[a-z]{1,9}", 0_u64..1 << 40, 1_u32..5), 0..6),
            rows in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5),
            clustered in any::<bool>(),
        ) {
            let arrangement =
                if clustered { Arrangement::Clustered } else { Arrangement::Committed };
            let mut runs: Vec<_> = runs.iter().map(|(t, f, c)| run(t, *f, *c)).collect();
            let (bytes, sealed) = frame(&runs, &rows, arrangement);
            let (header, _) = FrameHeader::parse(&bytes).unwrap();
            let body = &bytes[FRAME_HEADER_BYTES..];
            prop_assert!(header.fits(body));
            let parsed = FrameBody::parse(&header, body, arrangement).unwrap();
            if !clustered {
                for run in &mut runs {
                    run.positions.clear();
                }
            }
            prop_assert_eq!(parsed.runs, runs);
            let found: Vec<_> = parsed.personal.iter().map(|row| row.row.to_vec()).collect();
            prop_assert_eq!(found, rows);
            if let Some(first) = parsed.personal.first() {
                prop_assert_eq!(first.at + FRAME_HEADER_BYTES, sealed.personal_at);
            }
            if let Some((at, ..)) = parsed.blocks.first() {
                prop_assert_eq!(at + FRAME_HEADER_BYTES, sealed.blocks_at);
            }
        }

        #[test]
        fn bodies_of_any_bytes_never_panic(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(), records in 0_u32..4,
        ) {
            let header = FrameHeader::parse(&frame(&[], &[], Arrangement::Committed).0).unwrap().0;
            let header = FrameHeader { records, ..header };
            // Any bytes, and a body that they are written over.
            let rows = [noise.clone()];
            for arrangement in [Arrangement::Committed, Arrangement::Clustered] {
                let mut body = frame(&[run("acme", 4, 2)], &rows, arrangement).0;
                body.drain(..FRAME_HEADER_BYTES);
                let from = at.index(body.len());
                body.iter_mut().skip(from).zip(&noise).for_each(|(byte, other)| *byte = *other);
                for bytes in [&noise, &body] {
                    let _ = (FileHeader::parse(bytes), FrameHeader::parse(bytes));
                    let _ = FrameBody::parse(&header, bytes, arrangement);
                }
            }
        }
    }
}
