-- The tables of a ledger. Leaves are what counts; every other column of a record is derived from
-- them and can be made again. What is here is never changed: a later version is a file of its own.

CREATE SCHEMA indelible;

CREATE TABLE indelible.versions (
    version    integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- One row, from when there is a ledger: its id, with what terms are hashed, and in which era
-- transactions are numbered. Their numbers mean something in one cluster only: when the tables come
-- into another one, a new era begins.
CREATE TABLE indelible.ledger (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    id       bytea NOT NULL CHECK (length(id) = 16),
    term_key bytea NOT NULL,
    era      smallint NOT NULL,
    cluster  bigint NOT NULL
);

-- Where each log ends: the commit point. It is rewritten with every commit, so that pages have room
-- for the next version of a row beside the last.
CREATE TABLE indelible.heads (
    tenant_id        text COLLATE "C" PRIMARY KEY,
    size             bigint NOT NULL,
    last_hash        bytea NOT NULL,
    last_ingested_at timestamptz NOT NULL,
    frontier         bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE indelible.records (
    tenant_id        text COLLATE "C" NOT NULL,
    sequence_number  bigint NOT NULL,
    ingested_at      timestamptz NOT NULL,
    occurred_at      timestamptz NOT NULL,
    audit_id         uuid NOT NULL,
    record_hash      bytea NOT NULL,
    leaf             bytea NOT NULL,
    -- For each personal value the handle of its subject and the name of its row, 16 bytes each.
    personal         bytea,
    -- What the record is found by: keyed hashes of its terms and of its personal values.
    terms            bigint[] NOT NULL,
    -- Which transaction committed it, so that a past answer does not change.
    era              smallint NOT NULL,
    committed        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- What people filter by in SQL; the rest of an event the views take from its leaf.
    event_type       text,
    category         text,
    action           text,
    outcome          text,
    severity         text,
    actor_type       text,
    actor_id         text,
    target_type      text,
    target_id        text,
    correlation_id   text,
    investigation_id text,
    alert_id         text,
    source_service   text,
    PRIMARY KEY (tenant_id, sequence_number, ingested_at)
) PARTITION BY RANGE (ingested_at);

CREATE INDEX records_by_time ON indelible.records (occurred_at, tenant_id, sequence_number);
CREATE INDEX records_by_tenant ON indelible.records (tenant_id, occurred_at, sequence_number);
CREATE INDEX records_by_term ON indelible.records USING gin (terms);

-- Ids are unique for ever, also those of records whose month is gone. They begin with a time; those
-- of months that were not foreseen stand in `ids_other`.
CREATE TABLE indelible.ids (
    audit_id        uuid NOT NULL,
    tenant_id       text COLLATE "C" NOT NULL,
    sequence_number bigint NOT NULL,
    PRIMARY KEY (audit_id, tenant_id)
) PARTITION BY RANGE (audit_id);
CREATE TABLE indelible.ids_other PARTITION OF indelible.ids DEFAULT;

-- Roots of complete subtrees of 256, 65,536 … leaves.
CREATE TABLE indelible.subtrees (
    tenant_id text COLLATE "C" NOT NULL,
    level     smallint NOT NULL,
    place     bigint NOT NULL,
    root      bytea NOT NULL,
    PRIMARY KEY (tenant_id, level, place)
);

-- Personal values, encrypted under their subject's key; the name is a hash of what is here.
CREATE TABLE indelible.personal (
    tenant_id text COLLATE "C" NOT NULL,
    name      bytea NOT NULL,
    handle    bytea NOT NULL,
    find      bytea,
    blob      boolean NOT NULL,
    value     bytea NOT NULL,
    PRIMARY KEY (tenant_id, name)
);
CREATE INDEX personal_by_subject ON indelible.personal (tenant_id, handle);

CREATE TABLE indelible.state (
    space   text COLLATE "C" NOT NULL,
    key     bytea NOT NULL,
    value   bytea NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (space, key)
);

-- The key store: the keys of data subjects, encrypted under a master key that is not here. It is like
-- `state`, and a table of its own, so that it is backed up apart.
CREATE TABLE indelible.keys (LIKE indelible.state INCLUDING ALL);

-- What was visible when somebody began to page, where transactions were under way.
CREATE TABLE indelible.marks (
    mark     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    snapshot pg_snapshot NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX marks_by_age ON indelible.marks (made_at);
