//! The six questions that are asked again and again, and how each is put to us.

use crate::event::Asked;

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
