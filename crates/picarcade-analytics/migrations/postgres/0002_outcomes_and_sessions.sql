-- What became of a generation. An outcome completes the rows of its generation and may come before them: applied is 0
-- until they are there, 1 while they are being completed in a transaction, 2 ever after.
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

ALTER TABLE generation_outcomes ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_sessions       ENABLE ROW LEVEL SECURITY;
