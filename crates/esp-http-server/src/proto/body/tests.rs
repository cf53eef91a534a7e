//! Tests of the body decoder.
