//! Merging segments into one.
use crate::store::Store;
use indelible_store::Result;
impl Store {
    pub(crate) fn merge_due(&self) -> Result<()> {
        Ok(())
    }
}
