//! The views that are shaped as other systems' tables: their columns, what they show of an event,
//! and that nothing personal is in them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use indelible_event::canonical;
use indelible_event::ids::{AuditId, Micros, TenantId};
use indelible_merkle::{Frontier, Hash};
use indelible_store::conformance::Seals;
use indelible_store::conformance::generate::new_record;
use indelible_store::{Append, Commit, Expected, Head, Ledger};

use support::{Place, available};

const AT: i64 = 1_790_000_000_000_000;
const TENANT: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

const RTV: &str = "\
    id client_id action_type actor_type actor_id target_type target_id outcome proof \
    metadata correlation_id parent_event_id created_at";
const KUBERNAUT: &str = "\
    event_id event_version event_date event_timestamp event_type event_category event_action \
    event_outcome severity actor_type actor_id actor_ip resource_type resource_id \
    resource_name namespace cluster_id correlation_id parent_event_id parent_event_date \
    trace_id span_id duration_ms error_code error_message event_data event_metadata \
    is_sensitive retention_days legal_hold legal_hold_reason legal_hold_placed_by \
    legal_hold_placed_at event_hash previous_event_hash hash_algorithm";
const BUILTENV: &str = "\
    audit_id event_type timestamp timestamp_ms actor_type actor_id actor_name \
    actor_ip_address actor_user_agent actor_session_id target_type target_id target_name \
    target_metadata action_verb action_description action_status action_error \
    context_tenant_id context_project_id context_request_id context_parent_audit_id \
    data_before data_after data_changes data_metadata ai_agent_type ai_model \
    ai_prompt_tokens ai_completion_tokens ai_confidence_score ai_reasoning ai_tools_used \
    ai_execution_time_ms compliance_regulations_checked compliance_traffic_light \
    compliance_issues_found compliance_critical_issues compliance_findings \
    security_encryption_used security_data_classification security_retention_period_days \
    security_pii_detected performance_response_time_ms performance_db_query_time_ms \
    performance_external_api_time_ms performance_memory_used_mb created_at";
const ALUSKORT: &str = "\
    audit_id tenant_id sequence_number previous_hash timestamp ingested_at event_type \
    event_category severity actor_type actor_id actor_permissions investigation_id alert_id \
    entity_ids context decision outcome source_service record_hash record_version";
const CHAIN_STATE: &str = "\
    tenant_id last_sequence last_hash last_timestamp updated_at";
const VERIFICATION_LOG: &str = "\
    tenant_id verified_at verification_type records_checked from_sequence to_sequence \
    chain_valid errors duration_ms";
const SUPERPLATFORM: &str = "\
    id eventType action timestamp actor success target requiredRole actualRole \
    requiredPermission details method path ipAddress userAgent errorCode errorMessage";

const VIEWS: [(&str, &str); 7] = [
    ("indelible_rtv.audit_events", RTV),
    ("indelible_kubernaut.audit_events", KUBERNAUT),
    ("indelible_builtenv.audit_events", BUILTENV),
    ("indelible_aluskort.audit_records", ALUSKORT),
    ("indelible_aluskort.audit_chain_state", CHAIN_STATE),
    (
        "indelible_aluskort.audit_verification_log",
        VERIFICATION_LOG,
    ),
    ("indelible_superplatform.platform_audit_logs", SUPERPLATFORM),
];

const FULL: &str = r#"{"actor":{"id":"agent-7","session_id":"s1","type":"agent"},
    "action":"publish","ai":{"model":"large-3","prompt_tokens":12,"tools_used":["search"]},
    "changes":{"fields":["a","b"]},
    "context":{"correlation_id":"corr-1","investigation_id":"inv-1","parent_id":"p1",
        "request_id":"req-1","refs":{"episodeId":"e1"}},
    "data":{"n":1},"description":"published it","error":{"code":"E1","message":"nearly"},
    "event_type":"content.publish","metadata":{"k":"v"},"outcome":"failure",
    "outcome_raw":"fail","performance":{"duration_ms":2.5},"proof":{"type":"url","url":"u"},
    "severity":"warning","source":{"service":"cms"},"target":{"id":"post-1","type":"post"}}"#;

/// A leaf that PostgreSQL has no text for, and one with a number that it cannot hold.
const NUL: &str = r#"{"actor":{"id":"a\u0000b"},"description":"x\u0000y","event_type":"a.b"}"#;
const HUGE: &str = r#"{"data":{"n":1e999999},"event_type":"a.b","target":{"id":"t"}}"#;
const VERIFIED: &str = r#"{"data":{"records_checked":9},"event_type":"verification.failed",
    "target":{"id":"acme"}}"#;

fn with_events() -> Place {
    let place = Place::make();
    let postgres = place.open();
    let tenant = TenantId::parse(TENANT).unwrap();
    let mut head = Head {
        frontier: Frontier::new(),
        last_hash: Hash::ZERO,
        last_ingested_at: Micros(AT),
    };
    let handle = Seals::handle(&tenant, "ada");
    let records = (1_u8..).zip([FULL, NUL, HUGE, VERIFIED]).map(|(n, event)| {
        let event = canonical::canonicalize(event.as_bytes()).unwrap();
        let id = AuditId::mint(u64::try_from(AT / 1_000).unwrap(), [n; 10]);
        let sealed = vec![Seals::value(&tenant, handle, "/actor/name", "Ada Lovelace")];
        new_record(
            &tenant,
            &mut head,
            &event,
            (id, Micros(AT), Micros(AT)),
            sealed,
        )
    });
    let records = records.collect();
    let expected = Expected {
        size: 0,
        last_hash: Hash::ZERO,
    };
    let append = Append {
        tenant,
        expected,
        records,
        head,
    };
    postgres
        .append(&Commit {
            appends: vec![append],
        })
        .unwrap();
    place
}

#[test]
fn views_have_the_columns_of_the_tables_they_stand_for() {
    if !available("views_have_the_columns_of_the_tables_they_stand_for") {
        return;
    }
    let place = with_events();
    for (view, columns) in VIEWS {
        let found = place.rows(&format!(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '{view}'::regclass \
             AND attnum > 0 ORDER BY attnum"
        ));
        let found: Vec<String> = found.iter().map(|row| row.get(0)).collect();
        assert_eq!(
            found,
            columns.split_whitespace().collect::<Vec<_>>(),
            "{view}"
        );
        // As those who read do, and all of it: no record keeps a query from its end.
        let count = format!("SET ROLE indelible_reader; SELECT * FROM {view}");
        place.sql(&count);
        let write = place.refusal(&format!("SET ROLE indelible_reader; DELETE FROM {view}"));
        assert!(
            write.contains("cannot delete") || write.contains("permission denied"),
            "{write}"
        );
    }
}

/// One value of the first row, as text.
fn value(place: &Place, select: &str) -> Option<String> {
    place.rows(&format!("SELECT ({select})::text"))[0].get(0)
}

#[test]
fn views_show_an_event_in_the_words_of_each_system() {
    if !available("views_show_an_event_in_the_words_of_each_system") {
        return;
    }
    let place = with_events();
    for (column, expected) in [
        (
            "client_id FROM indelible_rtv.audit_events WHERE action_type",
            TENANT,
        ),
        (
            "outcome FROM indelible_rtv.audit_events WHERE action_type",
            "fail",
        ),
        (
            "metadata ->> 'episodeId' FROM indelible_rtv.audit_events WHERE action_type",
            "e1",
        ),
        (
            "proof ->> 'type' FROM indelible_rtv.audit_events WHERE action_type",
            "url",
        ),
        (
            "event_category FROM indelible_kubernaut.audit_events WHERE event_type",
            "content",
        ),
        (
            "duration_ms FROM indelible_kubernaut.audit_events WHERE event_type",
            "2.5",
        ),
        (
            "event_date FROM indelible_kubernaut.audit_events WHERE event_type",
            "2026-09-21",
        ),
        (
            "data_changes FROM indelible_builtenv.audit_events WHERE event_type",
            "{a,b}",
        ),
        (
            "ai_prompt_tokens FROM indelible_builtenv.audit_events WHERE event_type",
            "12",
        ),
        (
            "timestamp_ms FROM indelible_builtenv.audit_events WHERE event_type",
            "1790000000000",
        ),
        (
            "context ->> 'llm_model_id' FROM indelible_aluskort.audit_records WHERE event_type",
            "large-3",
        ),
        (
            "outcome ->> 'outcome_status' FROM indelible_aluskort.audit_records WHERE event_type",
            "fail",
        ),
        (
            "previous_hash FROM indelible_aluskort.audit_records WHERE event_type",
            &"0".repeat(64),
        ),
    ] {
        let select = format!("SELECT {column} = 'content.publish'");
        assert_eq!(
            value(&place, &select).as_deref(),
            Some(expected),
            "{column}"
        );
    }
}

#[test]
fn views_show_what_else_there_is() {
    if !available("views_show_what_else_there_is") {
        return;
    }
    let place = with_events();
    let logged = "SELECT tenant_id || ' ' || chain_valid || ' ' || records_checked \
        FROM indelible_aluskort.audit_verification_log";
    assert_eq!(value(&place, logged).as_deref(), Some("acme false 9"));
    let state = "SELECT last_sequence || ' ' || (last_hash = (SELECT record_hash FROM \
        indelible_aluskort.audit_records WHERE sequence_number = 3)) \
        FROM indelible_aluskort.audit_chain_state";
    assert_eq!(value(&place, state).as_deref(), Some("3 true"));
    let actor = "SELECT \"eventType\" || ' ' || success || ' ' || (actor ->> 'uid') \
        FROM indelible_superplatform.platform_audit_logs WHERE action = 'publish'";
    assert_eq!(
        value(&place, actor).as_deref(),
        Some("content false agent-7")
    );
    // What PostgreSQL cannot hold is shown as far as it can be.
    let nul = "SELECT actor_id || ' ' || action_description FROM indelible_builtenv.audit_events \
        WHERE actor_id LIKE 'a%b'";
    assert_eq!(value(&place, nul).as_deref(), Some("a\u{fffd}b x\u{fffd}y"));
    let huge = "SELECT target_id || coalesce(data_metadata::text, ' nothing') \
        FROM indelible_builtenv.audit_events WHERE target_id = 't'";
    assert_eq!(value(&place, huge).as_deref(), Some("t nothing"));
}

#[test]
fn nothing_personal_is_shown() {
    if !available("nothing_personal_is_shown") {
        return;
    }
    let place = with_events();
    for (view, columns) in [
        (
            "indelible_kubernaut.audit_events",
            "actor_ip, resource_name",
        ),
        (
            "indelible_builtenv.audit_events",
            "actor_name, actor_ip_address, actor_user_agent, target_name",
        ),
        (
            "indelible_superplatform.platform_audit_logs",
            "\"ipAddress\", \"userAgent\"",
        ),
    ] {
        let select = format!("SELECT num_nonnulls({columns}) FROM {view}");
        let rows = place.rows(&select);
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| row.get::<_, i32>(0) == 0), "{view}");
    }
    let anywhere = "SELECT count(*) FROM indelible.records AS r \
        WHERE r::text LIKE '%Lovelace%' OR position('Lovelace'::bytea IN leaf) > 0";
    assert_eq!(value(&place, anywhere).as_deref(), Some("0"));
}
