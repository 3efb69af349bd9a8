//! Bytes on disk by kind of file.

use indelible_store::Result;

use crate::failure::from_disk;
use crate::options::Stats;
use crate::part::PartRef;
use crate::store::Store;

impl Store {
    /// Sums the lengths of all files.
    pub(crate) fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        let manifest = self.manifest.lock().clone();
        for segment in &manifest.segments {
            stats.segments += 1;
            for file in &segment.files {
                let kind = match file.name.as_str() {
                    "records" => &mut stats.sealed_records,
                    "postings" => &mut stats.postings,
                    "columns" => &mut stats.columns,
                    "ids" => &mut stats.ids,
                    "tiles" => &mut stats.tiles,
                    _ => &mut stats.personal,
                };
                *kind += file.bytes;
            }
        }
        for name in self.disk.list("journal").map_err(from_disk)? {
            let length = self
                .disk
                .len(&format!("journal/{name}"))
                .map_err(from_disk)?;
            stats.journal += length.unwrap_or(0);
        }
        for path in [
            crate::format::PATH,
            crate::manifest::PATH,
            crate::heads::PATH,
        ] {
            stats.other += self.disk.len(path).map_err(from_disk)?.unwrap_or(0);
        }
        for part in &self.view().parts {
            stats.records += match part {
                PartRef::Segment(segment) => segment.facts.end - segment.facts.first,
                PartRef::Tail(tail) => u64::from(tail.index.read().rows()),
            };
        }
        Ok(stats)
    }
}
