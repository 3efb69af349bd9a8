//! `diesel-async`: the connection that `transaction` lends.

use diesel::result::Error;
use diesel::sql_types::{Bytea, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{InTransaction, Row};

impl InTransaction for AsyncPgConnection {
    type Error = Error;

    async fn insert(&mut self, row: &Row) -> Result<(), Error> {
        let insert = diesel::sql_query(Row::INSERT)
            .bind::<Text, _>(row.audit_id.to_string())
            .bind::<Text, _>(row.tenant_id.as_str())
            .bind::<Bytea, _>(row.event.as_slice());
        insert.execute(self).await.map(drop)
    }
}
