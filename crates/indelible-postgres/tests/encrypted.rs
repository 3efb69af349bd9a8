//! TLS to a real server: with the server's certificate among the roots it is used, without it
//! nothing is said to whoever answers.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Command;

use indelible_postgres::Postgres;
use indelible_store::{Kind, Ledger};
use indelible_testing::declare_skipped;

use support::{Place, available, fresh, options};

const NAME: &str = "connections_are_encrypted_to_a_server_that_is_known";
/// Set for the process that has the server's certificate among its roots.
const KNOWS: &str = "INDELIBLE_TEST_KNOWS_THE_SERVER";

#[test]
fn connections_are_encrypted_to_a_server_that_is_known() {
    if !available(NAME) {
        return;
    }
    let place = Place::make();
    let setting = |name: &str| -> String { place.rows(&format!("SHOW {name}"))[0].get(0) };
    if setting("ssl") != "on" {
        declare_skipped(NAME, "the server has no TLS");
        return;
    }
    let open = |mode: &str| {
        let url = format!("{}?sslmode={mode}", place.url);
        Postgres::open(&options(&url), || Ok(fresh(1)))
    };
    let encrypted = |ledger: &Postgres| {
        assert!(ledger.tenants().unwrap().is_empty());
        let rows = place.rows(
            "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'indelible' AND datname = current_database()",
        );
        assert!(!rows.is_empty());
        rows.iter().all(|row| row.get(0))
    };
    if std::env::var_os(KNOWS).is_some() {
        assert!(encrypted(&open("require").unwrap()));
        assert!(encrypted(&open("verify-full").unwrap()));
        return;
    }
    let stranger = open("require").map(drop).unwrap_err();
    assert_eq!(stranger.kind(), Kind::Unavailable);
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    assert!(!encrypted(&open("disable").unwrap()));
    // Roots are read once a process, from a file that its surroundings name.
    let certificate = format!("{}/{}", setting("data_directory"), setting("ssl_cert_file"));
    let knowing = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env("SSL_CERT_FILE", certificate)
        .env_remove("SSL_CERT_DIR")
        .env(KNOWS, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&knowing.stdout);
    assert!(
        knowing.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
