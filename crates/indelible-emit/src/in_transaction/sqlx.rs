//! `sqlx`: its connection, so pass `&mut *transaction`.
//!
//! From the crates that `sqlx` is made of: `sqlx` itself would bring its macros, and with them the
//! other databases, into every lock file.

use sqlx_core::Error;
use sqlx_core::query::query;
use sqlx_postgres::{PgConnection, Postgres};

use super::{InTransaction, Row};

impl InTransaction for PgConnection {
    type Error = Error;

    async fn insert(&mut self, row: &Row) -> Result<(), Error> {
        let insert = query::<Postgres>(Row::INSERT)
            .bind(row.audit_id.to_string())
            .bind(row.tenant_id.as_str())
            .bind(row.event.as_slice());
        insert.execute(self).await.map(drop)
    }
}
