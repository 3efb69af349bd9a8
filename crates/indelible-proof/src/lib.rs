//! Links, signed notes, checkpoints, receipts and the verifier with its named findings.
