//! What has the records: the embedded back end, or a database.
//!
//! Only what is asked of an opened ledger beside its roles, which are the same for both.

use std::sync::Arc;

use indelible_disk::RealDisk;
use indelible_embedded::Embedded;
#[cfg(feature = "postgres")]
use indelible_postgres::{About, Postgres};
use indelible_proof::finding::Finding;
use indelible_store::{Index, Result};

#[cfg(feature = "postgres")]
use crate::directory::Directory;
use crate::directory::Tell;
use crate::found;

/// An opened back end.
pub(crate) enum Backend {
    /// A data directory of one writer.
    Embedded(Arc<Embedded>),
    /// A database of any number of them.
    #[cfg(feature = "postgres")]
    Postgres(Arc<Postgres>),
}

impl Backend {
    /// Whether others may write to it at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self, Self::Embedded(_))
    }

    /// What is worth saying of a database.
    #[cfg(feature = "postgres")]
    pub(crate) fn about(&self) -> Option<&About> {
        match self {
            Self::Embedded(_) => None,
            Self::Postgres(postgres) => Some(postgres.about()),
        }
    }

    pub(crate) fn index(&self) -> &dyn Index {
        match self {
            Self::Embedded(embedded) => embedded.as_ref(),
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => postgres.as_ref(),
        }
    }

    pub(crate) fn shared_index(&self) -> Arc<dyn Index> {
        match self {
            Self::Embedded(embedded) => Arc::clone(embedded) as _,
            #[cfg(feature = "postgres")]
            Self::Postgres(postgres) => Arc::clone(postgres) as _,
        }
    }

    /// Derived files that every reading makes again; a database has none.
    pub(crate) fn made_in_memory(&self) -> Vec<String> {
        match self {
            Self::Embedded(embedded) => embedded.made_in_memory(),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Vec::new(),
        }
    }

    /// Waits for the sealing and merging that is due.
    pub(crate) fn finish(&self, give_up: &mut dyn FnMut() -> bool) -> Result<()> {
        match self {
            Self::Embedded(embedded) => embedded.finish(give_up),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Findings in files. What a database stores is checked by itself, and by whoever reads every
    /// record.
    pub(crate) fn check(&self, tell: Tell<'_>) -> Result<Vec<Finding>> {
        match self {
            Self::Embedded(embedded) => embedded.check(tell),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// Findings in what a database derives of its records.
    #[cfg(feature = "postgres")]
    pub(crate) fn check_derived(&self, of: &Directory, tell: Tell<'_>) -> Result<Vec<Finding>> {
        match self {
            // Among the files, where it is.
            Self::Embedded(_) => Ok(Vec::new()),
            Self::Postgres(postgres) => crate::database::check(postgres, of, tell),
        }
    }

    /// Names where old keys are, and the next step.
    pub(crate) fn of_keys(&self, disk: &RealDisk, finding: Finding) -> Finding {
        match self {
            Self::Embedded(_) => found::of_keys(disk, finding),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => crate::database::of_keys(finding),
        }
    }
}
