//! The vector of `spec/segment.md`: a small journal, byte for byte, and what is in it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use indelible_disk::{Disk, FaultyDisk, Open};
use indelible_embedded::{Embedded, Options};
use indelible_event::ids::TenantId;
use indelible_merkle::leaf_hash;
use indelible_store::{Ledger, Stored};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vector {
    format: String,
    path: String,
    hex: String,
    /// Offsets of the frames in the file.
    frames: Vec<usize>,
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    tenant: String,
    leaf: String,
    record_hash: String,
    sealed: Vec<Sealed>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Sealed {
    handle: String,
    row: String,
    blob: bool,
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn the_vector_is_read_as_the_page_says() {
    let text = include_str!("../../../spec/vectors/segment.json");
    let vector: Vector = serde_json::from_str(text).unwrap();
    let bytes = unhex(&vector.hex);
    for at in &vector.frames {
        assert_eq!(bytes.get(*at..at + 4), Some(b"iFRM".as_slice()));
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        let end = at + 36 + usize::try_from(length).unwrap();
        assert!(
            end == bytes.len() || vector.frames.contains(&end),
            "frames follow each other"
        );
        let crc = u32::from_le_bytes(bytes[at + 32..at + 36].try_into().unwrap());
        assert_eq!(crc, crc32c::crc32c(&bytes[*at..at + 32]));
    }
    let disk = FaultyDisk::new(0);
    for dir in ["journal", "segments", "personal"] {
        disk.create_dir_all(dir).unwrap();
    }
    for (path, bytes) in [("FORMAT", vector.format.as_bytes()), (&vector.path, &bytes)] {
        disk.open(path, Open::New)
            .unwrap()
            .write_at(bytes, 0)
            .unwrap();
    }
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let ledger = Embedded::open(Arc::new(disk), None, options, &mut |_| {}).unwrap();
    assert_eq!(ledger.check(&mut |_| {}).unwrap(), []);
    let mut expected = vector.records.iter();
    for tenant in ["acme", "beta"] {
        let tenant = TenantId::parse(tenant).unwrap();
        let visit = &mut |stored: Stored<'_>| {
            let Stored::Record(record) = stored else {
                panic!("{stored:?}")
            };
            let expected = expected.next().unwrap();
            assert_eq!(expected.tenant, tenant.as_str());
            assert_eq!(expected.leaf.as_bytes(), record.leaf);
            assert_eq!(expected.record_hash, leaf_hash(record.leaf).to_string());
            let sealed: Vec<_> = record
                .sealed
                .iter()
                .map(|value| Sealed {
                    handle: hex(&value.handle.0),
                    row: hex(&value.row),
                    blob: value.blob,
                })
                .collect();
            assert_eq!(expected.sealed, sealed);
            ControlFlow::Continue(())
        };
        ledger.read(&tenant, 0..u64::MAX, visit).unwrap();
    }
    assert!(expected.next().is_none());
    assert_eq!(vector.records.len(), 4);
}
