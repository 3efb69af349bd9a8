//! One log from its first record to its last, each held against what is derived of it: the walk of
//! both checking and mending.
//!
//! Leaves are the truth here as far as they link, lead to what was published, and end where the
//! head says. Where they do not, the tree over them (hashes, subtrees, the head) is not called
//! wrong, since it may be what tells that they are not the ones committed. Memory is bounded: what
//! is found stands together as ranges of numbers, and the verifier has bounds of its own.

use std::ops::Range;

use indelible_event::ids::TenantId;
use indelible_merkle::{Frontier, Hash};
use indelible_proof::finding::{Finding, FindingKind, Span};
use indelible_proof::verify::{Expected, LogVerifier};
use indelible_store::Result;
use tokio_postgres::{Client, Row};

use crate::append::Terms;
use crate::check::{Beside, Tell};
use crate::compare::{Compared, select};
use crate::failure::failed;
use crate::ranges::{Ranges, VALUES, finding};
use crate::read::{self, CHUNK, column, number};
use crate::times::{Time, Uuid};
use crate::tree::{self, Completed};

pub(crate) const DOING: &str = "checking what is derived";

/// A head as it is stored, whatever it holds; where there is none, nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredHead {
    pub(crate) size: Option<i64>,
    pub(crate) last_hash: Option<Vec<u8>>,
    pub(crate) last_ingested_at: Option<Time>,
    pub(crate) frontier: Option<Vec<u8>>,
}

impl StoredHead {
    /// Reads it, and the number of the last record.
    pub(crate) async fn read(client: &Client, tenant: &TenantId) -> Result<(Self, Option<i64>)> {
        let select = "SELECT size, last_hash, last_ingested_at, frontier, \
             (SELECT max(sequence_number) FROM indelible.records WHERE tenant_id = $1) \
             FROM (SELECT $1::text COLLATE \"C\" AS tenant_id) AS asked \
             LEFT JOIN indelible.heads USING (tenant_id)";
        let row = client.query_one(select, &[&tenant.as_str()]).await;
        let row = row.map_err(|error| failed(DOING, error))?;
        let head = Self {
            size: column(&row, 0)?,
            last_hash: column(&row, 1)?,
            last_ingested_at: column(&row, 2)?,
            frontier: column(&row, 3)?,
        };
        Ok((head, column(&row, 4)?))
    }

    /// That of a log that leads to these.
    fn of(frontier: &Frontier, last: Option<&Last>) -> Self {
        Self {
            size: Some(number(frontier.size())),
            last_hash: Some(last.map_or(Hash::ZERO, |last| last.hash).as_ref().to_vec()),
            last_ingested_at: last.and_then(|last| last.ingested_at),
            frontier: Some(tree::to_bytes(frontier)),
        }
    }

    /// Columns in which they differ.
    fn differ(&self, from: &Self) -> Vec<&'static str> {
        let all = [
            ("size", self.size != from.size),
            ("last_hash", self.last_hash != from.last_hash),
            (
                "last_ingested_at",
                self.last_ingested_at != from.last_ingested_at,
            ),
            ("frontier", self.frontier != from.frontier),
        ];
        all.into_iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| name)
            .collect()
    }
}

/// The last record that was met.
struct Last {
    hash: Hash,
    stored_hash: Option<Hash>,
    ingested_at: Option<Time>,
    before: Frontier,
}

/// What of some records is not as it should be.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Compared>,
    /// Ids that are not where they should be, and their numbers.
    pub(crate) ids: Vec<(Uuid, i64)>,
    /// Roots of subtrees that are not there, or are others.
    pub(crate) roots: Vec<Completed>,
}

/// What a walk came to.
pub(crate) struct Walked {
    /// What the leaves say of themselves.
    pub(crate) truth: Vec<Finding>,
    /// What is derived and is not as it should be.
    pub(crate) derived: Vec<Finding>,
    /// Records whose leaves may not be the ones that were committed: nothing follows from them.
    pub(crate) doubted: Vec<Span>,
    /// The head as it was read, and as it should be if that is another and can be told.
    pub(crate) head: (StoredHead, Option<StoredHead>),
    /// Whether the tree over the leaves is known, so that it can be mended.
    pub(crate) knows_tree: bool,
}

/// Through which log, and with what.
pub(crate) struct Walk<'a> {
    pub(crate) client: &'a Client,
    pub(crate) tenant: &'a TenantId,
    pub(crate) terms: Terms,
    pub(crate) beside: &'a Beside<'a>,
}

/// How far it is.
struct State {
    verifier: LogVerifier,
    next: u64,
    frontier: Frontier,
    last: Option<Last>,
    /// Whether each record so far stood once.
    whole: bool,
    ranges: Ranges,
}

impl Walk<'_> {
    /// Walks; `met` is given what is not as it should be of some records at a time.
    pub(crate) async fn walk(
        &self,
        tell: Tell<'_>,
        mut met: impl AsyncFnMut(Found) -> Result<()>,
    ) -> Result<Walked> {
        let oops = |error| failed(DOING, error);
        let (head, last) = StoredHead::read(self.client, self.tenant).await?;
        let behind_last = last.map_or(0, |last| last.saturating_add(1));
        let end = head
            .size
            .unwrap_or(0)
            .max(behind_last)
            .max(0)
            .cast_unsigned();
        let mut state = State::new(self.tenant);
        if let Some((size, root)) = self.beside.published.get(self.tenant) {
            state.verifier.stored_head(*size, *root);
        }
        let statement = self.client.prepare(&select()).await.map_err(oops)?;
        let tenant = self.tenant.as_str();
        let mut after = (0_i64, Time::LEAST);
        loop {
            let (from, time) = after;
            let rows = self
                .client
                .query(&statement, &[&tenant, &from, &number(end), &time, &CHUNK])
                .await
                .map_err(oops)?;
            let Some(last) = rows.last() else { break };
            after = (column(last, 0)?, column(last, 1)?);
            met(self.rows(&rows, &mut state).await?).await?;
            tell(
                &format!("checking the log of {tenant}"),
                state.next,
                Some(end),
            );
        }
        Ok(self.finish(state, head, end))
    }

    async fn rows(&self, rows: &[Row], state: &mut State) -> Result<Found> {
        let oops = |error| failed(DOING, error);
        let select = self
            .client
            .prepare(read::SELECT_PERSONAL)
            .await
            .map_err(oops)?;
        let tenant = self.tenant.as_str();
        let records = rows.iter().map(|row| (tenant, row));
        let mut personal = read::personal_rows(self.client, &select, records).await?;
        let personal = personal.remove(tenant).unwrap_or_default();
        let mut found = Found::default();
        let (mut ids, mut roots) = (Vec::new(), Vec::new());
        for row in rows {
            let opener = self.beside.opener;
            let compared = Compared::of(self.tenant, row, &personal, opener, self.terms)?;
            let leaf: Option<&[u8]> = column(row, 3)?;
            state.take(self.tenant, &compared, leaf.unwrap_or_default(), &mut roots);
            if let Some(said) = &compared.said {
                ids.push((Uuid(said.audit_id.0), compared.key.0));
            }
            if !compared.differ.is_empty() || !compared.finds.is_empty() {
                found.rows.push(compared);
            }
        }
        found.ids = self.other_ids(&ids).await?;
        for (_, number) in &found.ids {
            state
                .ranges
                .note(("ids", ""), Span::one(number.cast_unsigned()));
        }
        found.roots = self.other_roots(roots).await?;
        for root in &found.roots {
            state.ranges.note(("subtrees", ""), root.leaves());
        }
        Ok(found)
    }

    /// Ids that do not stand at these numbers. An id that two records have stands at either.
    async fn other_ids(&self, ids: &[(Uuid, i64)]) -> Result<Vec<(Uuid, i64)>> {
        let oops = |error| failed(DOING, error);
        let (all, numbers): (Vec<Uuid>, Vec<i64>) = ids.iter().copied().unzip();
        let select = "SELECT said.audit_id, said.number FROM unnest($2::uuid[], $3::int8[]) \
             AS said (audit_id, number) LEFT JOIN indelible.ids AS kept \
             ON kept.audit_id = said.audit_id AND kept.tenant_id = $1 \
             WHERE kept.sequence_number IS DISTINCT FROM said.number AND NOT EXISTS ( \
             SELECT FROM indelible.records AS first WHERE first.tenant_id = $1 \
             AND first.sequence_number = kept.sequence_number \
             AND first.sequence_number < said.number AND first.audit_id = said.audit_id) \
             ORDER BY said.number";
        let tenant = self.tenant.as_str();
        let rows = self.client.query(select, &[&tenant, &all, &numbers]).await;
        let rows = rows.map_err(oops)?;
        rows.iter()
            .map(|row| Ok((column(row, 0)?, column(row, 1)?)))
            .collect()
    }

    /// Which of these are not stored as they are.
    async fn other_roots(&self, roots: Vec<Completed>) -> Result<Vec<Completed>> {
        if roots.is_empty() {
            return Ok(roots);
        }
        let levels: Vec<i16> = roots.iter().map(|root| root.level).collect();
        let places: Vec<i64> = roots.iter().map(|root| root.place).collect();
        let select = "SELECT kept.root FROM unnest($2::int2[], $3::int8[]) WITH ORDINALITY \
             AS wanted (level, place, at) LEFT JOIN indelible.subtrees AS kept \
             ON kept.tenant_id = $1 AND kept.level = wanted.level AND kept.place = wanted.place \
             ORDER BY wanted.at";
        let tenant = self.tenant.as_str();
        let rows = self
            .client
            .query(select, &[&tenant, &levels, &places])
            .await;
        let rows = rows.map_err(|error| failed(DOING, error))?;
        let mut others = Vec::new();
        for (root, row) in roots.into_iter().zip(&rows) {
            if column::<Option<&[u8]>>(row, 0)? != Some(root.root.as_ref()) {
                others.push(root);
            }
        }
        Ok(others)
    }

    fn finish(&self, mut state: State, head: StoredHead, end: u64) -> Walked {
        let should_be = StoredHead::of(&state.frontier, state.last.as_ref());
        let mut differ = head.differ(&should_be);
        if state.next == 0 && head.size.unwrap_or(0) <= 0 {
            differ.clear();
        }
        // Where all else of the head is that of the last record, only its size is wrong.
        if state.next < end && differ != ["size"] {
            state.lose(self.tenant, state.next..end);
        }
        let committed = state.last_altered(&head);
        let mut truth = state.verifier.finish().integrity;
        if let Some(committed) = committed
            && self.is_all(&truth, &committed)
        {
            let message = "the bytes are not those that the head, and its hash or the tree, are of";
            let finding = Finding::new(FindingKind::ContentMismatch, message);
            let last = Span::one(state.next.saturating_sub(1));
            truth = vec![finding.tenant(self.tenant.as_str()).records(last)];
        }
        let knows_tree = state.whole && !truth.iter().any(|finding| hides_tree(finding.kind));
        if !knows_tree {
            // These may be what tells that a leaf is not the one that was committed.
            state.ranges.forget(("records", "record_hash"));
            state.ranges.forget(("subtrees", ""));
            differ.clear();
        }
        let doubted = doubted(&truth);
        let mut derived = state.ranges.findings(self.tenant, &doubted);
        derived.extend(
            differ
                .iter()
                .map(|name| finding(self.tenant, ("heads", name))),
        );
        let should_be = Some(should_be).filter(|_| !differ.is_empty());
        Walked {
            truth,
            derived,
            doubted,
            head: (head, should_be),
            knows_tree,
        }
    }
}

impl Walk<'_> {
    /// Whether nothing else is found than what follows from the last record's being another than
    /// in this tree.
    fn is_all(&self, truth: &[Finding], committed: &Frontier) -> bool {
        let published = self.beside.published.get(self.tenant);
        let is_published = published == Some(&(committed.size(), committed.root()));
        let follows = |finding: &Finding| finding.kind == FindingKind::RootMismatch && is_published;
        truth.iter().all(follows)
    }
}

impl State {
    fn new(tenant: &TenantId) -> Self {
        Self {
            verifier: LogVerifier::new(tenant.as_str()),
            next: 0,
            frontier: Frontier::new(),
            last: None,
            whole: true,
            ranges: Ranges::default(),
        }
    }

    fn take(&mut self, tenant: &TenantId, row: &Compared, leaf: &[u8], roots: &mut Vec<Completed>) {
        let number = row.key.0.cast_unsigned();
        if number > self.next {
            self.lose(tenant, self.next..number);
        }
        let expected = Expected {
            sequence_number: Some(number),
            record_hash: None,
        };
        self.verifier.push_expecting(leaf, expected);
        let here = Span::one(number);
        for name in &row.differ {
            self.ranges.note(("records", name), here);
        }
        if !row.finds.is_empty() {
            self.ranges.note(("personal", "find"), here);
        }
        if row.values_changed {
            self.ranges.note(VALUES, here);
        }
        if number < self.next {
            // It stands twice, as the verifier says.
            self.whole = false;
            return;
        }
        let before = self.frontier.clone();
        if self.whole {
            tree::append(&mut self.frontier, row.hash, roots);
        }
        self.next = number.saturating_add(1);
        self.last = Some(Last {
            hash: row.hash,
            stored_hash: row.stored_hash,
            ingested_at: row.said.as_ref().map(|said| Time(said.ingested_at)),
            before,
        });
    }

    /// Says that these are not there.
    fn lose(&mut self, tenant: &TenantId, records: Range<u64>) {
        self.whole = false;
        let span = Span::new(records.start, records.end - 1);
        self.verifier.unreadable(span, &read::place(tenant));
    }

    /// The tree with another last record than is there, where two that are stored speak for that.
    /// Nobody else does: it has no successor.
    fn last_altered(&self, head: &StoredHead) -> Option<Frontier> {
        let last = self.last.as_ref().filter(|_| self.whole)?;
        let named = tree::hash(head.last_hash.as_deref()?).ok()?;
        let mut committed = last.before.clone();
        committed.append(named);
        let agree =
            last.stored_hash == Some(named) || head.frontier == Some(tree::to_bytes(&committed));
        (named != last.hash && agree).then_some(committed)
    }
}

fn doubted(truth: &[Finding]) -> Vec<Span> {
    let of_leaves = truth.iter().filter(|finding| hides_tree(finding.kind));
    of_leaves.filter_map(|finding| finding.records).collect()
}

/// Whether a log of which this is found may not be the one that was committed.
fn hides_tree(kind: FindingKind) -> bool {
    use FindingKind::{
        DuplicateAuditId, SealedValueMismatch, SealedValueMissing, StreamEquivocation,
        TimeRegression, UndeclaredGap, UnknownVersion,
    };
    !matches!(
        kind,
        DuplicateAuditId
            | SealedValueMismatch
            | SealedValueMissing
            | StreamEquivocation
            | TimeRegression
            | UndeclaredGap
            | UnknownVersion
    )
}
