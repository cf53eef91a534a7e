//! Counts what the heap has in use, for tests that look for leaks.

use std::alloc::System;

use esp_https_server::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Says how many bytes are in use.
pub(crate) fn in_use(req: &mut Request) -> Result {
    let stats = HEAP.stats();
    let len = stats.bytes_allocated.saturating_sub(stats.bytes_deallocated);
    req.respond().content_type("text/plain").send(format!("{len}\n"))
}
