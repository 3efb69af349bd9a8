//! Settings of which one is a part of another: it must not be said to be more.

use super::{Resolved, Source};
use crate::exit::{Failure, Result};

/// Settings that are part of another: limits of one, and of all of them.
const PARTS: [(&str, &str); 4] = [
    ("postgres.connections_min", "postgres.connections_max"),
    ("limits.key_tails_max", "limits.tails_max"),
    ("limits.key_exports_max", "limits.exports_max"),
    ("limits.export_bytes_max", "limits.exports_bytes_max"),
];

/// Refuses a part that is said to be larger than its whole, which it then could never be used up
/// to. One that nobody said is no more than the whole by itself.
///
/// # Errors
/// [`Failure::Usage`] naming both.
pub fn parts(resolved: &[Resolved]) -> Result<()> {
    let found = |key: &str| {
        let found = resolved.iter().find(|resolved| resolved.key == key)?;
        let number: u64 = found.value.as_deref()?.parse().ok()?;
        Some((&found.source, number))
    };
    for (part, whole) in PARTS {
        if let (Some((of_part, most)), Some((of_whole, all))) = (found(part), found(whole))
            && most > all
            && *of_part != Source::Default
        {
            return Err(Failure::Usage(format!(
                "{of_part}: {part} is {most}, but {whole} is {all} ({of_whole})"
            )));
        }
    }
    Ok(())
}
