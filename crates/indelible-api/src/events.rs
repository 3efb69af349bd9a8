//! What comes back for events: one receipt, or one result per event of a batch.
//!
//! A request's body is the event itself, or a JSON array of events, or one per line: there is no
//! shape around it. Never 202: what has a receipt is durable.

use indelible_proof::receipt::Receipt;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// Answer of `POST /v1/events`: 201 when it is new, 200 when the same event was committed before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Where it stands.
    pub receipt: Receipt,
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

impl BatchResponse {
    /// Adds the next result and counts it.
    pub fn push(&mut self, status: u16, result: ItemResult) {
        match (&result, status) {
            (ItemResult::Receipt(_), 200) => self.repeated += 1,
            (ItemResult::Receipt(_), _) => self.accepted += 1,
            (ItemResult::Problem(_), _) => self.rejected += 1,
        }
        let index = self.accepted + self.repeated + self.rejected - 1;
        self.results.push(BatchItem {
            index,
            status,
            result,
        });
    }
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
        let mut batch = BatchResponse::default();
        batch.push(201, ItemResult::Receipt(receipt.clone()));
        batch.push(200, ItemResult::Receipt(receipt));
        let problem = Problem::new(ProblemKind::Conflict, "why");
        batch.push(409, ItemResult::Problem(Box::new(problem)));
        assert_eq!((batch.accepted, batch.repeated, batch.rejected), (1, 1, 1));
        let json = serde_json::to_string(&batch).unwrap();
        let expected = format!(r#"{{"results":[{{"index":0,"status":201,"receipt":{text}}}"#);
        assert!(json.starts_with(&expected), "{json}");
        assert!(json.contains(r#"{"index":2,"status":409,"problem":{"type":"#));
        let read: BatchResponse = serde_json::from_str(&json).unwrap();
        assert_eq!(read, batch);
    }
}
