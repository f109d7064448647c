-- Sums of classifications by minute and by hour (microseconds since the Unix epoch), so that statistics cost the same over
-- few rows and over many. Everything below the watermark is rolled up, but for the minutes in rollup_late, into which rows
-- came afterwards. The frontier is where the watermark is about to go: writers note minutes below it as late.
-- rollup_late has no key: writers that insert the same minute must not wait for each other.
CREATE TABLE rollup_minutes (minute bigint NOT NULL PRIMARY KEY, tally bytea NOT NULL);
CREATE TABLE rollup_hours   (hour   bigint NOT NULL PRIMARY KEY, tally bytea NOT NULL);
CREATE TABLE rollup_late    (minute bigint NOT NULL);
CREATE TABLE rollup_state   (one boolean NOT NULL PRIMARY KEY CHECK (one), frontier bigint NOT NULL, watermark bigint);

ALTER TABLE rollup_minutes ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup_hours   ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup_late    ENABLE ROW LEVEL SECURITY;
ALTER TABLE rollup_state   ENABLE ROW LEVEL SECURITY;
