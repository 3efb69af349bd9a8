//! Who a trusted proxy says that a request is by: in headers, and only from its own address.
//!
//! The address is that of the connection; no header says where a request comes from. Whoever sends
//! one of the headers from elsewhere is refused, with a key or without: ignoring it would hide a
//! proxy that is missing from the configuration, and somebody who tries. The proxy has to take the
//! headers of its own clients away; one that adds to them instead is refused, since each header
//! must stand there once. Source: `docs/server.md`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::{HeaderMap, header};
use indelible_api::CreateKey;
use indelible_event::ids::Micros;

use super::NotInForce;
use super::jwt::RoleNames;
use super::named::{Claimed, Names, SUBJECT_BYTES_MAX, of_names};
use super::principal::{Principal, Who};
use crate::cursor_key::CursorKey;

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNetwork;

impl fmt::Display for NoNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is no address and no network, like 10.0.0.7 or 10.0.0.0/24")
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| NoNetwork)?;
        let network = Self { first, bits };
        // With bits behind the prefix another network may be meant.
        let is_whole = bits <= most && network.prefix(first) == bits_of(first);
        is_whole.then_some(network).ok_or(NoNetwork)
    }
}

impl Network {
    /// Whether the address is one of these.
    pub fn has(&self, address: IpAddr) -> bool {
        // A socket for both gives addresses of the old kind in the form of the new.
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && self.prefix(address) == self.prefix(self.first)
    }

    fn prefix(&self, address: IpAddr) -> u128 {
        let kept = u128::MAX.checked_shl(128 - u32::from(self.bits));
        bits_of(address) & kept.unwrap_or_default()
    }
}

/// The bits of an address, from the left.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A proxy that says who somebody is.
#[derive(Clone, Debug)]
pub struct TrustedProxy {
    /// Where it calls from.
    pub networks: Vec<Network>,
    /// The header with the user's name.
    pub user_header: String,
    /// The header with the tenants, parted by commas; `*` for all.
    pub tenants_header: String,
    /// The header with the roles, parted by commas.
    pub roles_header: String,
    /// How roles are called there.
    pub roles: RoleNames,
    /// What a user is called in records.
    pub names: Names,
}

impl TrustedProxy {
    /// Whether one of its headers is there, from wherever.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        let all = [&self.user_header, &self.tenants_header, &self.roles_header];
        all.into_iter().any(|name| headers.contains_key(name))
    }

    /// Who the headers make somebody; `None` when they say nothing of it.
    ///
    /// # Errors
    /// Why nobody.
    pub(super) fn principal(
        &self,
        (headers, peer): (&HeaderMap, Option<IpAddr>),
        now: Micros,
        key: &CursorKey,
    ) -> Result<Option<Principal>, NotInForce> {
        let all = [&self.user_header, &self.tenants_header, &self.roles_header];
        let Some(first) = all.into_iter().find(|name| headers.contains_key(*name)) else {
            return Ok(None);
        };
        if !peer.is_some_and(|peer| self.networks.iter().any(|network| network.has(peer))) {
            let what = format!("the header `{first}` is taken only from the proxies of the server");
            return Err(NotInForce::Unfit(what));
        }
        if headers.contains_key(header::AUTHORIZATION) {
            let what = format!("`{first}` and Authorization each say who the request is by");
            return Err(NotInForce::Unfit(what));
        }
        let user = only(headers, &self.user_header)?;
        if !(1..=SUBJECT_BYTES_MAX).contains(&user.len()) || user.contains(',') {
            let name = &self.user_header;
            let what = format!("the header `{name}` has no single name of 1 to 256 bytes");
            return Err(NotInForce::Unfit(what));
        }
        let name = self
            .names
            .of(key, "proxy", user)
            .ok_or(NotInForce::Unknown)?;
        let role = self.roles.of(&words(only(headers, &self.roles_header)?));
        let role = role.map_err(|why| {
            let header = &self.roles_header;
            NotInForce::Unfit(format!("the header `{header}` has {why}"))
        })?;
        let tenants = words(only(headers, &self.tenants_header)?);
        let claimed = Claimed {
            who: Who::Proxy(name.into()),
            wanted: CreateKey {
                role,
                tenants: of_names(tenants),
                name: None,
                query: None,
                expires: None,
                limits: None,
            },
        };
        claimed.principal(now).map(Some).map_err(NotInForce::Unfit)
    }
}

/// The value of a header that stands there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, NotInForce> {
    let mut values = headers.get_all(name).iter();
    let value = match (values.next(), values.next()) {
        (Some(only), None) => std::str::from_utf8(only.as_bytes()).ok(),
        _ => None,
    };
    let text = value
        .map(str::trim)
        .filter(|text| !text.chars().any(char::is_control));
    text.ok_or_else(|| {
        NotInForce::Unfit(format!(
            "the header `{name}` must stand there once, as text"
        ))
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(',').map(|word| word.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_network_has_the_addresses_with_its_first_bits() {
        for (network, address, has) in [
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.8", false),
            ("10.0.0.0/24", "10.0.0.255", true),
            ("10.0.0.0/24", "10.0.1.0", false),
            ("10.0.0.0/24", "::ffff:10.0.0.9", true),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.has(address.parse().unwrap()),
                has,
                "{network:?} {address}"
            );
        }
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.1/24",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "host",
        ] {
            assert_eq!(wrong.parse::<Network>(), Err(NoNetwork), "{wrong}");
        }
    }
}
