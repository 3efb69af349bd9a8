//! The address of a database, and whether the way to it is encrypted.
//!
//! Where TLS is used the server's certificate is always checked, against the system's roots (or
//! the file that `SSL_CERT_FILE` names): encryption to whoever answers protects from nobody who
//! matters.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use indelible_store::{Error, Kind, Result};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Modes of libpq that ask for what `require` is here.
const CHECKED: [&str; 2] = ["sslmode=verify-full", "sslmode=verify-ca"];

/// Reads a URL; its mode of encryption is decided.
///
/// # Errors
/// [`Kind::Invalid`] when it says too little, or two things at once; never with the password.
pub fn config(url: &str) -> Result<Config> {
    let invalid = |said: &str| Error::new(Kind::Invalid, format!("the URL of PostgreSQL {said}"));
    let url = CHECKED.iter().fold(url.to_owned(), |url, mode| {
        url.replace(mode, "sslmode=require")
    });
    if is_ambiguous(&url) {
        // Read on, part of a password would pass for the host, and be told.
        return Err(invalid(
            "has `@`, `/` or `?` in its user or password: write %40, %2F or %3F",
        ));
    }
    let mut config =
        Config::from_str(&url).map_err(|error| invalid("cannot be read").caused_by(error))?;
    if config.get_hosts().is_empty() {
        return Err(invalid("names no host"));
    }
    if config.get_user().is_none() {
        return Err(invalid("names no user"));
    }
    if config.get_ssl_mode() == SslMode::Prefer {
        let near = config.get_hosts().iter().all(is_near);
        config.ssl_mode(if near {
            SslMode::Disable
        } else {
            SslMode::Require
        });
    }
    if config.get_application_name().is_none() {
        config.application_name("indelible");
    }
    Ok(config)
}

/// Whether it cannot be told where user and password end.
fn is_ambiguous(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    rest.split_once('@')
        .is_some_and(|(who, place)| who.contains(['/', '?']) || place.contains('@'))
}

/// How to reach it, for people: never with the password.
pub fn named(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    format!("PostgreSQL at {host}:{port}, database {database}, user {user}")
}

fn is_near(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse()
                    .is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
}

/// What encrypts connections; it knows no roots where none are needed.
///
/// # Errors
/// [`Kind::Invalid`] when roots are needed and this machine has none.
pub fn tls(config: &Config) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    if config.get_ssl_mode() == SslMode::Require {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let said = "no root certificates on this machine: install ca-certificates, or name a \
                 file in SSL_CERT_FILE";
            return Err(Error::new(Kind::Invalid, said));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Invalid, "TLS").caused_by(error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_way_to_another_machine_is_encrypted_unless_said() {
        let mode = |url: &str| config(url).unwrap().get_ssl_mode();
        assert_eq!(mode("postgres://a@localhost/x"), SslMode::Disable);
        assert_eq!(mode("postgres://a@127.0.0.1/x"), SslMode::Disable);
        assert_eq!(mode("postgres://a@[::1]/x"), SslMode::Disable);
        assert_eq!(mode("postgres://a@db.example/x"), SslMode::Require);
        assert_eq!(
            mode("postgres://a@localhost,db.example/x"),
            SslMode::Require
        );
        assert_eq!(
            mode("postgres://a@db.example/x?sslmode=disable"),
            SslMode::Disable
        );
        assert_eq!(
            mode("postgres://a@127.0.0.1/x?sslmode=verify-full"),
            SslMode::Require
        );
    }

    #[test]
    fn a_url_that_says_too_little_is_refused_and_the_password_is_not_told() {
        for url in [
            "",
            "postgres://",
            "postgres:///x",
            "postgres://h/x",
            "postgres://a:p@h:x/x",
            "postgres://a:se@cret@h/x",
            "postgres://a:se/cret@h/x",
            "postgres://a:se?cret@h/x",
            "postgres://h/x?user=a&password=se@cret",
        ] {
            let error = config(url).map(drop).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{url}");
            assert!(!error.to_string().contains("cret"), "{error}");
        }
        let named = named(&config("postgres://ada:secret@db.example:6000/trail").unwrap());
        assert_eq!(
            named,
            "PostgreSQL at db.example:6000, database trail, user ada"
        );
    }
}
