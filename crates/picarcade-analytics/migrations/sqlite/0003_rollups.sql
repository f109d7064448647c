-- Sums of classifications by minute and by hour, so that statistics cost the same over few rows and over many. Everything
-- below the watermark is rolled up, but for the minutes in rollup_late, into which rows came afterwards.
CREATE TABLE rollup_minutes (minute INTEGER NOT NULL PRIMARY KEY, tally BLOB NOT NULL) STRICT;
CREATE TABLE rollup_hours   (hour   INTEGER NOT NULL PRIMARY KEY, tally BLOB NOT NULL) STRICT;
CREATE TABLE rollup_late    (minute INTEGER NOT NULL PRIMARY KEY) STRICT;
CREATE TABLE rollup_state   (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), watermark INTEGER NOT NULL) STRICT;
