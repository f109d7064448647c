-- Outcomes are retired by age at every housekeeping: without an index that reads all of them each time.
CREATE INDEX generation_outcomes_age ON generation_outcomes (created_at);
