-- The outbox: events of committed transactions on their way to the ledger. May be applied again.
--
-- Applications insert audit_id, tenant_id and event, and nothing else; the relay does the rest.

CREATE TABLE IF NOT EXISTS indelible_outbox (
    -- Unique and roughly in the order of commits; may have holes.
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- A UUIDv7 where nothing is said: the time in milliseconds over a random id, version 4 made 7.
    audit_id uuid NOT NULL DEFAULT encode(set_bit(set_bit(overlay(
            uuid_send(gen_random_uuid())
            placing substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
            FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
        CHECK (substring(audit_id::text FROM 15 FOR 1) IN ('7', '8')),
    tenant_id text NOT NULL CHECK (tenant_id ~ '^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$'),
    -- JSON.
    event bytea NOT NULL CHECK (octet_length(event) BETWEEN 2 AND 262144),
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Its place in the relay's stream, given before it is sent; an epoch without a number is of a
    -- statement of the relay itself.
    epoch bigint,
    number bigint
);
CREATE INDEX IF NOT EXISTS indelible_outbox_numbered ON indelible_outbox (epoch, number)
    WHERE epoch IS NOT NULL;

-- Dead letters: what the ledger refused for good, and why.
CREATE TABLE IF NOT EXISTS indelible_outbox_refused (
    place bigint PRIMARY KEY,
    audit_id uuid NOT NULL,
    tenant_id text NOT NULL,
    event bytea NOT NULL,
    written_at timestamptz NOT NULL,
    epoch bigint NOT NULL,
    number bigint NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    problem text NOT NULL
);

-- The stream that the rows are numbered in, and how far the numbers of its epoch go.
CREATE TABLE IF NOT EXISTS indelible_outbox_stream (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id text NOT NULL,
    epoch bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS indelible_outbox_number (
    tenant_id text PRIMARY KEY,
    next bigint NOT NULL
);
