//! Which handler a request goes to.
//!
//! | for | in |
//! |---|---|
//! | the table of all handlers | this file |
//! | URI templates: exact ones by hash, the others by their segments | `router/templates.rs`, `router/tree.rs` |
//! | an application's own match function | `router/custom.rs` |
//! | the handlers of one template, by method | `router/handlers.rs` |
//!
//! How workers and whoever changes routes share the table is in `routes.rs`.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::uri_handler::UriHandler;
use crate::error::Error;
use crate::handler::contain;
use crate::proto::method::{Method, MethodSet};

mod custom;
mod handlers;
mod templates;
#[cfg(all(test, feature = "std"))]
mod tests;
mod tree;

use custom::Custom;
pub(crate) use custom::UriMatch;
use handlers::Entry;
use templates::Templates;

/// The URI handlers of a server.
#[derive(Clone)]
pub(crate) struct Router {
    /// By number. A number is used again for another handler.
    handlers: Vec<Option<Arc<UriHandler>>>,
    free: Vec<usize>,
    matching: Matching,
}

#[derive(Clone)]
enum Matching {
    Templates(Templates),
    Custom(Custom),
}

/// What the router made of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routed<To = usize> {
    /// To the handler with this number.
    To(To),
    NotFound,
    /// The URI has handlers, but none for this method; these are the methods it has.
    MethodNotAllowed(MethodSet),
    /// Nobody has registered a handler for OPTIONS: these methods are the answer.
    Options(MethodSet),
}

/// Which handlers of a URI are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    /// The one that was registered for this method; `None` is the one for any.
    For(Option<Method>),
}

impl Router {
    /// An empty table; `matches` takes the place of templates.
    pub(crate) fn new(matches: Option<Arc<UriMatch>>) -> Self {
        let matching = match matches {
            None => Matching::Templates(Templates::default()),
            Some(matches) => Matching::Custom(Custom::new(matches)),
        };
        Self { handlers: Vec::new(), free: Vec::new(), matching }
    }

    /// Whether URIs are templates, which may have parameters.
    pub(crate) fn has_templates(&self) -> bool {
        matches!(self.matching, Matching::Templates(_))
    }

    /// Whether `handler` may be registered; `limit` is `max_uri_handlers`. May call the application's
    /// match function.
    pub(crate) fn check(&self, handler: &UriHandler, limit: usize) -> Result<(), Error> {
        let exists = match &self.matching {
            Matching::Templates(templates) => templates.has(handler)?,
            Matching::Custom(custom) => custom.has(handler),
        };
        if exists {
            let uri = handler.uri.to_string();
            return Err(Error::HandlerExists { method: handler.method, uri });
        }
        if self.handlers.len() - self.free.len() >= limit {
            return Err(Error::HandlersFull { limit });
        }
        Ok(())
    }

    /// Adds a handler about which [`check`](Self::check) was asked.
    pub(crate) fn register(&mut self, handler: Arc<UriHandler>) {
        let number = self.free.pop().unwrap_or(self.handlers.len());
        match &mut self.matching {
            Matching::Templates(templates) => templates.add(&handler, number),
            Matching::Custom(custom) => custom.add(handler.clone(), number),
        }
        if number == self.handlers.len() {
            self.handlers.push(None);
        }
        self.handlers[number] = Some(handler);
    }

    /// The numbers of the handlers that were registered for this URI.
    pub(crate) fn find(&self, uri: &str, which: Which) -> Vec<usize> {
        match &self.matching {
            Matching::Templates(templates) => templates.find(uri, which),
            Matching::Custom(custom) => custom.find(uri, which),
        }
    }

    /// Takes out the handlers with these numbers, whose URI is `uri`.
    #[must_use = "dropping a handler runs code of the application's, which must not happen in a lock"]
    pub(crate) fn unregister(&mut self, uri: &str, numbers: &[usize]) -> Vec<Arc<UriHandler>> {
        match &mut self.matching {
            Matching::Templates(templates) => templates.remove(uri, numbers),
            Matching::Custom(custom) => custom.remove(numbers),
        }
        self.free.extend(numbers);
        numbers.iter().filter_map(|number| self.handlers[*number].take()).collect()
    }

    /// Finds the handler for a request: of those whose URI matches, the first that serves the method.
    /// GET's serves HEAD.
    pub(crate) fn route(&self, method: Method, path: &str) -> Routed {
        let found = match &self.matching {
            Matching::Templates(templates) => templates.route(method, path),
            Matching::Custom(custom) => custom.route(method, path),
        };
        if let Some(number) = found {
            return Routed::To(number);
        }
        let mut methods = MethodSet::default();
        let is_of_server = method == Method::Options && path == "*";
        match &self.matching {
            // What the server as a whole can do (RFC 9110, section 9.3.7).
            _ if is_of_server => {
                let handlers = self.handlers.iter().flatten();
                handlers.for_each(|handler| Entry::new(handler, 0).add_methods(&mut methods));
            }
            Matching::Templates(templates) => templates.add_methods(path, &mut methods),
            Matching::Custom(custom) => custom.add_methods(path, &mut methods),
        }
        if methods.is_empty() && !is_of_server {
            return Routed::NotFound;
        }
        methods.insert(Method::Options);
        match method {
            Method::Options => Routed::Options(methods),
            _ => Routed::MethodNotAllowed(methods),
        }
    }

    /// The handler with this number.
    /// Drops what is the application's, piece by piece: none of them takes others along if it panics.
    pub(crate) fn release(self) {
        let Self { handlers, free: _, matching } = self;
        if contain(|| drop(matching)).is_none() {
            log::error!("the match function panicked when it was dropped");
        }
        for handler in handlers.into_iter().flatten() {
            if contain(|| drop(handler)).is_none() {
                log::error!("a handler panicked when it was dropped");
            }
        }
    }

    pub(crate) fn handler(&self, number: usize) -> &Arc<UriHandler> {
        self.handlers[number].as_ref().expect("the router gives numbers of handlers only")
    }

    /// All numbers are below.
    pub(crate) fn numbers_end(&self) -> usize {
        self.handlers.len()
    }
}
