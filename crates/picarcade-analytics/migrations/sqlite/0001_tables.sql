-- Times are microseconds since the Unix epoch, in UTC. Money is stored in whole micro-dollars; the
-- columns in dollars, which dashboards read, are computed from them. Ids are UUIDv7 and sort by
-- created_at, so a range of ids is a range of time.

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

-- The outcomes of generations. An outcome completes the rows of its generation and may arrive
-- before them. The value of `applied` is 0 until the rows exist, 1 while a transaction completes
-- them, and 2 afterwards.
CREATE TABLE generation_outcomes (
    generation_id      TEXT    NOT NULL,
    user_id            TEXT    NOT NULL,
    success            INTEGER NOT NULL,
    actual_cost_micros INTEGER CHECK (actual_cost_micros BETWEEN 0 AND 1000000000000000),
    actual_time        REAL,
    error_message      TEXT,
    cost_id            BLOB    NOT NULL CHECK (length(cost_id) = 16),
    created_at         INTEGER NOT NULL,
    applied            INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (generation_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX generation_outcomes_open ON generation_outcomes (applied) WHERE applied < 2;
CREATE INDEX generation_outcomes_user ON generation_outcomes (user_id);
-- Maintenance deletes outcomes by age and would read the whole table without this index.
CREATE INDEX generation_outcomes_age ON generation_outcomes (created_at);

CREATE TABLE user_sessions (
    session_id            TEXT    NOT NULL PRIMARY KEY,
    user_id               TEXT    NOT NULL,
    current_working_image TEXT,
    current_working_video TEXT,
    metadata              TEXT    NOT NULL CHECK (json_valid(metadata)),
    expires_at            INTEGER,
    updated_at            INTEGER NOT NULL,
    CHECK (current_working_image IS NULL OR current_working_video IS NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_sessions_user ON user_sessions (user_id);
CREATE INDEX user_sessions_expiry ON user_sessions (expires_at) WHERE expires_at IS NOT NULL;

-- Sums of classifications by minute and by hour, so that the cost of statistics does not depend on
-- the number of rows. Everything below the watermark is rolled up, except the minutes in
-- rollup_late, which received rows afterwards.
CREATE TABLE rollup_minutes (minute INTEGER NOT NULL PRIMARY KEY, tally BLOB NOT NULL) STRICT;
CREATE TABLE rollup_hours   (hour   INTEGER NOT NULL PRIMARY KEY, tally BLOB NOT NULL) STRICT;
CREATE TABLE rollup_late    (minute INTEGER NOT NULL PRIMARY KEY) STRICT;
CREATE TABLE rollup_state   (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), watermark INTEGER NOT NULL) STRICT;

-- What each batch of classifications added to a minute, with the time of its last row, until the
-- minute is rolled up.
CREATE TABLE rollup_parts (minute INTEGER NOT NULL, last INTEGER NOT NULL, tally BLOB NOT NULL) STRICT;
CREATE INDEX rollup_parts_minute ON rollup_parts (minute);

-- The time that retention uses. It follows the clock of the machine, but after a jump only step by
-- step, so that a wrong clock deletes nothing at once.
CREATE TABLE retention_clock (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;
