//! What an import comes to.

use serde::Serialize;

/// How many inputs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Committed now.
    pub new: u64,
    /// Committed before, with the same content.
    pub repeated: u64,
    /// Of these two, kept whole because they could not be mapped.
    pub unmapped: u64,
    /// Refused because their id has other content.
    pub conflicts: u64,
    /// Refused for what they are.
    pub refused: u64,
}

impl Counts {
    /// Whether every input is in the log.
    pub fn all_in(&self) -> bool {
        self.conflicts == 0 && self.refused == 0
    }
}

/// `2900 new, 0 already there`, and what else there is.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} new, {} already there", self.new, self.repeated)?;
        for (count, what) in [
            (self.unmapped, "unmapped, kept whole"),
            (self.conflicts, "in conflict with what is there"),
            (self.refused, "refused"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_mentioned() {
        let mut counts = Counts {
            repeated: 2900,
            ..Counts::default()
        };
        assert_eq!(counts.to_string(), "0 new, 2900 already there");
        assert!(counts.all_in());
        counts.refused = 2;
        counts.unmapped = 1;
        assert_eq!(
            counts.to_string(),
            "0 new, 2900 already there, 1 unmapped, kept whole, 2 refused"
        );
        assert!(!counts.all_in());
    }
}
