//! Where a server is told to listen: an address and a port, or a name and a port.
//!
//! A name is looked up when it is listened on. It has to be one of this machine alone, as
//! `localhost` is: who means an address that others reach says the address.

use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::str::FromStr;

use crate::exit::{Failure, OrCould, Result};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At this address.
    Address(SocketAddr),
    /// At what this name means.
    Name(String, u16),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let is_name = |name: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !name.is_empty() && name.bytes().all(is_part) && name.parse::<IpAddr>().is_err()
        };
        let parts = text.rsplit_once(':');
        let named = parts.and_then(|(name, port)| Some((name, port.parse().ok()?)));
        match named {
            Some((name, port)) if is_name(name) => Ok(Self::Name(name.to_owned(), port)),
            _ => Err("must be like 127.0.0.1:8080, [::1]:8080 or localhost:8080".to_owned()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl Listen {
    /// Listens, at the first address that this machine has; IPv4 comes first.
    ///
    /// # Errors
    /// [`Failure::Usage`] for a name that is not of this machine alone; [`Failure::Could`] when the
    /// port is busy or there is no such address.
    pub fn listen(&self) -> Result<TcpListener> {
        let mut last = Failure::Could(format!("the name in {self} has no address"));
        for address in self.addresses()? {
            match TcpListener::bind(address) {
                Ok(listener) => return Ok(listener),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    return Err(busy(address));
                }
                // As where the machine has no IPv6.
                Err(error) => last = Failure::Could(format!("cannot listen on {address}: {error}")),
            }
        }
        Err(last)
    }

    fn addresses(&self) -> Result<Vec<SocketAddr>> {
        let (name, port) = match self {
            Self::Address(address) => return Ok(vec![*address]),
            Self::Name(name, port) => (name, *port),
        };
        let found = (name.as_str(), port).to_socket_addrs();
        let found = found.or_could(format_args!("find the address of {name}"))?;
        let mut addresses: Vec<_> = found.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        addresses.dedup();
        match addresses.iter().find(|found| !found.ip().is_loopback()) {
            None => Ok(addresses),
            Some(other) => Err(Failure::Usage(format!(
                "{name} is {}, where others reach it: if that is meant, say --listen {other}",
                other.ip()
            ))),
        }
    }
}

fn busy(address: SocketAddr) -> Failure {
    let other = SocketAddr::new(address.ip(), address.port().wrapping_add(1));
    Failure::Could(format!(
        "another program listens on {address}, perhaps another server: stop it, or say --listen \
         {other}"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn addresses_and_names_are_read_and_nothing_else() {
        for text in ["127.0.0.1:8080", "[::1]:0", "0.0.0.0:1"] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen, Listen::Address(text.parse().unwrap()));
            assert_eq!(listen.to_string(), text);
        }
        let listen: Listen = "localhost:8080".parse().unwrap();
        assert_eq!(listen, Listen::Name("localhost".to_owned(), 8080));
        for text in [
            "",
            "localhost",
            ":8080",
            "localhost:",
            "localhost:65536",
            "::1:8080",
            "127.0.0.1",
            "http://localhost:8080",
            "a b:80",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
