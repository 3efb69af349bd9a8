//! Spools of the tests, and what is in them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use indelible_buffer::{Random, Spool, SpoolBounds};
use indelible_disk::{Disk, RealDisk};

pub fn random() -> Random {
    let next = AtomicU64::new(1);
    Arc::new(move |bytes: &mut [u8]| {
        for byte in bytes {
            let n = next.fetch_add(1, Ordering::Relaxed);
            *byte = u8::try_from((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) & 0xFF).unwrap();
        }
    })
}

pub fn open(disk: Arc<dyn Disk>, bounds: SpoolBounds) -> Spool {
    Spool::open(disk, bounds, 1_700_000_000_000, random()).unwrap()
}

pub fn real(path: &Path) -> Spool {
    open(Arc::new(RealDisk::new(path)), SpoolBounds::default())
}

pub fn append(spool: &mut Spool, items: &[&str]) {
    let items = items.iter().map(|item| item.as_bytes());
    spool.writer.append(items).unwrap();
}

pub fn next(spool: &mut Spool) -> Vec<String> {
    let items = spool.reader.next(100, 1 << 20).unwrap();
    items
        .into_iter()
        .map(|item| String::from_utf8(item).unwrap())
        .collect()
}

pub fn files(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".spool") || name.contains(".key"))
        .collect();
    names.sort();
    names
}
