//! Every limit of the server, in one place; defaults are what `docs/server.md` says.

use std::sync::Arc;
use std::time::Duration;

use indelible_log::policy::SealingPolicy;

use crate::limits::LimitSettings;

/// Limits and times of the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections at a time; one more is told so and closed.
    pub connections_max: usize,
    /// Bytes of requests in flight, and of the answers to batches; beyond it a request is answered
    /// 503.
    pub in_flight_bytes_max: usize,
    /// Bytes of lists on their way to who asked for them; beyond it a list is answered 503.
    pub lists_bytes_max: usize,
    /// Tails at a time; one more is answered 503.
    pub tails_max: usize,
    /// Tails of one key; one more is answered 429.
    pub tails_per_key_max: usize,
    /// Records that wait for the reader of a tail; with one more it reads them by itself.
    pub tail_queue_records: usize,
    /// Bytes of records on their way to tails.
    pub tails_bytes_max: usize,
    /// How long the reader of a tail may take nothing.
    pub tail_patience: Duration,
    /// How often it is looked what is new for tails.
    pub tail_interval: Duration,
    /// How long a tail says nothing.
    pub tail_heartbeat: Duration,
    /// Bytes of request heads that are longer than usual; beyond it a connection with one is cut
    /// off.
    pub heads_bytes_max: usize,
    /// Batches that are read at a time; others wait with their bytes counted.
    pub batches_max: usize,
    /// Searches and reads at a time; others wait.
    pub reads_max: usize,
    /// Searches and reads that wait; beyond it a request is answered 503.
    pub reads_waiting_max: usize,
    /// How long a connection may take for a request's headers, or be idle.
    pub header_timeout: Duration,
    /// The longest pause within a request's body.
    pub pause_timeout: Duration,
    /// How long a request's body may take as a whole.
    pub body_timeout: Duration,
    /// How long an answer may find no reader.
    pub write_timeout: Duration,
    /// How long a reader may take for an answer as a whole.
    pub answer_timeout: Duration,
    /// How long the server waits for requests under way when it stops.
    pub stop_timeout: Duration,
    /// Bytes of a request's line and headers.
    pub header_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// The least time between two publications.
    pub publish_interval: Duration,
    /// The least time between two passes of the verifier.
    pub verify_interval: Duration,
    /// How long a log that did not grow is not read again by the verifier.
    pub verify_again: Duration,
    /// How long events may wait without a commit, or news without a checkpoint, before the server
    /// is not ready.
    pub ready_within: Duration,
    /// How often attachments that no event named are looked for.
    pub attachments_interval: Duration,
    /// How long an attachment waits for the event that names it.
    pub attachments_grace: Duration,
    /// How much one key and one tenant may ask for.
    pub limits: LimitSettings,
    /// For how long what somebody asks in the same words is one record of who read what.
    pub access_interval: Duration,
    /// Exports that are kept as files.
    pub exports_max: usize,
    /// Those of one key.
    pub exports_per_key_max: usize,
    /// Bytes of one of their files.
    pub export_bytes_max: u64,
    /// Bytes of all of them.
    pub exports_bytes_max: u64,
    /// How long one is kept from when it was asked for.
    pub exports_kept: Duration,
    /// How long the keys of callers that were read last are believed, where other servers change
    /// them too.
    pub keys_believed: Duration,
    /// Origins whose pages may read answers, as `https://audit.example.com`.
    pub cors_origins: Vec<String>,
    /// Origins whose pages may show `/embed` in a frame.
    pub frame_ancestors: Vec<String>,
    /// What of an event is personal, and sealed.
    pub sealing: Arc<SealingPolicy>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            in_flight_bytes_max: 128 << 20,
            lists_bytes_max: 64 << 20,
            tails_max: 2_000,
            tails_per_key_max: 1_000,
            tail_queue_records: 1_024,
            tail_patience: Duration::from_secs(10),
            tails_bytes_max: 32 << 20,
            tail_interval: Duration::from_millis(100),
            tail_heartbeat: Duration::from_secs(15),
            heads_bytes_max: 16 << 20,
            batches_max: 4,
            reads_max: 4,
            reads_waiting_max: 2_048,
            header_timeout: Duration::from_secs(30),
            pause_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_mins(2),
            write_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_mins(2),
            stop_timeout: Duration::from_secs(20),
            header_bytes_max: 32 << 10,
            headers_max: 64,
            publish_interval: Duration::from_secs(1),
            verify_interval: Duration::from_secs(10),
            verify_again: Duration::from_hours(1),
            ready_within: Duration::from_secs(10),
            attachments_interval: Duration::from_mins(10),
            attachments_grace: Duration::from_hours(24),
            limits: LimitSettings::default(),
            access_interval: Duration::from_mins(1),
            exports_max: 256,
            exports_per_key_max: 16,
            export_bytes_max: 4 << 30,
            exports_bytes_max: 16 << 30,
            exports_kept: Duration::from_hours(24),
            keys_believed: Duration::from_secs(30),
            cors_origins: Vec::new(),
            frame_ancestors: Vec::new(),
            sealing: Arc::default(),
        }
    }
}
