//! A state store whose file cannot be used: every call says why.

use indelible_store::{Change, Entry, Error, Kind, Result, State, Version};

/// In place of a state store that is damaged or missing.
#[derive(Clone, Debug)]
pub(crate) struct Unusable {
    /// What is wrong with the file, and the next step.
    why: String,
}

impl Unusable {
    pub(crate) fn new(error: &Error) -> Self {
        Self {
            why: error.context().to_owned(),
        }
    }

    fn error(&self) -> Error {
        Error::new(Kind::Corrupt, self.why.clone())
    }
}

impl State for Unusable {
    fn get(&self, _: &'static str, _: &[u8]) -> Result<Option<(Vec<u8>, Version)>> {
        Err(self.error())
    }

    fn scan(&self, _: &'static str, _: &[u8], _: Option<&[u8]>, _: usize) -> Result<Vec<Entry>> {
        Err(self.error())
    }

    fn apply(&self, _: &[Change]) -> Result<()> {
        Err(self.error())
    }
}
