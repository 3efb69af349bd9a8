//! The first start on a cluster of its own, with a role that may do nothing yet: what is lacking is
//! said at once.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use indelible_testing::database::sql;
use support::Place;
use support::own_postgres::OwnPostgres;

#[test]
fn all_that_an_ordinary_role_lacks_is_said_at_once() {
    let test = "all_that_an_ordinary_role_lacks_is_said_at_once";
    if indelible_testing::postgres(test).is_none() {
        return;
    }
    let Some(postgres) = OwnPostgres::start() else {
        indelible_testing::declare_skipped(test, "no PostgreSQL on this machine");
        return;
    };
    sql(&postgres.url, "CREATE ROLE \"audit-it\" LOGIN");
    sql(&postgres.url, "CREATE DATABASE trail");
    let (_, rest) = postgres.url.split_once('@').unwrap();
    let (server, _) = rest.split_once('/').unwrap();
    let place = Place::with_ledger(&format!("postgres://audit-it@{server}/trail"));
    let refused = place.ends(3, "keys init");
    let (_, statements) = refused.err.split_once("run as an administrator: ").unwrap();
    assert_eq!(
        statements.trim_end(),
        "GRANT CREATE ON DATABASE trail TO \"audit-it\"; CREATE ROLE indelible_writer NOLOGIN; \
         CREATE ROLE indelible_reader NOLOGIN; CREATE ROLE indelible_pruner NOLOGIN; \
         CREATE ROLE indelible_mender NOLOGIN; GRANT indelible_mender TO \"audit-it\"; \
         GRANT indelible_writer TO \"audit-it\";"
    );
    // As it is said.
    sql(&postgres.url, statements);
    place.ok("keys init");
    let emit = "emit --tenant acme --action a.b --actor user:u --target t:1 --outcome success";
    place.ok(emit);
    place.ok("verify --require-anchor");
}
