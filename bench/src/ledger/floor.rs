//! The cheapest things that could be called the same: what nobody can do without.
//!
//! Append: one thread that hashes each event into one tree, compresses blocks and syncs once per
//! thousand. Verify: the same backwards. No chain, no numbers, no checks, no ids, no index, no
//! tenants.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use indelible_bench::sample::Sample;
use indelible_bench::usage::{Meter, Used};
use indelible_merkle::{Frontier, Hash, leaf_hash};

use crate::Fault;
use crate::load::Load;

/// Bytes that are compressed together.
const BLOCK_BYTES: usize = 32 * 1024;
/// What zstd calls its fastest level that still compresses well.
const LEVEL: i32 = 1;

/// What the floor of an append took.
#[derive(Debug)]
pub struct Appended {
    /// Time and CPU.
    pub used: Used,
    /// Time of each thousand, sync included.
    pub batches: Sample,
    /// Bytes in the file.
    pub bytes: u64,
}

/// Hashes, compresses, writes and syncs the events of `load`, one per line, into a new file.
pub fn append(load: &Load, file: &Path) -> Result<Appended, Fault> {
    let mut file = File::create_new(file)?;
    let mut blocks = Blocks::new()?;
    let mut tree = Frontier::new();
    let mut batches = Sample::default();
    let lines: Vec<Vec<u8>> = load.batches.iter().map(|batch| lines_of(batch)).collect();
    let meter = Meter::start();
    for text in &lines {
        let started = Instant::now();
        for line in split(text) {
            tree.append(leaf_hash(line));
            blocks.push(line)?;
        }
        blocks.finish()?;
        file.write_all(&blocks.out)?;
        file.sync_data()?;
        blocks.out.clear();
        batches.push(started.elapsed());
    }
    let used = meter.used();
    if tree.size() != load.events {
        return Err(format!("the floor hashed {} of {} events", tree.size(), load.events).into());
    }
    Ok(Appended {
        used,
        batches,
        bytes: file.metadata()?.len(),
    })
}

fn lines_of(batch: &[crate::load::Made]) -> Vec<u8> {
    let mut text = Vec::with_capacity(batch.iter().map(|made| made.event.len() + 1).sum());
    for made in batch {
        text.extend_from_slice(&made.event);
        text.push(b'\n');
    }
    text
}

fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', text).map(move |end| {
        let line = &text[start..end];
        start = end + 1;
        line
    })
}

/// Blocks of lines, compressed, each behind its compressed and its raw length.
pub struct Blocks {
    zstd: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    /// What is compressed and not yet taken away.
    pub out: Vec<u8>,
}

impl Blocks {
    /// None yet.
    pub fn new() -> Result<Self, Fault> {
        let zstd = zstd::bulk::Compressor::new(LEVEL)?;
        Ok(Self {
            zstd,
            raw: Vec::with_capacity(2 * BLOCK_BYTES),
            out: Vec::new(),
        })
    }

    /// Adds a line.
    pub fn push(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.raw.extend_from_slice(line);
        self.raw.push(b'\n');
        if self.raw.len() >= BLOCK_BYTES {
            self.finish()?;
        }
        Ok(())
    }

    /// Compresses what is left.
    pub fn finish(&mut self) -> Result<(), Fault> {
        if self.raw.is_empty() {
            return Ok(());
        }
        let start = self.out.len() + 8;
        let room = zstd::zstd_safe::compress_bound(self.raw.len());
        self.out.resize(start + room, 0);
        let length = self
            .zstd
            .compress_to_buffer(&self.raw, &mut self.out[start..])?;
        self.out.truncate(start + length);
        let lengths = [length, self.raw.len()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        self.out[start - 8..start - 4].copy_from_slice(&lengths[0].to_le_bytes());
        self.out[start - 4..start].copy_from_slice(&lengths[1].to_le_bytes());
        self.raw.clear();
        Ok(())
    }
}

/// Reads, decompresses and hashes the lines of a file of [`Blocks`] into one tree; how many lines,
/// the root, and what it took.
pub fn verify(file: &Path) -> Result<(u64, Hash, Used), Fault> {
    let mut file = File::open(file)?;
    let mut zstd = zstd::bulk::Decompressor::new()?;
    let (mut packed, mut raw) = (Vec::new(), Vec::new());
    let mut tree = Frontier::new();
    let meter = Meter::start();
    let mut lengths = [0; 8];
    while read_or_end(&mut file, &mut lengths)? {
        let both = u64::from_le_bytes(lengths);
        packed.resize(usize::try_from(both & 0xffff_ffff)?, 0);
        raw.resize(usize::try_from(both >> 32)?, 0);
        file.read_exact(&mut packed)?;
        let length = zstd.decompress_to_buffer(&packed, &mut raw)?;
        for line in split(&raw[..length]) {
            tree.append(leaf_hash(line));
        }
    }
    let used = meter.used();
    Ok((tree.size(), tree.root(), used))
}

fn read_or_end(file: &mut File, bytes: &mut [u8]) -> Result<bool, Fault> {
    match file.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_bench::event::{Generator, Shape};
    use indelible_bench::scratch::Scratch;

    use super::*;
    use crate::load::now;

    #[test]
    fn what_the_floor_writes_is_what_it_verifies() {
        let mut generator = Generator::new(Shape::default(), 5, now());
        let load = Load::next(&mut generator, 2_500, 2_500);
        let scratch = Scratch::below(&std::env::temp_dir()).unwrap();
        let file = scratch.place("floor");
        let mut appended = append(&load, &file).unwrap();
        assert!(appended.bytes < load.bytes / 3 && appended.batches.count() == 3);
        assert!(!appended.batches.percentile(50).is_zero());
        let (lines, root, _) = verify(&file).unwrap();
        let events = load
            .batches
            .iter()
            .flatten()
            .map(|made| leaf_hash(&made.event));
        assert_eq!((lines, root), (2_500, indelible_merkle::root_of(events)));
    }
}
