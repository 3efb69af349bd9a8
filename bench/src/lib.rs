//! What the benchmarks share: what they are told, events from a seed, a ledger in process and how
//! it is fed, a server and its client, a directory that goes away, CPU and memory used,
//! percentiles, and the report with its targets.
//!
//! Not here: what is measured; every benchmark is a binary of its own beside this. Inside a timed
//! part run only [`submit`] and [`usage`]'s reading of clocks.

pub mod client;
pub mod counts;
pub mod event;
pub mod forgetting;
pub mod http;
pub mod load;
pub mod machine;
pub mod ours;
pub mod question;
pub mod report;
pub mod requests;
pub mod run;
pub mod sample;
pub mod scratch;
pub mod seed;
pub mod server;
pub mod submit;
pub mod usage;
pub mod words;

/// Whatever stops a benchmark.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
