//! What belongs to a record as it goes over the wire: records in brief, and executions summed up.
//! The same for a server and for a command that looks in a data directory.

use indelible_api::related::{Above, Brief, End, Execution, Node, Related, Timeline};
use indelible_event::leaf::LeafView;
use indelible_event::{EventView, Field};
use indelible_log::Keyring;
use indelible_log::export::joined_as;
use indelible_log::mask::Sight;
use indelible_query::Row;
use indelible_query::related;
use indelible_store::{Error, Kind, Path, Result};

/// What belongs to the record of a row.
///
/// # Errors
/// As the key store's; [`Kind::Corrupt`] for bytes that are no record.
pub fn shown(with: (&Keyring, Sight), row: &Row, found: &related::Related) -> Result<Related> {
    let brief = |row: &Row| Read::of(with, row, 0).map(|read| read.brief);
    let briefs = |rows: &[Row]| rows.iter().map(brief).collect::<Result<Vec<_>>>();
    let below = found.descendants.iter().map(|below| {
        let depth = below.depth as u64;
        Read::of(with, &below.row, depth).map(|read| read.brief)
    });
    let (end, parent_id) = match &found.above {
        related::Above::Root => (End::Root, None),
        related::Above::Missing(id) => (End::Missing, Some(id.clone())),
        related::Above::Cycle(id) => (End::Cycle, Some(id.clone())),
        related::Above::More(id) => (End::More, Some(id.clone())),
    };
    let timeline = |timeline: &related::Timeline| {
        Ok::<_, Error>(Timeline {
            id: timeline.id.clone(),
            records: briefs(&timeline.rows)?,
            more: timeline.more,
        })
    };
    Ok(Related {
        tenant_id: row.place.tenant.to_string(),
        record: brief(row)?,
        ancestors: briefs(&found.ancestors)?,
        above: Above { end, parent_id },
        descendants: below.collect::<Result<_>>()?,
        more_below: found.more_below,
        cycle_below: found.cycle_below,
        correlation: found.correlation.as_ref().map(timeline).transpose()?,
        execution: found
            .execution
            .as_ref()
            .map(|timeline| execution(with, timeline))
            .transpose()?,
        unreadable: Vec::new(),
    })
}

/// A record, and what of it only an execution tells.
struct Read {
    brief: Brief,
    agent: Option<String>,
}

impl Read {
    fn of(with: (&Keyring, Sight), row: &Row, depth: u64) -> Result<Self> {
        let corrupt = |error: &dyn std::fmt::Display| Error::new(Kind::Corrupt, error.to_string());
        let leaf = LeafView::locate(&row.leaf).map_err(|error| corrupt(&error))?;
        let (keyring, sight) = with;
        let tenant = &row.place.tenant;
        let (event, _) = joined_as(sight, keyring, tenant, leaf.event(), &row.sealed)?;
        let event = EventView::parse(&event).map_err(|error| corrupt(&error))?;
        let text = |field| event.text(field).map(std::borrow::Cow::into_owned);
        let first = |fields: &[Field]| fields.iter().find_map(|field| text(*field));
        let node = Path {
            field: Field::Ai,
            steps: vec!["trace".to_owned(), "node".to_owned()],
        };
        let brief = Brief {
            audit_id: text(Field::AuditId).unwrap_or_default(),
            sequence_number: row.place.sequence_number,
            depth,
            parent_id: text(Field::ParentId),
            occurred_at: row.place.occurred_at.to_rfc3339(),
            event_type: text(Field::EventType),
            actor: first(&[Field::ActorName, Field::ActorId]),
            target: first(&[Field::TargetName, Field::TargetId, Field::TargetUid]),
            outcome: text(Field::Outcome),
            duration_ms: event
                .number(Field::DurationMs)
                .or_else(|| event.number(Field::AiLatencyMs)),
            node: node.text(&event),
            model: text(Field::AiModel),
            tokens: event.number(Field::AiTotalTokens),
            cost_usd: event.number(Field::AiCostUsd),
        };
        let agent = text(Field::AiAgentType);
        Ok(Self { brief, agent })
    }
}

fn execution(with: (&Keyring, Sight), timeline: &related::Timeline) -> Result<Execution> {
    let mut execution = Execution {
        id: timeline.id.clone(),
        more: timeline.more,
        ..Execution::default()
    };
    for row in &timeline.rows {
        let Read { brief, agent } = Read::of(with, row, 0)?;
        execution.agent = execution.agent.or(agent);
        let started_at = || Some(brief.occurred_at.clone());
        execution.started_at = execution.started_at.or_else(started_at);
        execution.ended_at = Some(brief.occurred_at.clone());
        execution.outcome = brief.outcome.clone().or(execution.outcome);
        execution.tokens += brief.tokens.unwrap_or(0.0);
        execution.cost_usd += brief.cost_usd.unwrap_or(0.0);
        if let Some(name) = &brief.node {
            add(&mut execution.nodes, name, &brief);
        }
        execution.records.push(brief);
    }
    let ends = timeline.rows.first().zip(timeline.rows.last());
    execution.duration_ms = ends.map_or(0.0, |(first, last)| {
        let micros = last
            .place
            .occurred_at
            .0
            .saturating_sub(first.place.occurred_at.0);
        std::time::Duration::from_micros(micros.unsigned_abs()).as_secs_f64() * 1e3
    });
    Ok(execution)
}

fn add(nodes: &mut Vec<Node>, name: &str, brief: &Brief) {
    let at = nodes.iter().position(|node| node.name == name);
    let at = at.unwrap_or_else(|| {
        nodes.push(Node {
            name: name.to_owned(),
            ..Node::default()
        });
        nodes.len() - 1
    });
    let Some(node) = nodes.get_mut(at) else {
        return;
    };
    node.records += 1;
    node.duration_ms += brief.duration_ms.unwrap_or(0.0);
    node.outcome = brief.outcome.clone().or(node.outcome.take());
    if let Some(model) = &brief.model
        && !node.models.contains(model)
    {
        node.models.push(model.clone());
    }
    node.tokens += brief.tokens.unwrap_or(0.0);
    node.cost_usd += brief.cost_usd.unwrap_or(0.0);
}
