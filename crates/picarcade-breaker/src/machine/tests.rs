//! Single steps of the machine. Long random runs against a naive model are in the integration tests.
