-- Feedback on generations: what the type should have been. The classification of a generation has
-- the id of the generation since this version, so the id finds the row in
-- intent_classification_logs by its key. decided_at is the time in that id. The last feedback of a
-- generation counts.

ALTER TABLE intent_classification_logs ADD COLUMN prompt_is_whole INTEGER;
-- The sum of 1 (a working image), 2 (a working video), 4 (an upload), 8 (a stored reference).
ALTER TABLE intent_classification_logs ADD COLUMN media_facts INTEGER;

CREATE TABLE generation_feedback (
    generation_id TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL,
    decided_type  TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    right_type    TEXT    NOT NULL,
    agrees        INTEGER GENERATED ALWAYS AS (right_type = decided_type) VIRTUAL,
    comment       TEXT,
    decided_at    INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX generation_feedback_user ON generation_feedback (user_id);
-- Maintenance deletes feedback by age and would read the whole table without this index.
CREATE INDEX generation_feedback_age ON generation_feedback (created_at);
