//! Making again what is derived from leaves, where it is not as it should be.
//!
//! It works as `indelible_mender`, a role without a right to any leaf, a few hundred records at a
//! time: what was mended stays when it is cut off. The tree over a log's leaves is made again only
//! where they are known to be those that were committed, as far as anything here tells.

use indelible_event::ids::TenantId;
use indelible_proof::finding::Span;
use indelible_store::{Error, Kind, Result};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::append::Terms;
use crate::check::{Beside, STRANGE_SUBTREE, StoredId, Tell, logs, strange_ids};
use crate::columns::COLUMNS;
use crate::compare::Compared;
use crate::failure::failed;
use crate::months::Months;
use crate::personal;
use crate::times::{Time, Uuid};
use crate::walk::{Found, StoredHead, Walk, Walked};

const DOING: &str = "mending what is derived";

/// Mends all that can be.
pub(crate) async fn mend(
    client: &Client,
    terms: Terms,
    beside: &Beside<'_>,
    tell: Tell<'_>,
) -> Result<()> {
    let settle = "SET search_path = pg_catalog; SET timezone = 'UTC'";
    client
        .batch_execute(settle)
        .await
        .map_err(|error| failed(DOING, error))?;
    let (tenants, _) = logs(client, beside).await?;
    let mut unknown = Vec::new();
    for tenant in &tenants {
        let walk = Walk {
            client,
            tenant,
            terms,
            beside,
        };
        let walked = walk.walk(tell, async |_| Ok(())).await?;
        if !walked.knows_tree {
            unknown.push(tenant.as_str());
        }
        if !walked.derived.is_empty() {
            mend_log(&walk, walked, tell).await?;
        }
    }
    let remove = async |found: Vec<StoredId>| remove_ids(client, &found).await;
    strange_ids(client, &unknown, tell, remove).await?;
    let delete = format!("DELETE FROM indelible.subtrees WHERE {STRANGE_SUBTREE}");
    within(client, async || {
        let oops = |error| failed(DOING, error);
        client.execute(&delete, &[&unknown]).await.map_err(oops)?;
        if let Some(id) = &beside.id {
            let name = "UPDATE indelible.ledger SET id = $1 WHERE id <> $1";
            client.execute(name, &[&&id[..]]).await.map_err(oops)?;
        }
        Ok(())
    })
    .await
}

async fn mend_log(walk: &Walk<'_>, walked: Walked, tell: Tell<'_>) -> Result<()> {
    let (client, tenant) = (walk.client, walk.tenant);
    let mending = Mending {
        walk,
        knows_tree: walked.knows_tree,
        doubted: walked.doubted,
    };
    let found = walk
        .walk(tell, async |found| mending.write(found).await)
        .await?;
    // The truth may have changed since, which would be no moment to make a tree of it.
    let (read, Some(should_be)) = found.head else {
        return Ok(());
    };
    within(client, async || {
        let lock = "SELECT FROM indelible.heads WHERE tenant_id = $1 FOR NO KEY UPDATE";
        let locked = client.query(lock, &[&tenant.as_str()]).await;
        locked.map_err(|error| failed(DOING, error))?;
        let (now, _) = StoredHead::read(client, tenant).await?;
        if now != read {
            let said = format!("the log of {tenant} is being written to: stop its servers first");
            return Err(Error::new(Kind::Unavailable, said));
        }
        move_head(client, tenant, &should_be).await
    })
    .await
}

/// Does it in a transaction of a mender.
async fn within(client: &Client, work: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let begin = "BEGIN; SET LOCAL ROLE indelible_mender";
    client.batch_execute(begin).await.map_err(|error| {
        let failed = failed(DOING, error);
        let said = format!("{}: who owns the tables may", failed.context());
        match failed.kind() {
            Kind::ReadOnly => Error::new(Kind::ReadOnly, said),
            _ => failed,
        }
    })?;
    // Where it fails, the connection is given up, and the transaction with it.
    work().await?;
    let done = client.batch_execute("COMMIT").await;
    done.map_err(|error| failed(DOING, error))
}

struct Mending<'a> {
    walk: &'a Walk<'a>,
    knows_tree: bool,
    /// Records beside whose leaves nothing is changed.
    doubted: Vec<Span>,
}

impl Mending<'_> {
    async fn write(&self, found: Found) -> Result<()> {
        let Found {
            mut rows,
            mut ids,
            roots,
        } = found;
        rows.retain(|row| self.is_known(row.key.0));
        ids.retain(|(_, number)| self.is_known(*number));
        if rows.is_empty() && ids.is_empty() && roots.is_empty() {
            return Ok(());
        }
        if self.knows_tree {
            // By itself, since it makes tables.
            let moved = rows
                .iter()
                .filter(|row| row.differ.contains(&"ingested_at"));
            let times = moved.filter_map(|row| row.said.as_ref());
            let times = times.map(|said| said.ingested_at);
            Months::default().provide(self.walk.client, times).await?;
        }
        within(self.walk.client, async || {
            for row in &rows {
                self.row(row).await?;
                self.finds(row).await?;
            }
            self.ids(&ids).await?;
            if self.knows_tree {
                for root in &roots {
                    let (level, place) = (root.level, root.place);
                    let insert = "INSERT INTO indelible.subtrees (tenant_id, level, place, root) \
                         VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id, level, place) \
                         DO UPDATE SET root = excluded.root";
                    self.execute(insert, &[&level, &place, &root.root.as_ref()])
                        .await?;
                }
            }
            Ok(())
        })
        .await
    }

    fn is_known(&self, number: i64) -> bool {
        let number = number.cast_unsigned();
        !self.doubted.iter().any(|records| records.contains(number))
    }

    /// A statement whose first parameter is the tenant.
    async fn execute(&self, statement: &str, values: &[&(dyn ToSql + Sync)]) -> Result<()> {
        let tenant = self.walk.tenant.as_str();
        let all: Vec<&(dyn ToSql + Sync)> = std::iter::once(&tenant as &(dyn ToSql + Sync))
            .chain(values.iter().copied())
            .collect();
        let done = self.walk.client.execute(statement, &all).await;
        done.map(drop).map_err(|error| failed(DOING, error))
    }

    /// Everything beside the leaf of a row; what belongs to the tree only where that is known.
    async fn row(&self, row: &Compared) -> Result<()> {
        let Some((said, derived)) = row.derived(self.walk.terms) else {
            return Ok(());
        };
        let (number, stored_at) = row.key;
        let hash = self.knows_tree.then(|| row.hash.as_ref());
        let ingested_at = if self.knows_tree {
            Time(said.ingested_at)
        } else {
            stored_at
        };
        let is_later = row
            .differ
            .iter()
            .any(|name| ["era", "committed"].contains(name));
        let columns = COLUMNS
            .iter()
            .zip(11..)
            .map(|((name, _), at)| format!("{name} = ${at}"));
        let update = format!(
            "UPDATE indelible.records SET ingested_at = $4, occurred_at = $5, audit_id = $6, \
             record_hash = coalesce($7, record_hash), terms = $8, \
             era = CASE WHEN $10 THEN $9 ELSE era END, \
             committed = CASE WHEN $10 THEN pg_current_xact_id() ELSE committed END, {} \
             WHERE tenant_id = $1 AND sequence_number = $2 AND ingested_at = $3",
            columns.collect::<Vec<_>>().join(", ")
        );
        let (occurred_at, id) = (Time(said.occurred_at), Uuid(said.audit_id.0));
        let first: [&(dyn ToSql + Sync); 9] = [
            &number,
            &stored_at,
            &ingested_at,
            &occurred_at,
            &id,
            &hash,
            &derived.terms,
            &self.walk.terms.era,
            &is_later,
        ];
        let columns = derived.columns.iter().map(|column| column as _);
        let values: Vec<&(dyn ToSql + Sync)> = first.into_iter().chain(columns).collect();
        self.execute(&update, &values).await
    }

    async fn finds(&self, row: &Compared) -> Result<()> {
        for value in &row.finds {
            let find = value.find.as_ref().map(|find| &find.0[..]);
            let name = personal::name(value);
            let update =
                "UPDATE indelible.personal SET find = $3 WHERE tenant_id = $1 AND name = $2";
            self.execute(update, &[&&name[..], &find]).await?;
        }
        Ok(())
    }

    async fn ids(&self, ids: &[(Uuid, i64)]) -> Result<()> {
        for (id, number) in ids {
            let insert = "INSERT INTO indelible.ids (tenant_id, audit_id, sequence_number) \
                 VALUES ($1, $2, $3) ON CONFLICT (audit_id, tenant_id) \
                 DO UPDATE SET sequence_number = excluded.sequence_number";
            self.execute(insert, &[id, number]).await?;
        }
        Ok(())
    }
}

async fn move_head(client: &Client, tenant: &TenantId, head: &StoredHead) -> Result<()> {
    let insert = "INSERT INTO indelible.heads \
         (tenant_id, size, last_hash, last_ingested_at, frontier) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (tenant_id) DO UPDATE SET size = excluded.size, \
         last_hash = excluded.last_hash, last_ingested_at = excluded.last_ingested_at, \
         frontier = excluded.frontier";
    let StoredHead {
        size,
        last_hash,
        last_ingested_at,
        frontier,
    } = head;
    let tenant = tenant.as_str();
    let values: [&(dyn ToSql + Sync); 5] = [&tenant, size, last_hash, last_ingested_at, frontier];
    let moved = client.execute(insert, &values).await;
    moved.map(drop).map_err(|error| failed(DOING, error))
}

async fn remove_ids(client: &Client, found: &[StoredId]) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let (ids, tenants): (Vec<Uuid>, Vec<&str>) = found
        .iter()
        .map(|found| (found.id, found.tenant.as_str()))
        .unzip();
    let delete = "DELETE FROM indelible.ids AS kept USING unnest($1::uuid[], $2::text[]) \
         AS strange (audit_id, tenant_id) WHERE kept.audit_id = strange.audit_id \
         AND kept.tenant_id = strange.tenant_id";
    within(client, async || {
        let removed = client.execute(delete, &[&ids, &tenants]).await;
        removed.map(drop).map_err(|error| failed(DOING, error))
    })
    .await
}
