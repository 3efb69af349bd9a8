//! The embedded ledger: journal, segments, postings, columns, ids.
