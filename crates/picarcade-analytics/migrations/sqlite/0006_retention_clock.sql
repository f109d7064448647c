-- The time that retention goes by (microseconds since the Unix epoch). It follows the clock of the
-- machine, but after a jump only step by step, so that a wrong clock deletes nothing at once.
CREATE TABLE retention_clock (one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL) STRICT;
