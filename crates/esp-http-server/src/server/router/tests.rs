//! Which handler a path and a method go to. What clients see of it is in `server/tests/routing.rs`.

use std::cell::Cell;
use std::format;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;

use super::*;
use crate::handler::{Request, WsRequest};
use crate::proto::uri::match_wildcard;

thread_local! {
    /// How often a path was compared with an exact URI, or a node of the tree was looked at.
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn look() {
    LOOKS.set(LOOKS.get() + 1);
}

const GET: Option<Method> = Some(Method::Get);
const POST: Option<Method> = Some(Method::Post);

fn handler(method: Option<Method>, uri: &str) -> UriHandler {
    let nothing = |_: &mut Request<'_>| Ok::<(), Error>(());
    match method {
        Some(method) => UriHandler::new(method, uri, nothing),
        None => UriHandler::any(uri, nothing),
    }
}

impl Router {
    fn try_register(&mut self, handler: UriHandler, limit: usize) -> Result<(), Error> {
        self.check(&handler, limit)?;
        self.register(Arc::new(handler));
        Ok(())
    }

    fn with(mut self, routes: &[(Option<Method>, &str)]) -> Self {
        for (method, uri) in routes {
            self.try_register(handler(*method, uri), usize::MAX).unwrap();
        }
        self
    }

    /// The URI of the handler for a request.
    fn uri(&self, method: Method, path: &str) -> Option<&str> {
        match self.route(method, path) {
            Routed::To(number) => Some(&self.handler(number).uri),
            _ => None,
        }
    }
}

fn router(routes: &[(Option<Method>, &str)]) -> Router {
    Router::new(None).with(routes)
}

fn custom(matches: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Router {
    Router::new(Some(Arc::new(matches)))
}

fn methods(list: &[Method]) -> MethodSet {
    let mut methods = MethodSet::default();
    methods.extend(list.iter().copied());
    methods
}

/// The URIs that `path` goes to, the next one when the one before is removed.
fn precedence<'u>(uris: &[&'u str], path: &str) -> Vec<&'u str> {
    let mut left = uris.to_vec();
    let mut order = Vec::new();
    loop {
        let routes: Vec<_> = left.iter().map(|uri| (GET, *uri)).collect();
        let router = router(&routes);
        let Some(first) = router.uri(Method::Get, path) else { return order };
        let at = left.iter().position(|uri| *uri == first).unwrap();
        order.push(left.remove(at));
    }
}

/// Every order of up to five things, and some of more.
fn orders<T: Copy>(things: &[T]) -> Vec<Vec<T>> {
    if things.len() > 5 {
        let turned = |by: usize| {
            let mut turned = things.to_vec();
            turned.rotate_left(by);
            turned
        };
        let there = (0..things.len()).map(turned);
        let back = there.clone().map(|mut order| {
            order.reverse();
            order
        });
        return there.chain(back).collect();
    }
    match things {
        [] => Vec::from([Vec::new()]),
        _ => (0..things.len())
            .flat_map(|first| {
                let mut others = things.to_vec();
                let first = others.remove(first);
                orders(&others).into_iter().map(move |mut order| {
                    order.insert(0, first);
                    order
                })
            })
            .collect(),
    }
}

#[test]
fn the_most_specific_uri_wins_in_any_order_of_registration() {
    for (path, expected) in [
        ("/users/me", &["/users/me", "/users/{id}", "/users/*", "/*", "*"][..]),
        ("/users/7", &["/users/{id}", "/users/*", "/users*", "/*"]),
        ("/users/", &["/users/", "/users/?", "/users/*", "/users/?*", "/users*"]),
        ("/users", &["/users", "/users/?", "/users/?*", "/{page}", "/users?", "/user*", "/*"]),
        ("/a/b", &["/a/{b}", "/{a}/b", "/{a}/{b}", "/{a}/*"]),
        ("/a/x", &["/a/{b}", "/{a}/{b}", "/{a}/*"]),
        ("/x/b", &["/{a}/b", "/{a}/{b}", "/{a}/*"]),
        // Literal text further left goes first, however much of it there is further right.
        ("/a/b/c", &["/a/{b}/{c}", "/a/*", "/{a}/b/c", "/{a}/b/*"]),
        ("/files/logo.png", &["/files/{name}", "/files/l*", "/files/*", "/{user}/{repository}"]),
        ("/a/bc/d", &["/a/{x}/d", "/a/{x}/*", "/a/bc*", "/a/b*", "/a/*"]),
        ("/api/v1/x", &["/api/v1/*", "/api/*", "/api*", "/*"]),
        // Which of these is the more specific for this path nobody can say; but it is always the same.
        ("/a", &["/ab?", "/ac?", "/ab?*", "/ac?*"]),
        ("*", &["*"]),
    ] {
        for order in orders(expected) {
            assert_eq!(precedence(&order, path), expected, "{path}: {order:?}");
        }
    }
}

#[test]
fn a_way_that_leads_nowhere_is_left_for_the_next_one() {
    let uris = ["/a/{b}/c", "/{a}/x/y", "/{a}/{b}/z", "/a/{b}/w/*", "/a/w*", "/q/r/s/t/*"];
    let routes = uris.map(|uri| (GET, uri));
    let router = router(&routes);
    for (path, uri) in [
        ("/a/x/c", Some("/a/{b}/c")),
        ("/a/x/y", Some("/{a}/x/y")),
        ("/a/x/z", Some("/{a}/{b}/z")),
        ("/a/x/w/", Some("/a/{b}/w/*")),
        ("/a/x/w", None),
        ("/a/w/c", Some("/a/{b}/c")),
        ("/a/w/y", Some("/a/w*")),
        ("/a/w", Some("/a/w*")),
        ("/q/x/y", Some("/{a}/x/y")),
        ("/q/r/s", None),
        ("/q/r/s/t", None),
        ("/q/r/s/t/", Some("/q/r/s/t/*")),
        ("/q/r/z", Some("/{a}/{b}/z")),
    ] {
        assert_eq!(router.uri(Method::Get, path), uri, "{path}");
    }
}

#[test]
fn a_parameter_is_one_segment_and_never_empty() {
    let router = router(&[(GET, "/users/{id}"), (GET, "/users/{id}/posts/{post}"), (GET, "/{x}/")]);
    for (path, uri) in [
        ("/users/7", Some("/users/{id}")),
        ("/users/a%2Fb", Some("/users/{id}")),
        ("/users/{id}", Some("/users/{id}")),
        ("/users/", Some("/{x}/")),
        ("/users", None),
        ("/users/7/", None),
        ("/users/7/posts", None),
        ("/users/7/posts/", None),
        ("/users//posts/1", None),
        ("/users/7/posts/1", Some("/users/{id}/posts/{post}")),
        ("/users/7/posts/1/2", None),
        ("//", None),
        ("/", None),
        ("", None),
        ("*", None),
    ] {
        assert_eq!(router.uri(Method::Get, path), uri, "{path}");
    }
}

/// Whatever is registered, a template goes to the handler by exactly upstream's rules.
#[test]
fn wildcards_match_what_upstreams_match() {
    let templates = [
        "*", "/*", "/?", "/?*", "/a*", "/a?", "/a?*", "/a/*", "/a/?", "/a/?*", "/a/*?", "/a/b*",
        "/a/b?", "/a/b?*", "/a/*/b", "/a/**", "/a/b/?*",
    ];
    let pieces = ["", "a", "ab", "abc", "b", "bc", "*", "x"];
    let mut paths = Vec::from([String::from("*"), String::new()]);
    for first in pieces {
        paths.push(format!("/{first}"));
        for second in pieces {
            paths.push(format!("/{first}/{second}"));
            paths.extend(pieces.map(|third| format!("/{first}/{second}/{third}")));
        }
    }
    for template in templates {
        let router = router(&[(GET, template)]);
        for path in &paths {
            let is_found = router.uri(Method::Get, path).is_some();
            assert_eq!(is_found, match_wildcard(template, path), "{template} {path}");
        }
    }
}

#[test]
fn a_method_without_handler_is_not_allowed_and_says_which_are() {
    use Method::*;
    let router = router(&[(GET, "/a"), (POST, "/a"), (POST, "/b"), (Some(Put), "/{x}")]);
    for (method, path, expected) in [
        (Delete, "/a", Routed::MethodNotAllowed(methods(&[Get, Head, Post, Put, Options]))),
        (Get, "/b", Routed::MethodNotAllowed(methods(&[Post, Put, Options]))),
        (Head, "/b", Routed::MethodNotAllowed(methods(&[Post, Put, Options]))),
        (Get, "/c", Routed::MethodNotAllowed(methods(&[Put, Options]))),
        (Get, "/c/d", Routed::NotFound),
        (Options, "/a", Routed::Options(methods(&[Get, Head, Post, Put, Options]))),
        (Options, "/c/d", Routed::NotFound),
        (Options, "*", Routed::Options(methods(&[Get, Head, Post, Put, Options]))),
    ] {
        assert_eq!(router.route(method, path), expected, "{method} {path}");
    }
    // The next URI that matches serves what the most specific does not.
    assert_eq!(router.uri(Put, "/a"), Some("/{x}"));
}

#[test]
fn a_server_without_handlers_has_options_nevertheless() {
    let router = router(&[]);
    assert_eq!(router.route(Method::Options, "*"), Routed::Options(methods(&[Method::Options])));
    assert_eq!(router.route(Method::Options, "/"), Routed::NotFound);
}

#[test]
fn head_and_options_go_to_a_handler_of_their_own() {
    let mut router = router(&[(GET, "/a")]);
    assert_eq!(router.route(Method::Head, "/a"), Routed::To(0));
    router = router.with(&[(Some(Method::Head), "/a"), (Some(Method::Options), "*")]);
    assert_eq!(router.route(Method::Head, "/a"), Routed::To(1));
    assert_eq!(router.route(Method::Options, "/a"), Routed::To(2));
    assert_eq!(router.route(Method::Options, "*"), Routed::To(2));
}

#[test]
fn a_websocket_is_opened_by_get_alone() {
    let mut router = Router::new(None);
    let ws = UriHandler::ws("/ws", |_: &mut WsRequest<'_>| Ok::<(), Error>(()));
    router.try_register(ws.into(), 9).unwrap();
    let error = router.try_register(handler(GET, "/ws"), 9).unwrap_err();
    assert_eq!(error.to_string(), "there is a handler for GET /ws already");
    assert_eq!(router.route(Method::Get, "/ws"), Routed::To(0));
    let allowed = methods(&[Method::Get, Method::Options]);
    assert_eq!(router.route(Method::Head, "/ws"), Routed::MethodNotAllowed(allowed));
    assert_eq!(router.route(Method::Options, "/ws"), Routed::Options(allowed));
}

#[test]
fn any_method_serves_what_has_no_handler_of_its_own() {
    let mut router = router(&[(None, "/a"), (GET, "/a")]);
    assert_eq!(router.route(Method::Get, "/a"), Routed::To(1));
    assert_eq!(router.route(Method::Head, "/a"), Routed::To(1));
    assert_eq!(router.route(Method::Delete, "/a"), Routed::To(0));
    router = router.with(&[(Some(Method::Delete), "/*")]);
    assert_eq!(router.route(Method::Delete, "/a"), Routed::To(0));
    assert_eq!(router.route(Method::Delete, "/b"), Routed::To(2));
    assert_eq!(
        router.route(Method::Options, "*"),
        Routed::Options(methods(Method::ALL)),
        "there is a resource that can be asked anything"
    );
}

#[test]
fn the_same_uri_and_method_again_is_refused_however_it_is_spelled() {
    for (first, second) in [
        ("/a", "/a"),
        ("/users/{id}", "/users/{name}"),
        ("/{a}/{b}/*", "/{x}/{y}/*"),
        ("/a/?*", "/a/*?"),
        ("/{a}/?*", "/{b}/*?"),
        ("*", "*"),
    ] {
        for (first, second) in [(first, second), (second, first)] {
            for method in [GET, None] {
                let mut router = router(&[(method, first)]);
                let error = router.try_register(handler(method, second), 9).unwrap_err();
                let method_name = method.map_or("any method of", Method::as_str);
                let text = format!("there is a handler for {method_name} {second} already");
                assert_eq!(error.to_string(), text);
                // Another method is another handler.
                router.try_register(handler(POST, second), 9).unwrap();
            }
        }
    }
    // A more specific one behind a general one is allowed, which upstream refuses.
    router(&[
        (GET, "*"),
        (GET, "/*"),
        (GET, "/a/*"),
        (GET, "/a/{b}"),
        (GET, "/a/b"),
        (None, "/a/b"),
    ]);
}

#[test]
fn what_is_no_template_is_refused_and_says_why() {
    for (uri, why) in [
        ("b", "it must start with `/`, or be `*`"),
        ("/a?b", "a `?` stands at the end only; the query is no part of it"),
        ("/x{id}", "a parameter is a whole segment, with nothing before or behind its braces"),
        ("/{}", "a parameter needs a name of letters, digits, `_` and `-`"),
    ] {
        let error = Router::new(None).try_register(handler(GET, uri), 9).unwrap_err();
        assert!(matches!(error, Error::Config(_)));
        assert_eq!(error.to_string(), format!("the URI template {uri:?}: {why}"));
    }
}

#[test]
fn there_are_as_many_handlers_as_the_limit_allows() {
    let mut router = router(&[(GET, "/a")]);
    router.try_register(handler(POST, "/a"), 2).unwrap();
    let error = router.try_register(handler(GET, "/{b}"), 2).unwrap_err();
    assert!(matches!(error, Error::HandlersFull { limit: 2 }));
    let numbers = router.find("/a", Which::For(GET));
    assert_eq!(router.unregister("/a", &numbers).len(), 1);
    router.try_register(handler(GET, "/{b}"), 2).unwrap();
    assert!(router.try_register(handler(GET, "/c"), 2).is_err());
}

#[test]
fn what_was_removed_leaves_nothing_behind() {
    let uris = ["/a", "/a/{b}", "/{a}/b", "/a/{b}/*", "/a/{b}/c?", "/*", "/a/b/c/?*"];
    for custom_match in [false, true] {
        let mut router = match custom_match {
            true => custom(|uri, path| uri == path),
            false => Router::new(None),
        };
        for _ in 0..3 {
            for method in [GET, POST, None] {
                router = router.with(&uris.map(|uri| (method, uri)));
            }
            assert_eq!(router.numbers_end(), uris.len() * 3, "numbers are used again");
            for uri in uris {
                let numbers = router.find(uri, Which::For(POST));
                assert_eq!(router.unregister(uri, &numbers).len(), 1, "{uri}");
                assert_eq!(router.find(uri, Which::For(POST)), []);
                let numbers = router.find(uri, Which::All);
                let removed = router.unregister(uri, &numbers);
                assert_eq!(removed.len(), 2, "{uri}");
                assert!(removed.iter().all(|handler| *handler.uri == *uri));
                assert_eq!(router.find(uri, Which::All), []);
            }
            match &router.matching {
                Matching::Templates(templates) => assert!(templates.is_empty()),
                Matching::Custom(custom) => assert!(custom.is_empty()),
            }
        }
    }
}

#[test]
fn a_copy_is_not_changed_by_what_happens_to_the_other() {
    let before = router(&[(GET, "/a"), (GET, "/x/{id}"), (GET, "/x/{id}/y/*"), (GET, "/x/*")]);
    let mut after = before.clone();
    for uri in ["/a", "/x/{id}", "/x/*"] {
        let numbers = after.find(uri, Which::All);
        let _ = after.unregister(uri, &numbers);
    }
    let after = after.with(&[(GET, "/x/{id}/z"), (POST, "/x/{id}/y/*")]);
    for (path, was, is) in [
        ("/a", Some("/a"), None),
        ("/x/1", Some("/x/{id}"), None),
        ("/x/1/y/2", Some("/x/{id}/y/*"), Some("/x/{id}/y/*")),
        ("/x/1/z", Some("/x/*"), Some("/x/{id}/z")),
    ] {
        assert_eq!(before.uri(Method::Get, path), was, "{path}");
        assert_eq!(after.uri(Method::Get, path), is, "{path}");
    }
    assert_eq!(before.uri(Method::Post, "/x/1/y/2"), None);
}

#[test]
fn unregistering_knows_a_uri_however_it_is_spelled() {
    let router = router(&[(GET, "/users/{id}"), (GET, "/a/?*"), (None, "/a/?*")]);
    assert_eq!(router.find("/users/{name}", Which::For(GET)), [0]);
    assert_eq!(router.find("/a/*?", Which::All), [1, 2]);
    assert_eq!(router.find("/a/*?", Which::For(None)), [2]);
    for (uri, which) in [
        ("/users/7", Which::All),
        ("/users/{id}", Which::For(POST)),
        ("/users/{id}", Which::For(None)),
        ("/a", Which::All),
        ("no template", Which::All),
    ] {
        assert_eq!(router.find(uri, which), [], "{uri}");
    }
}

#[test]
fn a_custom_match_function_is_asked_in_the_order_of_registration() {
    let router = custom(match_wildcard).with(&[
        (POST, "/a/*"),
        (GET, "/a/{b}"),
        (GET, "/a/b?"),
        (GET, "/a/*"),
        (GET, "any text"),
    ]);
    assert_eq!(router.uri(Method::Get, "/a/b"), Some("/a/b?"));
    assert_eq!(router.uri(Method::Get, "/a/c"), Some("/a/*"));
    assert_eq!(router.uri(Method::Get, "/a/{b}"), Some("/a/{b}"));
    assert_eq!(router.uri(Method::Post, "/a/b"), Some("/a/*"));
    assert_eq!(router.uri(Method::Get, "any text"), Some("any text"));
    use Method::*;
    let allowed = methods(&[Get, Head, Post, Options]);
    assert_eq!(router.route(Put, "/a/b"), Routed::MethodNotAllowed(allowed));
    assert_eq!(router.route(Options, "/a/b"), Routed::Options(allowed));
    assert_eq!(router.route(Options, "*"), Routed::Options(allowed));
    assert_eq!(router.route(Put, "/x"), Routed::NotFound);
}

#[test]
fn with_a_custom_match_function_duplicates_are_judged_as_upstream_does() {
    let registers = |first: (Option<Method>, &str), second: (Option<Method>, &str)| {
        let mut router = custom(match_wildcard).with(&[first]);
        match router.try_register(handler(second.0, second.1), 9) {
            Ok(()) => true,
            Err(Error::HandlerExists { method, uri }) => {
                assert_eq!((method, &*uri), second);
                false
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(!registers((GET, "/a"), (GET, "/a")));
    assert!(registers((GET, "/a"), (POST, "/a")));
    // The older one would have all its requests.
    assert!(!registers((GET, "/*"), (GET, "/a")));
    assert!(!registers((None, "/a"), (GET, "/a")));
    assert!(registers((GET, "/a"), (GET, "/*")));
    assert!(registers((GET, "/a"), (None, "/a")));
    assert!(registers((POST, "/*"), (GET, "/a")));
}

#[test]
fn with_a_custom_match_function_head_still_has_a_handler_of_its_own() {
    let router = custom(|uri, path| uri == path).with(&[(GET, "/a")]);
    assert_eq!(router.route(Method::Head, "/a"), Routed::To(0));
    let router = router.with(&[(Some(Method::Head), "/a")]);
    assert_eq!(router.route(Method::Head, "/a"), Routed::To(1));
}

/// Comparisons and nodes, on average, for requests to `paths`.
fn looks_per_request(router: &Router, paths: impl Iterator<Item = String>) -> f64 {
    LOOKS.set(0);
    let mut requests = 0;
    for path in paths {
        assert!(matches!(router.route(Method::Get, &path), Routed::To(_)), "{path}");
        requests += 1;
    }
    LOOKS.get() as f64 / f64::from(requests)
}

#[test]
fn a_lookup_does_not_cost_more_with_more_exact_uris() {
    let mut router = router(&[(GET, "/*")]);
    let mut looks = Vec::new();
    for range in [0..10, 10..1000, 1000..20_000] {
        let end = range.end;
        for number in range {
            router.try_register(handler(GET, &format!("/page/{number}")), usize::MAX).unwrap();
        }
        looks.push(looks_per_request(&router, (0..end).map(|number| format!("/page/{number}"))));
        let misses = looks_per_request(&router, (0..1000).map(|number| format!("/miss/{number}")));
        assert!(misses < 3.0, "{misses} looks for a path that only the wildcard matches");
    }
    // One comparison finds it; now and then a hash that looks alike costs another one.
    assert!(looks.iter().all(|looks| (1.0..1.5).contains(looks)), "{looks:?}");
}

#[test]
fn a_lookup_does_not_cost_more_with_more_templates_either() {
    let mut router = router(&[]);
    for number in 0..5000 {
        for uri in [format!("/a/{number}/{{x}}/b"), format!("/c/{number}/*")] {
            router.try_register(handler(GET, &uri), usize::MAX).unwrap();
        }
    }
    // The nodes on the way, from the root to the end.
    let templates = (0..5000).map(|number| format!("/a/{number}/7/b"));
    assert_eq!(looks_per_request(&router, templates), 5.0);
    let wildcards = (0..5000).map(|number| format!("/c/{number}/7/b"));
    assert_eq!(looks_per_request(&router, wildcards), 3.0);
}
