//! Requests that everybody reads alike: one name of the server, one way to tell where the body
//! ends, and a URL that is text. Others are refused, and their connection is closed.
//!
//! Whoever stands between a client and us may read a doubtful request in the other way, and take
//! the rest of it for another request (RFC 9112 §3.2, §6.1, §11.2). What is no HTTP at all never
//! comes here: hyper refuses it. A `Content-Length` beside `Transfer-Encoding: chunked` does not
//! come here either: hyper takes it away, reads the chunks alone and closes the connection after
//! the answer, which is the other of the two ways that RFC 9112 §6.1 allows.

use axum::extract::Request;
use axum::http::{HeaderMap, Uri, Version, header};
use indelible_api::ProblemKind;

use crate::answer::{Refusal, refuse};

/// Refuses what can be read in several ways.
pub(crate) fn must_be_clear(request: &Request) -> Result<(), Refusal> {
    let wrong = |text: &str| Err(refuse(ProblemKind::BadRequest, text));
    let headers = request.headers();
    match headers.get_all(header::HOST).iter().count() {
        0 if request.version() >= Version::HTTP_11 => return wrong("there is no Host header"),
        0 | 1 => {}
        _ => return wrong("there are several Host headers"),
    }
    if !is_chunked_alone(headers) {
        return wrong("a Transfer-Encoding other than chunked is not taken");
    }
    if !is_text(request.uri()) {
        return wrong("the URL is not UTF-8 when its %-escapes are read");
    }
    Ok(())
}

/// Whether there is no transfer coding but the one that every server has to read.
fn is_chunked_alone(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    }
}

fn is_text(uri: &Uri) -> bool {
    let text = uri.path_and_query().map_or("", |text| text.as_str());
    std::str::from_utf8(&unescaped(text.as_bytes())).is_ok()
}

/// The bytes with their %-escapes read; what is no escape stays what it is.
fn unescaped(mut rest: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| {
        let digit = char::from(byte).to_digit(16);
        digit.and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let mut byte = *first;
        if let (b'%', [high, low, behind @ ..]) = (byte, after)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            (byte, rest) = (high << 4 | low, behind);
        }
        bytes.push(byte);
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_url_is_text_when_its_escapes_are() {
        for text in ["/", "/?q=a%20b", "/?q=%C3%A9", "/?q=100%", "/?q=%zz%4"] {
            assert!(is_text(&text.parse().unwrap()), "{text}");
        }
        for other in ["/?q=%ff", "/%FF", "/?q=%C3", "/?q=%c3%28", "/?a=1&b=%80"] {
            assert!(!is_text(&other.parse().unwrap()), "{other}");
        }
    }
}
