//! AWS CloudTrail records as events (`docs/import.md`).
//!
//! What has a place in the event model goes there; all the rest stays under `data`, with its own
//! names and to the digit. A record that lacks what an event needs is kept whole under `raw`, in an
//! event of type `import.unmapped`. Nothing here depends on the file that a record came from, so
//! the same record gives the same event wherever it is found.
//!
//! Source: the record contents page of the AWS CloudTrail user guide, event versions 1.0 to 1.11.

use std::net::IpAddr;

use indelible_event::ids::{AuditId, Micros, content_hash};

use super::cloudtrail_target as target;
use super::members::{Members, Writer};
use crate::hex::hex;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The event, in canonical form when the record was.
    pub event: String,
    /// Why the record has no place in the event model, if it has none.
    pub unmapped: Option<&'static str>,
    /// The id of the event, if the record has no time of its own.
    pub undated: Option<AuditId>,
}

/// Makes the event of `record`, which is canonical JSON. A record without a time of its own
/// occurred at `seen`.
pub fn map(record: &str, seen: &str) -> Mapped {
    match map_whole(record) {
        Ok(event) => Mapped {
            event,
            unmapped: None,
            undated: None,
        },
        Err(reason) => unmapped(record, reason, seen),
    }
}

fn map_whole(record: &str) -> Result<String, &'static str> {
    let members = Members::of(record).ok_or("the record is not an object")?;
    let time = members.text("eventTime").ok_or("there is no eventTime")?;
    let micros = Micros::parse(&time).map_err(|_| "eventTime is not a time")?;
    let name = members.text("eventName").ok_or("there is no eventName")?;
    let source = members
        .text("eventSource")
        .ok_or("there is no eventSource")?;
    let identity = members.object("userIdentity").unwrap_or_default();
    let actor = Actor::of(&members, &identity).ok_or("there is no actor")?;
    let id = members.text("eventID").unwrap_or_else(|| digest(record));

    let mut event = Writer::default();
    event
        .text("action", &name)
        .raw("actor", &actor.json(&members));
    event.text("audit_id", &audit_id(&id, "", micros).to_string());
    let context = context(&members);
    if !context.is_empty() {
        event.raw("context", &context.finish());
    }
    event.raw("data", &data(&members, &identity, &actor));
    let error = error(&members);
    if !error.is_empty() {
        event.raw("error", &error.finish());
    }
    event
        .text("event_type", &format!("{}.{name}", service(&source)))
        .text("occurred_at", &time)
        .text("outcome", outcome(&members))
        .raw("source", &{
            let mut json = Writer::default();
            json.text("service", &source);
            json.finish()
        })
        .text("source_event_id", &id);
    if let Some((id, kind)) = target::of(&members, service(&source)) {
        let mut json = Writer::default();
        json.text("id", &id).text("type", &kind);
        event.raw("target", &json.finish());
    }
    Ok(event.finish())
}

/// The event that keeps a record whole.
fn unmapped(record: &str, reason: &'static str, seen: &str) -> Mapped {
    let members = Members::of(record).unwrap_or_default();
    let time = members.text("eventTime");
    let micros = time.as_deref().and_then(|time| Micros::parse(time).ok());
    let time = time.filter(|_| micros.is_some());
    let id = members.text("eventID").unwrap_or_else(|| digest(record));
    // Without a time of its own an id is of the epoch, so that the record is known again.
    let audit_id = audit_id(&id, "unmapped", micros.unwrap_or(Micros(0)));
    let mut actor = Writer::default();
    actor.text("id", "indelible").text("type", "system");
    let mut data = Writer::default();
    data.text("reason", reason);
    let mut event = Writer::default();
    event
        .raw("actor", &actor.finish())
        .text("audit_id", &audit_id.to_string())
        .raw("data", &data.finish())
        .text("event_type", "import.unmapped")
        .text("occurred_at", time.as_deref().unwrap_or(seen))
        .text("outcome", "unknown")
        .raw("raw", record)
        .text("source_event_id", &id);
    Mapped {
        event: event.finish(),
        unmapped: Some(reason),
        undated: micros.is_none().then_some(audit_id),
    }
}

fn audit_id(id: &str, stage: &str, time: Micros) -> AuditId {
    let milliseconds = u64::try_from(time.0.div_euclid(1000)).unwrap_or(0);
    AuditId::foreign("cloudtrail", "aws", id, stage, milliseconds)
}

/// What stands in for an id that is missing: the SHA-256 of the record.
fn digest(record: &str) -> String {
    hex(&content_hash(record.as_bytes()))
}

/// `s3` of `s3.amazonaws.com`.
fn service(source: &str) -> &str {
    let source = source.strip_suffix(".cn").unwrap_or(source);
    source.strip_suffix(".amazonaws.com").unwrap_or(source)
}

/// Who acted.
struct Actor {
    kind: &'static str,
    raw_kind: Option<String>,
    id: String,
    /// The member of `userIdentity` that the id was taken from.
    id_from: &'static str,
    name: Option<String>,
}

impl Actor {
    fn of(record: &Members<'_>, identity: &Members<'_>) -> Option<Self> {
        let (id_from, id) = ["arn", "principalId", "invokedBy", "accountId"]
            .into_iter()
            .find_map(|name| Some((name, identity.text(name)?)))?;
        let raw_kind = identity.text("type");
        let by_service = identity.text("invokedBy").is_some()
            || record.text("eventType").as_deref() == Some("AwsServiceEvent");
        let kind = match raw_kind.as_deref() {
            Some("AWSService" | "AWSAccount") => "service",
            Some("Unknown") => "anonymous",
            Some(_) => "user",
            None if by_service => "service",
            None => "anonymous",
        };
        Some(Self {
            kind,
            raw_kind,
            id,
            id_from,
            name: identity.text("userName"),
        })
    }

    fn json(&self, record: &Members<'_>) -> String {
        let mut json = Writer::default();
        json.text("id", &self.id)
            .maybe("ip", address(record).as_deref())
            .maybe("name", self.name.as_deref())
            .text("type", self.kind)
            .maybe("type_raw", self.raw_kind.as_deref())
            .maybe("user_agent", user_agent(record).as_deref());
        json.finish()
    }

    /// The members of `userIdentity` that have found their place.
    fn took(&self, name: &str) -> bool {
        name == self.id_from
            || (name == "type" && self.raw_kind.is_some())
            || (name == "userName" && self.name.is_some())
    }
}

/// `sourceIPAddress`, if it is an address: services stand there with their names.
fn address(record: &Members<'_>) -> Option<String> {
    record
        .text("sourceIPAddress")
        .filter(|text| text.parse::<IpAddr>().is_ok())
}

/// `userAgent`, unless it names a service: that is no person's data.
fn user_agent(record: &Members<'_>) -> Option<String> {
    record.text("userAgent").filter(|text| {
        let names_a_service = !text.contains([' ', '/']) && text.ends_with(".amazonaws.com");
        text != "AWS Internal" && !names_a_service
    })
}

fn context(record: &Members<'_>) -> Writer {
    let mut json = Writer::default();
    json.maybe("correlation_id", record.text("sharedEventID").as_deref())
        .maybe("request_id", record.text("requestID").as_deref());
    json
}

fn error(record: &Members<'_>) -> Writer {
    let mut json = Writer::default();
    json.maybe("code", record.text("errorCode").as_deref())
        .maybe("message", record.text("errorMessage").as_deref());
    json
}

fn outcome(record: &Members<'_>) -> &'static str {
    let Some(code) = record.text("errorCode") else {
        // A sign-in that fails has a message and no code.
        let login = record
            .object("responseElements")
            .and_then(|r| r.text("ConsoleLogin"));
        let failed = record.text("errorMessage").is_some() || login.as_deref() == Some("Failure");
        return if failed { "failure" } else { "success" };
    };
    let code = code.strip_prefix("Client.").unwrap_or(&code);
    if code.starts_with("AccessDenied") || code.contains("Unauthorized") {
        "denied"
    } else {
        "failure"
    }
}

/// Everything that has no place elsewhere, in the order of its names.
fn data(record: &Members<'_>, identity: &Members<'_>, actor: &Actor) -> String {
    let mut json = Writer::default();
    for (name, value) in record.iter() {
        let taken = match name {
            "eventTime" | "eventName" | "eventSource" => true,
            "eventID" | "requestID" | "sharedEventID" | "errorCode" | "errorMessage" => {
                record.text(name).is_some()
            }
            "sourceIPAddress" => address(record).is_some(),
            "userAgent" => user_agent(record).is_some(),
            "userIdentity" => {
                let mut rest = Writer::default();
                for (name, value) in identity.iter().filter(|(name, _)| !actor.took(name)) {
                    rest.raw(name, value);
                }
                if !rest.is_empty() {
                    json.raw(name, &rest.finish());
                }
                true
            }
            _ => false,
        };
        if !taken {
            json.raw(name, value);
        }
    }
    json.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use indelible_event::canonical::{canonicalize, is_canonical};
    use serde_json::{Value, json};

    use super::*;

    fn record() -> Value {
        json!({
            "eventVersion": "1.08",
            "userIdentity": {
                "type": "IAMUser", "principalId": "AIDA1", "arn": "arn:aws:iam::1:user/ada",
                "accountId": "1", "accessKeyId": "AKIA1", "userName": "ada"
            },
            "eventTime": "2023-07-10T11:45:02Z",
            "eventSource": "s3.amazonaws.com",
            "eventName": "GetBucketAcl",
            "sourceIPAddress": "192.0.2.7",
            "userAgent": "[aws-cli/2.0]",
            "requestParameters": {"bucketName": "b", "n": 1.50},
            "responseElements": null,
            "requestID": "R1",
            "eventID": "E1",
        })
    }

    const SEEN: &str = "2026-11-21T04:05:06.000000Z";

    fn mapped(record: &Value) -> (Value, Option<&'static str>) {
        let raw = record.to_string();
        let canonical = canonicalize(raw.as_bytes()).unwrap();
        let mapped = map(std::str::from_utf8(&canonical).unwrap(), SEEN);
        assert!(is_canonical(mapped.event.as_bytes()), "{}", mapped.event);
        (
            serde_json::from_str(&mapped.event).unwrap(),
            mapped.unmapped,
        )
    }

    fn with(changes: &[(&str, Value)]) -> Value {
        let mut record = record();
        for (name, value) in changes {
            record[name] = value.clone();
        }
        mapped(&record).0
    }

    #[test]
    fn a_record_finds_its_places() {
        let (event, unmapped) = mapped(&record());
        assert_eq!(unmapped, None);
        let micros = Micros::parse("2023-07-10T11:45:02Z").unwrap();
        let expected = json!({
            "action": "GetBucketAcl",
            "actor": {
                "id": "arn:aws:iam::1:user/ada", "ip": "192.0.2.7", "name": "ada", "type": "user",
                "type_raw": "IAMUser", "user_agent": "[aws-cli/2.0]"
            },
            "audit_id": audit_id("E1", "", micros).to_string(),
            "context": {"request_id": "R1"},
            "data": {
                "eventVersion": "1.08",
                "requestParameters": {"bucketName": "b", "n": 1.50},
                "responseElements": null,
                "userIdentity": {"accessKeyId": "AKIA1", "accountId": "1", "principalId": "AIDA1"},
            },
            "event_type": "s3.GetBucketAcl",
            "occurred_at": "2023-07-10T11:45:02Z",
            "outcome": "success",
            "source": {"service": "s3.amazonaws.com"},
            "source_event_id": "E1",
            "target": {"id": "b", "type": "AWS::S3::Bucket"},
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn the_actor_is_whoever_is_named_best() {
        let actor = |identity: Value| with(&[("userIdentity", identity)])["actor"].clone();
        let role = json!({"type": "AssumedRole", "principalId": "AROA:x", "invokedBy": "s"});
        assert_eq!(actor(role.clone())["id"], "AROA:x");
        assert_eq!(
            with(&[("userIdentity", role)])["data"]["userIdentity"]["invokedBy"],
            "s"
        );
        let service = actor(json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}));
        assert_eq!(
            (&service["id"], &service["type"]),
            (&json!("ec2.amazonaws.com"), &json!("service"))
        );
        let bare = actor(json!({"invokedBy": "ec2.amazonaws.com"}));
        assert_eq!(
            (&bare["type"], &bare["type_raw"]),
            (&json!("service"), &Value::Null)
        );
        assert_eq!(
            actor(json!({"type": "Root", "accountId": "1"}))["type"],
            "user"
        );
        assert_eq!(
            actor(json!({"type": "AWSAccount", "accountId": "1"}))["type"],
            "service"
        );
    }

    #[test]
    fn names_of_services_are_no_personal_data() {
        let event = with(&[
            ("sourceIPAddress", json!("secretsmanager.amazonaws.com")),
            ("userAgent", json!("AWS Internal")),
        ]);
        assert_eq!(event["actor"]["ip"], Value::Null);
        assert_eq!(event["actor"]["user_agent"], Value::Null);
        assert_eq!(
            event["data"]["sourceIPAddress"],
            "secretsmanager.amazonaws.com"
        );
        assert_eq!(event["data"]["userAgent"], "AWS Internal");
        let event = with(&[
            ("userAgent", json!("rds.amazonaws.com")),
            ("sourceIPAddress", json!("::1")),
        ]);
        assert_eq!(event["actor"]["user_agent"], Value::Null);
        assert_eq!(event["actor"]["ip"], "::1");
        assert_eq!(event["data"]["sourceIPAddress"], Value::Null);
    }

    #[test]
    fn outcomes() {
        for (code, outcome) in [
            ("AccessDenied", "denied"),
            ("Client.UnauthorizedOperation", "denied"),
            ("AccessDeniedException", "denied"),
            ("ThrottlingException", "failure"),
            ("Client.InvalidVpcID.NotFound", "failure"),
        ] {
            let event = with(&[("errorCode", json!(code)), ("errorMessage", json!("m"))]);
            assert_eq!(event["outcome"], outcome, "{code}");
            assert_eq!(event["error"], json!({"code": code, "message": "m"}));
            assert_eq!(event["data"]["errorCode"], Value::Null);
        }
        assert_eq!(
            with(&[("errorMessage", json!("Failed authentication"))])["outcome"],
            "failure"
        );
        let login = json!({"ConsoleLogin": "Failure"});
        assert_eq!(with(&[("responseElements", login)])["outcome"], "failure");
    }

    #[test]
    fn what_lacks_something_is_kept_whole() {
        for (name, reason) in [
            ("eventTime", "there is no eventTime"),
            ("eventName", "there is no eventName"),
            ("eventSource", "there is no eventSource"),
            ("userIdentity", "there is no actor"),
        ] {
            let mut record = record();
            record.as_object_mut().unwrap().remove(name);
            let (event, unmapped) = mapped(&record);
            assert_eq!(unmapped, Some(reason));
            assert_eq!(event["raw"], record);
            assert_eq!(event["event_type"], "import.unmapped");
            assert_eq!(event["data"]["reason"], reason);
            assert_eq!(mapped(&record), (event, unmapped), "the same each time");
        }
        assert_eq!(mapped(&json!([1])).1, Some("the record is not an object"));
        assert_eq!(
            mapped(&json!({"eventTime": "soon"})).1,
            Some("eventTime is not a time")
        );
        let event = with(&[("eventTime", json!(5))]);
        assert_eq!(event["occurred_at"], SEEN);
        let later = map(r#"{"eventTime":5}"#, "2027-01-01T00:00:00Z");
        let sooner = map(r#"{"eventTime":5}"#, SEEN);
        assert!(later.undated.is_some() && later.undated == sooner.undated);
    }

    #[test]
    fn a_record_without_an_id_is_known_by_its_content() {
        let mut record = record();
        record.as_object_mut().unwrap().remove("eventID");
        let first = mapped(&record).0;
        assert_eq!(mapped(&record).0["audit_id"], first["audit_id"]);
        record["eventVersion"] = json!("1.09");
        assert_ne!(mapped(&record).0["audit_id"], first["audit_id"]);
    }
}
