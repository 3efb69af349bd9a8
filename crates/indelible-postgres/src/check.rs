//! Checking what is derived from leaves, of all logs, and what stands there for no record.
//!
//! Findings are in the words of `spec/chain.md` §6. What `fsck --repair` makes again is
//! `derived-damaged`, each with its table and column; what leaves say of themselves is told too, as
//! far as it keeps a log from being mended. Not here: signatures and personal values, which
//! `verify` checks.

use std::collections::{BTreeMap, HashSet};

use indelible_event::ids::{AuditId, TenantId};
use indelible_event::{EventView, Field, LeafView};
use indelible_merkle::Hash;
use indelible_proof::finding::{Finding, FindingKind};
use indelible_store::{Result, RowOpener};
use tokio_postgres::Client;

use crate::append::Terms;
use crate::failure::failed;
use crate::read::column;
use crate::times::Uuid;
use crate::walk::{DOING, Walk};

/// Ids, or subtrees, that are looked at together.
const PAGE: i64 = 4_096;
/// Ids that are known to stand at a wrong number, so that they are named once.
const MISPLACED_MAX: usize = 100_000;

/// What others than the database say of its logs.
#[derive(Default)]
pub struct Beside<'a> {
    /// Of each log how many records were published, and the root of these.
    pub published: BTreeMap<TenantId, (u64, Hash)>,
    /// Opens personal values, for what finds them; without it their rows are believed.
    pub opener: Option<&'a dyn RowOpener>,
    /// Which ledger it is, where its records say so.
    pub id: Option<[u8; 16]>,
}

impl std::fmt::Debug for Beside<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beside")
            .field("published", &self.published.len())
            .finish_non_exhaustive()
    }
}

/// Told what is done, how much of it, and of how much.
pub type Tell<'a> = &'a mut dyn FnMut(&str, u64, Option<u64>);

/// An id as its table has it.
pub(crate) struct StoredId {
    pub(crate) id: Uuid,
    pub(crate) tenant: String,
    pub(crate) number: i64,
}

/// Every finding.
pub(crate) async fn check(
    client: &Client,
    terms: Terms,
    beside: &Beside<'_>,
    tell: Tell<'_>,
) -> Result<Vec<Finding>> {
    let (tenants, mut findings) = logs(client, beside).await?;
    if is_renamed(client, beside).await? {
        let message = "the ledger is not called as its first record says";
        let finding = Finding::new(FindingKind::DerivedDamaged, message);
        findings.push(finding.place("table indelible.ledger, column id", 0..0));
    }
    let (mut misplaced, mut unknown) = (HashSet::new(), Vec::new());
    for tenant in &tenants {
        let walk = Walk {
            client,
            tenant,
            terms,
            beside,
        };
        let walked = walk.walk(tell, async |found| {
            let room = MISPLACED_MAX.saturating_sub(misplaced.len());
            let ids = found.ids.into_iter().take(room);
            misplaced.extend(ids.map(|(id, _)| (id.0, tenant.as_str().to_owned())));
            Ok(())
        });
        let walked = walked.await?;
        if !walked.knows_tree {
            unknown.push(tenant.as_str());
        }
        findings.extend(walked.truth);
        findings.extend(walked.derived);
    }
    let mut strangers: BTreeMap<String, (u64, StoredId)> = BTreeMap::new();
    let named = |found: &StoredId| misplaced.contains(&(found.id.0, found.tenant.clone()));
    strange_ids(client, &unknown, tell, async |found| {
        for found in found.into_iter().filter(|found| !named(found)) {
            let (count, _) = strangers.entry(found.tenant.clone()).or_insert((0, found));
            *count += 1;
        }
        Ok(())
    })
    .await?;
    for (tenant, (count, first)) in strangers {
        let id = AuditId(first.id.0);
        let message = format!("ids that no record there has: {count}, the first is {id}");
        findings.push(of_table(&tenant, "ids", message));
    }
    let is_of_head = |finding: &Finding, tenant: &str| {
        let place = finding.place.as_ref();
        finding.tenant_id.as_deref() == Some(tenant)
            && place.is_some_and(|place| place.file.starts_with("table indelible.heads"))
    };
    for (tenant, count) in strange_subtrees(client, &unknown).await? {
        // Of a head that is wrong it follows.
        if !findings.iter().any(|finding| is_of_head(finding, &tenant)) {
            let message = format!("roots of subtrees that are not complete: {count}");
            findings.push(of_table(&tenant, "subtrees", message));
        }
    }
    Ok(findings)
}

/// Whether the database says that it is of another ledger than its records say.
async fn is_renamed(client: &Client, beside: &Beside<'_>) -> Result<bool> {
    let Some(id) = &beside.id else {
        return Ok(false);
    };
    let select = "SELECT id FROM indelible.ledger";
    let row = client.query_one(select, &[]).await;
    let row = row.map_err(|error| failed(DOING, error))?;
    Ok(column::<Option<&[u8]>>(&row, 0)? != Some(&id[..]))
}

fn of_table(tenant: &str, table: &'static str, message: String) -> Finding {
    let place = format!("table indelible.{table}");
    let found = Finding::new(FindingKind::DerivedDamaged, message);
    found.tenant(tenant).place(place, 0..0)
}

/// Logs of which there is a head or a record, or was published; and what is called as no tenant can
/// be.
pub(crate) async fn logs(
    client: &Client,
    beside: &Beside<'_>,
) -> Result<(Vec<TenantId>, Vec<Finding>)> {
    let select = "WITH RECURSIVE named (tenant) AS ( \
         SELECT min(tenant_id) FROM indelible.records UNION ALL \
         SELECT (SELECT min(tenant_id) FROM indelible.records WHERE tenant_id > named.tenant) \
         FROM named WHERE named.tenant IS NOT NULL) \
         SELECT tenant FROM named WHERE tenant IS NOT NULL \
         UNION SELECT tenant_id FROM indelible.heads ORDER BY 1";
    let rows = client.query(select, &[]).await;
    let (mut tenants, mut findings) = (Vec::new(), Vec::new());
    for row in rows.map_err(|error| failed(DOING, error))? {
        let name: &str = column(&row, 0)?;
        match TenantId::parse(name) {
            Ok(tenant) => tenants.push(tenant),
            Err(why) => {
                let message = format!("a log is called {name:?}: {why}");
                findings.push(Finding::new(FindingKind::Corrupt, message));
            }
        }
    }
    tenants.extend(beside.published.keys().cloned());
    tenants.sort_unstable();
    tenants.dedup();
    Ok((tenants, findings))
}

/// Ids that no record has at their place, some at a time. An id of a record that is lost is none of
/// them, since it keeps an event from being committed twice; nor is one of a log that is not known.
pub(crate) async fn strange_ids(
    client: &Client,
    unknown: &[&str],
    tell: Tell<'_>,
    mut met: impl AsyncFnMut(Vec<StoredId>) -> Result<()>,
) -> Result<()> {
    let oops = |error| failed(DOING, error);
    let select = "SELECT kept.audit_id, kept.tenant_id, kept.sequence_number, EXISTS ( \
         SELECT FROM indelible.records AS of WHERE of.tenant_id = kept.tenant_id \
         AND of.sequence_number = kept.sequence_number AND of.audit_id = kept.audit_id), \
         kept.sequence_number >= coalesce(head.size, 0) FROM ( \
         SELECT audit_id, tenant_id, sequence_number FROM indelible.ids \
         WHERE (audit_id, tenant_id) > ($1, $2) ORDER BY audit_id, tenant_id LIMIT $3) AS kept \
         LEFT JOIN indelible.heads AS head USING (tenant_id) ORDER BY 1, 2";
    let statement = client.prepare(select).await.map_err(oops)?;
    let (mut id, mut tenant, mut done) = (Uuid([0; 16]), String::new(), 0);
    loop {
        let rows = client
            .query(&statement, &[&id, &tenant, &PAGE])
            .await
            .map_err(oops)?;
        let mut found = Vec::new();
        for row in &rows {
            (id, tenant) = (column(row, 0)?, column(row, 1)?);
            let number: i64 = column(row, 2)?;
            let (fits, is_behind): (bool, bool) = (column(row, 3)?, column(row, 4)?);
            let stored = StoredId {
                id,
                tenant: tenant.clone(),
                number,
            };
            let is_known = !unknown.contains(&stored.tenant.as_str());
            if !fits && is_known && is_strange(client, &stored, is_behind).await? {
                found.push(stored);
            }
        }
        done += rows.len() as u64;
        tell("checking ids", done, None);
        met(found).await?;
        if (rows.len() as u64) < PAGE.cast_unsigned() {
            return Ok(());
        }
    }
}

/// Whether the leaf at its place, if there is one, is of another event.
async fn is_strange(client: &Client, stored: &StoredId, is_behind: bool) -> Result<bool> {
    let select = "SELECT leaf FROM indelible.records WHERE tenant_id = $1 AND sequence_number = $2";
    let rows = client
        .query(select, &[&stored.tenant, &stored.number])
        .await;
    let rows = rows.map_err(|error| failed(DOING, error))?;
    if rows.is_empty() {
        return Ok(is_behind);
    }
    for row in &rows {
        let leaf: Option<&[u8]> = column(row, 0)?;
        // Of bytes that are no record it cannot be told.
        if id_in(leaf.unwrap_or_default()).is_none_or(|id| id.0 == stored.id.0) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn id_in(leaf: &[u8]) -> Option<AuditId> {
    let leaf = LeafView::locate(leaf).ok()?;
    let event = EventView::parse(leaf.event()).ok()?;
    AuditId::parse(&event.text(Field::AuditId)?).ok()
}

/// What says that a root is of no complete subtree of its log, which is none of those in `$1`.
pub(crate) const STRANGE_SUBTREE: &str = "tenant_id <> ALL($1) AND (level <= 0 OR level % 8 <> 0 \
     OR level > 56 OR place < 0 OR (place::numeric + 1) * power(2::numeric, level) > \
     coalesce((SELECT size FROM indelible.heads WHERE heads.tenant_id = subtrees.tenant_id), 0))";

/// How many such there are, by log.
async fn strange_subtrees(client: &Client, unknown: &[&str]) -> Result<Vec<(String, i64)>> {
    let select = format!(
        "SELECT tenant_id, count(*) FROM indelible.subtrees WHERE {STRANGE_SUBTREE} \
         GROUP BY tenant_id ORDER BY tenant_id"
    );
    let rows = client.query(&select, &[&unknown]).await;
    let rows = rows.map_err(|error| failed(DOING, error))?;
    rows.iter()
        .map(|row| Ok((column(row, 0)?, column(row, 1)?)))
        .collect()
}
