-- The records as the tables of five systems that people already query: a schema each, views in it
-- named and shaped as those tables. They are read-only. What comes from tables of ours is quick to
-- filter by; everything else is taken out of the leaf of each row that is shown. Personal columns are
-- NULL: the values are not in the database in the clear.

-- A leaf as JSON. U+0000, which PostgreSQL has no text for, becomes U+FFFD; a leaf with a number that
-- PostgreSQL cannot hold is NULL.
CREATE FUNCTION indelible.json(leaf bytea) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS $$
DECLARE
    line text := convert_from(leaf, 'UTF8');
BEGIN
    IF position('\u0000' IN line) > 0 THEN
        line := regexp_replace(line, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\ufffd', 'g');
    END IF;
    RETURN line::jsonb;
EXCEPTION WHEN data_exception OR syntax_error_or_access_rule_violation THEN
    RETURN NULL;
END $$;

CREATE FUNCTION indelible.number(value jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END
$$;
CREATE FUNCTION indelible.flag(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'boolean' THEN value::boolean END
$$;
CREATE FUNCTION indelible.texts(value jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(value) WHEN 'array'
        THEN ARRAY(SELECT jsonb_array_elements_text(value)) END
$$;
CREATE FUNCTION indelible.id(value text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN value ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
        THEN value::uuid END
$$;

CREATE SCHEMA indelible_rtv;
CREATE VIEW indelible_rtv.audit_events AS
SELECT
    r.audit_id AS id,
    indelible.id(r.tenant_id) AS client_id,
    coalesce(r.event_type, r.action) AS action_type,
    r.actor_type,
    r.actor_id,
    r.target_type,
    r.target_id,
    coalesce(l #>> '{event,outcome_raw}', r.outcome) AS outcome,
    coalesce(l #> '{event,proof}', '{"type":"none"}') AS proof,
    coalesce(l #> '{event,metadata}', '{}') || jsonb_strip_nulls(jsonb_build_object(
        'requestId', l #> '{event,context,request_id}',
        'episodeId', l #> '{event,context,refs,episodeId}',
        'errorCode', l #> '{event,error,code}',
        'errorMessage', l #> '{event,error,message}',
        'durationMs', l #> '{event,performance,duration_ms}',
        'platform', l #> '{event,platform}',
        'lane', l #> '{event,lane}')) AS metadata,
    r.correlation_id,
    l #>> '{event,context,parent_id}' AS parent_event_id,
    r.ingested_at AS created_at
FROM indelible.records AS r, LATERAL (SELECT indelible.json(r.leaf) AS l OFFSET 0) AS parsed;

CREATE SCHEMA indelible_kubernaut;
CREATE VIEW indelible_kubernaut.audit_events AS
SELECT
    r.audit_id AS event_id,
    coalesce(l #>> '{event,schema_version}', '1.0') AS event_version,
    (r.occurred_at AT TIME ZONE 'UTC')::date AS event_date,
    r.occurred_at AS event_timestamp,
    r.event_type,
    coalesce(r.category, split_part(r.event_type, '.', 1)) AS event_category,
    r.action AS event_action,
    coalesce(l #>> '{event,outcome_raw}', r.outcome) AS event_outcome,
    r.severity,
    r.actor_type,
    r.actor_id,
    NULL::text AS actor_ip,
    r.target_type AS resource_type,
    r.target_id AS resource_id,
    NULL::text AS resource_name,
    l #>> '{event,target,namespace}' AS namespace,
    l #>> '{event,target,cluster_id}' AS cluster_id,
    r.correlation_id,
    indelible.id(l #>> '{event,context,parent_id}') AS parent_event_id,
    NULL::date AS parent_event_date,
    l #>> '{event,context,trace_id}' AS trace_id,
    l #>> '{event,context,span_id}' AS span_id,
    indelible.number(l #> '{event,performance,duration_ms}') AS duration_ms,
    l #>> '{event,error,code}' AS error_code,
    l #>> '{event,error,message}' AS error_message,
    coalesce(l #> '{event,data}', '{}') AS event_data,
    l #> '{event,metadata}' AS event_metadata,
    coalesce(indelible.flag(l #> '{event,security,is_sensitive}'), false) AS is_sensitive,
    indelible.number(l #> '{event,retention_days}') AS retention_days,
    coalesce(indelible.flag(l #> '{event,legal_hold,legal_hold}'), false) AS legal_hold,
    l #>> '{event,legal_hold,reason}' AS legal_hold_reason,
    l #>> '{event,legal_hold,by}' AS legal_hold_placed_by,
    l #>> '{event,legal_hold,at}' AS legal_hold_placed_at,
    encode(r.record_hash, 'hex') AS event_hash,
    l ->> 'previous_hash' AS previous_event_hash,
    'rfc6962-sha256' AS hash_algorithm
FROM indelible.records AS r, LATERAL (SELECT indelible.json(r.leaf) AS l OFFSET 0) AS parsed;

CREATE SCHEMA indelible_builtenv;
CREATE VIEW indelible_builtenv.audit_events AS
SELECT
    r.audit_id,
    r.event_type,
    r.occurred_at AS "timestamp",
    (extract(epoch FROM r.occurred_at) * 1000)::bigint AS timestamp_ms,
    r.actor_type,
    r.actor_id,
    NULL::text AS actor_name,
    NULL::inet AS actor_ip_address,
    NULL::text AS actor_user_agent,
    l #>> '{event,actor,session_id}' AS actor_session_id,
    r.target_type,
    r.target_id,
    NULL::text AS target_name,
    l #> '{event,target,metadata}' AS target_metadata,
    r.action AS action_verb,
    l #>> '{event,description}' AS action_description,
    coalesce(l #>> '{event,outcome_raw}', r.outcome) AS action_status,
    l #>> '{event,error,message}' AS action_error,
    r.tenant_id AS context_tenant_id,
    l #>> '{event,context,project_id}' AS context_project_id,
    coalesce(l #>> '{event,context,request_id}', r.correlation_id) AS context_request_id,
    indelible.id(l #>> '{event,context,parent_id}') AS context_parent_audit_id,
    l #> '{event,changes,before}' AS data_before,
    l #> '{event,changes,after}' AS data_after,
    indelible.texts(l #> '{event,changes,fields}') AS data_changes,
    coalesce(l #> '{event,data}', l #> '{event,metadata}') AS data_metadata,
    l #>> '{event,ai,agent_type}' AS ai_agent_type,
    l #>> '{event,ai,model}' AS ai_model,
    indelible.number(l #> '{event,ai,prompt_tokens}') AS ai_prompt_tokens,
    indelible.number(l #> '{event,ai,completion_tokens}') AS ai_completion_tokens,
    indelible.number(l #> '{event,ai,confidence}') AS ai_confidence_score,
    l #>> '{event,ai,reasoning}' AS ai_reasoning,
    indelible.texts(l #> '{event,ai,tools_used}') AS ai_tools_used,
    indelible.number(l #> '{event,ai,latency_ms}') AS ai_execution_time_ms,
    indelible.texts(l #> '{event,compliance,regulations}') AS compliance_regulations_checked,
    l #>> '{event,compliance,traffic_light}' AS compliance_traffic_light,
    indelible.number(l #> '{event,compliance,issues_found}') AS compliance_issues_found,
    indelible.number(l #> '{event,compliance,critical_issues}') AS compliance_critical_issues,
    l #> '{event,compliance,findings}' AS compliance_findings,
    indelible.flag(l #> '{event,security,encryption_used}') AS security_encryption_used,
    l #>> '{event,security,classification}' AS security_data_classification,
    indelible.number(l #> '{event,retention_days}') AS security_retention_period_days,
    indelible.flag(l #> '{event,security,pii_detected}') AS security_pii_detected,
    indelible.number(l #> '{event,performance,duration_ms}') AS performance_response_time_ms,
    indelible.number(l #> '{event,performance,db_query_ms}') AS performance_db_query_time_ms,
    indelible.number(l #> '{event,performance,external_api_ms}') AS performance_external_api_time_ms,
    indelible.number(l #> '{event,performance,memory_used_mb}') AS performance_memory_used_mb,
    r.ingested_at AS created_at
FROM indelible.records AS r, LATERAL (SELECT indelible.json(r.leaf) AS l OFFSET 0) AS parsed;

CREATE SCHEMA indelible_aluskort;
CREATE VIEW indelible_aluskort.audit_records AS
SELECT
    r.audit_id,
    r.tenant_id,
    r.sequence_number,
    l ->> 'previous_hash' AS previous_hash,
    r.occurred_at AS "timestamp",
    r.ingested_at,
    r.event_type,
    coalesce(r.category, split_part(r.event_type, '.', 1)) AS event_category,
    r.severity,
    r.actor_type,
    r.actor_id,
    coalesce(indelible.texts(l #> '{event,actor,permissions}'), '{}') AS actor_permissions,
    coalesce(r.investigation_id, '') AS investigation_id,
    coalesce(r.alert_id, '') AS alert_id,
    coalesce(indelible.texts(l #> '{event,context,entity_ids}'), '{}') AS entity_ids,
    jsonb_strip_nulls(jsonb_build_object(
        'llm_provider', l #> '{event,ai,provider}',
        'llm_model_id', l #> '{event,ai,model}',
        'llm_model_tier', l #> '{event,ai,tier}',
        'llm_input_tokens', l #> '{event,ai,prompt_tokens}',
        'llm_output_tokens', l #> '{event,ai,completion_tokens}',
        'llm_cache_read_tokens', l #> '{event,ai,cache_read_tokens}',
        'llm_cache_write_tokens', l #> '{event,ai,cache_write_tokens}',
        'llm_cost_usd', l #> '{event,ai,cost_usd}',
        'llm_latency_ms', l #> '{event,ai,latency_ms}',
        'llm_system_prompt_hash', l #> '{event,ai,system_prompt_hash}',
        'llm_user_content_hash', l #> '{event,ai,user_content_hash}',
        'llm_raw_response_hash', l #> '{event,ai,raw_response_hash}',
        'retrieval', l #> '{event,soc,retrieval}',
        'taxonomy', l #> '{event,soc,taxonomy}',
        'risk', l #> '{event,soc,risk}',
        'environment', l #> '{event,soc,environment}',
        'evidence_refs', l #> '{event,proof,artifact_refs}')) AS context,
    coalesce(l #> '{event,soc,decision}', '{}') || jsonb_strip_nulls(jsonb_build_object(
        'confidence', l #> '{event,ai,confidence}',
        'reasoning_summary', l #> '{event,ai,reasoning}')) AS decision,
    jsonb_strip_nulls(jsonb_build_object(
        'outcome_status', coalesce(l #> '{event,outcome_raw}', l #> '{event,outcome}'),
        'action_taken', l #> '{event,description}',
        'action_target', l #> '{event,target,id}',
        'error_details', l #> '{event,error,message}',
        'duration_ms', l #> '{event,performance,duration_ms}',
        'state_before', l #> '{event,changes,before}',
        'state_after', l #> '{event,changes,after}',
        'approval', l #> '{event,soc,approval}',
        'analyst_feedback', l #> '{event,soc,feedback}')) AS outcome,
    r.source_service,
    encode(r.record_hash, 'hex') AS record_hash,
    coalesce(l #>> '{event,schema_version}', '1.0') AS record_version
FROM indelible.records AS r, LATERAL (SELECT indelible.json(r.leaf) AS l OFFSET 0) AS parsed;

CREATE VIEW indelible_aluskort.audit_chain_state AS
SELECT
    tenant_id,
    size - 1 AS last_sequence,
    encode(last_hash, 'hex') AS last_hash,
    last_ingested_at AS last_timestamp,
    last_ingested_at AS updated_at
FROM indelible.heads WHERE size > 0;

CREATE VIEW indelible_aluskort.audit_verification_log AS
SELECT
    r.target_id AS tenant_id,
    r.occurred_at AS verified_at,
    coalesce(l #>> '{event,data,verification_type}', 'continuous') AS verification_type,
    indelible.number(l #> '{event,data,records_checked}') AS records_checked,
    indelible.number(l #> '{event,data,from_sequence}') AS from_sequence,
    indelible.number(l #> '{event,data,to_sequence}') AS to_sequence,
    r.event_type = 'verification.passed' AS chain_valid,
    coalesce(indelible.texts(l #> '{event,data,errors}'), '{}') AS errors,
    indelible.number(l #> '{event,performance,duration_ms}') AS duration_ms
FROM indelible.records AS r, LATERAL (SELECT indelible.json(r.leaf) AS l OFFSET 0) AS parsed
WHERE r.event_type IN ('verification.passed', 'verification.failed');

CREATE SCHEMA indelible_superplatform;
CREATE VIEW indelible_superplatform.platform_audit_logs AS
SELECT
    coalesce(l #>> '{event,source_event_id}', r.audit_id::text) AS id,
    coalesce(r.category, split_part(r.event_type, '.', 1)) AS "eventType",
    coalesce(r.action, r.event_type) AS action,
    r.ingested_at AS "timestamp",
    jsonb_build_object('uid', r.actor_id, 'email', NULL, 'role', l #> '{event,actor,role}') AS actor,
    r.outcome IS NOT DISTINCT FROM 'success' AS success,
    jsonb_strip_nulls(jsonb_build_object('uid', l #> '{event,target,uid}', 'id', r.target_id,
        'type', r.target_type)) AS target,
    l #>> '{event,decision,required_role}' AS "requiredRole",
    l #>> '{event,decision,actual_role}' AS "actualRole",
    l #>> '{event,decision,required_permission}' AS "requiredPermission",
    l #> '{event,data}' AS details,
    l #>> '{event,http,method}' AS method,
    l #>> '{event,http,path}' AS path,
    NULL::text AS "ipAddress",
    NULL::text AS "userAgent",
    l #>> '{event,error,code}' AS "errorCode",
    l #>> '{event,error,message}' AS "errorMessage"
FROM indelible.records AS r, LATERAL (SELECT indelible.json(r.leaf) AS l OFFSET 0) AS parsed;

GRANT USAGE ON SCHEMA indelible_rtv, indelible_kubernaut, indelible_builtenv, indelible_aluskort,
    indelible_superplatform TO indelible_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA indelible_rtv, indelible_kubernaut, indelible_builtenv,
    indelible_aluskort, indelible_superplatform TO indelible_reader;
