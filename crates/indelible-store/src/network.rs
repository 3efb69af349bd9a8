//! Networks of IP addresses: `10.0.0.0/8`, `2001:db8::/32`.
//!
//! An IPv4 address and the same one mapped into IPv6 are two addresses, as they are two texts
//! (`spec/sealing.md` §4).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    /// How many bits all of them begin with.
    prefix: u8,
}

impl Network {
    /// Of so few addresses each one is looked up.
    pub const FEW: u32 = 256;

    /// Reads an address, `/` and how many of its bits count; the others are left out.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.trim().split_once('/')?;
        let plain = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| plain)?;
        let first = match address.parse().ok()? {
            IpAddr::V4(address) if prefix <= 32 => {
                let rest = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & !rest))
            }
            IpAddr::V6(address) if prefix <= 128 => {
                let rest = u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !rest))
            }
            _ => return None,
        };
        Some(Self { first, prefix })
    }

    /// How many bits are free.
    fn free(&self) -> u32 {
        let bits = if self.first.is_ipv4() { 32 } else { 128 };
        bits - u32::from(self.prefix)
    }

    /// Whether the text is an address of it.
    pub fn contains(&self, text: &str) -> bool {
        let free = self.free();
        match (self.first, text.parse()) {
            (IpAddr::V4(first), Ok(IpAddr::V4(address))) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.checked_shr(free).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), Ok(IpAddr::V6(address))) => {
                let differ = first.to_bits() ^ address.to_bits();
                differ.checked_shr(free).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// All addresses as normalised text, if they are at most [`Network::FEW`].
    pub fn few(&self) -> Option<impl Iterator<Item = String>> {
        let count = 1_u32
            .checked_shl(self.free())
            .filter(|count| *count <= Self::FEW)?;
        let first = self.first;
        Some((0..count).map(move |number| match first {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() | number).to_string(),
            IpAddr::V6(first) => {
                Ipv6Addr::from_bits(first.to_bits() | u128::from(number)).to_string()
            }
        }))
    }
}

/// As it is read.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn addresses_are_in_their_networks_and_in_no_others() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.9.9.9/8", "10.0.0.0", true),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.7/32", "10.0.0.7", true),
            ("10.0.0.7/32", "10.0.0.6", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", false),
            ("2001:db8::/32", "2001:db8:1::5", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("::/0", "ffff::", true),
            ("::/0", "1.2.3.4", false),
            ("10.0.0.0/8", "10.0.0", false),
        ] {
            let found = Network::parse(network).unwrap().contains(address);
            assert_eq!(found, expected, "{network} {address}");
        }
        for text in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0",
            "10.0.0/8",
            "10.0.0.0/",
            "::/+1",
            "/8",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
        let network = Network::parse("2001:DB8:0:1::7/32").unwrap();
        assert_eq!(network.to_string(), "2001:db8::/32");
    }

    #[test]
    fn few_addresses_are_all_of_the_network() {
        for (text, first, last, count) in [
            ("10.0.1.0/24", "10.0.1.0", "10.0.1.255", 256),
            ("10.0.1.6/31", "10.0.1.6", "10.0.1.7", 2),
            ("::8/128", "::8", "::8", 1),
            ("fe80::/120", "fe80::", "fe80::ff", 256),
        ] {
            let network = Network::parse(text).unwrap();
            let all: Vec<_> = network.few().unwrap().collect();
            assert_eq!((all[0].as_str(), all.len()), (first, count));
            assert_eq!(all.last().unwrap(), last);
            assert!(all.iter().all(|address| network.contains(address)));
        }
        for text in ["10.0.0.0/23", "0.0.0.0/0", "::/0", "::/96", "::/119"] {
            assert!(Network::parse(text).unwrap().few().is_none(), "{text}");
        }
    }
}
