//! Every limit of the wire, in one place, units last in the name.
//!
//! What a single event may be is said in `indelible_event::limits`. Source: `docs/server.md`.

use indelible_event::limits::EVENT_RAW_BYTES_MAX;

/// Events of one batch.
pub const BATCH_EVENTS_MAX: usize = 100_000;
/// A request's body as it is sent, compressed or not, in bytes.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// A batch after decompression, in bytes.
pub const DECODED_BYTES_MAX: u64 = 256 << 20;
/// The body of a request that carries one event, in bytes, before and after decompression.
pub const EVENT_BODY_BYTES_MAX: usize = EVENT_RAW_BYTES_MAX;
/// The body of any other request, in bytes.
pub const SMALL_BODY_BYTES_MAX: usize = 16 << 10;
/// Records, or tenants, of one page.
pub const PAGE_RECORDS_MAX: usize = 1_000;
/// Leaves and personal values of one page of records, in bytes: it ends with the record that comes
/// to so many.
pub const PAGE_BYTES_MAX: usize = 4 << 20;
/// The most records that are looked at for one page: so a query that must read every record holds
/// a thread for a moment only, and goes on with the cursor.
pub const PAGE_LOOKED_AT_MAX: usize = 100_000;
/// The most records that are looked at to count those whose bodies decide; of more the newest.
pub const COUNT_LOOKED_AT_MAX: u64 = 200_000;
/// Records, or tenants, of a page when nobody says.
pub const PAGE_RECORDS_DEFAULT: usize = 100;
/// A query text, in bytes.
pub const QUERY_BYTES_MAX: usize = 4_096;
/// The names of an export's columns, in bytes.
pub const EXPORT_COLUMNS_BYTES_MAX: usize = 4_096;
/// What is exported in one answer, in bytes; more is a job.
pub const EXPORT_ANSWER_BYTES_MAX: usize = 16 << 20;
/// Records that are looked at for an export in one answer; more is a job.
pub const EXPORT_ANSWER_LOOKED_AT_MAX: usize = 200_000;
/// A cursor, in bytes: that of a tail has a place in each of its logs.
pub const CURSOR_BYTES_MAX: usize = 16 << 10;
/// Logs that one tail follows: its cursor has a place in each.
pub const TAIL_TENANTS_MAX: usize = 64;
/// A request id that is taken over, in characters.
pub const REQUEST_ID_CHARS_MAX: usize = 64;
/// A token of an issuer or of a viewer, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;
/// How long a viewer token is good when nobody says.
pub const VIEWER_DEFAULT: &str = "15m";
/// How long it is good at most, in seconds.
pub const VIEWER_SECONDS_MAX: i64 = 86_400;
/// Tenants that one key is bound to.
pub const KEY_TENANTS_MAX: usize = 1_000;
/// The most that a rate may be set to, of whatever it is.
pub const RATE_MAX: u64 = 1 << 40;
/// The name of a key, in characters.
pub const KEY_NAME_CHARS_MAX: usize = 128;

const _: () = assert!(EVENT_BODY_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!((BODY_BYTES_MAX as u64) < DECODED_BYTES_MAX);
const _: () = assert!(PAGE_RECORDS_DEFAULT <= PAGE_RECORDS_MAX);
