//! Writing what is derived from a file of records, from its index in memory.

use indelible_disk::Disk;
use indelible_store::Result;

use crate::container::FileFacts;
use crate::segment::columns::{self, Source};
use crate::segment::ids;
use crate::segment::personal;
use crate::segment::postings::PostingsWriter;
use crate::segment::tiles::{self, LEVEL_MIN, Tile};
use crate::tail::{PersonalPlace, Tail};

/// The files beside the records, in the order they are written.
pub(crate) const DERIVED: [&str; 4] = ["postings", "columns", "ids", "tiles"];

/// Writes one derived file of a segment into `dir`.
pub(crate) fn derived(disk: &dyn Disk, dir: &str, name: &str, tail: &Tail) -> Result<FileFacts> {
    let path = format!("{dir}/{name}");
    match name {
        "postings" => postings(disk, &path, tail),
        "columns" => columns(disk, &path, tail),
        "ids" => {
            let hashes = tail.ids.iter().map(|id| tail.hashing.id(id));
            let mut entries: Vec<_> = hashes.zip(0_u32..).collect();
            ids::write(disk, &path, &mut entries)
        }
        _ => tiles::write(disk, &path, &mut all_tiles(tail)),
    }
}

/// Writes the find index of a segment.
pub(crate) fn find_index(disk: &dyn Disk, path: &str, tail: &Tail) -> Result<FileFacts> {
    let key = |row: &PersonalPlace| row.find.as_ref().map(personal::key_of);
    let finds: Vec<_> = tail.personal.iter().map(key).collect();
    personal::write(disk, path, &finds)
}

fn postings(disk: &dyn Disk, path: &str, tail: &Tail) -> Result<FileFacts> {
    let mut writer = PostingsWriter::create(disk, path)?;
    tail.each_term(&mut |hash, rows| writer.term(hash, rows))?;
    writer.finish()
}

fn columns(disk: &dyn Disk, path: &str, tail: &Tail) -> Result<FileFacts> {
    let personal: Vec<_> = tail
        .personal
        .iter()
        .map(|row| row.at.cast_signed())
        .collect();
    let source = Source {
        directory: &tail.directory,
        occurred: &tail.occurred,
        ingested: &tail.ingested,
        positions: &tail.positions,
        personal: &personal,
        numbers: &tail.numbers,
    };
    columns::write(disk, path, &source)
}

/// The subtrees that end in the file. A tenant whose tree before it is not known has none.
fn all_tiles(tail: &Tail) -> Vec<Tile> {
    let mut tiles = Vec::new();
    for (number, frontier) in (0_u32..).zip(&tail.frontiers) {
        let mut frontier = frontier.clone();
        for (rows, first) in tail.directory.rows_between(number, 0..u64::MAX) {
            if frontier.size() != first {
                break;
            }
            let part = tail.hashes.get(rows.start as usize..rows.end as usize);
            for hash in part.unwrap_or_default() {
                frontier.append_with(*hash, |level, index, root| {
                    if let Ok(level) = u8::try_from(level)
                        && level >= LEVEL_MIN
                    {
                        tiles.push(Tile {
                            tenant: number,
                            level,
                            index,
                            root,
                        });
                    }
                });
            }
        }
    }
    tiles
}
