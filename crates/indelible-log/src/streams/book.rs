//! The book of one log: its streams up to a record, and how that is kept.
//!
//! What it is not: evidence. It says what the ledger believes it has; `verify` reads the log anew.
//! Invariants: a record is counted when the one behind it, or the head, names its hash, or when
//! neither can be read; a book belongs to a log only if that still names the hash the book ended
//! with, and so cannot outlive a log that was rolled back, replaced or forked. The hash covers the
//! first record and with it the log's id.

use std::ops::{ControlFlow, Range};

use indelible_event::{TenantId, content_hash};
use indelible_merkle::{Hash, leaf_hash};
use indelible_proof::limits::STREAMS_BYTES_MAX;
use indelible_proof::stream::Streams;
use indelible_proof::tail::Tail;
use indelible_store::{Error, Head, Kind, Ledger, Result, Stored};
use serde::{Deserialize, Serialize};

/// Version of the form in which a book is kept.
const VERSION: &str = "1";
/// The largest value of the state store, in bytes.
const VALUE_BYTES_MAX: usize = 16 << 20;
const _: () = assert!(STREAMS_BYTES_MAX + 4_096 < VALUE_BYTES_MAX);

/// How much of a log is read at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) records: u64,
    pub(super) bytes: usize,
}

/// The streams of one log, up to a record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Book {
    /// Number of the first record that is not counted yet.
    pub(super) next: u64,
    /// Hash of the record before it, as it was committed.
    last_hash: Hash,
    pub(super) streams: Streams,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            next: 0,
            last_hash: Hash::ZERO,
            streams: Streams::new(),
        }
    }
}

/// A record whose successor is not known yet.
struct Last {
    number: u64,
    hash: Hash,
    leaf: Vec<u8>,
}

impl Book {
    /// What is kept: the version, the SHA-256 of the rest, and the book as JSON.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self).map_err(|e| {
            Error::new(Kind::Invalid, "a book of streams cannot be written").caused_by(e)
        })?;
        let mut bytes = header(&json).into_bytes();
        bytes.extend_from_slice(&json);
        Ok(bytes)
    }

    /// Reads what was kept; `None` when it is another version's or not what was written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', bytes)?;
        let (head, json) = bytes.split_at_checked(end + 1)?;
        (head == header(json).as_bytes())
            .then(|| serde_json::from_slice(json).ok())
            .flatten()
    }

    /// Whether the log still is the one that this book was made of.
    pub(super) fn belongs(
        &self,
        ledger: &dyn Ledger,
        tenant: &TenantId,
        head: &Head,
    ) -> Result<bool> {
        if self.next == 0 {
            return Ok(true);
        }
        Ok(hash_before(ledger, tenant, self.next, head)? == Some(self.last_hash))
    }

    /// Counts some more records.
    pub(super) fn read(
        &mut self,
        ledger: &dyn Ledger,
        tenant: &TenantId,
        head: &Head,
        turn: Turn,
    ) -> Result<()> {
        let size = head.frontier.size();
        let (mut last, mut bytes): (Option<Last>, _) = (None, 0);
        let full = self.next.saturating_add(turn.records);
        ledger.read(tenant, self.next..size, &mut |stored| {
            match stored {
                // It stands twice, and was counted.
                Stored::Record(record)
                    if last
                        .as_ref()
                        .is_some_and(|last| record.sequence_number <= last.number) => {}
                Stored::Record(record) => {
                    let leaf = record.leaf;
                    bytes += leaf.len();
                    self.settle(last.take(), previous(leaf));
                    last = Some(Last {
                        number: record.sequence_number,
                        hash: leaf_hash(leaf),
                        leaf: leaf.to_vec(),
                    });
                }
                Stored::Damaged { range, .. } => {
                    self.settle(last.take(), None);
                    self.next = range.end;
                }
            }
            if self.next < full && bytes < turn.bytes {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        if last.as_ref().is_some_and(|last| last.number + 1 == size) {
            self.settle(last, Some(head.last_hash));
        }
        if let Some(hash) = hash_before(ledger, tenant, self.next, head)? {
            self.last_hash = hash;
        }
        Ok(())
    }

    /// Counts a record, now that it is known what is said of its hash.
    fn settle(&mut self, last: Option<Last>, said: Option<Hash>) {
        let Some(last) = last else {
            return;
        };
        if said.is_none_or(|said| said == last.hash) {
            self.streams.hear(&last.leaf);
        }
        self.next = last.number + 1;
        self.last_hash = said.unwrap_or(last.hash);
    }
}

fn header(json: &[u8]) -> String {
    format!("{VERSION} {}\n", Hash::from_bytes(content_hash(json)))
}

/// The hash that a leaf says the record before it has.
fn previous(leaf: &[u8]) -> Option<Hash> {
    Tail::scan(leaf).ok().and_then(|tail| tail.previous().ok())
}

/// What the log says is the hash of the record before `next`; `None` when there is no such record,
/// or nothing is left that says it.
fn hash_before(
    ledger: &dyn Ledger,
    tenant: &TenantId,
    next: u64,
    head: &Head,
) -> Result<Option<Hash>> {
    let size = head.frontier.size();
    if next >= size {
        return Ok((next == size).then_some(head.last_hash));
    }
    let mut found = None;
    let behind: Range<u64> = next..next + 1;
    ledger.read(tenant, behind, &mut |stored| {
        if let Stored::Record(record) = stored {
            found = previous(record.leaf);
        }
        ControlFlow::Break(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const KEPT: &str = concat!(
        "1 cec8069e215ef395cf82de4887a12548dfa356a77ba43d0e53e9a52f1d4b27fa\n",
        r#"{"next":2,"last_hash":"0707070707070707070707070707070707070707070707070707070707070707","#,
        r#""streams":{"epochs":[{"stream":"web","epoch":7,"seen":[[0,0]],"covered":[],"lost":[],"#,
        r#""losses":[],"records":1,"opened":false,"ended":null,"ended_twice":false,"#,
        r#""limited":false,"cut":false,"last_heard":"2026-01-02T03:04:05.000006Z","#,
        r#""stated_at":"2026-01-02T03:04:05.000006Z","credentials":["key:a"]}],"unfollowed":0,"#,
        r#""unnumbered":0,"unnumbered_heard":""}}"#,
    );

    fn book() -> Book {
        let mut streams = Streams::new();
        let zeros = Hash::ZERO;
        let leaf = format!(
            r#"{{"event":{{"audit_id":"x"}},"ingested_at":"2026-01-02T03:04:05.000006Z","ledger":{{"stream":{{"epoch":7,"id":"web","number":0}},"submitted_by":"key:a"}},"previous_hash":"{zeros}","record_version":1,"sequence_number":1,"tenant_id":"acme"}}"#
        );
        assert!(streams.hear(leaf.as_bytes()));
        Book {
            next: 2,
            last_hash: Hash::from_bytes([7; 32]),
            streams,
        }
    }

    #[test]
    fn a_book_is_kept_in_this_form() {
        let bytes = book().to_bytes().unwrap();
        assert_eq!(str::from_utf8(&bytes).unwrap(), KEPT);
        let again = Book::from_bytes(KEPT.as_bytes()).unwrap();
        assert_eq!(
            (again.next, again.last_hash),
            (2, Hash::from_bytes([7; 32]))
        );
        assert_eq!(again.to_bytes().unwrap(), bytes);
        assert_eq!(again.streams.verdicts(), book().streams.verdicts());
    }

    #[test]
    fn a_book_that_is_not_what_was_written_is_none() {
        for at in 0..KEPT.len() {
            let mut bad = KEPT.as_bytes().to_vec();
            bad[at] ^= 1;
            assert!(Book::from_bytes(&bad).is_none(), "{at}");
            assert!(Book::from_bytes(&bad[..at]).is_none(), "{at}");
        }
        // Of another version, though whole.
        let (_, json) = KEPT.split_once('\n').unwrap();
        let other = header(json.as_bytes()).replacen('1', "2", 1);
        assert!(Book::from_bytes(&[other.as_bytes(), json.as_bytes()].concat()).is_none());
    }
}
