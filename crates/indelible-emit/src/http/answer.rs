//! What the server's answer means for each event.
//!
//! What may pass by itself is tried again: no room, a store out of reach, an address behind which
//! nothing listens yet, and whatever an Indelible server does not say, since somebody else between
//! says it. What a person must correct is not: a key, an event, a tenant that the server says it
//! has not got for this key.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use indelible_api::{BatchResponse, Defect, ItemResult, Problem as Document};
use indelible_event::{AuditId, EventView, Field, Problem, ProblemCode};
use indelible_proof::receipt::Receipt;

use super::again;
use crate::transport::{Outgoing, Verdict};

/// One verdict per event of the batch.
pub(super) fn verdicts(
    status: u16,
    after: Option<Duration>,
    body: &[u8],
    batch: &[Outgoing],
) -> Vec<Verdict> {
    let events = batch.len();
    if status != 200 {
        let document = serde_json::from_slice::<Document>(body).ok();
        return vec![verdict(status, after, document); events];
    }
    let Ok(answer) = serde_json::from_slice::<BatchResponse>(body) else {
        return again(events, after, true, "the server's answer cannot be read");
    };
    let mut verdicts = again(events, after, true, "the server said nothing of the event");
    for item in answer.results {
        let index = usize::try_from(item.index).ok();
        let place = index.and_then(|index| Some((verdicts.get_mut(index)?, batch.get(index)?)));
        if let Some((place, outgoing)) = place {
            *place = match item.result {
                ItemResult::Receipt(receipt) if !is_of(&receipt, outgoing) => Verdict::Again {
                    after,
                    reached: true,
                    reason: "the server's receipt is of another event".into(),
                },
                ItemResult::Receipt(receipt) if item.status == 200 => Verdict::Repeated {
                    receipt,
                    other_claim: item.other_claim,
                },
                ItemResult::Receipt(receipt) if item.status == 201 => Verdict::Committed(receipt),
                ItemResult::Receipt(_) => continue,
                ItemResult::Problem(document) => match verdict(item.status, after, Some(*document))
                {
                    // The batch was taken, so the key is good: a tenant that is not there is this
                    // event's own fault, and others must not wait for it.
                    Verdict::Denied(reason) => Verdict::NoTenant(reason),
                    verdict => verdict,
                },
            };
        }
    }
    verdicts
}

/// Whether a receipt is that of the event: a proxy that keeps answers, or mixes them up, would else
/// have events taken for committed that nobody has.
fn is_of(receipt: &Receipt, outgoing: &Outgoing) -> bool {
    let same = receipt.audit_id == outgoing.audit_id;
    receipt.tenant_id == outgoing.tenant && (same || has_foreign_id(outgoing))
}

/// Whether the event says an id that is not ours: the server makes one of it.
fn has_foreign_id(outgoing: &Outgoing) -> bool {
    let event = EventView::parse(&outgoing.event).ok();
    let id = event.and_then(|event| event.text(Field::AuditId).map(Cow::into_owned));
    id.is_some_and(|id| AuditId::parse(&id) != Ok(outgoing.audit_id))
}

/// Whether what stands beside an event is stored, or what becomes of the event.
pub(super) fn stored(status: u16, after: Option<Duration>, body: &[u8]) -> Result<(), Verdict> {
    if matches!(status, 200 | 201) {
        return Ok(());
    }
    let document = serde_json::from_slice::<Document>(body).ok();
    let own = document.is_some() && status == 404;
    Err(match verdict(status, after, document) {
        // As in a batch: the tenant is not there, or the server stores none.
        Verdict::Denied(reason) if own => Verdict::Failed(reason),
        // Of the event nothing was sent.
        Verdict::Again { after, reason, .. } => Verdict::Again {
            after,
            reached: false,
            reason,
        },
        verdict => verdict,
    })
}

fn verdict(status: u16, after: Option<Duration>, document: Option<Document>) -> Verdict {
    let reason: Arc<str> = match &document {
        Some(document) => document.to_string().into(),
        None => format!("the server answered {status}").into(),
    };
    match (status, document) {
        (409, Some(document)) => Verdict::Conflict(document.receipt),
        (400 | 413 | 422, Some(document)) if !document.problems.is_empty() => {
            Verdict::Refused(document.problems.into_iter().map(problem).collect())
        }
        // Nothing was taken of a request that found no server or no room.
        (301..=308 | 404 | 405, None) | (425 | 429, _) => Verdict::Again {
            after,
            reached: false,
            reason,
        },
        (401 | 403, _) | (404, Some(_)) => Verdict::Denied(reason),
        // Nothing that takes events this long stands between.
        (413, None) => Verdict::Failed(reason),
        (408 | 500.., _) | (_, None) => Verdict::Again {
            after,
            reached: true,
            reason,
        },
        _ => Verdict::Failed(reason),
    }
}

fn problem(defect: Defect) -> Problem {
    let known = ProblemCode::ALL
        .iter()
        .find(|code| code.as_str() == defect.code);
    let (code, message) = if let Some(code) = known {
        (*code, defect.message)
    } else {
        // A newer server; its word stands in the message.
        let message = format!("{} [{}]", defect.message, defect.code);
        (ProblemCode::Contradiction, message)
    };
    let problem = Problem::at(defect.pointer, code, message);
    let offset = defect
        .offset
        .and_then(|offset| usize::try_from(offset).ok());
    match offset {
        Some(offset) => problem.with_offset(offset),
        None => problem,
    }
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date, which is held against the answer's own
/// `Date`, so that no two clocks are compared.
pub(super) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value.trim()).ok()?;
    let now = httpdate::parse_http_date(date?.trim()).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use indelible_event::TenantId;

    const RECEIPT: &str = r#"{"tenant_id":"acme","audit_id":"019a9b00-0000-7000-8000-000000000001","sequence_number":7,"record_hash":"0000000000000000000000000000000000000000000000000000000000000000","ingested_at":"2026-11-20T09:00:00.000000Z"}"#;

    const P: &str = r#""type":"t","title":"T","detail":"d","next":"n""#;

    /// Events that all have the id of `RECEIPT`.
    fn events(count: usize) -> Vec<Outgoing> {
        let id = "019a9b00-0000-7000-8000-000000000001";
        let event = Outgoing {
            tenant: TenantId::parse("acme").unwrap(),
            audit_id: AuditId::parse(id).unwrap(),
            event: format!(r#"{{"audit_id":"{id}"}}"#).into_bytes(),
            stream: None,
            attached: Vec::new(),
        };
        vec![event; count]
    }

    #[test]
    fn a_receipt_of_another_event_settles_nothing() {
        let other = RECEIPT.replace("000001\"", "000002\"");
        let of_another_tenant = RECEIPT.replace("acme", "globex");
        let one = |status: u16, receipt: &str, event: &[Outgoing]| {
            let item = format!(r#"{{"index":0,"status":{status},"receipt":{receipt}}}"#);
            let body = format!(r#"{{"results":[{item}],"accepted":1,"repeated":0,"rejected":0}}"#);
            verdicts(200, None, body.as_bytes(), event).remove(0)
        };
        let again = |verdict| matches!(verdict, Verdict::Again { reached: true, .. });
        let ours = events(1);
        for status in [200, 201] {
            assert!(!again(one(status, RECEIPT, &ours)));
            assert!(again(one(status, &other, &ours)));
            assert!(again(one(status, &of_another_tenant, &ours)));
        }
        // No status of a receipt.
        assert!(again(one(503, RECEIPT, &ours)));
        // An id that the program took from elsewhere: the server makes its own of it.
        let mut foreign = events(1);
        foreign[0].event = br#"{"audit_id":"order-4711"}"#.to_vec();
        assert!(!again(one(201, &other, &foreign)));
        assert!(again(one(201, &of_another_tenant, &foreign)));
    }

    #[test]
    fn every_event_gets_its_own_verdict_and_neighbours_are_unharmed() {
        let body = format!(
            r#"{{"results":[
            {{"index":0,"status":201,"receipt":{RECEIPT}}},
            {{"index":2,"status":422,"problem":{{{P},"status":422,
              "problems":[{{"pointer":"/outcome","code":"unknown-word","message":"m"}},
              {{"pointer":"/x","code":"new-code","message":"m","offset":3}}]}}}},
            {{"index":3,"status":409,"problem":{{{P},"status":409,"receipt":{RECEIPT}}}}},
            {{"index":4,"status":503,"problem":{{{P},"status":503}}}},
            {{"index":5,"status":404,"problem":{{{P},"status":404}}}},
            {{"index":9,"status":201,"receipt":{RECEIPT}}}
            ],"accepted":1,"repeated":0,"rejected":4}}"#
        );
        let after = Some(Duration::from_secs(3));
        let verdicts = verdicts(200, after, body.as_bytes(), &events(6));
        let receipt: Receipt = serde_json::from_str(RECEIPT).unwrap();
        assert_eq!(verdicts[0], Verdict::Committed(receipt.clone()));
        assert!(matches!(verdicts[1], Verdict::Again { .. }));
        let Verdict::Refused(problems) = &verdicts[2] else {
            panic!("{:?}", verdicts[2])
        };
        assert_eq!(problems[0].code, ProblemCode::UnknownWord);
        assert_eq!(
            (problems[1].message.as_str(), problems[1].offset),
            ("m [new-code]", Some(3))
        );
        assert_eq!(verdicts[3], Verdict::Conflict(Some(Box::new(receipt))));
        assert!(
            matches!(&verdicts[4], Verdict::Again { reason, after: a, .. }
                if &**reason == "T (503): d; n" && *a == after)
        );
        assert!(matches!(verdicts[5], Verdict::NoTenant(_)));
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_a_person_must_correct_is_not() {
        let after = Some(Duration::from_secs(3));
        for status in [
            204, 301, 400, 404, 405, 408, 409, 415, 422, 429, 500, 502, 503, 504,
        ] {
            let verdicts = verdicts(status, after, b"<html>", &events(2));
            let again = |v: &Verdict| matches!(v, Verdict::Again { after: a, .. } if *a == after);
            assert!(
                verdicts.len() == 2 && verdicts.iter().all(again),
                "{status}"
            );
        }
        for status in [400, 405, 413, 415, 422] {
            let said = format!("{{{P},\"status\":{status}}}");
            let verdicts = verdicts(status, after, said.as_bytes(), &events(1));
            assert!(matches!(verdicts[..], [Verdict::Failed(_)]), "{status}");
        }
        assert!(matches!(
            verdicts(413, after, b"<html>", &events(1))[..],
            [Verdict::Failed(_)]
        ));
        for status in [401, 403] {
            let verdicts = verdicts(status, after, b"", &events(1));
            assert!(matches!(verdicts[..], [Verdict::Denied(_)]), "{status}");
        }
        let said = format!("{{{P},\"status\":404}}");
        let of_the_server = verdicts(404, None, said.as_bytes(), &events(1));
        assert!(matches!(of_the_server[..], [Verdict::Denied(_)]));
        for body in [
            &b"{}"[..],
            b"",
            b"{\"results\":[{\"index\":0,\"status\":201}]",
        ] {
            let verdicts = verdicts(200, None, body, &events(1));
            assert!(matches!(verdicts[..], [Verdict::Again { .. }]));
        }
    }

    #[test]
    fn an_upload_fails_its_event_only_for_its_own_fault() {
        for status in [200, 201] {
            assert_eq!(stored(status, None, b"{}"), Ok(()));
        }
        let said = format!("{{{P},\"status\":404}}");
        for (status, body) in [(404, said.as_str()), (413, ""), (415, &said), (422, &said)] {
            let stored = stored(status, None, body.as_bytes());
            assert!(matches!(stored, Err(Verdict::Failed(_))), "{stored:?}");
        }
        for status in [404, 408, 415, 422, 429, 503] {
            let stored = stored(status, None, b"");
            let again = matches!(stored, Err(Verdict::Again { reached: false, .. }));
            assert!(again, "{stored:?}");
        }
        assert!(matches!(stored(401, None, b""), Err(Verdict::Denied(_))));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let (at, now) = (
            "Wed, 21 Oct 2026 07:28:00 GMT",
            "Wed, 21 Oct 2026 07:27:30 GMT",
        );
        for (value, date, expected) in [
            (" 7 ", None, Some(7)),
            (at, Some(now), Some(30)),
            (now, Some(at), Some(0)),
            // Whose clock it is by is not known.
            (at, None, None),
            (at, Some("noon"), None),
            ("soon", Some(now), None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(value, date), expected, "{value} {date:?}");
        }
    }
}
