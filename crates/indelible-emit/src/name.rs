//! What a stream is called, and its epoch where no spool says it.
//!
//! A name stands in every record of its stream, in clear, and in what is said of the stream. So it
//! is of characters that are written everywhere as they are, and holds neither an address of mail
//! nor anything secret, which a ledger would keep out of the one and not of the other.

use std::sync::atomic::{AtomicU64, Ordering};

use indelible_event::redact::secret_parts;

/// The longest name of a stream that can be asked for, in bytes; a slot's number comes behind it.
pub const STREAM_NAME_BYTES_MAX: usize = 100;

/// Whether a stream may be called so.
pub(crate) fn is_stream_name(name: &str) -> bool {
    (1..=STREAM_NAME_BYTES_MAX).contains(&name.len())
        && name.chars().all(is_plain)
        && secret_parts(name).is_empty()
}

/// The name of a service as that of its stream.
pub(crate) fn stream_name(service: &str) -> String {
    let plain = |c: char| if is_plain(c) { c } else { '-' };
    let name: String = service
        .chars()
        .map(plain)
        .take(STREAM_NAME_BYTES_MAX)
        .collect();
    if is_stream_name(&name) {
        name
    } else {
        "service".to_owned()
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || ".-_:/".contains(c)
}

/// An epoch that no other emitter of this process has: that of the time, unless another began in
/// the same millisecond.
pub(crate) fn next_epoch(now_ms: u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let next = |last: u64| Some(now_ms.max(last.saturating_add(1)));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    last.ok().and_then(next).unwrap_or(now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_of_any_name_has_a_stream_that_can_be_named() {
        for (service, stream) in [
            ("web-1.example:8080/x", "web-1.example:8080/x"),
            ("ops@example.com", "ops-example.com"),
            ("the \"shop\"", "the--shop-"),
            ("\u{1}\u{1}", "--"),
            ("", "service"),
        ] {
            assert_eq!(stream_name(service), stream);
        }
        for service in [
            "x".repeat(300),
            "\"".repeat(300),
            "password=hunter2 Bearer abcdef0123456789abcdef0123456789".to_owned(),
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLWl0".to_owned(),
        ] {
            assert!(is_stream_name(&stream_name(&service)), "{service}");
        }
    }

    #[test]
    fn no_two_epochs_of_a_process_are_one() {
        let first = next_epoch(7);
        assert!(first >= 7);
        assert_eq!(next_epoch(7), first + 1);
        assert_eq!(next_epoch(first + 100), first + 100);
        assert_eq!(next_epoch(7), first + 101, "though time went back");
    }
}
