//! The settings `server.*`, read and held against each other.

use std::path::PathBuf;
use std::time::Duration;

use indelible_api::Rates;
use indelible_server::Settings;
use indelible_server::limits::LimitSettings;

use super::ServerConfig;
use super::auth::origins;
use crate::exit::{Failure, Result};
use crate::listen::Listen;

/// The server's settings; every value was checked, or is its default. `tls` is the certificate and
/// its key.
///
/// # Errors
/// [`Failure::Usage`] when of a certificate and its key one is missing.
pub fn server(
    value: &dyn Fn(&str) -> String,
    tls: (Option<PathBuf>, Option<PathBuf>),
) -> Result<ServerConfig> {
    let number = |key: &str| value(key).parse::<u64>().unwrap_or_default();
    let size = |key: &str| usize::try_from(number(key)).unwrap_or(usize::MAX);
    let some = |key: &str| Some(number(key)).filter(|most| *most > 0);
    let rates = |whose: &str| Rates {
        requests_per_s: some(&format!("limits.{whose}_requests_per_s")),
        events_per_s: some(&format!("limits.{whose}_events_per_s")),
        bytes_per_s: some(&format!("limits.{whose}_bytes_per_s")),
    };
    let time = |key: &str| Duration::from_millis(number(key));
    let listen = value("server.listen").parse();
    let tls = match tls {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => {
            let text = "server.tls.certificate and server.tls.key belong together: one is not set";
            return Err(Failure::Usage(text.to_owned()));
        }
    };
    let origins = |key: &str| origins(&value(key)).map_err(Failure::Usage);
    Ok(ServerConfig {
        tls,
        listen: listen.unwrap_or_else(|_| Listen::Address(([127, 0, 0, 1], 8080).into())),
        telemetry: value("server.telemetry").parse().ok(),
        settings: Settings {
            cors_origins: origins("server.cors_origins")?,
            frame_ancestors: origins("server.frame_ancestors")?,
            connections_max: size("server.connections_max"),
            in_flight_bytes_max: size("server.in_flight_bytes_max"),
            limits: LimitSettings {
                key: rates("key"),
                tenant: rates("tenant"),
                burst: Duration::from_secs(number("limits.burst_s")),
                events_per_day: some("limits.tenant_events_per_day"),
                bytes_per_day: some("limits.tenant_bytes_per_day"),
            },
            tails_max: size("limits.tails_max"),
            tails_per_key_max: size("limits.key_tails_max"),
            exports_max: size("limits.exports_max"),
            exports_per_key_max: size("limits.key_exports_max"),
            export_bytes_max: number("limits.export_bytes_max"),
            exports_bytes_max: number("limits.exports_bytes_max"),
            exports_kept: Duration::from_secs(number("limits.exports_kept_s")),
            header_timeout: time("server.header_timeout_ms"),
            body_timeout: time("server.body_timeout_ms"),
            stop_timeout: time("server.stop_timeout_ms"),
            ..Settings::default()
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::settings::SETTINGS;
    use super::*;

    #[test]
    fn limits_reach_the_server_and_what_is_not_said_is_its_own_default() {
        let default = |key: &str| {
            let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap();
            setting.default.unwrap_or_default().to_owned()
        };
        let told = server(&default, (None, None)).unwrap().settings;
        let own = Settings::default();
        let kept = |of: &Settings| {
            let tails = (of.tails_max, of.tails_per_key_max);
            let exports = (of.exports_max, of.exports_per_key_max);
            let bytes = (of.export_bytes_max, of.exports_bytes_max);
            (tails, exports, bytes, of.exports_kept)
        };
        assert_eq!(kept(&told), kept(&own));
        let times = |of: &Settings| (of.header_timeout, of.body_timeout, of.stop_timeout);
        assert_eq!(times(&told), times(&own));
        assert_eq!(told.in_flight_bytes_max, own.in_flight_bytes_max);
        assert_eq!(told.connections_max, own.connections_max);
        // Each to its own: numbers that are told apart by their order in the table.
        let numbered = |key: &str| match SETTINGS.iter().position(|one| one.key == key) {
            Some(at) if key.starts_with("limits.") => (1_000 + at).to_string(),
            _ => default(key),
        };
        let at = |key: &str| numbered(key).parse::<usize>().unwrap();
        let told = server(&numbered, (None, None)).unwrap().settings;
        let expected = (
            (at("limits.tails_max"), at("limits.key_tails_max")),
            (at("limits.exports_max"), at("limits.key_exports_max")),
            (
                at("limits.export_bytes_max") as u64,
                at("limits.exports_bytes_max") as u64,
            ),
            Duration::from_secs(at("limits.exports_kept_s") as u64),
        );
        assert_eq!(kept(&told), expected);
    }
}
