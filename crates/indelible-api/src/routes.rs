//! The table of routes: what each takes and what it may answer.
//!
//! The server builds its router beside this table and a test compares the two, so that what is
//! described is what is served.

mod exports;

use crate::JSON;
use crate::problem::ProblemKind::{
    self, Ambiguous, BadCursor, BadQuery, Conflict, ExportTooLarge, ForeignReceipt, InvalidEvent,
    NoSuchRange, NotDone, NotFound, QuotaUsedUp, ReadOnly, TenantNeeded, Timeout, TooLarge,
    TooManyExports, TooManyTails, UnsupportedType, WrongDigest,
};
use crate::tail::EVENT_STREAM;

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// `get`, `post`, `put` or `delete`.
    pub method: &'static str,
    /// The path, with `{names}`.
    pub path: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Who may, in words; empty when everybody may.
    pub who: &'static str,
    /// Parameters of the query.
    pub query: &'static [Parameter],
    /// What it takes.
    pub body: Body,
    /// Statuses of success, and what comes with them.
    pub answers: &'static [Answer],
    /// Problems it may answer with, beside those of every route.
    pub problems: &'static [ProblemKind],
}

/// One parameter of the query.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its JSON Schema, as text.
    pub schema: &'static str,
    /// What it does.
    pub description: &'static str,
}

/// What a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// One event.
    Event,
    /// A batch of events.
    Events,
    /// JSON of this schema.
    Json(&'static str),
    /// Bytes of any type.
    Bytes,
}

/// What comes with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// JSON of this schema.
    Json(u16, &'static str),
    /// JSON of this schema, or one record per line.
    Records(u16, &'static str),
    /// Text, or bytes, of this content type.
    Text(u16, &'static str),
}

const TENANT: Parameter = Parameter {
    name: "tenant",
    schema: r#"{"type":"string","pattern":"^[A-Za-z0-9_][A-Za-z0-9._:@-]{0,127}$"}"#,
    description: "The tenant; may be left out where the key or the event names one.",
};
const LIMIT: Parameter = Parameter {
    name: "limit",
    schema: r#"{"type":"integer","minimum":1,"maximum":1000,"default":100}"#,
    description: "What a page has at most.",
};
const CURSOR: Parameter = Parameter {
    name: "cursor",
    schema: r#"{"type":"string","maxLength":1024}"#,
    description: "The next_cursor of the page before.",
};
const INTEGRITY: Parameter = Parameter {
    name: "integrity",
    schema: r#"{"enum":["anchored","consistent_not_anchored","broken"]}"#,
    description: "Only the logs with this verdict.",
};
const QUERY: Parameter = Parameter {
    name: "q",
    schema: r#"{"type":"string","maxLength":4096}"#,
    description: "A query text (docs/query.md); empty asks for every record.",
};
const COUNTS: [Parameter; 7] = [
    QUERY,
    TENANT,
    Parameter {
        name: "facet",
        schema: r#"{"type":"string","maxLength":1024,"pattern":"^[a-zA-Z.,-]*$"}"#,
        description: "Qualifiers whose values are counted, with commas between them.",
    },
    Parameter {
        name: "top",
        schema: r#"{"type":"integer","minimum":1,"maximum":1000,"default":10}"#,
        description: "How many values of each facet are named.",
    },
    Parameter {
        name: "every",
        schema: r#"{"enum":["1m","1h","1d","1w","1mo","minute","hour","day","week","month","auto"]}"#,
        description: "How long a bar of the histogram is; auto is the shortest that makes at most \
                      300, else a month, and the answer says which.",
    },
    Parameter {
        name: "zone",
        schema: r#"{"type":"string","maxLength":64,"default":"UTC"}"#,
        description: "The time zone whose days and hours these are.",
    },
    Parameter {
        name: "stats",
        schema: r#"{"type":"string","maxLength":1024,"pattern":"^[a-zA-Z.,-]*$"}"#,
        description: "Qualifiers whose numbers are put together, with commas between them.",
    },
];
const LIST: [Parameter; 7] = [
    QUERY,
    TENANT,
    LIMIT,
    Parameter {
        name: "cursor",
        schema: r#"{"type":"string","maxLength":1024}"#,
        description: "The next_cursor of the page before, with the same query and order.",
    },
    Parameter {
        name: "order",
        schema: r#"{"enum":["newest","oldest","seq","seq-newest"],"default":"newest"}"#,
        description: "By time, newest or oldest first, or by sequence number.",
    },
    Parameter {
        name: "after",
        schema: r#"{"type":"string","maxLength":1024}"#,
        description: "A receipt, the answer it came in, or tenant_id/sequence_number: wait for it.",
    },
    Parameter {
        name: "purpose",
        schema: r#"{"enum":["read","export"],"default":"read"}"#,
        description: "As what it is recorded in the ledger's own log: reading, or exporting.",
    },
];

const TAIL: [Parameter; 4] = [
    Parameter {
        name: "q",
        schema: r#"{"type":"string","maxLength":4096}"#,
        description: "A query text (docs/query.md); empty asks for every record.",
    },
    TENANT,
    Parameter {
        name: "after",
        schema: r#"{"type":"string","maxLength":16384}"#,
        description: "The cursor of the last event; Last-Event-ID, where it is sent, goes before.",
    },
    Parameter {
        name: "from",
        schema: r#"{"enum":["now","start"],"default":"now"}"#,
        description: "Where a tail without a cursor begins: now, or with the first record.",
    },
];

/// Every route.
pub const ROUTES: &[Route] = &[
    Route {
        method: "post",
        path: "/v1/events",
        summary: "Commit one event and answer with its receipt.",
        who: "emitter, admin",
        query: &[TENANT],
        body: Body::Event,
        answers: &[
            Answer::Json(201, "Submitted"),
            Answer::Json(200, "Submitted"),
        ],
        problems: &[
            NotFound,
            Timeout,
            Conflict,
            TooLarge,
            UnsupportedType,
            InvalidEvent,
            TenantNeeded,
            QuotaUsedUp,
            ReadOnly,
        ],
    },
    Route {
        method: "post",
        path: "/v1/events:batch",
        summary: "Commit up to 100,000 events and answer with one result for each.",
        who: "emitter, admin",
        query: &[TENANT],
        body: Body::Events,
        answers: &[Answer::Json(200, "BatchResponse")],
        problems: &[Timeout, TooLarge, UnsupportedType, QuotaUsedUp],
    },
    Route {
        method: "put",
        path: "/v1/attachments/{digest}",
        summary: "Store what does not fit an event, up to 64 MiB, before the event that names it.",
        who: "emitter, admin",
        query: &[TENANT],
        body: Body::Bytes,
        answers: &[
            Answer::Json(201, "AttachmentStored"),
            Answer::Json(200, "AttachmentStored"),
        ],
        problems: &[
            NotFound,
            Timeout,
            TooLarge,
            UnsupportedType,
            WrongDigest,
            TenantNeeded,
            QuotaUsedUp,
        ],
    },
    Route {
        method: "get",
        path: "/v1/attachments/{digest}",
        summary: "Read an attachment.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[
            TENANT,
            Parameter {
                name: "record",
                schema: r#"{"type":"string","maxLength":1024}"#,
                description: "The id of a record that names it: needed by a key with a query of \
                              its own, which reads what its records name.",
            },
        ],
        body: Body::None,
        answers: &[Answer::Text(200, "*/*")],
        problems: &[NotFound, TenantNeeded],
    },
    Route {
        method: "get",
        path: "/v1/records",
        summary: "Find records.",
        who: "reader, auditor, privacy_officer, admin",
        query: &LIST,
        body: Body::None,
        answers: &[Answer::Records(200, "RecordList")],
        problems: &[BadQuery, BadCursor, NotFound, ForeignReceipt],
    },
    Route {
        method: "get",
        path: "/v1/counts",
        summary: "Count what a query finds, by value, by time, and its numbers.",
        who: "reader, auditor, privacy_officer, admin",
        query: &COUNTS,
        body: Body::None,
        answers: &[Answer::Json(200, "Counts")],
        problems: &[BadQuery, NotFound],
    },
    Route {
        method: "get",
        path: "/v1/records/{audit_id}",
        summary: "Read one record.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[TENANT],
        body: Body::None,
        answers: &[Answer::Json(200, "Record")],
        problems: &[NotFound, Ambiguous],
    },
    Route {
        method: "get",
        path: "/v1/records/{audit_id}/proof",
        summary: "Prove one record under the newest signed checkpoint.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[TENANT],
        body: Body::None,
        answers: &[Answer::Json(200, "RecordProof")],
        problems: &[NotFound, Ambiguous],
    },
    Route {
        method: "get",
        path: "/v1/records/{audit_id}/related",
        summary: "The tree that a record is part of, its correlation, and its agent's execution.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[TENANT],
        body: Body::None,
        answers: &[Answer::Json(200, "Related")],
        problems: &[NotFound, Ambiguous],
    },
    Route {
        method: "get",
        path: "/v1/tail",
        summary: "Follow records as they are committed, as events or over WebSocket.",
        who: "reader, auditor, privacy_officer, admin",
        query: &TAIL,
        body: Body::None,
        answers: &[Answer::Text(200, EVENT_STREAM)],
        problems: &[BadQuery, BadCursor, NotFound, TooManyTails],
    },
    exports::NOW,
    exports::MAKE,
    exports::ALL,
    exports::ONE,
    exports::FILE,
    exports::REMOVE,
    Route {
        method: "get",
        path: "/v1/checkpoints",
        summary: "The newest signed checkpoints, of the registry and of each tenant.",
        who: "auditor, privacy_officer, admin",
        query: &[TENANT, LIMIT, CURSOR],
        body: Body::None,
        answers: &[Answer::Json(200, "Checkpoints")],
        problems: &[BadCursor, NotFound],
    },
    Route {
        method: "get",
        path: "/v1/tenants",
        summary: "The tenants, the size of their logs, and the two verdicts on each.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[LIMIT, CURSOR, INTEGRITY],
        body: Body::None,
        answers: &[Answer::Json(200, "Tenants")],
        problems: &[BadCursor],
    },
    Route {
        method: "get",
        path: "/v1/streams",
        summary: "The producers' streams, and what is missing of them.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[TENANT, LIMIT, CURSOR],
        body: Body::None,
        answers: &[Answer::Json(200, "Streams")],
        problems: &[BadCursor, NotFound],
    },
    Route {
        method: "post",
        path: "/v1/tenants",
        summary: "Create a tenant's log, if it is not there.",
        who: "admin of all tenants",
        query: &[],
        body: Body::Json("CreateTenant"),
        answers: &[Answer::Json(201, "Tenant"), Answer::Json(200, "Tenant")],
        problems: &[Timeout, TooLarge, UnsupportedType],
    },
    Route {
        method: "get",
        path: "/v1/keys",
        summary: "List the API keys, without their secrets.",
        who: "admin of all tenants",
        query: &[],
        body: Body::None,
        answers: &[Answer::Json(200, "Keys")],
        problems: &[],
    },
    Route {
        method: "post",
        path: "/v1/keys",
        summary: "Make an API key; the answer is the only place where its secret is seen.",
        who: "admin of all tenants",
        query: &[],
        body: Body::Json("CreateKey"),
        answers: &[Answer::Json(201, "CreatedKey")],
        problems: &[Timeout, TooLarge, UnsupportedType],
    },
    Route {
        method: "delete",
        path: "/v1/keys/{id}",
        summary: "Revoke an API key, at once and for good.",
        who: "admin of all tenants",
        query: &[],
        body: Body::None,
        answers: &[Answer::Json(200, "Key")],
        problems: &[NotFound],
    },
    Route {
        method: "post",
        path: "/v1/keys/{id}/rotate",
        summary: "Give an API key a new secret; the old one stays good for a grace.",
        who: "admin of all tenants",
        query: &[],
        body: Body::Json("RotateKey"),
        answers: &[Answer::Json(200, "CreatedKey")],
        problems: &[NotFound, Timeout, TooLarge, UnsupportedType],
    },
    Route {
        method: "get",
        path: "/v1/access",
        summary: "What whoever asks may do.",
        who: "emitter, reader, auditor, privacy_officer, admin",
        query: &[],
        body: Body::None,
        answers: &[Answer::Json(200, "Allowed")],
        problems: &[],
    },
    Route {
        method: "get",
        path: "/v1/configuration",
        summary: "Every setting that is in force, without secrets, and where it comes from.",
        who: "admin of all tenants",
        query: &[],
        body: Body::None,
        answers: &[Answer::Json(200, "InForce")],
        problems: &[],
    },
    Route {
        method: "post",
        path: "/v1/viewer-tokens",
        summary: "Make a token that shows records of one tenant for a short while.",
        who: "reader, auditor, privacy_officer, admin",
        query: &[],
        body: Body::Json("CreateViewerToken"),
        answers: &[Answer::Json(201, "ViewerToken")],
        problems: &[NotFound, Timeout, TooLarge, UnsupportedType],
    },
    open(
        "/health/live",
        "Whether the process answers.",
        &[Answer::Json(200, "Health")],
    ),
    open(
        "/health/ready",
        "Whether work gets done: commits, checkpoints, verifier.",
        &[Answer::Json(200, "Health")],
    ),
    Route {
        who: "admin of all tenants",
        ..open(
            "/metrics",
            "Figures in the Prometheus text format.",
            &[Answer::Text(200, "text/plain")],
        )
    },
    open(
        "/openapi.json",
        "This description.",
        &[Answer::Text(200, JSON)],
    ),
    open(
        "/docs",
        "This description as a page.",
        &[Answer::Text(200, "text/html")],
    ),
];

const fn open(path: &'static str, summary: &'static str, answers: &'static [Answer]) -> Route {
    Route {
        method: "get",
        path,
        summary,
        who: "",
        query: &[],
        body: Body::None,
        answers,
        problems: &[],
    }
}
