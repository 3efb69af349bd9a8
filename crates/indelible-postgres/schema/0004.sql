-- Who makes the months of `records`: we, as native partitions, or TimescaleDB, as chunks of a
-- hypertable. Which it is was decided when the tables were made, and stays.

CREATE TABLE indelible.partitioning (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    timescale boolean NOT NULL,
    -- Why there is no hypertable, or why one is not compressed.
    because   text
);
GRANT SELECT ON indelible.partitioning TO indelible_writer;

-- As before, but for a hypertable, which makes its chunks by itself: only ids get their month then.
CREATE OR REPLACE FUNCTION indelible.make_month(starts date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    since  timestamptz := date_trunc('month', starts::timestamptz);
    until  timestamptz := since + interval '1 month';
    suffix text := to_char(since, 'YYYY_MM');
    native boolean := (SELECT relkind = 'p' FROM pg_class WHERE oid = 'indelible.records'::regclass);
    tables text[] := CASE WHEN native THEN ARRAY['records', 'ids'] ELSE ARRAY['ids'] END;
    one    text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('indelible: months', 0));
    IF to_regclass(format('indelible.%I', tables[1] || '_' || suffix)) IS NOT NULL THEN
        RETURN;
    END IF;
    FOREACH one IN ARRAY tables LOOP
        EXECUTE format('CREATE TABLE indelible.%I (LIKE indelible.%I INCLUDING ALL)',
            one || '_' || suffix, one);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON indelible.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION indelible.refuse()', one || '_' || suffix);
    END LOOP;
    IF native THEN
        EXECUTE format('ALTER TABLE indelible.records ATTACH PARTITION indelible.%I '
            'FOR VALUES FROM (%L) TO (%L)', 'records_' || suffix, since, until);
    END IF;
    BEGIN
        EXECUTE format('ALTER TABLE indelible.ids ATTACH PARTITION indelible.%I '
            'FOR VALUES FROM (%L) TO (%L)', 'ids_' || suffix,
            indelible.first_id(since), indelible.first_id(until));
    EXCEPTION WHEN check_violation OR invalid_object_definition THEN
        -- Ids of this month stand in `ids_other` already, or no id can be of it; there they stay.
        EXECUTE format('DROP TABLE indelible.%I', 'ids_' || suffix);
    END;
END $$;
