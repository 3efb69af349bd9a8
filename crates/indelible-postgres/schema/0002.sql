-- Who may do what, and that records are only added.
--
-- Roles belong to the whole cluster and may be there already. Who may not make them is told what to
-- have an administrator do.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['indelible_writer', 'indelible_reader', 'indelible_pruner'] LOOP
        IF to_regrole(wanted) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION
                -- Another database of the cluster makes the same at this moment.
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'the role % is missing and % may not make it', wanted, current_user
                        USING ERRCODE = 'insufficient_privilege',
                              HINT = format('as an administrator: CREATE ROLE %I NOLOGIN', wanted);
            END;
        END IF;
    END LOOP;
    -- The server works as the writer, whoever it connects as.
    IF NOT pg_has_role(current_user, 'indelible_writer', 'MEMBER') THEN
        BEGIN
            EXECUTE format('GRANT indelible_writer TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION '% is no member of indelible_writer', current_user
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('as an administrator: GRANT indelible_writer TO %I', current_user);
        END;
    END IF;
END $$;

GRANT USAGE ON SCHEMA indelible TO indelible_writer, indelible_reader, indelible_pruner;

GRANT SELECT ON ALL TABLES IN SCHEMA indelible TO indelible_writer;
GRANT INSERT ON indelible.records, indelible.ids, indelible.subtrees, indelible.personal,
    indelible.marks, indelible.heads, indelible.state, indelible.keys TO indelible_writer;
GRANT UPDATE ON indelible.heads, indelible.state, indelible.keys TO indelible_writer;
GRANT DELETE ON indelible.state, indelible.keys, indelible.marks TO indelible_writer;
GRANT INSERT, UPDATE ON indelible.ledger TO indelible_writer;

-- Personal values are not among what readers see.
GRANT SELECT ON indelible.heads, indelible.records TO indelible_reader;

-- Who prunes drops payloads and personal values, never hashes and ids.
GRANT SELECT ON indelible.records, indelible.ids, indelible.heads, indelible.personal
    TO indelible_pruner;
GRANT UPDATE (leaf, personal, terms) ON indelible.records TO indelible_pruner;
GRANT DELETE ON indelible.personal TO indelible_pruner;

CREATE FUNCTION indelible.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % operations are forbidden', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- Holds for the owner of the tables and for superusers as well.
CREATE FUNCTION indelible.refuse_but_pruning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_user = 'indelible_pruner' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% is append-only: % operations are forbidden', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION indelible.refuse_going_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.tenant_id <> OLD.tenant_id OR NEW.size < OLD.size THEN
        RAISE EXCEPTION 'the log of % does not go back from % to %', OLD.tenant_id, OLD.size, NEW.size
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON indelible.records
    FOR EACH ROW EXECUTE FUNCTION indelible.refuse_but_pruning();
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON indelible.ids
    FOR EACH ROW EXECUTE FUNCTION indelible.refuse();
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE ON indelible.subtrees
    FOR EACH ROW EXECUTE FUNCTION indelible.refuse();
CREATE TRIGGER never_removed BEFORE DELETE ON indelible.heads
    FOR EACH ROW EXECUTE FUNCTION indelible.refuse();
CREATE TRIGGER never_back BEFORE UPDATE ON indelible.heads
    FOR EACH ROW EXECUTE FUNCTION indelible.refuse_going_back();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON indelible.records
    FOR EACH STATEMENT EXECUTE FUNCTION indelible.refuse();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON indelible.ids
    FOR EACH STATEMENT EXECUTE FUNCTION indelible.refuse();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON indelible.ids_other
    FOR EACH STATEMENT EXECUTE FUNCTION indelible.refuse();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON indelible.subtrees
    FOR EACH STATEMENT EXECUTE FUNCTION indelible.refuse();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON indelible.heads
    FOR EACH STATEMENT EXECUTE FUNCTION indelible.refuse();

-- The least id of an instant: its first 48 bits are milliseconds, RFC 9562.
CREATE FUNCTION indelible.first_id(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- Makes the partitions of the month that begins then, unless they are there. It is the owner's work,
-- which a writer may ask for. A partition is a table of its own before it is attached, so that nobody
-- who reads or writes waits.
CREATE FUNCTION indelible.make_month(starts date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    since  timestamptz := date_trunc('month', starts::timestamptz);
    until  timestamptz := since + interval '1 month';
    suffix text := to_char(since, 'YYYY_MM');
    one    text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('indelible: months', 0));
    IF to_regclass('indelible.records_' || suffix) IS NOT NULL THEN
        RETURN;
    END IF;
    FOREACH one IN ARRAY ARRAY['records', 'ids'] LOOP
        EXECUTE format('CREATE TABLE indelible.%I (LIKE indelible.%I INCLUDING ALL)',
            one || '_' || suffix, one);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON indelible.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION indelible.refuse()', one || '_' || suffix);
    END LOOP;
    EXECUTE format('ALTER TABLE indelible.records ATTACH PARTITION indelible.%I '
        'FOR VALUES FROM (%L) TO (%L)', 'records_' || suffix, since, until);
    BEGIN
        EXECUTE format('ALTER TABLE indelible.ids ATTACH PARTITION indelible.%I '
            'FOR VALUES FROM (%L) TO (%L)', 'ids_' || suffix,
            indelible.first_id(since), indelible.first_id(until));
    EXCEPTION WHEN check_violation OR invalid_object_definition THEN
        -- Ids of this month stand in `ids_other` already, or no id can be of it; there they stay.
        EXECUTE format('DROP TABLE indelible.%I', 'ids_' || suffix);
    END;
END $$;
REVOKE ALL ON FUNCTION indelible.make_month(date) FROM public;
GRANT EXECUTE ON FUNCTION indelible.make_month(date) TO indelible_writer;
