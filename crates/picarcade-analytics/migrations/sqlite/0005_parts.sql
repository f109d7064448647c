-- What each batch of classifications added to a minute, with the time of its last row, until the minute is rolled up.
CREATE TABLE rollup_parts (minute INTEGER NOT NULL, last INTEGER NOT NULL, tally BLOB NOT NULL) STRICT;
CREATE INDEX rollup_parts_minute ON rollup_parts (minute);

-- Rows that are not rolled up yet have left no parts: their minutes are read from the rows. Ids begin with milliseconds.
INSERT INTO rollup_late (minute)
SELECT DISTINCT created_at - created_at % 60000000 FROM intent_classification_logs
WHERE id >= (SELECT unhex(printf('%012X', watermark / 1000)) FROM rollup_state)
ON CONFLICT DO NOTHING;
