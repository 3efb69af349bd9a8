//! Every limit of proofs and of the verifier, in one place, units last.
//!
//! Not here: limits of events and leaves (`indelible_event::limits`).

/// The longest signed note, in bytes.
pub const NOTE_BYTES_MAX: usize = 65_536;
/// The most signature lines of a note; the specification asks for at least 16.
pub const NOTE_SIGNATURES_MAX: usize = 64;
/// The longest leaf, in bytes: one line of an export without its line feed.
pub const LEAF_BYTES_MAX: usize = 65_535;
/// The most hashes in one inclusion or consistency proof.
pub const PROOF_HASHES_MAX: usize = 130;

/// Hashes of the newest records kept to tell a repeated record from a second version, in records.
pub const RECENT_RECORDS_MAX: usize = 4_096;
/// Neighbouring records in doubt that are settled one by one; more are named together.
pub const DOUBTS_SETTLED_MAX: u64 = 4_096;
/// Records kept that came before their turn; beyond, what they wait for is called missing.
pub const EARLY_RECORDS_MAX: usize = 16_384;
/// Readings of a damaged log (which records are wrong) followed at the same time.
pub const READINGS_MAX: usize = 8;
/// Checkpoints a log is compared with in one run.
pub const CHECKPOINTS_MAX: usize = 65_536;
/// Recoveries of a log that are listed; further ones show in the incarnation's number alone.
pub const RECOVERIES_MAX: usize = 1_000;
/// Findings listed; beyond, they are counted.
pub const FINDINGS_MAX: usize = 1_000;
/// Notes under one finding; beyond, they are counted in the last.
pub const NOTES_MAX: usize = 8;
/// Ids compared for repetition, 24 bytes each; the verdict says how many were.
pub const AUDIT_IDS_MAX: usize = 4_194_304;
/// Streams followed, as (stream, epoch); claims of further ones are counted, not judged.
pub const STREAMS_MAX: usize = 65_536;
/// Separate ranges of numbers kept for one stream; a number beyond is taken as not received.
pub const STREAM_RANGES_MAX: usize = 16_384;
/// What is kept of the streams of one log, in bytes as it is written; what finds no room is taken
/// as not received.
pub const STREAMS_BYTES_MAX: usize = 12 << 20;
/// Credentials kept by name for one stream and epoch.
pub const STREAM_CREDENTIALS_MAX: usize = 8;
/// Disclosure lines held until their record comes.
pub const DISCLOSURES_MAX: usize = 65_536;
/// Ranges of records kept whose personal values are missing, until erasures are known.
pub const UNDISCLOSED_MAX: usize = 65_536;

const _: () = assert!(READINGS_MAX >= 2 && PROOF_HASHES_MAX >= 128);
const _: () = assert!(NOTE_SIGNATURES_MAX >= 16);
