-- Outcomes are retired by age at every housekeeping: without an index that reads all of them each time.
CREATE INDEX generation_outcomes_age ON generation_outcomes (created_at);
-- Supabase lets anybody write into tables of the public schema that have no row-level security. The owner is not concerned.
ALTER TABLE picarcade_migrations ENABLE ROW LEVEL SECURITY;
