//! Tests of the crate through its public face; one binary, one module per subject.
#![allow(clippy::unwrap_used, reason = "tests")]

mod damage;
mod forge;
mod heard;
mod histories;
mod lines;
mod recovery;
mod rules;
mod signing;
mod soundness;
mod streams;
mod vectors;
