-- Who may do what, narrower: a writer only adds, moves heads on, and keeps the small values that
-- change. What is derived from leaves is mended by a role of its own, which may touch no leaf.

DO $$
BEGIN
    IF to_regrole('indelible_mender') IS NULL THEN
        BEGIN
            CREATE ROLE indelible_mender NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role indelible_mender is missing and % may not make it', current_user
                    USING ERRCODE = 'insufficient_privilege',
                          HINT = 'as an administrator: CREATE ROLE indelible_mender NOLOGIN';
        END;
    END IF;
    -- Whoever owns the tables mends them: it could turn the triggers off as well.
    IF NOT pg_has_role(current_user, 'indelible_mender', 'MEMBER') THEN
        BEGIN
            EXECUTE format('GRANT indelible_mender TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION '% is no member of indelible_mender', current_user
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('as an administrator: GRANT indelible_mender TO %I', current_user);
        END;
    END IF;
END $$;

-- A writer says all of a record but in which transaction it is committed.
REVOKE INSERT ON indelible.records FROM indelible_writer;
GRANT INSERT (tenant_id, sequence_number, ingested_at, occurred_at, audit_id, record_hash, leaf,
    personal, terms, era, event_type, category, action, outcome, severity, actor_type, actor_id,
    target_type, target_id, correlation_id, investigation_id, alert_id, source_service)
    ON indelible.records TO indelible_writer;
REVOKE UPDATE ON indelible.heads, indelible.state, indelible.keys, indelible.ledger FROM indelible_writer;
GRANT UPDATE (size, last_hash, last_ingested_at, frontier) ON indelible.heads TO indelible_writer;
GRANT UPDATE (value, version) ON indelible.state, indelible.keys TO indelible_writer;
-- A new era, where the tables came into another cluster.
GRANT UPDATE (era, cluster) ON indelible.ledger TO indelible_writer;
-- Destroying keys will be another role's, as pruning is.
REVOKE DELETE ON indelible.keys FROM indelible_writer;

GRANT USAGE ON SCHEMA indelible TO indelible_mender;
GRANT SELECT ON indelible.records, indelible.ids, indelible.heads, indelible.subtrees TO indelible_mender;
GRANT SELECT (tenant_id, name) ON indelible.personal TO indelible_mender;
GRANT UPDATE (ingested_at, occurred_at, audit_id, record_hash, terms, era, committed, event_type,
    category, action, outcome, severity, actor_type, actor_id, target_type, target_id, correlation_id,
    investigation_id, alert_id, source_service) ON indelible.records TO indelible_mender;
GRANT INSERT, UPDATE, DELETE ON indelible.ids, indelible.subtrees TO indelible_mender;
GRANT INSERT, UPDATE ON indelible.heads TO indelible_mender;
GRANT UPDATE (find) ON indelible.personal TO indelible_mender;
GRANT SELECT (id), UPDATE (id) ON indelible.ledger TO indelible_mender;

-- Without rights to leaves, a mender is let through here. Moving a row to its month is a DELETE too.
CREATE OR REPLACE FUNCTION indelible.refuse_but_pruning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_user IN ('indelible_pruner', 'indelible_mender') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' AND current_user = 'indelible_mender' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only: % operations are forbidden', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE OR REPLACE FUNCTION indelible.refuse_but_mending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'indelible_mender' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION '% is append-only: % operations are forbidden', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE OR REPLACE TRIGGER only_added BEFORE UPDATE OR DELETE ON indelible.ids
    FOR EACH ROW EXECUTE FUNCTION indelible.refuse_but_mending();
CREATE OR REPLACE TRIGGER only_added BEFORE UPDATE OR DELETE ON indelible.subtrees
    FOR EACH ROW EXECUTE FUNCTION indelible.refuse_but_mending();

-- A head begins empty and only moves on. That it is the head of its last record is not looked at
-- here, which would cost a commit of many logs a third more: whoever builds on a head next does, and
-- `verify`.
CREATE OR REPLACE FUNCTION indelible.refuse_going_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'indelible_mender' THEN
        RETURN NEW;
    END IF;
    IF NEW.tenant_id <> OLD.tenant_id OR NEW.size <= OLD.size THEN
        RAISE EXCEPTION 'the log of % does not go back from % to %', OLD.tenant_id, OLD.size, NEW.size
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION indelible.refuse_begun() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.size <> 0 AND current_user <> 'indelible_mender' THEN
        RAISE EXCEPTION 'the log of % begins with %', NEW.tenant_id, NEW.size
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER begins_empty BEFORE INSERT ON indelible.heads
    FOR EACH ROW EXECUTE FUNCTION indelible.refuse_begun();

-- Which logs there are, what was published, and who the ledger is are never forgotten.
CREATE OR REPLACE TRIGGER never_removed BEFORE DELETE ON indelible.state
    FOR EACH ROW WHEN (OLD.space IN ('tenants', 'snapshots'))
    EXECUTE FUNCTION indelible.refuse();
CREATE OR REPLACE FUNCTION indelible.refuse_renaming() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'indelible_mender' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'what names the ledger does not change'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE OR REPLACE TRIGGER never_renamed BEFORE UPDATE ON indelible.ledger
    FOR EACH ROW WHEN (OLD.id <> NEW.id OR OLD.term_key <> NEW.term_key OR OLD.era > NEW.era)
    EXECUTE FUNCTION indelible.refuse_renaming();

-- A key that was made stays what it is: overwriting one destroys it as removing it does. What of
-- the key store changes are the generations of a person and the count of writes, which only grows.
CREATE OR REPLACE FUNCTION indelible.refuse_destroying() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a key of % is not overwritten', OLD.space
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE OR REPLACE TRIGGER never_overwritten BEFORE UPDATE ON indelible.keys
    FOR EACH ROW WHEN (OLD.value <> NEW.value AND (
        OLD.space IN ('key_buckets', 'key_subjects', 'key_tenants')
        OR OLD.space = 'key_master' AND (OLD.key <> 'writes' OR OLD.value > NEW.value)))
    EXECUTE FUNCTION indelible.refuse_destroying();
