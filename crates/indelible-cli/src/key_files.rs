//! What is wrong with a ledger's files of keys, in words: missing, damaged, readable by others.
//!
//! Never shown: what stands in them. Source: `spec/key-files.md` section 1.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use indelible_directory::{KeyFolder, MASTER, SIGNING};

use crate::output::Show;

/// Permissions that others must not have on a file of keys.
const OTHERS: u32 = 0o077;

/// For each key that others than its owner may read: that it is so, and what to run.
pub fn exposed(folder: &KeyFolder) -> Vec<String> {
    let others = |name: &&str| {
        let meta = fs::metadata(folder.path().join(name));
        meta.is_ok_and(|meta| meta.permissions().mode() & OTHERS != 0)
    };
    let said = |name| {
        let path = folder.path().join(name);
        format!("others can read a key: chmod 600 {}", path.shown())
    };
    let names = [SIGNING, MASTER].into_iter();
    names.filter(others).map(said).collect()
}

/// Everything that is wrong with the files; nothing when all is well.
pub fn problems(folder: &KeyFolder) -> Vec<String> {
    let missing = [SIGNING, MASTER].into_iter().filter_map(|name| {
        let error = fs::metadata(folder.path().join(name)).err()?;
        Some(format!("{name}: {error}"))
    });
    let mut problems: Vec<_> = missing.chain(exposed(folder)).collect();
    match folder.findings() {
        Ok(findings) => problems.extend(findings.into_iter().map(|finding| finding.message)),
        Err(error) => problems.push(error.to_string()),
    }
    problems
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_log::env::Random;

    struct Ones;

    impl Random for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(1);
        }
    }

    #[test]
    fn what_is_wrong_with_keys_is_said_without_showing_them() {
        let dir = tempfile::tempdir().unwrap();
        let folder = KeyFolder::of(dir.path(), "x");
        folder.create("o", &Ones).unwrap();
        assert_eq!(problems(&folder), Vec::<String>::new());
        let signing = folder.path().join(SIGNING);
        fs::set_permissions(&signing, fs::Permissions::from_mode(0o644)).unwrap();
        let chmod = format!("chmod 600 {}", signing.display());
        assert_eq!(exposed(&folder).len(), 1);
        fs::write(folder.path().join(MASTER), "secret-looking").unwrap();
        let said = problems(&folder).join("\n");
        assert!(said.contains(&chmod), "{said}");
        assert!(said.contains("master.key is damaged"), "{said}");
        assert!(!said.contains("secret-looking"), "{said}");
        fs::remove_file(signing).unwrap();
        assert!(problems(&folder).join("\n").contains("signing.key: "));
    }
}
