//! Decompression with its limit enforced on the way: a small body that would become a large one is
//! stopped where it passes the limit, not when it is there.

use std::io::{self, BufRead, BufReader, Read};

use indelible_api::limits::DECODED_BYTES_MAX;

/// The largest window of a zstd frame, as a power of two: 16 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 24;
/// Bytes decompressed at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// What the header says, if it is one of ours.
    pub(crate) fn of(header: Option<&str>) -> Option<Self> {
        match header
            .map(|text| text.trim().to_ascii_lowercase())
            .as_deref()
        {
            None | Some("" | "identity") => Some(Self::Identity),
            Some("gzip" | "x-gzip") => Some(Self::Gzip),
            Some("zstd") => Some(Self::Zstd),
            Some(_) => None,
        }
    }
}

/// The marker of the error of a body that passes its limit.
#[derive(Debug, thiserror::Error)]
#[error("the decoded body is over the limit")]
pub(crate) struct OverLimit;

/// Whether the error is that the limit was passed.
pub(crate) fn is_over_limit(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<OverLimit>)
}

/// Reads a body decompressed.
///
/// # Errors
/// When the decompressor cannot be made.
pub(crate) fn reader(bytes: &[u8], encoding: Encoding) -> io::Result<Box<dyn BufRead + '_>> {
    let limit = DECODED_BYTES_MAX;
    Ok(match encoding {
        Encoding::Identity => Box::new(bytes),
        Encoding::Gzip => {
            let inner = flate2::bufread::MultiGzDecoder::new(bytes);
            Box::new(BufReader::with_capacity(
                CHUNK_BYTES,
                Limited { inner, left: limit },
            ))
        }
        Encoding::Zstd => {
            let mut inner = zstd::stream::read::Decoder::with_buffer(bytes)?;
            inner.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(BufReader::with_capacity(
                CHUNK_BYTES,
                Limited { inner, left: limit },
            ))
        }
    })
}

/// The whole body when it is at most `keep` bytes decompressed; `None` when it is more.
///
/// # Errors
/// When it cannot be decompressed.
pub(crate) fn whole(bytes: &[u8], encoding: Encoding, keep: usize) -> io::Result<Option<Vec<u8>>> {
    let mut whole = Vec::new();
    let limit = u64::try_from(keep).unwrap_or(u64::MAX).saturating_add(1);
    reader(bytes, encoding)?
        .take(limit)
        .read_to_end(&mut whole)?;
    Ok((whole.len() <= keep).then_some(whole))
}

struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        let count = u64::try_from(read).unwrap_or(u64::MAX);
        self.left = self
            .left
            .checked_sub(count)
            .ok_or_else(|| io::Error::other(OverLimit))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_encoding_gives_the_bytes_back() {
        let text = b"one\ntwo\n".repeat(1000);
        let encoded = [
            (Encoding::Identity, text.clone()),
            (Encoding::Gzip, gzip(&text)),
            (
                Encoding::Zstd,
                zstd::encode_all(text.as_slice(), 3).unwrap(),
            ),
        ];
        for (encoding, bytes) in encoded {
            let kept = whole(&bytes, encoding, text.len()).unwrap();
            assert_eq!(kept.as_deref(), Some(text.as_slice()), "{encoding:?}");
            assert_eq!(whole(&bytes, encoding, text.len() - 1).unwrap(), None);
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zeros = io::repeat(0).take(DECODED_BYTES_MAX + 1);
        let bomb = zstd::encode_all(zeros, 1).unwrap();
        assert!(bomb.len() < 1 << 20);
        let mut reader = reader(&bomb, Encoding::Zstd).unwrap();
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(is_over_limit(&error), "{error}");
        let broken = whole(b"no gzip", Encoding::Gzip, 10).unwrap_err();
        assert!(!is_over_limit(&broken));
    }

    #[test]
    fn a_name_that_is_not_known_is_none() {
        assert_eq!(Encoding::of(Some("GZIP ")), Some(Encoding::Gzip));
        assert_eq!(Encoding::of(None), Some(Encoding::Identity));
        assert_eq!(Encoding::of(Some("br")), None);
        assert_eq!(Encoding::of(Some("gzip, gzip")), None);
    }
}
