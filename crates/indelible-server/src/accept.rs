//! Which of two forms of an answer is preferred (RFC 9110 §12.5.1).

use axum::http::{HeaderMap, header};

/// Whether a type of which `is_first` says yes is preferred to those of which it says no; between
/// equals, what is named first. What it does not know is passed over.
pub(crate) fn prefers(headers: &HeaderMap, is_first: impl Fn(&str) -> Option<bool>) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let ranges = accepted.filter_map(|value| value.to_str().ok());
    let mut best: Option<(f32, bool)> = None;
    for range in ranges.flat_map(|ranges| ranges.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let Some(first) = is_first(&kind) else {
            continue;
        };
        let mut weights = parts.filter_map(|part| part.strip_prefix("q="));
        let weight = weights.next().map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, first));
        }
    }
    best.is_some_and(|(_, first)| first)
}
