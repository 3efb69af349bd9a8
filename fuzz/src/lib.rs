//! What must hold of any bytes that come from outside.
//!
//! A target is a module with `run`, which takes any bytes, panics where something does not hold and
//! says whether the bytes were taken for what the target reads; and `seeds`, inputs to start from,
//! most of them the vectors of `spec/vectors`. The same functions run in two places: as an ordinary
//! test over seeds and mutations of them (`tests/mutations.rs`), and under libFuzzer, which looks
//! for inputs that reach new code (`targets/`, started by `cargo xtask fuzz`).
//!
//! What it is not: a check of what is read. That a wrong signature is refused or damage found is
//! tested beside the code, with inputs that are known.

pub mod checkpoint;
pub mod disclosure;
pub mod event;
mod files;
pub mod leaf;
pub mod ledger;
pub mod ledger_resealed;
mod mutate;
pub mod query;
pub mod receipt;
mod vectors;

pub use mutate::Mutator;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its module and of its binary.
    pub name: &'static str,
    /// Takes any bytes; whether they were taken for what the target reads.
    pub run: fn(&[u8]) -> bool,
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        [$(Target { name: stringify!($name), run: $name::run, seeds: $name::seeds }),*]
    };
}

/// All targets.
pub const TARGETS: [Target; 8] = targets![
    checkpoint,
    disclosure,
    event,
    leaf,
    ledger,
    ledger_resealed,
    query,
    receipt,
];
