//! Tests of the head parser.
