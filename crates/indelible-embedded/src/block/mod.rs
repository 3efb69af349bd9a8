//! A block: some leaves, compressed, with what does not compress cut out beside them.
//!
//! The 64 hex digits of `previous_hash` and the 36 characters of the event's `audit_id` are random
//! and stand as raw bytes; unpacking puts them back, so a leaf always comes back byte for byte. The
//! id stands beside the text even where it was not cut out of it.
//! Layout: `spec/segment.md` §3.

mod cut;
mod pack;
mod unpack;

use indelible_store::Handle;

use crate::bytes::Reader;

pub(crate) use pack::Packer;
pub(crate) use unpack::Block;

const PREVIOUS_CUT: u8 = 1;
const ID_CUT: u8 = 2;
const SEALED: u8 = 4;
/// Bytes of a block's header.
pub(crate) const HEADER_BYTES: usize = 20;
/// The most text a block may claim to hold: far above what is packed, so that damage cannot make
/// us allocate.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A personal value of a record as a block refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SealedRef {
    /// A personal row of the file, by number.
    Row(u32),
    /// A blob: whose key opens it, and the ciphertext.
    Blob(Handle, Vec<u8>),
}

/// Records in the block that starts at the beginning of `bytes`, and the bytes it takes.
pub(crate) fn measure(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut reader = Reader::new(bytes);
    let records = reader.u32()?;
    Some((records, HEADER_BYTES.checked_add(reader.u32()? as usize)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_event::ids::AuditId;
    use indelible_merkle::Hash;

    use super::*;
    use crate::bytes::to_u32;
    use proptest::prelude::*;

    fn pack(records: &[(Vec<u8>, AuditId, Vec<SealedRef>)]) -> Vec<u8> {
        let mut packer = Packer::new(1).unwrap();
        for (leaf, id, sealed) in records {
            packer.add(leaf, id, sealed);
        }
        let mut out = b"before".to_vec();
        packer.finish(&mut out).unwrap();
        out.split_off(6)
    }

    fn leaf(n: u8) -> (Vec<u8>, AuditId) {
        let id = AuditId::mint(1_700_000_000_000 + u64::from(n), [n; 10]);
        let text = String::from_utf8(id.text().to_vec()).unwrap();
        let leaf = format!(
            "{{\"event\":{{\"audit_id\":\"{text}\",\"event_type\":\"a.b\"}},\"ingested_at\":\"x\",\
             \"ledger\":{{}},\"previous_hash\":\"{}\",\"record_version\":1,\
             \"sequence_number\":{n},\"tenant_id\":\"acme\"}}",
            Hash::from_bytes([n; 32])
        );
        (leaf.into_bytes(), id)
    }

    #[test]
    fn the_two_values_are_cut_and_come_back() {
        let records: Vec<_> = (0..50)
            .map(|n| {
                let (leaf, id) = leaf(n);
                (leaf, id, vec![SealedRef::Row(u32::from(n) * 1000)])
            })
            .collect();
        let bytes = pack(&records);
        let raw: usize = records.iter().map(|(leaf, ..)| leaf.len()).sum();
        assert!(bytes.len() < raw / 3, "{} of {raw}", bytes.len());
        let (block, used) = Block::parse(&bytes).unwrap();
        assert_eq!((used, block.records()), (bytes.len(), 50));
        for (at, (leaf, id, sealed)) in records.iter().enumerate() {
            let mut out = Vec::new();
            block.leaf(at, &mut out).unwrap();
            assert_eq!(&out, leaf);
            assert_eq!(block.audit_id(at), Some(*id));
            assert_eq!(block.sealed(at), sealed);
        }
    }

    #[test]
    fn values_that_stand_elsewhere_too_do_not_confuse_it() {
        let (good, id) = leaf(7);
        let good = String::from_utf8(good).unwrap();
        let strange = [
            good.replace("a.b", "\\\"audit_id\\\":\\\"\\\""),
            good.replace("\"a.b\"", "{\"audit_id\":\"\"}"),
            good.replacen(
                "{\"audit_id\"",
                "{\"a\":{\"audit_id\":\"\"},\"audit_id\"",
                1,
            ),
            good.replace("\"ledger\":{}", "\"ledger\":{\"previous_hash\":\"\"}"),
            good.replace(&Hash::from_bytes([7; 32]).to_string(), "short"),
            good.to_uppercase(),
            String::new(),
        ];
        for text in strange {
            let bytes = pack(&[(text.clone().into_bytes(), id, Vec::new())]);
            let (block, _) = Block::parse(&bytes).unwrap();
            let mut out = Vec::new();
            block.leaf(0, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (leaf, id) = leaf(3);
        let blob = SealedRef::Blob(Handle([9; 16]), vec![1, 2, 3]);
        let bytes = pack(&[(leaf, id, vec![blob, SealedRef::Row(5)])]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Block::parse(&damaged).is_none(), "byte {at} bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(
            leaves in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 0..300), any::<[u8; 16]>(),
                 proptest::collection::vec(0_u32..1 << 31, 0..4)), 0..20),
        ) {
            let records: Vec<_> = leaves
                .into_iter()
                .map(|(leaf, id, rows)| {
                    (leaf, AuditId(id), rows.into_iter().map(SealedRef::Row).collect())
                })
                .collect();
            let bytes = pack(&records);
            let (block, used) = Block::parse(&bytes).unwrap();
            prop_assert_eq!(used, bytes.len());
            for (at, (leaf, id, sealed)) in records.iter().enumerate() {
                prop_assert_eq!(block.audit_id(at), Some(*id));
                let mut out = Vec::new();
                block.leaf(at, &mut out).unwrap();
                prop_assert_eq!(&out, leaf);
                prop_assert_eq!(block.sealed(at), sealed.as_slice());
            }
        }

        #[test]
        fn texts_made_of_keys_come_back(
            pieces in proptest::collection::vec(0_usize..10, 0..14), byte in any::<u8>(),
        ) {
            let id = AuditId([byte; 16]);
            let text = String::from_utf8(id.text().to_vec()).unwrap();
            let hash = Hash::from_bytes([byte; 32]).to_string();
            let long = "y".repeat(150);
            let all = [
                "\"previous_hash\":\"", "previous_hash\":\"", "\"previous_hash\":", "\"",
                "\"audit_id\":\"", "audit_id\":\"", "x", &text, &hash, &long,
            ];
            let leaf: String = pieces.iter().map(|&piece| all[piece]).collect();
            // The hash often stands where it is looked for.
            for leaf in [leaf.clone(), format!("\"previous_hash\":\"{hash}{leaf}"),
                         format!("\"audit_id\":\"{text}\"{leaf}\"previous_hash\":\"{hash}{leaf}")] {
                let bytes = pack(&[(leaf.clone().into_bytes(), id, Vec::new())]);
                let (block, _) = Block::parse(&bytes).unwrap();
                let mut out = Vec::new();
                block.leaf(0, &mut out).unwrap();
                prop_assert_eq!(String::from_utf8(out).unwrap(), leaf);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            // Also with a checksum that fits, and few records of few bytes.
            let numbers = [2, 0, 9, 20, 0_u32].map(u32::to_le_bytes);
            let mut block = numbers.concat();
            block.extend_from_slice(&bytes);
            block[4..8].copy_from_slice(&to_u32(bytes.len()).to_le_bytes());
            let sum = crc32c::crc32c_append(crc32c::crc32c(&block[..16]), &bytes);
            block[16..20].copy_from_slice(&sum.to_le_bytes());
            if let Some((block, _)) = Block::parse(&block) {
                let _ = (block.leaf(0, &mut Vec::new()), block.leaf(1, &mut Vec::new()));
            }
            prop_assert!(Block::parse(&bytes).is_none());
        }
    }
}
