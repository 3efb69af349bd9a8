//! What comes back for events: one receipt, or one result per event of a batch.
//!
//! A request's body is the event itself, or a JSON array of events, or one per line: there is no
//! shape around it. Never 202: what has a receipt is durable.

use std::io::Write as _;

use indelible_proof::receipt::Receipt;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// Answer of `POST /v1/events`: 201 when it is new, 200 when the same event was committed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Where it stands.
    pub receipt: Receipt,
    /// As in [`BatchItem`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_claim: bool,
}

/// Answer of `POST /v1/events:batch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchResponse {
    /// One per event, in the order they were sent.
    pub results: Vec<BatchItem>,
    /// How many are new.
    pub accepted: u64,
    /// How many were committed before.
    pub repeated: u64,
    /// How many have a problem.
    pub rejected: u64,
}

/// What became of one event of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchItem {
    /// Its place in the batch, from 0; blank lines do not count.
    pub index: u64,
    /// The status it would have had alone: 201, 200, or the problem's.
    pub status: u16,
    /// Receipt or problem.
    #[serde(flatten)]
    pub result: ItemResult,
    /// The event was committed before, with another place in a stream than the `_stream` it was
    /// sent with now, which stays without a record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub other_claim: bool,
}

/// A receipt or a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemResult {
    /// It is in the log.
    Receipt(Receipt),
    /// It is not.
    Problem(Box<Problem>),
}

/// How a receipt came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// The event was committed now.
    New,
    /// It was committed before.
    Again {
        /// As in [`BatchItem`].
        other_claim: bool,
    },
}

impl Came {
    /// The status that says so: 201 or 200.
    pub fn status(self) -> u16 {
        match self {
            Self::New => 201,
            Self::Again { .. } => 200,
        }
    }
}

/// Writes a [`BatchResponse`] result by result, without keeping them: a batch has a hundred
/// thousand.
#[derive(Debug)]
pub struct BatchWriter {
    out: Vec<u8>,
    index: u64,
    accepted: u64,
    repeated: u64,
    rejected: u64,
}

/// Bytes of a result, usually.
const RESULT_BYTES_USUAL: usize = 320;

impl BatchWriter {
    /// An answer that is to have about so many results.
    pub fn new(results: usize) -> Self {
        let mut out = Vec::with_capacity(results * RESULT_BYTES_USUAL + 64);
        out.extend_from_slice(b"{\"results\":[");
        Self {
            out,
            index: 0,
            accepted: 0,
            repeated: 0,
            rejected: 0,
        }
    }

    /// Writes the next result, a receipt, and counts it.
    pub fn receipt(&mut self, receipt: &Receipt, came: Came) {
        self.begin(came.status());
        self.out.extend_from_slice(b",\"receipt\":");
        write_receipt(&mut self.out, receipt);
        match came {
            Came::New => self.accepted += 1,
            Came::Again { other_claim } => {
                self.repeated += 1;
                if other_claim {
                    self.out.extend_from_slice(b",\"other_claim\":true");
                }
            }
        }
        self.out.push(b'}');
    }

    /// Writes the next result, a problem that is JSON already, and counts it.
    pub fn problem(&mut self, status: u16, problem: &[u8]) {
        self.begin(status);
        self.out.extend_from_slice(b",\"problem\":");
        self.out.extend_from_slice(problem);
        self.out.push(b'}');
        self.rejected += 1;
    }

    fn begin(&mut self, status: u16) {
        if self.index > 0 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"{\"index\":");
        number(&mut self.out, self.index);
        self.out.extend_from_slice(b",\"status\":");
        number(&mut self.out, u64::from(status));
        self.index += 1;
    }

    /// The whole answer.
    pub fn finish(mut self) -> Vec<u8> {
        for (name, count) in [
            ("],\"accepted\":", self.accepted),
            (",\"repeated\":", self.repeated),
            (",\"rejected\":", self.rejected),
        ] {
            self.out.extend_from_slice(name.as_bytes());
            number(&mut self.out, count);
        }
        self.out.push(b'}');
        self.out
    }
}

/// The object of `spec/receipt.md`; nothing in a receipt needs escaping.
fn write_receipt(out: &mut Vec<u8>, receipt: &Receipt) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"{\"tenant_id\":\"");
    out.extend_from_slice(receipt.tenant_id.as_str().as_bytes());
    out.extend_from_slice(b"\",\"audit_id\":\"");
    out.extend_from_slice(&receipt.audit_id.text());
    out.extend_from_slice(b"\",\"sequence_number\":");
    number(out, receipt.sequence_number);
    out.extend_from_slice(b",\"record_hash\":\"");
    for byte in receipt.record_hash.as_bytes() {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    out.extend_from_slice(b"\",\"ingested_at\":\"");
    receipt.ingested_at.write_rfc3339(out);
    out.extend_from_slice(b"\"}");
}

fn number(out: &mut Vec<u8>, number: u64) {
    // Writing to memory does not fail.
    let _ = write!(out, "{number}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::problem::ProblemKind;

    #[test]
    fn a_batch_has_the_shape_that_is_documented() {
        let text = r#"{"tenant_id":"acme","audit_id":"019a9b00-0000-7000-8000-000000000001","sequence_number":7,"record_hash":"0000000000000000000000000000000000000000000000000000000000000000","ingested_at":"2026-11-20T09:00:00.000000Z"}"#;
        let receipt: Receipt = serde_json::from_str(text).unwrap();
        let problem = Problem::new(ProblemKind::Conflict, "why");
        let mut writer = BatchWriter::new(4);
        for came in [
            Came::New,
            Came::Again { other_claim: false },
            Came::Again { other_claim: true },
        ] {
            writer.receipt(&receipt, came);
        }
        writer.problem(409, &serde_json::to_vec(&problem).unwrap());
        let json = String::from_utf8(writer.finish()).unwrap();
        let expected = format!(r#"{{"results":[{{"index":0,"status":201,"receipt":{text}}},"#);
        assert!(json.starts_with(&expected), "{json}");
        assert!(
            json.contains(r#"},"other_claim":true},{"index":3,"status":409,"problem":{"type":"#)
        );
        let item = |index, status, result, other_claim| BatchItem {
            index,
            status,
            result,
            other_claim,
        };
        let is_receipt = || ItemResult::Receipt(receipt.clone());
        let batch = BatchResponse {
            results: vec![
                item(0, 201, is_receipt(), false),
                item(1, 200, is_receipt(), false),
                item(2, 200, is_receipt(), true),
                item(3, 409, ItemResult::Problem(Box::new(problem)), false),
            ],
            accepted: 1,
            repeated: 2,
            rejected: 1,
        };
        assert_eq!(serde_json::to_string(&batch).unwrap(), json);
        let empty = serde_json::to_vec(&BatchResponse::default()).unwrap();
        assert_eq!(BatchWriter::new(0).finish(), empty);
        let read: BatchResponse = serde_json::from_str(&json).unwrap();
        assert_eq!(read, batch);
    }
}
