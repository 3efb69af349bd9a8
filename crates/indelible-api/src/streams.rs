//! What the ledger says of its producers' streams.

use serde::{Deserialize, Serialize};

/// Answer of `GET /v1/streams`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// The epochs of the streams that may be seen and were asked for, by tenant, name and epoch;
    /// one page of them. Behind those of a tenant stand its records without a claim, as one.
    pub streams: Vec<Stream>,
    /// Give it as `cursor` for the next page, which may be short or empty; null on the last.
    pub next_cursor: Option<String>,
    /// Records of the page's tenants that are committed and not counted yet: ask again later.
    pub behind: u64,
}

/// One epoch of one stream (`spec/stream.md` §4), or all records of a log without a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Whose log.
    pub tenant_id: String,
    /// The stream; null for the records without a claim.
    pub stream: Option<String>,
    /// Committed records of it.
    pub records: u64,
    /// Whether a bound was reached, so that the verdict may be too bad.
    pub limited: bool,
    /// The verdict in words.
    pub verdict: String,
    /// Its first word: `complete`, `open`, `ended-unclean`, `declared-loss`, `undeclared-gap`,
    /// `unnumbered`.
    pub word: String,
    /// What there is of a stream only.
    #[serde(flatten)]
    pub numbers: Option<Numbers>,
}

/// The numbers of one epoch of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// The epoch.
    pub epoch: u64,
    /// Numbers missing without a word, both ends included.
    pub gaps: Vec<(u64, u64)>,
    /// The highest number known to have been given; null for none.
    pub last: Option<u64>,
    /// Numbers declared lost and not there, and why.
    pub lost: Vec<(u64, u64, String)>,
    /// How many credentials spoke for it, as far as eight are told apart; more than one is for
    /// somebody to look into.
    pub credentials: u64,
    /// The credential that spoke for it first; null for none, as on an open server.
    pub submitted_by: Option<String>,
}
