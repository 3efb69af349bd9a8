//! Keys wrapped under keys, and rows encrypted under a subject's key: AES-256-SIV throughout.
//!
//! Deterministic by design: the same key, name and content give the same bytes. Wrapped keys name
//! what they are in the associated data, so one cannot be put in another's place.
//! Source: RFC 5297; `spec/sealing.md` §key store, §personal row.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use indelible_store::{Error, Handle, Kind, Result};
use zeroize::Zeroizing;

use super::mac::siv_key;

/// A key of 32 bytes that is cleared when it goes.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

const WRAP: &str = "indelible/wrap/v1";
const ROW: &str = "indelible/personal-row/v1";
const ATTACHMENT: &str = "indelible/attachment/v1";

/// What a wrapped key is; written into its associated data.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    /// The value by which a wrong master key is noticed.
    Check,
    /// A tenant's index key.
    TenantIndex(&'a str),
    /// Key of one of a tenant's 64 buckets.
    Bucket(&'a str, u8),
    /// Key of one generation of one subject.
    Subject(&'a str, Handle),
}

impl Name<'_> {
    /// The associated data: a canonical array. Tenant names need no escapes.
    fn text(self) -> String {
        match self {
            Self::Check => r#"["indelible/wrapped/v1","master-check"]"#.into(),
            Self::TenantIndex(tenant) => {
                format!(r#"["indelible/wrapped/v1","tenant-index","{tenant}"]"#)
            }
            Self::Bucket(tenant, bucket) => {
                format!(r#"["indelible/wrapped/v1","bucket","{tenant}",{bucket}]"#)
            }
            Self::Subject(tenant, handle) => {
                let bucket = bucket_of(handle);
                let handle = handle_text(handle);
                let handle = str::from_utf8(&handle).unwrap_or_default();
                format!(r#"["indelible/wrapped/v1","subject","{tenant}",{bucket},"{handle}"]"#)
            }
        }
    }
}

/// The bucket that a handle's key lies in, 0 to 63.
pub(crate) const fn bucket_of(handle: Handle) -> u8 {
    handle.0[0] & 63
}

/// `sub_` and 32 hex digits.
pub(crate) fn handle_text(handle: Handle) -> [u8; 36] {
    let mut out = *b"sub_00000000000000000000000000000000";
    hex_into(&mut out[4..], &handle.0);
    out
}

/// The handle that a text of that form names.
pub fn parse_handle(text: &str) -> Option<Handle> {
    let digits: &[u8; 32] = text.strip_prefix("sub_")?.as_bytes().try_into().ok()?;
    unhex(digits).map(Handle)
}

/// Writes lower-case hex digits over `out`, which is twice as long.
pub(crate) fn hex_into(out: &mut [u8], bytes: &[u8]) {
    // Two plain loops, which become vector instructions.
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = byte >> 4;
        pair[1] = byte & 15;
    }
    for digit in out {
        *digit += if *digit > 9 { b'a' - 10 } else { b'0' };
    }
}

/// The 64 hex digits of a hash or salt.
pub(crate) fn hex64(bytes: &[u8; 32]) -> [u8; 64] {
    let mut out = [0; 64];
    hex_into(&mut out, bytes);
    out
}

/// Reads 32 lower-case hex digits.
pub(crate) fn unhex(digits: &[u8; 32]) -> Option<[u8; 16]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 16];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(out)
}

/// Wraps a key under another.
pub(crate) fn wrap(under: &[u8; 32], name: Name<'_>, key: &[u8; 32]) -> Result<Vec<u8>> {
    encrypt(&siv_key(under, WRAP), name.text().as_bytes(), key)
}

/// Opens a wrapped key.
///
/// # Errors
/// [`Kind::Corrupt`]: it was wrapped under another key, as something else, or was changed.
pub(crate) fn unwrap(under: &[u8; 32], name: Name<'_>, wrapped: &[u8]) -> Result<Secret> {
    let opened = decrypt(&siv_key(under, WRAP), name.text().as_bytes(), wrapped);
    let key: Option<&[u8; 32]> = opened
        .as_ref()
        .and_then(|key| key.as_slice().try_into().ok());
    key.map(|key| Zeroizing::new(*key)).ok_or_else(|| {
        Error::new(
            Kind::Corrupt,
            format!(
                "the key {} in the key store does not open: restore the key store",
                name.text()
            ),
        )
    })
}

/// The key of a subject's personal rows.
pub(crate) fn row_key(key: &[u8; 32]) -> Zeroizing<[u8; 64]> {
    siv_key(key, ROW)
}

/// The key of the file of an attachment.
pub(crate) fn attachment_key(key: &[u8; 32]) -> Zeroizing<[u8; 64]> {
    siv_key(key, ATTACHMENT)
}

/// Encrypts a personal row; equal rows of one subject are equal bytes.
pub(crate) fn seal_row(key: &[u8; 64], handle: Handle, plain: &[u8]) -> Result<Vec<u8>> {
    encrypt(key, &handle.0, plain)
}

/// Opens a personal row; `None` when it is not one of this subject's, byte for byte.
pub(crate) fn open_row(key: &[u8; 64], handle: Handle, row: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    decrypt(key, &handle.0, row)
}

fn encrypt(key: &[u8; 64], name: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    Aes256Siv::new(&(*key).into())
        .encrypt([name], plain)
        .map_err(|_| Error::new(Kind::Invalid, "encryption refused a value: report this"))
}

fn decrypt(key: &[u8; 64], name: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    Aes256Siv::new(&(*key).into())
        .decrypt([name], sealed)
        .ok()
        .map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const HANDLE: Handle = Handle([0xab; 16]);

    #[test]
    fn a_wrapped_key_opens_only_as_what_it_is() {
        let (under, key) = ([1; 32], [2; 32]);
        let names = [
            Name::Check,
            Name::TenantIndex("acme"),
            Name::Bucket("acme", 3),
            Name::Bucket("acme", 4),
            Name::Bucket("acmf", 3),
            Name::Subject("acme", HANDLE),
            Name::Subject("acme", Handle([0xaa; 16])),
        ];
        for (n, made) in names.iter().enumerate() {
            let wrapped = wrap(&under, *made, &key).unwrap();
            assert_eq!(wrapped.len(), 48);
            for (m, asked) in names.iter().enumerate() {
                let opened = unwrap(&under, *asked, &wrapped);
                assert_eq!(opened.is_ok(), n == m, "{made:?} as {asked:?}");
            }
            assert_eq!(
                unwrap(&[3; 32], *made, &wrapped).unwrap_err().kind(),
                Kind::Corrupt
            );
            let mut changed = wrapped.clone();
            changed[n] ^= 1;
            assert!(unwrap(&under, *made, &changed).is_err());
        }
    }

    #[test]
    fn rows_are_deterministic_and_belong_to_one_subject() {
        let (five, six) = (row_key(&[5; 32]), row_key(&[6; 32]));
        let row = seal_row(&five, HANDLE, b"plain").unwrap();
        assert_eq!(row, seal_row(&five, HANDLE, b"plain").unwrap());
        assert_eq!(row.len(), 16 + 5);
        assert_eq!(open_row(&five, HANDLE, &row).unwrap().as_slice(), b"plain");
        assert!(open_row(&six, HANDLE, &row).is_none());
        assert!(open_row(&five, Handle([0; 16]), &row).is_none());
        assert!(open_row(&five, HANDLE, &row[..15]).is_none());
    }

    #[test]
    fn handles_as_text() {
        let text = handle_text(HANDLE);
        let text = str::from_utf8(&text).unwrap();
        assert_eq!(text, "sub_abababababababababababababababab");
        assert_eq!(parse_handle(text), Some(HANDLE));
        for bad in [
            "sub_",
            "sub_ABababababababababababababababab",
            "sub_ab",
            &format!("{text}0"),
        ] {
            assert_eq!(parse_handle(bad), None, "{bad}");
        }
        assert_eq!(bucket_of(HANDLE), 0xab & 63);
    }
}
