//! What the benchmarks share: events from a seed, a directory that goes away, CPU and memory used,
//! percentiles, and the report with its targets.
//!
//! Not here: what is measured; every benchmark is a binary of its own beside this. Nothing in here
//! runs inside a timed part but [`usage`]'s reading of clocks.

pub mod event;
pub mod machine;
pub mod report;
pub mod sample;
pub mod scratch;
pub mod seed;
pub mod usage;
pub mod words;
