-- What became of a generation. An outcome completes the rows of its generation and may come before them: applied is 0
-- until they are there, 1 while they are being completed in a transaction, 2 ever after.
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
