//! The URI handlers of a running server: how they are changed, and how each worker sees them.
//!
//! The table itself, a [`Router`], is shared by all workers and never changes while one of them has
//! it. A change makes a new one, once for all; a worker takes it before the next request, or when it
//! is woken because something was removed that it may be the last to hold.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::published::{Kept, Published, Snapshot, Unchanged};
use super::router::{Routed, Router, UriMatch, Which};
use super::uri_handler::UriHandler;
use super::ws_uri_handler::WsRoute;
use crate::error::{Error, Result};
use crate::handler::contain;
use crate::proto::method::Method;
use crate::proto::uri::template::Template;

/// The newest routes, where any thread can change them.
pub(crate) struct Routes {
    router: Published<Arc<Router>>,
    /// `max_uri_handlers`.
    limit: usize,
}

impl Routes {
    pub(crate) fn new(matches: Option<Arc<UriMatch>>, limit: usize) -> Self {
        Self { router: Published::new(Arc::new(Router::new(matches))), limit }
    }

    pub(crate) fn register(&self, mut handler: UriHandler) -> Result {
        handler.ws_route().map_or(Ok(()), WsRoute::check)?;
        handler.has_parameters = self.router.peek(|router| router.has_templates())
            && Template::parse(&handler.uri).is_ok_and(|template| template.has_parameters());
        let handler = Arc::new(handler);
        loop {
            let (version, router) = self.router.newest();
            // Without the lock, because it may call the application's match function.
            router.check(&handler, self.limit)?;
            // If a worker has the table, too, it is copied below, and otherwise changed.
            drop(router);
            let add = |router: &mut Arc<Router>| Arc::make_mut(router).register(handler.clone());
            match self.router.change_from(version, add) {
                Ok(()) => return Ok(()),
                Err(Unchanged::Newer) => {}
                Err(Unchanged::Closed) => return Err(Error::Stopping),
            }
        }
    }

    pub(crate) fn unregister(&self, uri: &str, which: Which) -> Result {
        loop {
            let (version, router) = self.router.newest();
            let numbers = router.find(uri, which);
            drop(router);
            if numbers.is_empty() {
                let method = match which {
                    Which::For(method) => method,
                    Which::All => None,
                };
                return Err(Error::NoHandler { method, uri: uri.to_string() });
            }
            let remove = |router: &mut Arc<Router>| Arc::make_mut(router).unregister(uri, &numbers);
            // What was removed is dropped here, behind the lock: that is code of the application's.
            match self.router.change_from(version, remove) {
                Ok(_) => return Ok(()),
                Err(Unchanged::Newer) => {}
                Err(Unchanged::Closed) => return Err(Error::Stopping),
            }
        }
    }

    /// Gives all handlers back and takes no more: no worker is left to route to them.
    pub(super) fn close(&self) -> Arc<Router> {
        self.router.close(Arc::new(Router::new(None)))
    }
}

/// The routes as a worker sees them.
pub(super) struct RoutesView {
    router: Snapshot<Arc<Router>>,
    /// Handlers that were asked for since the router came, by number.
    ///
    /// A handler that runs must be kept. If it were the router that is kept, then so would every
    /// other handler that is removed meanwhile; and workers that count the same `Arc` up and down at
    /// every request would share a cache line.
    kept: Vec<Option<Found>>,
}

/// A handler that was found. It is kept while it runs, and for as long as its WebSockets are open.
pub(crate) type Found = Kept<Arc<UriHandler>>;

impl RoutesView {
    pub(super) fn of(routes: &Routes) -> Self {
        Self { router: Snapshot::of(&routes.router), kept: Vec::new() }
    }

    /// Takes the newest routes.
    pub(super) fn refresh(&mut self, routes: &Routes) {
        if self.router.is_old(&routes.router) {
            self.router.newest(&routes.router);
            self.kept.clear();
        }
    }

    /// Finds the handler for a request; `None` if the application's match function panicked.
    pub(super) fn route(
        &mut self,
        routes: &Routes,
        method: Method,
        path: &str,
    ) -> Option<Routed<Found>> {
        self.refresh(routes);
        let router = &**self.router.value();
        Some(match contain(|| router.route(method, path))? {
            Routed::To(number) => {
                if self.kept.len() <= number {
                    self.kept.resize(router.numbers_end(), None);
                }
                let keep = || Kept::new(router.handler(number).clone());
                Routed::To(self.kept[number].get_or_insert_with(keep).clone())
            }
            Routed::NotFound => Routed::NotFound,
            Routed::MethodNotAllowed(methods) => Routed::MethodNotAllowed(methods),
            Routed::Options(methods) => Routed::Options(methods),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Request;
    use crate::proto::random::many;
    use alloc::format;

    fn handler(uri: &str) -> UriHandler {
        UriHandler::new(Method::Get, uri, |_: &mut Request<'_>| Ok::<(), Error>(()))
    }

    fn table(routes: &Routes) -> *const Router {
        Arc::as_ptr(&routes.router.newest().1)
    }

    #[test]
    fn many_changes_before_a_worker_looks_again_copy_the_table_once() {
        let routes = Routes::new(None, usize::MAX);
        let mut worker = RoutesView::of(&routes);
        let before = table(&routes);
        routes.register(handler("/0")).unwrap();
        let after = table(&routes);
        assert_ne!(before, after, "the worker has the other one");
        let count = many(1000);
        for number in 1..count {
            routes.register(handler(&format!("/{number}"))).unwrap();
        }
        for number in 0..count / 2 {
            routes.unregister(&format!("/{number}"), Which::All).unwrap();
        }
        assert_eq!(table(&routes), after);
        let first = count / 2;
        for (number, is_there) in [(0, false), (first - 1, false), (first, true), (count - 1, true)]
        {
            let routed = worker.route(&routes, Method::Get, &format!("/{number}"));
            assert_eq!(matches!(routed, Some(Routed::To(_))), is_there, "{number}");
        }
    }

    #[test]
    fn two_workers_that_look_after_every_change_share_one_copy() {
        let routes = Routes::new(None, usize::MAX);
        let mut workers = [RoutesView::of(&routes), RoutesView::of(&routes)];
        for number in 0..10 {
            routes.register(handler(&format!("/{number}"))).unwrap();
            for worker in &mut workers {
                worker.refresh(&routes);
                assert_eq!(Arc::as_ptr(worker.router.value()), table(&routes));
            }
        }
    }

    #[test]
    fn a_number_that_is_used_again_does_not_lead_to_the_handler_before() {
        let routes = Routes::new(None, usize::MAX);
        let mut worker = RoutesView::of(&routes);
        for number in 0..3 {
            let uri = format!("/{number}");
            routes.register(handler(&uri)).unwrap();
            match worker.route(&routes, Method::Get, &uri) {
                Some(Routed::To(found)) => assert_eq!(*found.uri, *uri),
                _ => panic!("{uri} is not found"),
            }
            routes.unregister(&uri, Which::For(Some(Method::Get))).unwrap();
        }
        assert!(matches!(worker.route(&routes, Method::Get, "/2"), Some(Routed::NotFound)));
    }
}
