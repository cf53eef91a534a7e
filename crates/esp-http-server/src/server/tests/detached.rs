//! Requests that leave their handler and are answered by another thread.

use super::support::*;
use crate::server::HttpConfig;
use crate::{DetachedRequest, Request, Result, ServerBuilder};

mod answers;
mod away;
mod ends;
mod peer;
mod places;
mod stopping;

/// An engine that detaches all requests to `/away`.
fn engine(config: HttpConfig) -> (Engine, Parked) {
    engine_with(config, |server| server)
}

fn engine_with(
    config: HttpConfig,
    more: impl FnOnce(ServerBuilder<Recorded>) -> ServerBuilder<Recorded>,
) -> (Engine, Parked) {
    let parked = Parked::default();
    let handler = parked.handler();
    let engine = Engine::new(config, |server| more(server.any("/away", handler).any("/*", path)));
    (engine, parked)
}

/// Sends a request that is detached, to a thread of its own.
#[track_caller]
fn detach(
    engine: &Engine,
    parked: &Parked,
    client: &Client,
    request: impl AsRef<[u8]>,
) -> Elsewhere {
    client.send(request);
    engine.elsewhere(parked.take().expect("the request was detached"))
}

/// Does something with the request as its handler would.
pub(super) fn with<R>(
    work: impl FnOnce(&mut Request<'_>) -> Result<R> + Send + 'static,
) -> impl FnOnce(&mut DetachedRequest) -> Result<R> + Send + 'static {
    move |request| work(&mut request.request()?)
}

/// An answer that is only a beginning.
fn begin(request: &mut Request) -> Result {
    request.respond().sized(1000)?.send("begun")
}
