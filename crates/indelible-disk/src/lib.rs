//! The Disk trait, the real disk and the faulty one.
