//! Cursors on their way out and in: sealed under a key of ours (AES-256-SIV, RFC 5297), as other
//! things are that only this server is to read.
//!
//! So nobody makes one up, and nobody reads what it says. It grants nothing: what may be seen is
//! asked on every page. Not here: what a cursor says, which its list knows.

use std::fmt;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indelible_api::ProblemKind;
use indelible_api::limits::CURSOR_BYTES_MAX;
use indelible_log::Env;
use indelible_store::{Change, Error, Kind, State};

use crate::answer::{Refusal, refuse};

const SPACE: &str = "server";
const KEY: &[u8] = b"cursor_seal_key";
/// What cursors are sealed for.
const SEALED: &str = "indelible/cursor/v1";
/// Texts are filled up to a multiple of this: a place in the whole ledger tells by its digits how
/// much everybody writes.
const PADDED_BYTES: usize = 64;

/// The key that cursors, and what else this server alone is to read, are sealed under; lives in the
/// state store, so that they outlive a restart.
#[derive(Clone)]
pub(crate) struct CursorKey([u8; 64]);

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey")
    }
}

impl CursorKey {
    pub(crate) fn load(state: &dyn State, env: &Env) -> indelible_store::Result<Self> {
        let corrupt = || Error::new(Kind::Corrupt, "the key of the cursors");
        if let Some((bytes, _)) = state.get(SPACE, KEY)? {
            return bytes.try_into().map(Self).map_err(|_| corrupt());
        }
        let key = env.random_bytes::<64>();
        let change = Change {
            space: SPACE,
            key: KEY.to_vec(),
            expected: Some(0),
            value: Some(key.to_vec()),
        };
        match state.apply(&[change]) {
            Ok(()) => Ok(Self(key)),
            // Another server on the same store was first.
            Err(error) if error.kind() == Kind::Conflict => Self::load(state, env),
            Err(error) => Err(error),
        }
    }

    /// `bytes` sealed for one purpose and what they are about. The same come out the same, and the
    /// first 16 bytes of that are a keyed hash of them (RFC 5297 §2.4).
    pub(crate) fn sealed(&self, purpose: &str, about: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let about = [purpose.as_bytes(), about.as_bytes()];
        Aes256Siv::new(&self.0.into()).encrypt(about, bytes).ok()
    }

    /// What was sealed for that purpose about that; `None` for what was not.
    pub(crate) fn opened(&self, purpose: &str, about: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let about = [purpose.as_bytes(), about.as_bytes()];
        Aes256Siv::new(&self.0.into()).decrypt(about, sealed).ok()
    }

    /// A cursor of `list`, for whoever has this scope, that says `text`; how long the text is, it
    /// does not tell.
    pub(crate) fn seal(&self, (list, scope): (&str, &str), text: &str) -> Result<String, Refusal> {
        let mut text = text.as_bytes().to_vec();
        text.resize(text.len().next_multiple_of(PADDED_BYTES), 0);
        let sealed = self.sealed(SEALED, &about(list, scope), &text);
        let failed = || refuse(ProblemKind::Internal, "the cursor cannot be written");
        Ok(URL_SAFE_NO_PAD.encode(sealed.ok_or_else(failed)?))
    }

    /// What a cursor of `list` says; refuses what is none.
    pub(crate) fn open(
        &self,
        (list, scope): (&str, &str),
        cursor: &str,
    ) -> Result<String, Refusal> {
        let wrong = || {
            let text = "this is not a cursor of this list of this server";
            refuse(ProblemKind::BadCursor, text)
        };
        if cursor.len() > CURSOR_BYTES_MAX {
            return Err(wrong());
        }
        let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
        let text = self.opened(SEALED, &about(list, scope), &sealed);
        let text = text.and_then(|text| String::from_utf8(text).ok());
        let text = text.map(|text| text.trim_end_matches('\0').to_owned());
        text.ok_or_else(wrong)
    }
}

fn about(list: &str, scope: &str) -> String {
    format!("{list}\n{scope}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use indelible_event::ids::Micros;
    use indelible_store::memory::MemoryState;

    use super::*;

    struct Fixed(u8);

    impl indelible_log::Clock for Fixed {
        fn now(&self) -> Micros {
            Micros(0)
        }
    }

    impl indelible_log::Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn key(state: &MemoryState, random: u8) -> CursorKey {
        let (clock, random) = (Arc::new(Fixed(0)), Arc::new(Fixed(random)));
        CursorKey::load(state, &Env { clock, random }).unwrap()
    }

    #[test]
    fn a_cursor_tells_nothing_outlives_a_restart_and_is_of_one_list_of_one_server() {
        let text = "acme 7 web";
        let state = MemoryState::new();
        let cursor = key(&state, 1).seal(("streams", "acme"), text).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        assert!(!bytes.windows(4).any(|part| part == b"acme"));
        let restarted = key(&state, 2);
        assert_eq!(restarted.open(("streams", "acme"), &cursor).unwrap(), text);
        let other = key(&MemoryState::new(), 2);
        for refused in [
            other.open(("streams", "acme"), &cursor),
            restarted.open(("tenants", "acme"), &cursor),
            restarted.open(("streams", "globex"), &cursor),
            restarted.open(("streams", "acme"), text),
            restarted.open(("streams", "acme"), ""),
        ] {
            let problem = refused.unwrap_err().0;
            assert_eq!(problem.kind(), Some(ProblemKind::BadCursor));
        }
        let long = |text: &str| restarted.seal(("records", "*"), text).unwrap().len();
        assert_eq!(long("as of 9"), long("as of 9000000000"));
    }
}
