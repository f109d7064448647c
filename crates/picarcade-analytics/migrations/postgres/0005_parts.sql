-- What each batch of classifications added to a minute, with the time of its last row, until the minute is rolled up. Many
-- writers insert and nobody updates, so there is no key.
CREATE TABLE rollup_parts (minute bigint NOT NULL, last bigint NOT NULL, tally bytea NOT NULL);
CREATE INDEX rollup_parts_minute ON rollup_parts (minute);

ALTER TABLE rollup_parts ENABLE ROW LEVEL SECURITY;

-- Rows that are not rolled up yet have left no parts, nor will those that instances of an earlier build write within the next
-- hour, while they are being replaced: these minutes are read from the rows.
INSERT INTO rollup_late (minute)
SELECT (extract(epoch FROM date_trunc('minute', created_at, 'UTC')) * 1000000)::bigint
FROM rollup_state, intent_classification_logs
WHERE created_at >= timestamptz 'epoch' + watermark * interval '1 microsecond'
UNION
SELECT (extract(epoch FROM date_trunc('minute', now(), 'UTC')) * 1000000)::bigint + n * 60000000
FROM rollup_state, generate_series(0::bigint, 60) AS n
WHERE watermark IS NOT NULL;
