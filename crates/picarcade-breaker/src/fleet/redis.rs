//! The fleet's view in Redis: two keys per breaker, one script per method.
