//! Exports as they go over the wire: what is asked for, and how far one is.

use serde::{Deserialize, Serialize};

use crate::records::Unreadable;

/// Request of `POST /v1/exports`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateExport {
    /// `leaves`, `joined`, `csv` or `parquet`.
    pub format: String,
    /// A query text; every record when left out.
    #[serde(default)]
    pub q: Option<String>,
    /// Only the records of this tenant.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Columns of a table, with commas between them, also paths like `data.amount`; `all` for all.
    #[serde(default)]
    pub columns: Option<String>,
    /// `seq`, as when left out, `seq-newest`, `oldest` or `newest`.
    #[serde(default)]
    pub order: Option<String>,
}

/// How far an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportStatus {
    /// Others are before it.
    Waiting,
    /// It is being written.
    Running,
    /// The file is there.
    Done,
    /// There will be no file.
    Failed,
}

/// One export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Names it.
    pub id: String,
    /// How far it is.
    pub status: ExportStatus,
    /// What was asked for.
    pub format: String,
    /// What was asked for.
    pub q: String,
    /// What was asked for; null for all that may be seen.
    pub tenant: Option<String>,
    /// The columns of the table; null where it is none.
    pub columns: Option<String>,
    /// What was asked for.
    pub order: String,
    /// When it was asked for.
    pub created_at: String,
    /// When it is removed.
    pub expires_at: String,
    /// Records written so far.
    pub records: u64,
    /// How many there will be, where an index could tell.
    pub of: Option<u64>,
    /// Bytes of the file so far.
    pub bytes: u64,
    /// Why there is no file.
    pub failure: Option<String>,
    /// Records that it may lack because they cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// Tenants whose personal values were not searched, since their keys are not at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsearched: Vec<String>,
}

/// Answer of `GET /v1/exports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exports {
    /// Those of who asks, the newest first.
    pub exports: Vec<Export>,
}
