//! HMAC-SHA-256 with the key worked in once, and key derivation.
//!
//! Salts are the hot path of sealing: four a record. A prepared key costs two compressions a salt
//! instead of four, and nothing is cleared per call. Source: RFC 2104, RFC 5869; `spec/sealing.md`.

use hkdf::Hkdf;
use sha2::Sha256;
use sha2::block_api::compress256;
use zeroize::{Zeroize, Zeroizing};

const BLOCK: usize = 64;
/// Bytes of padding and length that close a message.
const CLOSING: usize = 9;

/// Initial state of SHA-256 (FIPS 180-4 §5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A key prepared for HMAC-SHA-256: the states after its inner and its outer block.
pub(crate) struct Mac {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl Mac {
    /// Prepares a key of 32 bytes.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut block = Zeroizing::new([0x36_u8; BLOCK]);
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        let mut inner = INITIAL;
        compress256(&mut inner, std::slice::from_ref(&*block));
        for byte in block.iter_mut() {
            *byte ^= 0x36 ^ 0x5c;
        }
        let mut outer = INITIAL;
        compress256(&mut outer, std::slice::from_ref(&*block));
        Self { inner, outer }
    }

    /// The code of the parts, one after another.
    pub(crate) fn code(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut state = self.inner;
        finish(&mut state, parts);
        let inner = digest(state);
        let mut state = self.outer;
        finish(&mut state, &[&inner]);
        digest(state)
    }
}

impl Drop for Mac {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// Takes a message in after one block that is in already, and closes it.
fn finish(state: &mut [u32; 8], parts: &[&[u8]]) {
    let mut block = [0_u8; BLOCK];
    let mut filled = 0;
    let mut length = BLOCK as u64;
    for part in parts {
        length += part.len() as u64;
        let mut rest = *part;
        while !rest.is_empty() {
            let taken = rest.len().min(BLOCK - filled);
            block[filled..filled + taken].copy_from_slice(&rest[..taken]);
            filled += taken;
            rest = &rest[taken..];
            if filled == BLOCK {
                compress256(state, std::slice::from_ref(&block));
                filled = 0;
            }
        }
    }
    block[filled] = 0x80;
    block[filled + 1..].fill(0);
    if filled > BLOCK - CLOSING {
        compress256(state, std::slice::from_ref(&block));
        block.fill(0);
    }
    block[BLOCK - 8..].copy_from_slice(&(length * 8).to_be_bytes());
    compress256(state, std::slice::from_ref(&block));
}

fn digest(state: [u32; 8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

/// SHA-256 of the message in `bytes`, whose padding is put behind it: one call for all blocks.
pub(crate) fn sha256_padding(bytes: &mut Vec<u8>) -> [u8; 32] {
    let bits = (bytes.len() as u64) * 8;
    bytes.push(0x80);
    bytes.resize((bytes.len() + 8).next_multiple_of(BLOCK), 0);
    let end = bytes.len() - 8;
    bytes[end..].copy_from_slice(&bits.to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, bytes.as_chunks().0);
    digest(state)
}

/// The 64 bytes that AES-256-SIV takes, from a key of 32: HKDF-SHA-256 without salt.
pub(crate) fn siv_key(key: &[u8; 32], info: &str) -> Zeroizing<[u8; 64]> {
    let mut out = Zeroizing::new([0; 64]);
    let expanded = Hkdf::<Sha256>::new(None, key).expand(info.as_bytes(), &mut *out);
    debug_assert!(expanded.is_ok(), "64 bytes are two blocks of at most 255");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use hmac::{Hmac, KeyInit, Mac as _};

    use super::*;

    #[test]
    fn agrees_with_the_plain_hmac_at_every_length() {
        let key: [u8; 32] = std::array::from_fn(|n| u8::try_from(n * 7).unwrap());
        let message: Vec<u8> = (0..=255).collect();
        let mac = Mac::new(&key);
        for length in 0..=256 {
            let message = &message[..length];
            let mut plain = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            plain.update(message);
            let expected: [u8; 32] = plain.finalize().into_bytes().into();
            assert_eq!(mac.code(&[message]), expected, "{length}");
            let (head, tail) = message.split_at(length / 3);
            assert_eq!(mac.code(&[head, b"", tail]), expected, "{length} in parts");
        }
    }

    #[test]
    fn hashes_like_everybody_at_every_length() {
        for length in 0..200 {
            let mut message = vec![7; length];
            let expected = indelible_merkle::sha256(&message);
            assert_eq!(
                sha256_padding(&mut message),
                *expected.as_bytes(),
                "{length}"
            );
        }
    }

    #[test]
    fn derivation_depends_on_key_and_purpose() {
        let one = siv_key(&[1; 32], "a");
        assert_eq!(one, siv_key(&[1; 32], "a"));
        assert_ne!(one, siv_key(&[2; 32], "a"));
        assert_ne!(one, siv_key(&[1; 32], "b"));
        assert_ne!(*one, [0; 64]);
    }
}
