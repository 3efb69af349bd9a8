//! A query as SQL: a superset of what matches, in the query's order.
//!
//! Records are found by hashes of their terms, under a key of this database. What SQL cannot say
//! exactly (phrases, what is not filed under a term) it leaves wide; the caller checks bodies.

use indelible_event::ids::{Micros, TenantId};
use indelible_store::{
    Direction, Error, Expr, Hits, Key, Kind, Order, Pattern, Place, Query, Result, TermKey, Terms,
};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::append::Terms as Filing;
use crate::columns::PERSONAL;
use crate::failure::failed;
use crate::marks::{self, Mark, Seen};
use crate::read::{column, tenant};
use crate::times::{Time, Uuid};

const DOING: &str = "searching";
/// So many hashes are compared with a record's terms one by one.
const COMPARED_MAX: usize = 8;

pub(crate) type Value = Box<dyn ToSql + Sync + Send>;

/// A statement under construction: what it says, and the values of its parameters.
pub(crate) struct Sql {
    pub(crate) values: Vec<Value>,
    key: TermKey,
}

impl Sql {
    /// Nothing said yet.
    pub(crate) fn new(key: TermKey) -> Self {
        let values = Vec::new();
        Self { values, key }
    }

    /// The parameter of a value.
    pub(crate) fn value(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.values.push(Box::new(value));
        format!("${}", self.values.len())
    }

    fn term(&mut self, key: Key, text: &str) -> String {
        let hash = hash_of(self.key, key, text);
        self.has(hash.into_iter().collect())
    }

    /// The condition that a record is found by one of these hashes.
    pub(crate) fn has(&mut self, hashes: Vec<i64>) -> String {
        let hashes = self.value(hashes);
        format!("terms && {hashes}::int8[]")
    }

    /// The condition that a record is found by none of these hashes. Where there are many each term
    /// is looked up among them: to compare two lists takes the time of their product.
    pub(crate) fn lacks(&mut self, hashes: Vec<i64>) -> String {
        if hashes.len() <= COMPARED_MAX {
            return format!("NOT ({})", self.has(hashes));
        }
        let hashes = self.value(hashes);
        format!(
            "NOT EXISTS (SELECT FROM unnest(terms) AS filed (term) \
             WHERE filed.term = ANY({hashes}::int8[]))"
        )
    }

    /// A condition that holds wherever the expression does; the flag says that it holds nowhere
    /// else.
    pub(crate) fn condition(&mut self, expr: &Expr) -> (String, bool) {
        match expr {
            Expr::All => ("true".into(), true),
            Expr::Is(..) | Expr::Sealed(_) => {
                let hashes = hashes(self.key, expr).unwrap_or_default();
                (self.has(hashes), true)
            }
            Expr::Phrase(words) => {
                let (condition, _) = self.with_words(words);
                (condition, Expr::is_word(words))
            }
            Expr::PhraseLike(words) => {
                let whole: Vec<_> = words.iter().filter_map(Pattern::literal).collect();
                self.with_words(&whole)
            }
            // The words of an event's type are filed; of what else is like a pattern nothing is
            // known.
            Expr::Like(Key::Type, pattern) => self.with_words(&pattern.words()),
            Expr::Id(id) => (format!("audit_id = {}", self.value(Uuid(id.0))), true),
            Expr::Sequence(range) => {
                let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                let from = self.value(number(range.start));
                let to = self.value(number(range.end));
                (
                    format!("sequence_number >= {from} AND sequence_number < {to}"),
                    true,
                )
            }
            Expr::Within(network) => match network.few() {
                Some(addresses) => {
                    let hashes = addresses.map(|text| self.key.term(Key::Ip, text.as_bytes()));
                    let hashes = hashes.map(u64::cast_signed);
                    let hashes = hashes.collect();
                    (self.has(hashes), true)
                }
                None => ("true".into(), false),
            },
            // Stands in the leaf alone.
            Expr::Like(..) | Expr::At(..) | Expr::Attachment => ("true".into(), false),
            Expr::Not(inner) => {
                if let Some(hashes) = hashes(self.key, inner) {
                    return (self.lacks(hashes), true);
                }
                let before = self.values.len();
                let (condition, exact) = self.condition(inner);
                if exact {
                    return (format!("NOT ({condition})"), true);
                }
                // Some of these records may not match, so none may be left out; and a statement
                // takes no values that it does not speak of.
                self.values.truncate(before);
                ("true".into(), false)
            }
            Expr::And(all) => self.conditions(all, " AND ", "true"),
            // One look at a record's terms, rather than one for each of hundreds of values.
            Expr::Or(_) if let Some(hashes) = hashes(self.key, expr) => (self.has(hashes), true),
            Expr::Or(any) => self.conditions(any, " OR ", "false"),
        }
    }

    fn with_words(&mut self, words: &[String]) -> (String, bool) {
        let parts = words.iter().map(|word| self.term(Key::Word, word));
        (joined(&parts.collect::<Vec<_>>(), " AND ", "true"), false)
    }

    fn conditions(&mut self, all: &[Expr], with: &str, none: &str) -> (String, bool) {
        let parts: Vec<_> = all.iter().map(|expr| self.condition(expr)).collect();
        let exact = parts.iter().all(|(_, exact)| *exact);
        let parts: Vec<_> = parts.into_iter().map(|(condition, _)| condition).collect();
        (joined(&parts, with, none), exact)
    }

    fn between(&mut self, column: &str, range: &std::ops::Range<Micros>) -> Vec<String> {
        let mut parts = Vec::new();
        if range.start.0 != i64::MIN {
            parts.push(format!("{column} >= {}", self.value(Time(range.start))));
        }
        if range.end.0 != i64::MAX {
            parts.push(format!("{column} < {}", self.value(Time(range.end))));
        }
        parts
    }

    /// What all must hold of a record that the query wants; the flag says that it is not less.
    pub(crate) fn wanted(&mut self, query: &Query, mark: Option<&Mark>) -> (Vec<String>, bool) {
        let (condition, exact) = self.condition(&query.expr);
        let mut parts = vec![condition];
        if let Some(tenants) = &query.tenants {
            let tenants: Vec<String> = tenants
                .iter()
                .map(|t: &TenantId| t.as_str().into())
                .collect();
            parts.push(match tenants.as_slice() {
                [one] => format!("tenant_id = {}", self.value(one.clone())),
                _ => format!("tenant_id = ANY({})", self.value(tenants)),
            });
        }
        parts.extend(self.between("occurred_at", &query.occurred));
        parts.extend(self.between("ingested_at", &query.ingested));
        if let Some(mark) = mark {
            parts.push(self.seen(mark));
        }
        (parts, exact)
    }

    /// What a mark lets in.
    fn seen(&mut self, mark: &Mark) -> String {
        let era = self.value(mark.era);
        let seen = match &mark.seen {
            Seen::Below(number) => {
                let number = self.value(number.to_string());
                format!("committed < {number}::text::xid8")
            }
            Seen::In(snapshot) => {
                let snapshot = self.value(snapshot.clone());
                format!("pg_visible_in_snapshot(committed, {snapshot}::text::pg_snapshot)")
            }
        };
        format!("era < {era} OR era = {era} AND {seen}")
    }
}

/// The hashes that a record is found by, one of them at least, wherever the expression holds, and
/// nowhere else; `None` where that is no matter of terms and personal values alone.
pub(crate) fn hashes(key: TermKey, expr: &Expr) -> Option<Vec<i64>> {
    match expr {
        Expr::Is(of, text) => Some(hash_of(key, *of, text).into_iter().collect()),
        Expr::Sealed(finds) => {
            let hashes = finds.iter().map(|find| key.hash(PERSONAL, &find.0));
            Some(hashes.map(u64::cast_signed).collect())
        }
        Expr::Or(any) => {
            let all: Option<Vec<_>> = any.iter().map(|expr| hashes(key, expr)).collect();
            Some(all?.concat())
        }
        _ => None,
    }
}

/// That of a term.
fn hash_of(key: TermKey, of: Key, text: &str) -> Option<i64> {
    // Filed terms are cut to a length; cutting is done where they are made.
    let mut terms = Terms::default();
    terms.push(of, text);
    let filed = terms.iter_bytes().next();
    filed.map(|(of, text)| key.term(of, text).cast_signed())
}

/// The parts as one condition.
pub(crate) fn joined(parts: &[String], with: &str, none: &str) -> String {
    if parts.is_empty() {
        return none.into();
    }
    let parts: Vec<_> = parts.iter().map(|part| format!("({part})")).collect();
    parts.join(with)
}

/// The next hits of a query.
pub(crate) async fn search(
    client: &Client,
    query: &Query,
    after: Option<&Place>,
    limit: usize,
    terms: Filing,
) -> Result<Hits> {
    let mark = match query.as_of {
        Some(mark) => Some(marks::read(client, mark).await?),
        None => None,
    };
    let (sql, values) = statement(query, after, limit, (terms.key, mark.as_ref()));
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
    let rows = client
        .query(&sql, &values)
        .await
        .map_err(|error| failed(DOING, error))?;
    let exhausted = rows.len() <= limit;
    let hit = |row: &tokio_postgres::Row| {
        let tenant = tenant(column(row, 1)?)?;
        let number: i64 = column(row, 2)?;
        let sequence_number = u64::try_from(number).map_err(|_| {
            Error::new(
                Kind::Corrupt,
                format!("a record of {tenant} has the number {number}"),
            )
        })?;
        Ok(Place {
            occurred_at: column::<Time>(row, 0)?.0,
            tenant,
            sequence_number,
        })
    };
    let hits = rows.iter().take(limit).map(hit).collect::<Result<_>>()?;
    Ok(Hits { hits, exhausted })
}

fn statement(
    query: &Query,
    after: Option<&Place>,
    limit: usize,
    (key, mark): (TermKey, Option<&Mark>),
) -> (String, Vec<Value>) {
    let mut sql = Sql::new(key);
    let (mut parts, _) = sql.wanted(query, mark);
    let (than, direction) = match query.direction {
        Direction::NewestFirst => ("<", "DESC"),
        Direction::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = after {
        let tenant = sql.value(after.tenant.as_str().to_owned());
        let number = sql.value(i64::try_from(after.sequence_number).unwrap_or(i64::MAX));
        parts.push(match query.order {
            Order::Sequence => format!("(tenant_id, sequence_number) {than} ({tenant}, {number})"),
            Order::Time => {
                let at = sql.value(Time(after.occurred_at));
                format!(
                    "(occurred_at, tenant_id, sequence_number) {than} ({at}, {tenant}, {number})"
                )
            }
        });
    }
    let order = match query.order {
        Order::Time => ["occurred_at", "tenant_id", "sequence_number"].as_slice(),
        Order::Sequence => &["tenant_id", "sequence_number"],
    };
    let order: Vec<_> = order
        .iter()
        .map(|column| format!("{column} {direction}"))
        .collect();
    let limit = sql.value(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1));
    let condition = joined(&parts, " AND ", "true");
    let text = format!(
        "SELECT occurred_at, tenant_id, sequence_number FROM indelible.records \
         WHERE {condition} ORDER BY {} LIMIT {limit}",
        order.join(", ")
    );
    (text, sql.values)
}
