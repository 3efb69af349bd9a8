//! Where each tenant's log ends, and the file that remembers it as of the last seal.
//!
//! Derived: without the file heads are computed from the segments. A log with records that cannot
//! be read has no frontier any more; its head is *broken* and nothing is appended to it.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use indelible_disk::Disk;
use indelible_event::ids::{Micros, TenantId};
use indelible_merkle::{Frontier, Hash};
use indelible_store::{Error, Expected, Head, Kind, Result};

use crate::bytes::{Reader, put_chunk, put_varint, unzigzag, zigzag};
use crate::failure::from_disk;

/// The file below `segments/`.
pub(crate) const PATH: &str = "segments/HEADS";
const MAGIC: [u8; 8] = *b"indl-hed";

/// A tenant's head, or what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeadState {
    /// All of it.
    Known(Arc<Head>),
    /// Records before it cannot be read, so its tree is not known.
    Broken(Expected),
}

impl HeadState {
    /// Size and last hash.
    pub(crate) fn end(&self) -> Expected {
        match self {
            Self::Known(head) => Expected {
                size: head.frontier.size(),
                last_hash: head.last_hash,
            },
            Self::Broken(end) => *end,
        }
    }
}

/// Every tenant's head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heads {
    pub(crate) map: HashMap<TenantId, HeadState, RandomState>,
}

impl Heads {
    /// The head of a tenant.
    pub(crate) fn head(&self, tenant: &TenantId) -> Result<Option<Head>> {
        match self.map.get(tenant) {
            None => Ok(None),
            Some(HeadState::Known(head)) => Ok(Some(Head::clone(head))),
            Some(HeadState::Broken(end)) => Err(Error::new(
                Kind::Corrupt,
                format!(
                    "records of {tenant} before {} cannot be read, so its tree is not known: \
                     restore the journal from a backup",
                    end.size
                ),
            )),
        }
    }

    /// How many records the tenant has.
    pub(crate) fn size(&self, tenant: &TenantId) -> u64 {
        self.map.get(tenant).map_or(0, |state| state.end().size)
    }

    /// Whether the tenant's log ends as `expected` says.
    pub(crate) fn check(&self, tenant: &TenantId, expected: &Expected) -> Result<()> {
        let none = Expected {
            size: 0,
            last_hash: Hash::ZERO,
        };
        let end = match self.map.get(tenant) {
            Some(HeadState::Broken(_)) => return self.head(tenant).map(|_| ()),
            state => state.map_or(none, HeadState::end),
        };
        if end == *expected {
            return Ok(());
        }
        let size = end.size;
        let said = format!("the log of {tenant} ends at {size}: read its head and build on that");
        Err(Error::new(Kind::Conflict, said))
    }

    /// The frontier of a tenant's tree, empty when it has no log or it is not known.
    pub(crate) fn frontier(&self, tenant: &TenantId) -> Frontier {
        match self.map.get(tenant) {
            Some(HeadState::Known(head)) => head.frontier.clone(),
            _ => Frontier::new(),
        }
    }

    /// Moves a head by records that were read back: `first` is the sequence number of the first.
    pub(crate) fn replay(
        &mut self,
        tenant: &TenantId,
        first: u64,
        hashes: &[Hash],
        ingested: Micros,
    ) {
        let Some(&last_hash) = hashes.last() else {
            return;
        };
        let size = first + hashes.len() as u64;
        let state = match self.map.get(tenant) {
            Some(HeadState::Known(head)) if head.frontier.size() == first => {
                Some(head.frontier.clone())
            }
            None if first == 0 => Some(Frontier::new()),
            _ => None,
        };
        let state = match state {
            Some(mut frontier) => {
                frontier.extend(hashes.iter().copied());
                HeadState::Known(Arc::new(Head {
                    frontier,
                    last_hash,
                    last_ingested_at: ingested,
                }))
            }
            None => HeadState::Broken(Expected { size, last_hash }),
        };
        self.map.insert(tenant.clone(), state);
    }

    /// Writes the file: these heads are those at `position`.
    pub(crate) fn store(&self, disk: &dyn Disk, position: u64) -> Result<()> {
        disk.replace(PATH, &self.encode(position))
            .map_err(from_disk)
    }

    fn encode(&self, position: u64) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&position.to_le_bytes());
        put_varint(&mut out, self.map.len() as u64);
        let mut all: Vec<_> = self.map.iter().collect();
        all.sort_unstable_by_key(|(tenant, _)| *tenant);
        for (tenant, state) in all {
            let end = state.end();
            put_chunk(&mut out, tenant.as_str().as_bytes());
            put_varint(&mut out, end.size);
            out.extend_from_slice(end.last_hash.as_bytes());
            match state {
                HeadState::Broken(_) => out.push(1),
                HeadState::Known(head) => {
                    out.push(0);
                    put_varint(&mut out, zigzag(head.last_ingested_at.0));
                    for hash in head.frontier.hashes() {
                        out.extend_from_slice(hash.as_bytes());
                    }
                }
            }
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the file: the heads and their position; `None` when it is missing or damaged.
    pub(crate) fn load(disk: &dyn Disk) -> Option<(Self, u64)> {
        Self::parse(&disk.read(PATH).ok()?)
    }

    fn parse(bytes: &[u8]) -> Option<(Self, u64)> {
        let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if crc != crc32c::crc32c(body).to_le_bytes() {
            return None;
        }
        let mut reader = Reader::new(body);
        if reader.array()? != MAGIC {
            return None;
        }
        let position = reader.u64()?;
        let mut heads = Self::default();
        for _ in 0..reader.varint()? {
            let tenant = TenantId::parse(str::from_utf8(reader.chunk()?).ok()?).ok()?;
            let size = reader.varint()?;
            let last_hash = Hash::from_bytes(reader.array()?);
            let state = if reader.u8()? == 1 {
                HeadState::Broken(Expected { size, last_hash })
            } else {
                let last_ingested_at = Micros(unzigzag(reader.varint()?));
                let mut hashes = Vec::new();
                for _ in 0..size.count_ones() {
                    hashes.push(Hash::from_bytes(reader.array()?));
                }
                let frontier = Frontier::from_parts(size, hashes).ok()?;
                HeadState::Known(Arc::new(Head {
                    frontier,
                    last_hash,
                    last_ingested_at,
                }))
            };
            heads.map.insert(tenant, state);
        }
        reader.is_done().then_some((heads, position))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_merkle::leaf_hash;

    fn heads() -> Heads {
        let mut heads = Heads::default();
        for (name, count) in [("acme", 300_u16), ("b", 1), ("_system", 1023)] {
            let hashes: Vec<_> = (0..count).map(|n| leaf_hash(&n.to_le_bytes())).collect();
            heads.replay(&TenantId::parse(name).unwrap(), 0, &hashes, Micros(-5));
        }
        heads.replay(
            &TenantId::parse("lost").unwrap(),
            9,
            &[leaf_hash(b"x")],
            Micros(7),
        );
        heads
    }

    #[test]
    fn heads_come_back_and_every_flipped_bit_is_noticed() {
        let heads = heads();
        let bytes = heads.encode(77);
        let (back, position) = Heads::parse(&bytes).unwrap();
        assert_eq!((&back.map, position), (&heads.map, 77));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 16;
            assert!(Heads::parse(&damaged).is_none());
        }
    }

    #[test]
    fn a_log_with_a_gap_has_no_head_and_takes_nothing() {
        let heads = heads();
        let lost = TenantId::parse("lost").unwrap();
        assert_eq!(heads.head(&lost).unwrap_err().kind(), Kind::Corrupt);
        let end = Expected {
            size: 10,
            last_hash: leaf_hash(b"x"),
        };
        assert_eq!(heads.check(&lost, &end).unwrap_err().kind(), Kind::Corrupt);
        let acme = TenantId::parse("acme").unwrap();
        assert_eq!(heads.head(&acme).unwrap().unwrap().frontier.size(), 300);
        assert_eq!(heads.check(&acme, &end).unwrap_err().kind(), Kind::Conflict);
    }
}
