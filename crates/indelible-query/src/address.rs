//! What stands behind `ip:` without quotes: an address, a network, or the name of a service that
//! stands in the place of one in some logs, like `cloudtrail.amazonaws.com`.

use std::net::IpAddr;

/// Whether a normalised text may be what is compared: an address, or a name with dots in it.
pub(crate) fn is_address_or_name(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_name(text)
}

/// Names have dots in them, and end with what no number is.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.chars().all(is_plain)
    };
    let end = text.rsplit_once('.').map_or("", |(_, end)| end);
    let is_end = end.starts_with(char::is_alphabetic) && end.chars().nth(1).is_some();
    is_end && text.split('.').all(is_label)
}

/// The network that a pattern like `10.0.*` stands for.
pub(crate) fn network_of(pattern: &str) -> Option<String> {
    let mut numbers = [0_u8; 4];
    let (mut known, mut open) = (0, false);
    for (at, part) in pattern.split('.').enumerate() {
        if part == "*" {
            open = true;
            continue;
        }
        *numbers.get_mut(at).filter(|_| !open)? = part.parse().ok()?;
        known = at + 1;
    }
    let [a, b, c, d] = numbers;
    let parts = pattern.split('.').count();
    (open && known > 0 && parts <= 4).then(|| format!("{a}.{b}.{c}.{d}/{}", known * 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_from_what_is_neither() {
        for text in [
            "10.0.0.7",
            "2001:db8::1",
            "::1",
            "a.amazonaws.com",
            "ünder.example",
        ] {
            assert!(is_address_or_name(text), "{text}");
        }
        for text in [
            "foo",
            "localhost",
            "fe80::g",
            "10.0.0.1-10.0.0.9",
            "10.0.0",
            "300.1.1.1",
            "10.0.0.1:443",
            "10.0.0.x",
            "a.example:443",
            "a..example",
            "10.***.***.***",
        ] {
            assert!(!is_address_or_name(text), "{text}");
        }
    }

    #[test]
    fn a_pattern_of_an_address_is_a_network() {
        for (pattern, network) in [
            ("10.*", Some("10.0.0.0/8")),
            ("10.1.*", Some("10.1.0.0/16")),
            ("10.1.2.*", Some("10.1.2.0/24")),
            ("10.1.*.*", Some("10.1.0.0/16")),
            ("10.*.1.*", None),
            ("*", None),
            ("10.0.?", None),
            ("10.1.2.3.*", None),
        ] {
            assert_eq!(network_of(pattern).as_deref(), network, "{pattern}");
        }
    }
}
