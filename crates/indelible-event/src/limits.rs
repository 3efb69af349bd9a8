//! Every limit of the event model, in one place, units last in the name.
//!
//! Not here: limits of queues, batches, files or connections, which belong to the crates that own
//! them. The relations between limits are checked when the crate is compiled. See `spec/event.md`.

/// The longest leaf, in bytes. A leaf is one line of an export, without its line feed.
pub const LEAF_BYTES_MAX: usize = 65_535;
/// What a leaf may need beside its event, in bytes: keys, hashes, tenant and the ledger's own
/// object.
pub const LEAF_ENVELOPE_BYTES_MAX: usize = 5_119;
/// The longest admitted event in canonical form, in bytes.
pub const EVENT_BYTES_MAX: usize = LEAF_BYTES_MAX - LEAF_ENVELOPE_BYTES_MAX;
/// The longest event as it is received, white space included, in bytes.
pub const EVENT_RAW_BYTES_MAX: usize = 262_144;
/// How deep arrays and objects may be nested; the event itself is the first level.
pub const DEPTH_MAX: usize = 32;
/// The longest number token, in bytes.
pub const NUMBER_BYTES_MAX: usize = 64;
/// The longest tenant name, in bytes.
pub const TENANT_ID_BYTES_MAX: usize = 128;
/// The longest event type, in characters.
pub const EVENT_TYPE_CHARS_MAX: usize = 256;
/// The longest identifier in a typed field (actor, target, correlation …), in characters.
pub const ID_CHARS_MAX: usize = 1_024;
/// The longest correlation, request, trace or span id, in characters.
pub const CORRELATION_CHARS_MAX: usize = 255;
/// The longest foreign id that can stand in for an `audit_id`, in characters.
pub const FOREIGN_ID_CHARS_MAX: usize = 256;
/// The longest short word: categories, actions, types, platforms, codes, in characters.
pub const WORD_CHARS_MAX: usize = 256;
/// The longest name, e-mail address, IP address or user agent, in characters.
pub const PERSONAL_CHARS_MAX: usize = 4_096;
/// The longest typed text such as a description or an error message, in characters.
pub const TEXT_CHARS_MAX: usize = 32_768;
/// The longest written time, in bytes.
pub const TIME_BYTES_MAX: usize = 64;
/// How far ahead of our clock `occurred_at` may be, in minutes.
pub const AHEAD_MINUTES_MAX: i64 = 60;
/// How far behind our clock `occurred_at` may be before the record is flagged late, in hours.
pub const LATE_AFTER_HOURS: i64 = 24;
/// The longest retention an event may ask for, in days.
pub const RETENTION_DAYS_MAX: u64 = 36_500;
/// The longest pointer of a problem, in bytes; a longer one becomes its nearest parent that fits.
pub const PROBLEM_POINTER_BYTES_MAX: usize = 256;
/// The most problems reported for one event; the rest are counted in the last one.
pub const PROBLEMS_MAX: usize = 16;
/// The most redaction pointers kept in a leaf's ledger object.
pub const REDACTION_POINTERS_MAX: usize = 24;
/// The longest redaction pointer kept in a leaf's ledger object, in bytes as a JSON string with its
/// quotes; longer ones become their nearest parent that fits.
pub const REDACTION_POINTER_BYTES_MAX: usize = 128;
/// The longest dialect name, in bytes.
pub const DIALECT_BYTES_MAX: usize = 32;
/// The longest stream id, in bytes.
pub const STREAM_ID_BYTES_MAX: usize = 128;
/// The longest reason of a declared loss, in bytes.
pub const STREAM_REASON_BYTES_MAX: usize = 256;
/// The longest name of a submitting credential or of an intake, in bytes.
pub const SUBMITTER_BYTES_MAX: usize = 128;
/// The longest reason for quarantine, in bytes.
pub const QUARANTINE_REASON_BYTES_MAX: usize = 256;

/// Microseconds in one millisecond.
pub const MICROS_PER_MS: i64 = 1_000;
/// Microseconds in one minute.
pub const MICROS_PER_MINUTE: i64 = 60_000_000;
/// Microseconds in one hour.
pub const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// The longest ledger object, in bytes: its keys and punctuation, then its texts, whose limits
/// count them as JSON, and four numbers.
const LEDGER_BYTES_WORST: usize = 320
    + DIALECT_BYTES_MAX
    + REDACTION_POINTERS_MAX * (REDACTION_POINTER_BYTES_MAX + 1)
    + STREAM_ID_BYTES_MAX
    + 2 * SUBMITTER_BYTES_MAX
    + QUARANTINE_REASON_BYTES_MAX
    + 4 * 20;

// The fixed parts of a leaf: keys, quotes, 27 bytes of time, 64 of hash, 20 of number.
const _: () = assert!(
    LEDGER_BYTES_WORST + TENANT_ID_BYTES_MAX + 27 + 64 + 20 + 130 <= LEAF_ENVELOPE_BYTES_MAX
);
const _: () = assert!(EVENT_BYTES_MAX < EVENT_RAW_BYTES_MAX);
const _: () = assert!(TEXT_CHARS_MAX < EVENT_BYTES_MAX);
const _: () = assert!(FOREIGN_ID_CHARS_MAX <= ID_CHARS_MAX);
const _: () = assert!(LEAF_BYTES_MAX <= u16::MAX as usize);
