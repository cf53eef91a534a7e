//! The handlers of one URI template, by method.

use alloc::sync::Arc;

use super::Which;
use crate::proto::method::{Method, MethodSet};
use crate::server::uri_handler::{Handler, UriHandler};

/// What a template leads to. A copy shares it.
#[derive(Clone, Default)]
pub(super) struct Handlers(Arc<[Entry]>);

/// What the router must know of a handler to choose it.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    method: Option<Method>,
    /// HEAD is no way to open a WebSocket.
    serves_head: bool,
    number: usize,
}

/// How well a handler fits a request's method; the better, the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Any,
    GetForHead,
    Same,
}

impl Handlers {
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().copied()
    }

    pub(super) fn add(&mut self, entry: Entry) {
        self.0 = self.entries().chain([entry]).collect();
    }

    pub(super) fn remove(&mut self, numbers: &[usize]) {
        self.0 = self.entries().filter(|entry| !numbers.contains(&entry.number)).collect();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of the handler that fits best.
    pub(super) fn best(&self, method: Method) -> Option<usize> {
        let fitting = self.entries().filter_map(|entry| Some((entry.fit(method)?, entry.number)));
        fitting.max_by_key(|(fit, _)| *fit).map(|(_, number)| number)
    }
}

impl Entry {
    pub(super) fn new(handler: &UriHandler, number: usize) -> Self {
        let method = handler.method;
        let is_http = matches!(handler.handler, Handler::Http(_));
        Self { method, serves_head: is_http && method == Some(Method::Get), number }
    }

    pub(super) fn number(self) -> usize {
        self.number
    }

    pub(super) fn is_meant(self, which: Which) -> bool {
        match which {
            Which::All => true,
            Which::For(method) => self.method == method,
        }
    }

    pub(super) fn fit(self, method: Method) -> Option<Fit> {
        match self.method {
            None => Some(Fit::Any),
            Some(of) if of == method => Some(Fit::Same),
            Some(_) if self.serves_head && method == Method::Head => Some(Fit::GetForHead),
            Some(_) => None,
        }
    }

    /// Adds the methods that the handler serves.
    pub(super) fn add_methods(self, methods: &mut MethodSet) {
        match self.method {
            None => methods.extend(Method::ALL.iter().copied()),
            Some(method) => methods.insert(method),
        }
        if self.serves_head {
            methods.insert(Method::Head);
        }
    }
}
