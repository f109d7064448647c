-- The request of a classification and why it was decided so: an operator finds a request by the id
-- that its caller received. Older rows have neither.

ALTER TABLE intent_classification_logs
    ADD COLUMN reason text,
    ADD COLUMN request_id text;
