//! URI templates: which one a path goes to, and what is registered for it.
//!
//! Exact ones are found by hash, so their number costs nothing. Those that match more than one path
//! are in a tree.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use hashbrown::{Equivalent, HashMap};

use super::Which;
use super::handlers::{Entry, Handlers};
use super::tree::Tree;
use crate::error::Error;
use crate::proto::method::{Method, MethodSet};
use crate::proto::uri::template::Template;
use crate::server::uri_handler::UriHandler;

#[derive(Clone, Default)]
pub(super) struct Templates {
    exact: HashMap<Arc<str>, Handlers>,
    tree: Tree,
}

impl Templates {
    /// Whether there is a handler for the same template and method, however that is spelled.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the handler's URI is no template.
    pub(super) fn has(&self, handler: &UriHandler) -> Result<bool, Error> {
        let uri = &*handler.uri;
        match Template::parse(uri) {
            Ok(template) => Ok(!self.select(&template, Which::For(handler.method)).is_empty()),
            Err(error) => Err(Error::Config(format!("the URI template {uri:?}: {error}"))),
        }
    }

    pub(super) fn add(&mut self, handler: &UriHandler, number: usize) {
        self.change(&handler.uri, |handlers| handlers.add(Entry::new(handler, number)));
    }

    pub(super) fn find(&self, uri: &str, which: Which) -> Vec<usize> {
        Template::parse(uri).map_or_else(|_| Vec::new(), |template| self.select(&template, which))
    }

    pub(super) fn remove(&mut self, uri: &str, numbers: &[usize]) {
        self.change(uri, |handlers| handlers.remove(numbers));
    }

    pub(super) fn route(&self, method: Method, path: &str) -> Option<usize> {
        let best = |handlers: &Handlers| match handlers.best(method) {
            Some(number) => ControlFlow::Break(number),
            None => ControlFlow::Continue(()),
        };
        self.visit(path, best).break_value()
    }

    pub(super) fn add_methods(&self, path: &str, methods: &mut MethodSet) {
        let _: ControlFlow<()> = self.visit(path, |handlers| {
            handlers.entries().for_each(|entry| entry.add_methods(methods));
            ControlFlow::Continue(())
        });
    }

    #[cfg(all(test, feature = "std"))]
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.tree.is_empty()
    }

    /// Shows the handlers of the templates that match `path` to `visit`, those of the most specific
    /// one first, until it has seen enough.
    fn visit<B>(
        &self,
        path: &str,
        mut visit: impl FnMut(&Handlers) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if let Some(handlers) = self.exact.get(&Path(path)) {
            visit(handlers)?;
        }
        self.tree.visit(path, &mut visit)
    }

    /// The handlers of just this template.
    fn select(&self, template: &Template<'_>, which: Which) -> Vec<usize> {
        let handlers = match template.as_exact() {
            Some(path) => self.exact.get(path),
            None => self.tree.of(template),
        };
        let entries = handlers.into_iter().flat_map(Handlers::entries);
        entries.filter(|entry| entry.is_meant(which)).map(Entry::number).collect()
    }

    /// Has `change` change the handlers of just this template; without any left it is forgotten.
    fn change(&mut self, uri: &str, change: impl FnOnce(&mut Handlers)) {
        // What is no template is neither registered nor found.
        let Ok(template) = Template::parse(uri) else { return };
        let Some(path) = template.as_exact() else { return self.tree.change(&template, change) };
        let handlers = self.exact.entry(path.into()).or_default();
        change(handlers);
        if handlers.is_empty() {
            self.exact.remove(path);
        }
    }
}

/// A path that is looked for among the exact URIs.
#[derive(Hash)]
struct Path<'p>(&'p str);

impl Equivalent<Arc<str>> for Path<'_> {
    fn equivalent(&self, uri: &Arc<str>) -> bool {
        #[cfg(all(test, feature = "std"))]
        super::tests::look();
        *self.0 == **uri
    }
}
