//! Personal values as somebody sees them who may see that they are there and not what they are.
//!
//! The shapes of an address of mail, an IP address and a phone number stay; of anything else
//! nothing does. Not here: which values are personal (`policy`), who may see them (the server's
//! roles). Source: `docs/server.md`, "Personal values".

use std::net::IpAddr;

use indelible_event::canonical::{string_token, unescape};
use indelible_event::view::string_content;

/// What stands for a value of no shape.
const NOTHING: &str = "***";
/// Names of fields with phone numbers: these have no shape of their own.
const PHONES: [&str; 4] = ["phone", "phone_number", "phonenumber", "mobile"];

/// How somebody sees personal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sight {
    /// As they are.
    Clear,
    /// Their shapes.
    Masked,
}

impl Sight {
    /// A text that stood at this JSON pointer, as it is seen.
    pub fn text(self, pointer: &str, text: String) -> String {
        match self {
            Self::Clear => text,
            Self::Masked => masked(pointer, &text),
        }
    }
}

/// What of a text is shown that stood at this JSON pointer.
pub fn masked(pointer: &str, text: &str) -> String {
    let text = text.trim();
    let name = pointer.rsplit('/').next().unwrap_or_default();
    if PHONES.contains(&name.to_ascii_lowercase().as_str()) {
        let country = if text.starts_with("+1") {
            "+1"
        } else {
            NOTHING
        };
        return format!("{country}-***-****");
    }
    match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => {
            let [first, ..] = address.octets();
            return format!("{first}.***.***.***");
        }
        Ok(IpAddr::V6(address)) => {
            let [first, ..] = address.segments();
            return format!("{first:x}:***");
        }
        Err(_) => {}
    }
    mail(text).unwrap_or_else(|| NOTHING.to_owned())
}

/// The shape of an address of mail: the first letters of its name, its domain and the end of that.
fn mail(text: &str) -> Option<String> {
    let (name, domain) = text.rsplit_once('@')?;
    let (host, end) = domain.rsplit_once('.')?;
    let first = |text: &str| text.chars().next().filter(|c| !c.is_whitespace());
    let (name, host, end) = (first(name)?, first(host)?, first(end)?);
    Some(format!("{name}***@{host}***.{end}***"))
}

/// A canonical JSON token that stood at this JSON pointer, masked, as a token.
pub(crate) fn masked_token(pointer: &str, token: &str) -> String {
    let shown = match string_content(token) {
        Some(content) => masked(pointer, &unescape(content)),
        None => NOTHING.to_owned(),
    };
    string_token(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_stay_and_nothing_else_does() {
        for (pointer, text, shown) in [
            ("/actor/email", "user@domain.com", "u***@d***.c***"),
            (
                "/actor/email",
                "dana.o@mail.example.co.uk",
                "d***@m***.u***",
            ),
            ("/actor/email", "no address", "***"),
            ("/actor/email", "@", "***"),
            ("/actor/email", " @ . ", "***"),
            ("/data/contact", "user@domain.com", "u***@d***.c***"),
            ("/actor/ip", "192.0.2.17", "192.***.***.***"),
            ("/actor/ip", "::ffff:192.0.2.17", "192.***.***.***"),
            ("/actor/ip", "2001:db8::17", "2001:***"),
            ("/data/phone", "+1-555-123-4567", "+1-***-****"),
            ("/data/phoneNumber", "030 1234567", "***-***-****"),
            ("/data/mobile", "+49 30 1234567", "***-***-****"),
            ("/actor/name", "Dana Okafor", "***"),
            ("/actor/user_agent", "curl/8.5", "***"),
            ("/data/ssn", "123-45-6789", "***"),
            ("/data/credit_card", "4111111111111111", "***"),
            ("/actor/name", "", "***"),
        ] {
            assert_eq!(masked(pointer, text), shown, "{pointer} {text}");
            assert_eq!(Sight::Clear.text(pointer, text.to_owned()), text);
        }
        assert_eq!(masked_token("/raw", r#"{"a":1}"#), r#""***""#);
        assert_eq!(masked_token("/x", r#""\"@b.c""#), r#""\"***@b***.c***""#);
    }
}
