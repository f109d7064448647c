//! Runnable examples; each file answers one question.
