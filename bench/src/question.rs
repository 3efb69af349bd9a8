//! The six questions that are asked again and again, and how each is put to us.

use indelible_event::TenantId;
use indelible_store::{Expr, Query, terms};

use crate::Fault;
use crate::event::Asked;
use crate::seed::Seed;

/// Records of a page.
pub const PAGE_RECORDS: usize = 100;

/// A kind of question; all of them are of one tenant and want the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What somebody did.
    Actor,
    /// Events of a type.
    Type,
    /// What was done to something.
    Target,
    /// What belongs together.
    Correlation,
    /// A word of the text.
    Word,
    /// Everything.
    Newest,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Actor,
        Self::Type,
        Self::Target,
        Self::Correlation,
        Self::Word,
        Self::Newest,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Type => "type",
            Self::Target => "target",
            Self::Correlation => "correlation",
            Self::Word => "word",
            Self::Newest => "newest",
        }
    }

    /// What is asked for, if anything but the tenant.
    pub fn text(self, asked: &Asked) -> Option<&str> {
        match self {
            Self::Actor => Some(&asked.actor),
            Self::Type => Some(&asked.event_type),
            Self::Target => Some(&asked.target),
            Self::Correlation => Some(&asked.correlation),
            Self::Word => Some(&asked.word),
            Self::Newest => None,
        }
    }
}

/// A seeded choice, one list for all kinds; so many questions come of it.
///
/// # Errors
/// When there is nothing to choose from.
pub fn choose(asked: &[Asked], questions: usize, seed: u64) -> Result<Vec<Asked>, Fault> {
    if asked.is_empty() {
        return Err("there are too few events to ask for".into());
    }
    let mut seed = Seed::new(seed);
    let bound = u32::try_from(asked.len())?;
    let each = questions / Kind::ALL.len();
    Ok((0..each)
        .filter_map(|_| asked.get(seed.below(bound) as usize).cloned())
        .collect())
}

/// A question as it is put to us.
///
/// # Errors
/// When it is of a tenant that is not there.
pub fn query(kind: Kind, asked: &Asked, tenants: &[TenantId]) -> Result<Query, Fault> {
    let tenant = tenants
        .get(usize::try_from(asked.tenant)?)
        .ok_or("a tenant that is not there")?;
    let key = match kind {
        Kind::Actor => Some(terms::Key::Actor),
        Kind::Type => Some(terms::Key::Type),
        Kind::Target => Some(terms::Key::Target),
        Kind::Correlation => Some(terms::Key::Correlation),
        Kind::Word => Some(terms::Key::Word),
        Kind::Newest => None,
    };
    let expr = match (key, kind.text(asked)) {
        (Some(key), Some(text)) => Expr::Is(key, terms::normalise(text).into_owned()),
        _ => Expr::All,
    };
    Ok(Query {
        tenants: Some(vec![tenant.clone()]),
        expr,
        ..Query::default()
    })
}
