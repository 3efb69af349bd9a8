//! The fields of the unified model that we act on: names, places and types, as one table.
//!
//! Not here: reading them (`view`), checking them (`validate`). Every field stands at the top of
//! the event or directly in one of its groups. Fields that are not here survive as unknown keys.
//! Source: `spec/event.md`, "Fields".

use crate::limits::{
    CORRELATION_CHARS_MAX, EVENT_TYPE_CHARS_MAX, FOREIGN_ID_CHARS_MAX, ID_CHARS_MAX,
    PERSONAL_CHARS_MAX, RETENTION_DAYS_MAX, TEXT_CHARS_MAX, WORD_CHARS_MAX,
};

/// What values a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string of at most so many characters.
    Text(usize),
    /// One of these strings.
    Word(&'static [&'static str]),
    /// A time as RFC 3339 has it, kept as written.
    Time,
    /// A calendar date, `YYYY-MM-DD`.
    Date,
    /// An integer from 0 to the bound.
    Count(u64),
    /// A number of zero or more.
    Amount,
    /// A number from 0 to 1.
    Ratio,
    /// True or false.
    Flag,
    /// An array of strings.
    Texts,
    /// An object whose values are strings.
    TextMap,
    /// An object with typed members of its own.
    Group(Group),
    /// Any object.
    Object,
    /// Any JSON value.
    Any,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(chars_max) => write!(f, "text, at most {chars_max} characters"),
            Self::Word(words) => write!(f, "one of {}", words.join(", ")),
            Self::Time => f.write_str("time"),
            Self::Date => f.write_str("date"),
            Self::Count(u64::MAX) => f.write_str("whole number of 64 bits"),
            Self::Count(max) => write!(f, "whole number, at most {max}"),
            Self::Amount => f.write_str("number from 0"),
            Self::Ratio => f.write_str("number from 0 to 1"),
            Self::Flag => f.write_str("true or false"),
            Self::Texts => f.write_str("array of texts"),
            Self::TextMap => f.write_str("object of texts"),
            Self::Group(_) | Self::Object => f.write_str("object"),
            Self::Any => f.write_str("any value"),
        }
    }
}

macro_rules! fields {
    ($($group:ident $prefix:literal {
        $($(#[$doc:meta])* $name:ident $key:literal $kind:expr;)+
    })+) => {
        /// The object that a field stands in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Group {
            $(#[doc = concat!("`", $prefix, "/`")] $group,)+
        }

        /// A field of the unified model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Field {
            $($(#[doc = concat!("`", $prefix, "/", $key, "`")] $(#[$doc])* $name,)+)+
        }

        impl Field {
            /// Every field, in the order of this table.
            pub const ALL: &'static [Self] = &[$($(Self::$name,)+)+];
        }

        const TABLE: &[Row] = &[$($(Row {
            pointer: concat!($prefix, "/", $key),
            key: $key,
            group: Group::$group,
            kind: $kind,
        },)+)+];
    };
}

struct Row {
    pointer: &'static str,
    key: &'static str,
    group: Group,
    kind: Kind,
}

use Kind::{Amount, Any, Count, Date, Flag, Object, Ratio, Text, TextMap, Texts, Time, Word};

const ID: Kind = Text(ID_CHARS_MAX);
const CORRELATION: Kind = Text(CORRELATION_CHARS_MAX);
const NAME: Kind = Text(PERSONAL_CHARS_MAX);
const SHORT: Kind = Text(WORD_CHARS_MAX);
const LONG: Kind = Text(TEXT_CHARS_MAX);
const TOKENS: Kind = Count(u64::MAX);

fields! {
    Root "" {
        AuditId "audit_id" Text(FOREIGN_ID_CHARS_MAX);
        SourceEventId "source_event_id" ID;
        SchemaVersion "schema_version" SHORT;
        TenantId "tenant_id" SHORT;
        HashAlgorithm "hash_algorithm" SHORT;
        PayloadHash "payload_hash" SHORT;
        OccurredAt "occurred_at" Time;
        EventDate "event_date" Date;
        EventType "event_type" Text(EVENT_TYPE_CHARS_MAX);
        Category "category" SHORT;
        Action "action" SHORT;
        Description "description" LONG;
        Outcome "outcome" SHORT;
        OutcomeRaw "outcome_raw" SHORT;
        Severity "severity" Word(&["debug", "info", "warning", "error", "critical"]);
        Platform "platform" SHORT;
        Lane "lane" SHORT;
        Surface "surface" SHORT;
        IdempotencyKey "idempotency_key" ID;
        RetentionDays "retention_days" Count(RETENTION_DAYS_MAX);
        LegalHold "legal_hold" Object;
        VerificationStatus "verification_status" Word(&["verified", "pending", "failed"]);
        Data "data" Any;
        SourcePayload "source_payload" Any;
        Metadata "metadata" Any;
        Sealed "sealed" Any;
        SequenceNumber "sequence_number" Any;
        PreviousHash "previous_hash" Any;
        RecordHash "record_hash" Any;
        IngestedAt "ingested_at" Any;
        Stream "_stream" Any;
        Actor "actor" Kind::Group(Group::Actor);
        Target "target" Kind::Group(Group::Target);
        Source "source" Kind::Group(Group::Source);
        Context "context" Kind::Group(Group::Context);
        Http "http" Kind::Group(Group::Http);
        Decision "decision" Kind::Group(Group::Decision);
        Error "error" Kind::Group(Group::Error);
        Performance "performance" Kind::Group(Group::Performance);
        Proof "proof" Kind::Group(Group::Proof);
        Changes "changes" Kind::Group(Group::Changes);
        Security "security" Kind::Group(Group::Security);
        Ai "ai" Kind::Group(Group::Ai);
        Compliance "compliance" Kind::Group(Group::Compliance);
        Notification "notification" Kind::Group(Group::Notification);
        Soc "soc" Object;
    }
    Actor "/actor" {
        ActorType "type" SHORT;
        ActorTypeRaw "type_raw" SHORT;
        ActorId "id" ID;
        ActorName "name" NAME;
        ActorEmail "email" NAME;
        ActorRole "role" SHORT;
        ActorPermissions "permissions" Texts;
        ActorIp "ip" NAME;
        ActorUserAgent "user_agent" NAME;
        ActorSessionId "session_id" ID;
    }
    Target "/target" {
        TargetType "type" SHORT;
        TargetId "id" ID;
        TargetName "name" NAME;
        TargetEmail "email" NAME;
        TargetUid "uid" ID;
        TargetNamespace "namespace" ID;
        TargetClusterId "cluster_id" ID;
        TargetMetadata "metadata" Any;
    }
    Source "/source" {
        SourceService "service" SHORT;
    }
    Context "/context" {
        CorrelationId "correlation_id" CORRELATION;
        RequestId "request_id" CORRELATION;
        TraceId "trace_id" CORRELATION;
        SpanId "span_id" CORRELATION;
        ParentId "parent_id" CORRELATION;
        ProjectId "project_id" CORRELATION;
        InvestigationId "investigation_id" CORRELATION;
        AlertId "alert_id" CORRELATION;
        EntityIds "entity_ids" Texts;
        Refs "refs" TextMap;
    }
    Http "/http" {
        HttpMethod "method" SHORT;
        HttpPath "path" LONG;
        HttpStatus "status" Count(999);
    }
    Decision "/decision" {
        DecisionVerdict "decision" SHORT;
        DecisionPolicyId "policy_id" ID;
        DecisionRequiredRole "required_role" SHORT;
        DecisionActualRole "actual_role" SHORT;
        DecisionRequiredPermission "required_permission" SHORT;
    }
    Error "/error" {
        ErrorCode "code" SHORT;
        ErrorMessage "message" LONG;
    }
    Performance "/performance" {
        DurationMs "duration_ms" Amount;
        DbQueryMs "db_query_ms" Amount;
        ExternalApiMs "external_api_ms" Amount;
        MemoryUsedMb "memory_used_mb" Amount;
        FileUploadMs "file_upload_ms" Amount;
    }
    Proof "/proof" {
        ProofType "type" Word(&["screenshot", "api_response", "hash", "url", "none", "bundle"]);
        ProofData "data" Any;
        ProofUrl "url" LONG;
        ProofHash "hash" SHORT;
        ProofCapturedAt "captured_at" Time;
        ProofLevel "level" Count(3);
        ProofArtifactRefs "artifact_refs" Texts;
        ProofDomHash "dom_hash" SHORT;
        ProofPermalink "permalink" LONG;
        ProofPlatformObjectId "platform_object_id" ID;
        ProofIdentityFingerprintOk "identity_fingerprint_ok" Flag;
        ProofTool "tool" SHORT;
        ProofToolVersion "tool_version" SHORT;
    }
    Changes "/changes" {
        ChangesBefore "before" Any;
        ChangesAfter "after" Any;
        ChangesFields "fields" Texts;
    }
    Security "/security" {
        SecurityClassification "classification"
            Word(&["public", "internal", "confidential", "restricted"]);
        SecurityIsSensitive "is_sensitive" Flag;
        SecurityPiiDetected "pii_detected" Flag;
        SecurityEncryptionUsed "encryption_used" Flag;
    }
    Ai "/ai" {
        AiAgentType "agent_type" SHORT;
        AiProvider "provider" SHORT;
        AiModel "model" SHORT;
        AiTier "tier" SHORT;
        AiPromptTokens "prompt_tokens" TOKENS;
        AiCompletionTokens "completion_tokens" TOKENS;
        AiTotalTokens "total_tokens" TOKENS;
        AiCacheReadTokens "cache_read_tokens" TOKENS;
        AiCacheWriteTokens "cache_write_tokens" TOKENS;
        AiCostUsd "cost_usd" Amount;
        AiLatencyMs "latency_ms" Amount;
        AiConfidence "confidence" Ratio;
        AiReasoning "reasoning" LONG;
        AiToolsUsed "tools_used" Texts;
    }
    Compliance "/compliance" {
        ComplianceRegulations "regulations" Texts;
        ComplianceTrafficLight "traffic_light" Word(&["green", "amber", "red"]);
        ComplianceIssuesFound "issues_found" Count(u32::MAX as u64);
        ComplianceCriticalIssues "critical_issues" Count(u32::MAX as u64);
        ComplianceFindings "findings" Any;
    }
    Notification "/notification" {
        NotificationRemediationId "remediation_id" CORRELATION;
        NotificationId "notification_id" CORRELATION;
        NotificationRecipient "recipient" NAME;
        NotificationChannel "channel" SHORT;
        NotificationMessageSummary "message_summary" LONG;
        NotificationStatus "status" SHORT;
        NotificationSentAt "sent_at" Time;
        NotificationDeliveryStatus "delivery_status" SHORT;
        NotificationEscalationLevel "escalation_level" Count(u32::MAX as u64);
    }
}

impl Group {
    /// The field whose value the group is; `None` for the event itself.
    pub fn field(self) -> Option<Field> {
        Some(match self {
            Self::Root => return None,
            Self::Actor => Field::Actor,
            Self::Target => Field::Target,
            Self::Source => Field::Source,
            Self::Context => Field::Context,
            Self::Http => Field::Http,
            Self::Decision => Field::Decision,
            Self::Error => Field::Error,
            Self::Performance => Field::Performance,
            Self::Proof => Field::Proof,
            Self::Changes => Field::Changes,
            Self::Security => Field::Security,
            Self::Ai => Field::Ai,
            Self::Compliance => Field::Compliance,
            Self::Notification => Field::Notification,
        })
    }
}

impl Field {
    /// How many fields there are.
    pub const COUNT: usize = TABLE.len();

    /// The fields with a typed column of numbers.
    pub const NUMERIC: [Self; 8] = [
        Self::DurationMs,
        Self::AiTotalTokens,
        Self::AiPromptTokens,
        Self::AiCompletionTokens,
        Self::AiCostUsd,
        Self::AiLatencyMs,
        Self::HttpStatus,
        Self::AiConfidence,
    ];

    /// The JSON pointer into the event.
    pub fn pointer(self) -> &'static str {
        self.row().pointer
    }

    /// The last key of the pointer.
    pub fn key(self) -> &'static str {
        self.row().key
    }

    /// The object that the field stands in.
    pub fn group(self) -> Group {
        self.row().group
    }

    /// What values the field takes.
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// The name as paths of queries have it: `actor.id`, `event_type`.
    pub fn path(self) -> String {
        self.pointer()[1..].replace('/', ".")
    }

    /// The field with this JSON pointer.
    pub fn from_pointer(pointer: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|field| field.pointer() == pointer)
    }

    /// The place in [`Field::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    fn row(self) -> &'static Row {
        &TABLE[self.index()]
    }
}

const BUCKETS: usize = 512;
const FREE: u8 = u8::MAX;
const _: () = assert!(TABLE.len() < FREE as usize);

/// Field numbers by hash of group and key, open addressing.
static LOOKUP: [u8; BUCKETS] = lookup_table();

const fn bucket(group: Group, key: &[u8]) -> usize {
    let length = key.len();
    let (first, middle, last) = (key[0], key[length / 2], key[length - 1]);
    (length * 37
        + first as usize * 7
        + middle as usize * 59
        + last as usize * 131
        + group as usize * 211)
        % BUCKETS
}

const fn lookup_table() -> [u8; BUCKETS] {
    let mut table = [FREE; BUCKETS];
    let mut index = 0;
    while index < TABLE.len() {
        let mut at = bucket(TABLE[index].group, TABLE[index].key.as_bytes());
        while table[at] != FREE {
            at = (at + 1) % BUCKETS;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the table is shorter than 255"
        )]
        {
            table[at] = index as u8;
        }
        index += 1;
    }
    table
}

/// Whether two keys are equal; keys are short, and a call for each costs more than it does.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match (a.first_chunk::<8>(), b.first_chunk::<8>()) {
        (Some(x), Some(y)) => {
            x == y && a.last_chunk::<8>() == b.last_chunk::<8>() && (a.len() <= 16 || a == b)
        }
        _ => a.iter().eq(b),
    }
}

/// The field of a key in a group.
#[inline]
pub(crate) fn lookup(group: Group, key: &[u8]) -> Option<Field> {
    if key.is_empty() {
        return None;
    }
    let mut at = bucket(group, key);
    loop {
        let index = LOOKUP[at];
        if index == FREE {
            return None;
        }
        let row = &TABLE[usize::from(index)];
        if row.group == group && same(row.key.as_bytes(), key) {
            return Some(Field::ALL[usize::from(index)]);
        }
        at = (at + 1) % BUCKETS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_by_its_place_and_only_there() {
        for field in Field::ALL.iter().copied() {
            assert_eq!(lookup(field.group(), field.key().as_bytes()), Some(field));
            assert_eq!(Field::from_pointer(field.pointer()), Some(field));
        }
        assert_eq!(lookup(Group::Root, b""), None);
        assert_eq!(lookup(Group::Root, b"id"), None);
        assert_eq!(lookup(Group::Actor, b"service"), None);
        assert_eq!(Field::ActorIp.path(), "actor.ip");
    }
}
