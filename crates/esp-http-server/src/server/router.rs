//! Which handler a request goes to.
//!
//! Exact URIs are found by hash, so their number costs nothing. Wildcards (upstream's
//! `httpd_uri_match_wildcard`) are tried after them, the one with the longest literal part first: a
//! specific route wins over a general one, whichever was registered first.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::error::{Error, HandlerError};
use crate::handler::{Request, WsRequest};
use crate::proto::method::Method;
use crate::proto::uri::match_wildcard;

/// A URI handler for HTTP requests, in plain blocking style.
pub(crate) type HttpHandler =
    dyn Fn(&mut Request<'_>) -> core::result::Result<(), HandlerError> + Send + Sync;
/// A URI handler for WebSocket messages, in plain blocking style.
pub(crate) type WsHandler =
    dyn Fn(&mut WsRequest<'_>) -> core::result::Result<(), HandlerError> + Send + Sync;

/// What a URI leads to.
#[derive(Clone)]
pub(crate) enum UriHandler {
    Http(Arc<HttpHandler>),
    WebSocket(Arc<WsHandler>),
}

/// All URI handlers of a server.
#[derive(Clone, Default)]
pub(crate) struct Router {
    routes: Vec<Route>,
    exact: HashMap<Box<str>, Vec<usize>>,
    /// Indices of routes with a wildcard, longest literal part first.
    wildcards: Vec<usize>,
}

#[derive(Clone)]
struct Route {
    uri: Box<str>,
    /// `None` is any method.
    method: Option<Method>,
    handler: UriHandler,
}

/// What the router made of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Routed {
    /// The handler's number, for [`Found::new`].
    To(usize),
    NotFound,
    /// The URI has handlers, but none for this method; these are the methods it has.
    MethodNotAllowed(Vec<Method>),
}

/// A handler that was found, kept alive while it runs without touching what workers share.
#[derive(Clone)]
pub(crate) struct Found {
    router: Rc<Router>,
    route: usize,
}

impl Router {
    /// Adds a handler; `limit` is `max_uri_handlers`.
    pub(crate) fn register(
        &mut self,
        method: Option<Method>,
        uri: &str,
        handler: UriHandler,
        limit: usize,
    ) -> Result<(), Error> {
        if self.routes.iter().any(|route| *route.uri == *uri && route.method == method) {
            return Err(Error::HandlerExists { method, uri: uri.to_string() });
        }
        if self.routes.len() >= limit {
            return Err(Error::HandlersFull { limit });
        }
        if !uri.starts_with('/') && uri != "*" {
            return Err(Error::Config(String::from("a URI handler's URI starts with '/': ") + uri));
        }
        let index = self.routes.len();
        self.routes.push(Route { uri: uri.into(), method, handler });
        if specificity(uri) == usize::MAX {
            self.exact.entry(uri.into()).or_default().push(index);
        } else {
            let at = self
                .wildcards
                .partition_point(|other| specificity(&self.routes[*other].uri) >= specificity(uri));
            self.wildcards.insert(at, index);
        }
        Ok(())
    }

    /// Finds the handler for a request: of the most specific URI that matches, the one for just this
    /// method, else GET's for HEAD, else the one for any method.
    pub(crate) fn route(&self, method: Method, path: &str) -> Routed {
        let mut best: Option<(usize, MethodMatch, usize)> = None;
        for index in self.candidates(path) {
            let route = &self.routes[index];
            let specific = specificity(&route.uri);
            if best.is_some_and(|(so_far, ..)| so_far > specific) {
                break;
            }
            let Some(matches) = MethodMatch::of(route.method, method) else { continue };
            if best.is_none_or(|(_, so_far, _)| so_far < matches) {
                best = Some((specific, matches, index));
            }
        }
        best.map_or_else(|| self.not_routed(path), |(.., index)| Routed::To(index))
    }

    /// The handlers whose URI matches, the most specific first.
    fn candidates(&self, path: &str) -> impl Iterator<Item = usize> {
        let exact = self.exact.get(path).map_or(&[][..], Vec::as_slice);
        let wildcards = self
            .wildcards
            .iter()
            .filter(move |index| match_wildcard(&self.routes[**index].uri, path));
        exact.iter().chain(wildcards).copied()
    }

    fn not_routed(&self, path: &str) -> Routed {
        let mut methods = Vec::new();
        for index in self.candidates(path) {
            let Some(method) = self.routes[index].method else { continue };
            let implied = (method == Method::Get).then_some(Method::Head);
            for method in [Some(method), implied].into_iter().flatten() {
                if !methods.contains(&method) {
                    methods.push(method);
                }
            }
        }
        if methods.is_empty() { Routed::NotFound } else { Routed::MethodNotAllowed(methods) }
    }

    pub(crate) fn handler(&self, route: usize) -> &UriHandler {
        &self.routes[route].handler
    }
}

impl Found {
    pub(crate) fn new(router: &Rc<Router>, route: usize) -> Self {
        Self { router: router.clone(), route }
    }

    pub(crate) fn handler(&self) -> &UriHandler {
        self.router.handler(self.route)
    }
}

/// How well a handler's method fits a request's; the better, the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum MethodMatch {
    Any,
    GetForHead,
    Same,
}

impl MethodMatch {
    fn of(handler: Option<Method>, request: Method) -> Option<Self> {
        match handler {
            None => Some(Self::Any),
            Some(method) if method == request => Some(Self::Same),
            Some(Method::Get) if request == Method::Head => Some(Self::GetForHead),
            Some(_) => None,
        }
    }
}

/// The length of what a template fixes; a template without wildcard is above all others.
fn specificity(uri: &str) -> usize {
    let literal = uri.trim_end_matches(['*', '?']).len();
    if literal == uri.len() { usize::MAX } else { literal }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler() -> UriHandler {
        UriHandler::Http(Arc::new(|_: &mut Request<'_>| Ok(())))
    }

    fn router(routes: &[(Option<Method>, &str)]) -> Router {
        let mut router = Router::default();
        for (method, uri) in routes {
            router.register(*method, uri, handler(), usize::MAX).unwrap();
        }
        router
    }

    const GET: Option<Method> = Some(Method::Get);
    const POST: Option<Method> = Some(Method::Post);

    #[test]
    fn the_most_specific_route_wins_in_any_order() {
        let router =
            router(&[(GET, "/*"), (GET, "/api/*"), (GET, "/api/status"), (GET, "/api/v1/*")]);
        assert_eq!(router.route(Method::Get, "/api/status"), Routed::To(2));
        assert_eq!(router.route(Method::Get, "/api/other"), Routed::To(1));
        assert_eq!(router.route(Method::Get, "/api/v1/x"), Routed::To(3));
        assert_eq!(router.route(Method::Get, "/index"), Routed::To(0));
    }

    #[test]
    fn a_method_without_handler_is_not_allowed_and_says_which_are() {
        let router = router(&[(GET, "/a"), (POST, "/a"), (POST, "/b")]);
        assert_eq!(
            router.route(Method::Put, "/a"),
            Routed::MethodNotAllowed([Method::Get, Method::Head, Method::Post].into())
        );
        assert_eq!(
            router.route(Method::Get, "/b"),
            Routed::MethodNotAllowed([Method::Post].into())
        );
        assert_eq!(router.route(Method::Get, "/c"), Routed::NotFound);
    }

    #[test]
    fn head_goes_to_get_unless_it_has_its_own() {
        let mut router = router(&[(GET, "/a")]);
        assert_eq!(router.route(Method::Head, "/a"), Routed::To(0));
        router.register(Some(Method::Head), "/a", handler(), 9).unwrap();
        assert_eq!(router.route(Method::Head, "/a"), Routed::To(1));
    }

    #[test]
    fn any_method_serves_what_has_no_handler_of_its_own() {
        let mut router = router(&[(None, "/a"), (GET, "/a")]);
        assert_eq!(router.route(Method::Get, "/a"), Routed::To(1));
        assert_eq!(router.route(Method::Delete, "/a"), Routed::To(0));
        router.register(Some(Method::Delete), "/*", handler(), 9).unwrap();
        assert_eq!(router.route(Method::Delete, "/a"), Routed::To(0));
        assert_eq!(router.route(Method::Delete, "/b"), Routed::To(2));
    }

    #[test]
    fn duplicates_and_too_many_are_refused() {
        let mut router = router(&[(GET, "/a")]);
        let error = router.register(GET, "/a", handler(), 9).unwrap_err();
        assert_eq!(error.to_string(), "there is a handler for GET /a already");
        router.register(POST, "/a", handler(), 2).unwrap();
        let error = router.register(GET, "/b", handler(), 2).unwrap_err();
        assert!(matches!(error, Error::HandlersFull { limit: 2 }));
        assert!(matches!(router.register(GET, "b", handler(), 9), Err(Error::Config(_))));
    }
}
