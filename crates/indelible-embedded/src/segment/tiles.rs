//! Tiles: roots of the complete subtrees of at least 256 leaves that end in a segment.
//!
//! A subtree belongs to the segment that holds its last leaf; smaller ones are computed from
//! leaves. Entries are sorted by (tenant's number in the segment, level, index).

use indelible_disk::Disk;
use indelible_merkle::Hash;
use indelible_store::Result;

use crate::bytes::Reader;
use crate::container::{Container, FileFacts, Writer};

const MAGIC: [u8; 8] = *b"indl-til";
const ENTRIES: u32 = 1;

/// The lowest level that is stored: subtrees of 256 leaves.
pub(crate) const LEVEL_MIN: u8 = 8;

/// A complete subtree of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tile {
    pub(crate) tenant: u32,
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) root: Hash,
}

impl Tile {
    fn key(&self) -> (u32, u8, u64) {
        (self.tenant, self.level, self.index)
    }
}

/// Writes the tiles of a segment; they need not be sorted.
pub(crate) fn write(disk: &dyn Disk, path: &str, tiles: &mut [Tile]) -> Result<FileFacts> {
    tiles.sort_unstable();
    let mut writer = Writer::create(disk, path, MAGIC)?;
    let mut bytes = Vec::with_capacity(tiles.len() * 45);
    for tile in tiles.iter() {
        bytes.extend_from_slice(&tile.tenant.to_le_bytes());
        bytes.push(tile.level);
        bytes.extend_from_slice(&tile.index.to_le_bytes());
        bytes.extend_from_slice(tile.root.as_bytes());
    }
    writer.section(ENTRIES, &bytes)?;
    writer.finish()
}

/// The tiles of a segment.
#[derive(Debug)]
pub(crate) struct Tiles {
    tiles: Vec<Tile>,
}

impl Tiles {
    pub(crate) fn open(disk: &dyn Disk, path: &str) -> Result<Self> {
        let file = Container::open(disk, path, MAGIC)?;
        let bytes = file.section(ENTRIES)?;
        let mut reader = Reader::new(&bytes);
        let mut tiles = Vec::with_capacity(bytes.len() / 45);
        while let (Some(tenant), Some(level), Some(index), Some(root)) =
            (reader.u32(), reader.u8(), reader.u64(), reader.array())
        {
            tiles.push(Tile {
                tenant,
                level,
                index,
                root: Hash::from_bytes(root),
            });
        }
        Ok(Self { tiles })
    }

    pub(crate) fn get(&self, tenant: u32, level: u8, index: u64) -> Option<Hash> {
        let at = self
            .tiles
            .binary_search_by_key(&(tenant, level, index), Tile::key)
            .ok()?;
        self.tiles.get(at).map(|tile| tile.root)
    }

    pub(crate) fn all(&self) -> &[Tile] {
        &self.tiles
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_disk::FaultyDisk;

    #[test]
    fn tiles_come_back_by_their_place() {
        let mut tiles: Vec<_> = (0..200_u8)
            .rev()
            .map(|n| Tile {
                tenant: u32::from(n % 3),
                level: LEVEL_MIN + n % 5,
                index: u64::from(n),
                root: Hash::from_bytes([n; 32]),
            })
            .collect();
        let disk = FaultyDisk::new(0);
        write(&disk, "f", &mut tiles).unwrap();
        let file = Tiles::open(&disk, "f").unwrap();
        for tile in &tiles {
            assert_eq!(
                file.get(tile.tenant, tile.level, tile.index),
                Some(tile.root)
            );
        }
        assert_eq!(
            (file.all(), file.get(0, 7, 0), file.get(3, 8, 0)),
            (tiles.as_slice(), None, None)
        );
    }
}
