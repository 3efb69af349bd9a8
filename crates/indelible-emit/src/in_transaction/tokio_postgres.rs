//! `tokio-postgres`, and what derefs to its transaction: pass `&mut *transaction` for a pool's.

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Transaction};

use super::{InTransaction, Row};

impl InTransaction for Transaction<'_> {
    type Error = Error;

    async fn insert(&mut self, row: &Row) -> Result<(), Error> {
        let (id, tenant) = (row.audit_id.to_string(), row.tenant_id.as_str());
        // In one round trip: nothing is prepared first.
        self.execute_typed(
            Row::INSERT,
            &[
                (&id, Type::TEXT),
                (&tenant, Type::TEXT),
                (&row.event, Type::BYTEA),
            ],
        )
        .await
        .map(drop)
    }
}
