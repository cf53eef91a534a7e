//! URIs that the application matches itself (upstream's `uri_match_fn`): they mean what its function
//! makes of them, and are tried in the order in which they were registered.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Which;
use super::handlers::{Entry, Fit};
use crate::proto::method::{Method, MethodSet};
use crate::server::uri_handler::UriHandler;

/// Whether the URI of a handler matches a path, or another handler's URI (upstream's
/// `httpd_uri_match_func_t`).
pub(crate) type UriMatch = dyn Fn(&str, &str) -> bool + Send + Sync;

#[derive(Clone)]
pub(super) struct Custom {
    matches: Arc<UriMatch>,
    routes: Vec<(Entry, Arc<UriHandler>)>,
}

impl Custom {
    pub(super) fn new(matches: Arc<UriMatch>) -> Self {
        Self { matches, routes: Vec::new() }
    }

    /// Whether requests for this handler's URI would go to another one, as upstream judges it.
    pub(super) fn has(&self, handler: &UriHandler) -> bool {
        let serves = |other: &UriHandler| other.method.is_none() || other.method == handler.method;
        self.matching(&handler.uri).any(|(_, other)| serves(other))
    }

    pub(super) fn add(&mut self, handler: Arc<UriHandler>, number: usize) {
        self.routes.push((Entry::new(&handler, number), handler));
    }

    pub(super) fn find(&self, uri: &str, which: Which) -> Vec<usize> {
        let same = self.routes.iter().filter(|(_, handler)| *handler.uri == *uri);
        same.filter(|(entry, _)| entry.is_meant(which)).map(|(entry, _)| entry.number()).collect()
    }

    pub(super) fn remove(&mut self, numbers: &[usize]) {
        self.routes.retain(|(entry, _)| !numbers.contains(&entry.number()));
    }

    pub(super) fn route(&self, method: Method, path: &str) -> Option<usize> {
        let mut for_head = None;
        for (entry, _) in self.matching(path) {
            match entry.fit(method) {
                Some(Fit::Same | Fit::Any) => return Some(entry.number()),
                // One for HEAD itself may follow.
                Some(Fit::GetForHead) => for_head = for_head.or(Some(entry.number())),
                None => {}
            }
        }
        for_head
    }

    pub(super) fn add_methods(&self, path: &str, methods: &mut MethodSet) {
        self.matching(path).for_each(|(entry, _)| entry.add_methods(methods));
    }

    #[cfg(all(test, feature = "std"))]
    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    fn matching(&self, uri: &str) -> impl Iterator<Item = &(Entry, Arc<UriHandler>)> {
        self.routes.iter().filter(move |(_, handler)| (self.matches)(&handler.uri, uri))
    }
}
