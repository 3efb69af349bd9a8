//! Sequencer, sealing, commit, publisher, prover, recovery and fsck: the only crate that commits.
