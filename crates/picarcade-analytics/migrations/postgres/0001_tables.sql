-- Money is stored in whole micro-dollars; the columns in dollars, which dashboards read, are
-- computed from them. Ids are UUIDv7 and contain created_at, so (created_at, id) is as unique as
-- the id alone.
--
-- Tables of events are partitioned by week. The service creates partitions ahead; a row without a
-- partition goes to the default partition.

CREATE TABLE intent_classification_logs (
    id                    uuid             NOT NULL,
    user_id               text             NOT NULL,
    prompt                text             NOT NULL,
    classified_workflow   text             NOT NULL,
    confidence            double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    processing_time_ms    double precision NOT NULL CHECK (processing_time_ms BETWEEN 0 AND 1e15),
    used_fallback         boolean          NOT NULL,
    cache_hit             boolean          NOT NULL,
    circuit_breaker_state text             NOT NULL,
    rate_limited          boolean          NOT NULL,
    source                text             NOT NULL,
    model                 text             NOT NULL,
    cost_micros           bigint           NOT NULL CHECK (cost_micros BETWEEN 0 AND 1000000000000000),
    saved_micros          bigint           NOT NULL CHECK (saved_micros BETWEEN 0 AND 1000000000000000),
    duration_bucket       smallint         NOT NULL,
    created_at            timestamptz      NOT NULL,
    PRIMARY KEY (created_at, id)
) PARTITION BY RANGE (created_at);
CREATE INDEX intent_classification_logs_user ON intent_classification_logs (user_id, created_at);

CREATE TABLE cost_tracking (
    id                    uuid        NOT NULL,
    user_id               text        NOT NULL,
    operation_type        text        NOT NULL,
    generation_id         text,
    estimated_cost_micros bigint      NOT NULL CHECK (estimated_cost_micros BETWEEN 0 AND 1000000000000000),
    actual_cost_micros    bigint      CHECK (actual_cost_micros BETWEEN 0 AND 1000000000000000),
    estimated_cost        numeric(16, 6) GENERATED ALWAYS AS (estimated_cost_micros * 0.000001) STORED,
    actual_cost           numeric(16, 6) GENERATED ALWAYS AS (actual_cost_micros * 0.000001) STORED,
    model_used            text        NOT NULL,
    success               boolean,
    error_message         text,
    created_at            timestamptz NOT NULL,
    PRIMARY KEY (created_at, id)
) PARTITION BY RANGE (created_at);
CREATE INDEX cost_tracking_user ON cost_tracking (user_id, created_at);
CREATE INDEX cost_tracking_generation ON cost_tracking (generation_id) WHERE generation_id IS NOT NULL;

CREATE TABLE model_selection_logs (
    id                    uuid             NOT NULL,
    user_id               text             NOT NULL,
    generation_id         text             NOT NULL,
    workflow_type         text             NOT NULL,
    selected_model        text             NOT NULL,
    fallback_models       jsonb            NOT NULL,
    estimated_cost_micros bigint           NOT NULL CHECK (estimated_cost_micros BETWEEN 0 AND 1000000000000000),
    actual_cost_micros    bigint           CHECK (actual_cost_micros BETWEEN 0 AND 1000000000000000),
    estimated_cost        numeric(16, 6) GENERATED ALWAYS AS (estimated_cost_micros * 0.000001) STORED,
    actual_cost           numeric(16, 6) GENERATED ALWAYS AS (actual_cost_micros * 0.000001) STORED,
    estimated_time        double precision NOT NULL,
    actual_time           double precision,
    success               boolean,
    error_message         text,
    created_at            timestamptz      NOT NULL,
    PRIMARY KEY (created_at, id)
) PARTITION BY RANGE (created_at);
CREATE INDEX model_selection_logs_user ON model_selection_logs (user_id, created_at);
CREATE INDEX model_selection_logs_generation ON model_selection_logs (generation_id);

CREATE TABLE system_performance_logs (
    id         uuid             NOT NULL,
    component  text             NOT NULL,
    metric     text             NOT NULL,
    value      double precision NOT NULL CHECK (value BETWEEN -1e300 AND 1e300),
    status     text             NOT NULL,
    metrics    jsonb            NOT NULL,
    created_at timestamptz      NOT NULL,
    PRIMARY KEY (created_at, id)
) PARTITION BY RANGE (created_at);

CREATE TABLE intent_classification_logs_default PARTITION OF intent_classification_logs DEFAULT;
CREATE TABLE cost_tracking_default              PARTITION OF cost_tracking DEFAULT;
CREATE TABLE model_selection_logs_default       PARTITION OF model_selection_logs DEFAULT;
CREATE TABLE system_performance_logs_default    PARTITION OF system_performance_logs DEFAULT;

-- The outcomes of generations. An outcome completes the rows of its generation and may arrive
-- before them. The value of `applied` is 0 until the rows exist, 1 while a transaction completes
-- them, and 2 afterwards.
CREATE TABLE generation_outcomes (
    generation_id      text        NOT NULL,
    user_id            text        NOT NULL,
    success            boolean     NOT NULL,
    actual_cost_micros bigint      CHECK (actual_cost_micros BETWEEN 0 AND 1000000000000000),
    actual_time        double precision,
    error_message      text,
    cost_id            uuid        NOT NULL,
    created_at         timestamptz NOT NULL,
    applied            smallint    NOT NULL DEFAULT 0,
    PRIMARY KEY (generation_id, user_id)
);
CREATE INDEX generation_outcomes_open ON generation_outcomes (applied) WHERE applied < 2;
CREATE INDEX generation_outcomes_user ON generation_outcomes (user_id);
-- Maintenance deletes outcomes by age and would read the whole table without this index.
CREATE INDEX generation_outcomes_age ON generation_outcomes (created_at);

CREATE TABLE user_sessions (
    session_id            text        NOT NULL PRIMARY KEY,
    user_id               text        NOT NULL,
    current_working_image text,
    current_working_video text,
    metadata              jsonb       NOT NULL,
    expires_at            timestamptz,
    updated_at            timestamptz NOT NULL,
    CONSTRAINT one_working_medium CHECK (current_working_image IS NULL OR current_working_video IS NULL)
);
CREATE INDEX user_sessions_user ON user_sessions (user_id);
CREATE INDEX user_sessions_expiry ON user_sessions (expires_at) WHERE expires_at IS NOT NULL;

-- Sums of classifications by minute and by hour (microseconds since the Unix epoch), so that the
-- cost of statistics does not depend on the number of rows. Everything below the watermark is
-- rolled up, except the minutes in rollup_late, which received rows afterwards. The frontier is the
-- next target of the watermark: writers mark minutes below it as late. rollup_late has no key, so
-- that writers that insert the same minute do not wait for each other.
CREATE TABLE rollup_minutes (minute bigint NOT NULL PRIMARY KEY, tally bytea NOT NULL);
CREATE TABLE rollup_hours   (hour   bigint NOT NULL PRIMARY KEY, tally bytea NOT NULL);
CREATE TABLE rollup_late    (minute bigint NOT NULL);
CREATE TABLE rollup_state   (one boolean NOT NULL PRIMARY KEY CHECK (one), frontier bigint NOT NULL, watermark bigint);

-- What each batch of classifications added to a minute, with the time of its last row, until the
-- minute is rolled up. Many writers insert and no writer updates, so the table has no key.
CREATE TABLE rollup_parts (minute bigint NOT NULL, last bigint NOT NULL, tally bytea NOT NULL);
CREATE INDEX rollup_parts_minute ON rollup_parts (minute);

-- Row-level security without a policy: only the owner sees rows, and roles that bypass it, such as
-- the service role of Supabase. Without it, Supabase would let every client write into these
-- tables.
ALTER TABLE intent_classification_logs         ENABLE ROW LEVEL SECURITY;
ALTER TABLE intent_classification_logs_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_tracking                      ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_tracking_default              ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_selection_logs               ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_selection_logs_default       ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_performance_logs            ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_performance_logs_default    ENABLE ROW LEVEL SECURITY;
ALTER TABLE generation_outcomes                ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_sessions                      ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup_minutes                     ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup_hours                       ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup_late                        ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup_state                       ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup_parts                       ENABLE ROW LEVEL SECURITY;
ALTER TABLE picarcade_migrations               ENABLE ROW LEVEL SECURITY;
