//! Agents of the demonstration work in runs: what they do for one request is one execution, node by
//! node, each record the child of the one before. Not random: what an event has is kept.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Node, what it thought, the tool that it used, how sure it was.
const NODES: [(&str, &str, &str, f64); 5] = [
    (
        "plan",
        "the request names one thing and one deadline",
        "calendar",
        0.94,
    ),
    (
        "retrieve",
        "four passages answer it, and two of them agree",
        "search",
        0.81,
    ),
    (
        "draft",
        "the newest passage is followed where they differ",
        "editor",
        0.76,
    ),
    (
        "check",
        "no name and no address is left in the text",
        "scanner",
        0.9,
    ),
    ("finish", "nothing is open any more", "publisher", 0.97),
];

/// The runs that are under way, one for each tenant.
#[derive(Debug, Default)]
pub struct Runs {
    open: BTreeMap<&'static str, Run>,
}

#[derive(Debug)]
struct Run {
    request: Value,
    actor: Value,
    parent: Value,
    step: usize,
}

impl Runs {
    /// Makes an agent's event the next one of its tenant's run, or the first of a new one.
    pub fn join(&mut self, tenant: &'static str, event: &mut Value) {
        let id = event["audit_id"].clone();
        let step = match self.open.get_mut(tenant) {
            Some(run) if run.step + 1 < NODES.len() => {
                run.step += 1;
                event["context"]["parent_id"] = std::mem::replace(&mut run.parent, id);
                event["context"]["request_id"] = run.request.clone();
                event["actor"] = run.actor.clone();
                run.step
            }
            _ => {
                let run = Run {
                    request: event["context"]["request_id"].clone(),
                    actor: event["actor"].clone(),
                    parent: id,
                    step: 0,
                };
                self.open.insert(tenant, run);
                0
            }
        };
        let Some((node, reasoning, tool, confidence)) = NODES.get(step) else {
            return;
        };
        let agent = event["actor"]["id"].as_str().unwrap_or_default();
        let agent = agent.trim_start_matches("agent:").to_owned();
        let tokens = event["ai"]["total_tokens"].as_u64();
        let tokens = tokens
            .and_then(|tokens| u32::try_from(tokens).ok())
            .unwrap_or_default();
        event["ai"]["agent_type"] = json!(agent);
        event["ai"]["confidence"] = json!(confidence);
        event["ai"]["cost_usd"] = json!(f64::from(tokens) / 100_000.0);
        event["ai"]["reasoning"] = json!(reasoning);
        event["ai"]["tools_used"] = json!([tool]);
        event["ai"]["trace"] = json!({"node": node, "step": step});
        event["changes"] = json!({
            "before": {"node": NODES.get(step.wrapping_sub(1)).map(|(name, ..)| name)},
            "after": {"node": node},
        });
    }
}
