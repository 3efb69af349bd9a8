//! `emit`: one event from the command line, durable and published when the receipt is printed.

use std::sync::Arc;

use indelible_event::canonical::canonicalize;
use indelible_event::catalogue::NATIVE;
use indelible_event::{Mode, Origin, Problem, admit};
use indelible_log::outcome::{Outcome, Submission};
use indelible_log::prepare::Admission;
use indelible_proof::receipt::Receipt;

use crate::args::Emit;
use crate::config::Config;
use crate::exit::{Failure, OrCould, Result};
use crate::import::{Writer, in_words};
use crate::ledger;
use crate::output::{Output, Tone};
use crate::process::{environment, tenant_to_write};

/// Where each option's value stands in the event.
const PLACES: [(&str, &str); 8] = [
    ("/actor", "--actor"),
    ("/target", "--target"),
    ("/context", "--correlation"),
    ("/data", "--payload"),
    ("/description", "--description"),
    ("/event_type", "--action"),
    ("/occurred_at", "--at"),
    ("/outcome", "--outcome"),
];

/// Writes the event and prints its receipt.
pub fn run(args: &Emit, config: &Config, output: &mut Output) -> Result {
    let tenant = tenant_to_write(args.tenant.as_deref(), config)?;
    let event = event(args)?;
    check(&event)?;
    ledger::note_that_it_is_here(config, output);
    let ledger = ledger::write(config, output)?;
    ledger.warn_of_exposed_keys(output);
    let admission = Arc::new(Admission {
        mode: Mode::Strict,
        catalogue: &NATIVE,
        dialect: None,
        submitted_by: None,
        via: Some("emit".to_owned()),
        sealing: ledger::sealing(config, args.sealing)?,
    });
    let submission = Submission {
        tenant,
        event,
        admission,
        stream: None,
    };
    let outcome = ledger.log.submit(vec![submission]).wait().pop();
    let receipt = match outcome {
        Some(Outcome::New(receipt) | Outcome::Repeat { receipt, .. }) => receipt,
        Some(Outcome::Refused(problems)) => {
            return Err(refused(&problems));
        }
        Some(Outcome::Conflict(receipt)) => {
            let text = format!(
                "record {} has this id with other content",
                receipt.sequence_number
            );
            return Err(Failure::Could(text));
        }
        Some(Outcome::Failed(error)) => {
            return Err(Failure::Could(format!("cannot commit the event: {error}")));
        }
        None => {
            return Err(Failure::Could(
                "the event had no outcome: report this".to_owned(),
            ));
        }
    };
    // Published whether or not somebody reads the receipt; told whether or not it was published.
    let published = ledger.publish_and_close(output);
    print(&receipt, output)?;
    published
}

/// Refuses what the ledger would refuse, before there is any ledger.
fn check(event: &[u8]) -> Result {
    let env = environment();
    let admission = indelible_event::Admission {
        mode: Mode::Strict,
        catalogue: &NATIVE,
        dialect: NATIVE.name,
        origin: Origin::Producer,
        tenant: None,
        now: env.clock.now(),
    };
    admit(event, &admission, &mut |bytes| env.random.fill(bytes))
        .map(drop)
        .map_err(|problems| refused(&problems))
}

/// All that is in the event was typed, so what is wrong with it is wrong with the command line.
fn refused(problems: &[Problem]) -> Failure {
    let mut lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            let Problem {
                pointer,
                code,
                message,
                ..
            } = problem;
            let option = PLACES.iter().find(|(place, _)| is_within(pointer, place));
            let option = option.map_or("the event", |(_, option)| option);
            let within = pointer.strip_prefix("/data").unwrap_or_default();
            let gap = if within.is_empty() { "" } else { " " };
            format!("{option}{gap}{within}: {message} [{code}]")
        })
        .collect();
    // Type and id of one option may lack for one reason.
    lines.dedup();
    Failure::Usage(lines.join("\n"))
}

fn is_within(pointer: &str, place: &str) -> bool {
    let rest = pointer.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn print(receipt: &Receipt, output: &mut Output) -> Result {
    if output.json {
        return output.json_line(receipt);
    }
    let head = format!(
        "record {} of {}",
        receipt.sequence_number, receipt.tenant_id
    );
    let head = output.paint(&head, Tone::Good);
    output.line(format_args!("committed as {head}"))?;
    output.line(format_args!("  audit_id     {}", receipt.audit_id))?;
    output.line(format_args!("  record_hash  {}", receipt.record_hash))?;
    output.line(format_args!(
        "  ingested_at  {}",
        receipt.ingested_at.to_rfc3339()
    ))
}

fn event(args: &Emit) -> Result<Vec<u8>> {
    let mut event = Writer::default();
    event.raw("actor", &type_and_id("--actor", &args.actor)?);
    if let Some(correlation) = &args.correlation {
        let mut context = Writer::default();
        context.text("correlation_id", correlation);
        event.raw("context", &context.finish());
    }
    if let Some(payload) = &args.payload {
        event.raw("data", &object(payload)?);
    }
    event
        .maybe("description", args.description.as_deref())
        .text("event_type", &args.action)
        .maybe("occurred_at", args.at.as_deref())
        .text("outcome", &args.outcome);
    if let Some(target) = &args.target {
        event.raw("target", &type_and_id("--target", target)?);
    }
    Ok(event.finish().into_bytes())
}

/// `agent:publisher` as an object.
fn type_and_id(option: &str, text: &str) -> Result<String> {
    let (kind, id) = text
        .split_once(':')
        .filter(|(kind, id)| !kind.is_empty() && !id.is_empty())
        .ok_or_else(|| {
            Failure::Usage(format!(
                "{option} `{text}`: write type:id, like user:ada or post:456"
            ))
        })?;
    let mut object = Writer::default();
    object.text("id", id).text("type", kind);
    Ok(object.finish())
}

/// `--payload`, which must be a JSON object; problems are told with their places within it.
fn object(text: &str) -> Result<String> {
    let canonical = canonicalize(text.as_bytes())
        .map_err(|problems| Failure::Usage(format!("--payload: {}", in_words(&problems))))?;
    if !canonical.starts_with(b"{") {
        return Err(Failure::Usage(
            "--payload must be a JSON object, like '{\"n\":1}'".to_owned(),
        ));
    }
    String::from_utf8(canonical.into_owned()).or_could("read --payload")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn type_and_id_are_split_at_the_first_colon() {
        let arn = type_and_id("--target", "aws:arn:aws:s3:::b").unwrap();
        assert_eq!(arn, r#"{"id":"arn:aws:s3:::b","type":"aws"}"#);
        for bad in ["", "user", ":ada", "user:"] {
            let Err(Failure::Usage(text)) = type_and_id("--actor", bad) else {
                panic!("{bad}")
            };
            assert!(text.contains("type:id"));
        }
    }

    #[test]
    fn data_keeps_its_digits_and_must_be_an_object() {
        assert_eq!(
            object(r#"{"b":1.50,"a":1e400}"#).unwrap(),
            r#"{"a":1e400,"b":1.50}"#
        );
        for bad in ["[1]", "{", "{\"a\":1,\"a\":2}"] {
            assert!(matches!(object(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
