-- Feedback on generations: what the type should have been. The classification of a generation has
-- the id of the generation since this version, and decided_at is the time in that id, so
-- (decided_at, generation_id) finds the row in intent_classification_logs by its key. The last
-- feedback of a generation counts.

ALTER TABLE intent_classification_logs
    ADD COLUMN prompt_is_whole boolean,
    -- The sum of 1 (a working image), 2 (a working video), 4 (an upload), 8 (a stored reference).
    ADD COLUMN media_facts smallint;

CREATE TABLE generation_feedback (
    generation_id text        COLLATE "C" NOT NULL PRIMARY KEY,
    user_id       text        NOT NULL,
    decided_type  text        NOT NULL,
    source        text        NOT NULL,
    right_type    text        NOT NULL,
    agrees        boolean     GENERATED ALWAYS AS (right_type = decided_type) STORED,
    comment       text,
    decided_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL
);
CREATE INDEX generation_feedback_user ON generation_feedback (user_id, created_at);
-- Maintenance deletes feedback by age and would read the whole table without this index.
CREATE INDEX generation_feedback_age ON generation_feedback (created_at);

ALTER TABLE generation_feedback ENABLE ROW LEVEL SECURITY;
