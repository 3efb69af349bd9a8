//! Reading beside a writer: what looks missing or out of date may only have been replaced.
//!
//! Whatever the manifest names is there, at any moment: a writer names a segment when all its files
//! are in their places, and removes the files of those it merged when they are named no more. So
//! a file that is not there, and is still named by the manifest *read after that*, is lost; any
//! other went away with its segment, and the reader begins anew with the manifest of now.
//!
//! What it is not: waiting. Nothing here depends on time.

use indelible_store::{Error, Kind, Result};

use crate::manifest::{Manifest, SegmentFacts};
use crate::store::Store;

/// The error of a reader whose files were replaced meanwhile; opening starts over.
pub(crate) fn went_away() -> Error {
    Error::new(Kind::NotFound, "a segment went away while it was read")
}

impl Store {
    /// Whether the segment is in force. Ask after something of it was seen missing.
    pub(crate) fn is_named(&self, segment: &SegmentFacts) -> Result<bool> {
        if !self.options.read_only {
            return Ok(self.manifest.lock().names(segment));
        }
        let now = Manifest::load(&*self.disk)?;
        // Without one nobody says that it is not.
        Ok(now.is_none_or(|now| now.names(segment)))
    }

    /// An error when the segment is not in force any more, which ends an opening for reading.
    pub(crate) fn still_names(&self, segment: &SegmentFacts) -> Result<()> {
        if self.is_named(segment)? {
            Ok(())
        } else {
            Err(went_away())
        }
    }

    /// An error when a writer beside us has sealed or merged since `manifest` was read.
    pub(crate) fn still(&self, manifest: &Manifest) -> Result<()> {
        if !self.options.read_only {
            return Ok(());
        }
        match Manifest::load(&*self.disk)? {
            Some(now) if now != *manifest => Err(went_away()),
            _ => Ok(()),
        }
    }
}
