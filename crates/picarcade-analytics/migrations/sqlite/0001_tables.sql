-- Times are microseconds since the Unix epoch, in UTC. Money is kept in whole micro-dollars; the columns in dollars that
-- dashboards read are computed from them. Ids are UUIDv7: they sort by created_at, so a range of ids is a range of time.

CREATE TABLE intent_classification_logs (
    id                    BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id               TEXT    NOT NULL,
    prompt                TEXT    NOT NULL,
    classified_workflow   TEXT    NOT NULL,
    confidence            REAL    NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    processing_time_ms    REAL    NOT NULL CHECK (processing_time_ms BETWEEN 0 AND 1e15),
    used_fallback         INTEGER NOT NULL,
    cache_hit             INTEGER NOT NULL,
    circuit_breaker_state TEXT    NOT NULL,
    rate_limited          INTEGER NOT NULL,
    source                TEXT    NOT NULL,
    model                 TEXT    NOT NULL,
    cost_micros           INTEGER NOT NULL CHECK (cost_micros BETWEEN 0 AND 1000000000000000),
    saved_micros          INTEGER NOT NULL CHECK (saved_micros BETWEEN 0 AND 1000000000000000),
    duration_bucket       INTEGER NOT NULL,
    created_at            INTEGER NOT NULL
) STRICT;
CREATE INDEX intent_classification_logs_user ON intent_classification_logs (user_id, id);

CREATE TABLE cost_tracking (
    id                    BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id               TEXT    NOT NULL,
    operation_type        TEXT    NOT NULL,
    generation_id         TEXT,
    estimated_cost_micros INTEGER NOT NULL CHECK (estimated_cost_micros BETWEEN 0 AND 1000000000000000),
    actual_cost_micros    INTEGER CHECK (actual_cost_micros BETWEEN 0 AND 1000000000000000),
    estimated_cost        REAL GENERATED ALWAYS AS (estimated_cost_micros / 1000000.0) VIRTUAL,
    actual_cost           REAL GENERATED ALWAYS AS (actual_cost_micros / 1000000.0) VIRTUAL,
    model_used            TEXT    NOT NULL,
    success               INTEGER,
    error_message         TEXT,
    created_at            INTEGER NOT NULL
) STRICT;
CREATE INDEX cost_tracking_user ON cost_tracking (user_id);
CREATE INDEX cost_tracking_generation ON cost_tracking (generation_id) WHERE generation_id IS NOT NULL;

CREATE TABLE model_selection_logs (
    id                    BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id               TEXT    NOT NULL,
    generation_id         TEXT    NOT NULL,
    workflow_type         TEXT    NOT NULL,
    selected_model        TEXT    NOT NULL,
    fallback_models       TEXT    NOT NULL CHECK (json_valid(fallback_models)),
    estimated_cost_micros INTEGER NOT NULL CHECK (estimated_cost_micros BETWEEN 0 AND 1000000000000000),
    actual_cost_micros    INTEGER CHECK (actual_cost_micros BETWEEN 0 AND 1000000000000000),
    estimated_cost        REAL GENERATED ALWAYS AS (estimated_cost_micros / 1000000.0) VIRTUAL,
    actual_cost           REAL GENERATED ALWAYS AS (actual_cost_micros / 1000000.0) VIRTUAL,
    estimated_time        REAL    NOT NULL,
    actual_time           REAL,
    success               INTEGER,
    error_message         TEXT,
    created_at            INTEGER NOT NULL
) STRICT;
CREATE INDEX model_selection_logs_user ON model_selection_logs (user_id);
CREATE INDEX model_selection_logs_generation ON model_selection_logs (generation_id);

CREATE TABLE system_performance_logs (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    component  TEXT    NOT NULL,
    metric     TEXT    NOT NULL,
    value      REAL    NOT NULL CHECK (value BETWEEN -1e300 AND 1e300),
    status     TEXT    NOT NULL,
    metrics    TEXT    NOT NULL CHECK (json_valid(metrics)),
    created_at INTEGER NOT NULL
) STRICT;
