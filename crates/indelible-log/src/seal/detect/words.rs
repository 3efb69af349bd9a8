//! Words of keys and words before numbers.

/// Whether the words of a key say that its value is an IP address: `publicIp`, `source_ip`,
/// `iPAddress`, `privateIpAddresses`, `remoteip`.
pub(crate) fn names_ip(key: &str) -> bool {
    const WHOLE: [&str; 10] = [
        "ip",
        "ips",
        "ipv4",
        "ipv6",
        "ipaddr",
        "ipaddress",
        "ipaddresses",
        "pv4",
        "pv6",
        "iplist",
    ];
    const RUN_TOGETHER: [&str; 12] = [
        "clientip",
        "remoteip",
        "sourceip",
        "srcip",
        "destip",
        "dstip",
        "userip",
        "hostip",
        "serverip",
        "peerip",
        "publicip",
        "privateip",
    ];
    let bytes = key.as_bytes();
    let near = |at: usize| {
        bytes
            .get(at + 1)
            .is_some_and(|b| b.eq_ignore_ascii_case(&b'p'))
    };
    let i = memchr::memchr2_iter(b'i', b'I', bytes);
    if !i.into_iter().any(near) {
        return false;
    }
    let mut single_i = false;
    for word in words(bytes) {
        let is = |known: &&str| word.eq_ignore_ascii_case(known.as_bytes());
        if WHOLE[..7].iter().any(is) || is(&WHOLE[9]) || RUN_TOGETHER.iter().any(is) {
            return true;
        }
        // Capitals split oddly: iPAddress, publicIPv4, IPs.
        if single_i && ["p", "ps", "pv4", "pv6"].iter().any(is) {
            return true;
        }
        single_i = word.eq_ignore_ascii_case(b"i");
    }
    false
}

/// The words of a key: parts between other characters, and at changes from small to capital.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.split(|b| !b.is_ascii_alphanumeric()).flat_map(|part| {
        let mut rest = part;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = (1..rest.len())
                .find(|&at| starts_word(rest, at))
                .unwrap_or(rest.len());
            let (word, tail) = rest.split_at(end);
            rest = tail;
            Some(word)
        })
    })
}

fn starts_word(part: &[u8], at: usize) -> bool {
    let capital = |at: usize| part.get(at).is_some_and(u8::is_ascii_uppercase);
    let small = |at: usize| part.get(at).is_some_and(u8::is_ascii_lowercase);
    capital(at) && (!capital(at - 1) || small(at + 1))
}

/// Whether the text ends in a word that a version number follows.
pub(super) fn follows_version(text: &[u8]) -> bool {
    const WORDS: [&str; 11] = [
        "version", "versions", "ver", "v", "release", "rel", "build", "engine", "revision",
        "firmware", "kernel",
    ];
    let text = text.trim_ascii_end();
    let text = text
        .strip_suffix(b":")
        .or_else(|| text.strip_suffix(b"="))
        .unwrap_or(text);
    let text = text.trim_ascii_end();
    let start = text.len()
        - text
            .iter()
            .rev()
            .take_while(|b| b.is_ascii_alphabetic())
            .count();
    WORDS
        .iter()
        .any(|word| text[start..].eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_say_ip() {
        for key in [
            "ip",
            "IP",
            "publicIp",
            "iPAddress",
            "privateIpAddress",
            "source_ip",
            "sourceIPAddress",
            "ip-address",
            "publicIPv4",
            "IPs",
            "clientIPs",
            "remoteip",
            "ipAddresses",
            "ip6.ip",
            "x_ipv6",
            "ipv4Address",
        ] {
            assert!(names_ip(key), "{key}");
        }
        for key in [
            "description",
            "zip",
            "zipCode",
            "recipient",
            "tip",
            "IPO",
            "ipsum",
            "shipTo",
            "skip",
            "engineVersion",
            "tooltip",
            "ipc",
            "descriptionIpsum",
            "",
            "i",
            "p",
        ] {
            assert!(!names_ip(key), "{key}");
        }
    }

    #[test]
    fn versions() {
        for text in ["version ", "Version: ", "v", "release=", "to build "] {
            assert!(follows_version(text.as_bytes()), "{text}");
        }
        for text in ["", "from ", "conversion ", "version of ", "ip "] {
            assert!(!follows_version(text.as_bytes()), "{text}");
        }
    }
}
