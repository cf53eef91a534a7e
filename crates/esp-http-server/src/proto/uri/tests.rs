//! Tests of targets, templates and queries.
