-- Money is kept in whole micro-dollars; the columns in dollars that dashboards read are computed from them. Ids are UUIDv7
-- and created_at is read out of them, so that (created_at, id) is as unique as the id alone.
--
-- Facts are partitioned by week. Partitions are made ahead by the service; what has none goes to the default partition.
-- Row-level security is on without a policy: only the owner and roles that bypass it (on Supabase the service role) see rows.

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

ALTER TABLE intent_classification_logs         ENABLE ROW LEVEL SECURITY;
ALTER TABLE intent_classification_logs_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_tracking                      ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_tracking_default              ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_selection_logs               ENABLE ROW LEVEL SECURITY;
ALTER TABLE model_selection_logs_default       ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_performance_logs            ENABLE ROW LEVEL SECURITY;
ALTER TABLE system_performance_logs_default    ENABLE ROW LEVEL SECURITY;
