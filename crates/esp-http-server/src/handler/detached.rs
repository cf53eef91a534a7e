//! Requests that leave their handler, to be answered from another thread.
//!
//! How the connection gets there and back is in `handover.rs`; what the engine does with the session
//! meanwhile, in `server/turn/detached.rs`.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::errors::note_failure;
use super::handover::{Ask, Handover, let_go};
use super::request::Request;
use super::task::{Link, Outcome};
use crate::error::{Error, HandlerError, Result};
use crate::server::{Conn, Peer, Reply, ServerHandle, SessionId, UriHandler};

impl Request<'_> {
    /// Detaches the request from its handler, to be answered from another thread (upstream's
    /// `httpd_req_async_handler_begin`): for long computations, slow files, or whatever else would
    /// block the server if a handler did it.
    ///
    /// The handler goes on and may still read the request; then it returns `Ok` without having
    /// answered. From then on the [`DetachedRequest`] has the session. The handler's stack is free,
    /// its turn in [`HandlerMode::Serial`](crate::HandlerMode::Serial) is over, and the session is
    /// never closed to make room for a new one.
    ///
    /// A handler that answers after all, fails or panics keeps its request: everything is as if it
    /// had not been detached, and the detached request answers [`Error::ResponseStarted`]. So a
    /// handler that finds all threads busy can say so:
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::thread;
    ///
    /// use esp_http_server::{DetachedRequest, Request, Result, ServerBuilder, Status};
    ///
    /// /// Runs in the pool, and may take its time.
    /// fn slow(request: &mut Request) -> Result {
    ///     let mut body = vec![0; 64 * 1024];
    ///     let mut sum = 0_u64;
    ///     loop {
    ///         match request.recv(&mut body)? {
    ///             0 => return request.respond().send(sum.to_string()),
    ///             len => sum += body[..len].iter().map(|&byte| u64::from(byte)).sum::<u64>(),
    ///         }
    ///     }
    /// }
    ///
    /// // Each thread of the pool takes one request after the other.
    /// let (jobs, next) = mpsc::sync_channel::<DetachedRequest>(16);
    /// let next = std::sync::Arc::new(std::sync::Mutex::new(next));
    /// for _ in 0..4 {
    ///     let next = next.clone();
    ///     thread::spawn(move || {
    ///         loop {
    ///             let job = next.lock().unwrap().recv();
    ///             let Ok(request) = job else { return };
    ///             request.run(slow).ok(); // a client that has left is no error
    ///         }
    ///     });
    /// }
    ///
    /// # let _ =
    /// ServerBuilder::new(esp_http_server::HttpConfig::default())
    ///     .post("/sum", move |request: &mut Request| -> Result {
    ///         if jobs.try_send(request.detach()?).is_ok() {
    ///             return Ok(());
    ///         }
    ///         request.respond().status(Status::SERVICE_UNAVAILABLE).send("try again later")
    ///     })
    /// # ;
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Detached`] if it was detached before, [`Error::ResponseStarted`], [`Error::Closed`].
    pub fn detach(&mut self) -> Result<DetachedRequest> {
        if self.link.handover().is_some() {
            return Err(Error::Detached);
        }
        let route = self.link.route().cloned();
        let conn = self.link.conn_mut();
        if conn.is_over() {
            return Err(Error::Closed);
        }
        if conn.io().reply != Reply::None {
            return Err(Error::ResponseStarted);
        }
        if conn.io().detached.is_some() {
            return Err(Error::Detached);
        }
        let (side, handover) = Handover::new(conn.id, conn.shared.reach.clone(), route);
        conn.io_mut().detached = Some(side);
        Ok(DetachedRequest { handover, conn: Mutex::new(None), route: None })
    }
}

/// A request on its way to be answered by another thread; made by [`Request::detach`].
///
/// It has the session until it is [complete](Self::complete): no other request of that client is
/// looked at meanwhile. It may go to any thread and stay as long as it likes.
///
/// - [`request`](Self::request) is the way to everything that a [`Request`] can: read the body, answer,
///   stream in both directions. Where a handler would be suspended the thread blocks, with the same
///   timeouts; the server moves the bytes.
/// - [`complete`](Self::complete) gives the session back, as a handler does that returns;
///   [`run`](Self::run) has a handler do it all.
/// - One that is dropped has failed, as a handler that returns without an answer: its client is sent
///   500 through the error handler for that, or is cut off in the middle of an answer. If the answer
///   was whole, it is as good as completed. This holds while its thread panics, too.
///
/// When the client leaves, or somebody closes the session, [`peer`](Self::peer) tells, and calls
/// answer [`Error::Closed`]. Stopping the server waits for detached requests as it does for handlers,
/// and cuts them off after `stop_timeout`. One that outlives its session or its server does no harm;
/// but from the first [`request`](Self::request) on it keeps its handler and the server's context, so
/// whoever parks it where those find it takes it out again.
///
/// Only a thread that doesn't drive a server itself can wait: in a handler, a hook or a work function
/// all that need not wait works, and the rest is [`Error::WouldBlockWorker`]. Dropping and completing
/// never wait.
///
/// While a thread has the session, so it has the session's context: a work function sees none
/// ([`ServerContext::session_ctx`](crate::ServerContext::session_ctx)). What is sent to it from
/// elsewhere leaves when the thread waits next, or completes.
pub struct DetachedRequest {
    handover: Arc<Handover>,
    /// Once it was taken over from the handler. Never locked: the mutex makes this `Sync`, so that
    /// the error of a channel which carries it turns into ours with `?`.
    conn: Mutex<Option<Box<Conn>>>,
    /// Comes with it.
    route: Option<Arc<UriHandler>>,
}

impl DetachedRequest {
    /// The request. Waits until its handler has returned.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the session has ended, [`Error::ResponseStarted`] if the handler has
    /// answered it, [`Error::WouldBlockWorker`] on the server's own thread before the handler has
    /// returned.
    pub fn request(&mut self) -> Result<Request<'_>> {
        let conn = self.conn.get_mut().unwrap_or_else(PoisonError::into_inner);
        match conn {
            Some(_) => self.handover.check()?,
            None => {
                let (claimed, route) = self.handover.claim()?;
                *conn = Some(claimed);
                self.route = route;
            }
        }
        Ok(Request::new(Link::detached(conn, &self.handover, self.route.as_ref())))
    }

    /// Has `handler` answer the request, and gives the session back. It is an ordinary handler: when
    /// it fails, its client is told as if it had run in the server.
    ///
    /// # Errors
    ///
    /// Those of `handler`; those of [`request`](Self::request) and [`complete`](Self::complete).
    pub fn run<E>(mut self, handler: impl FnOnce(&mut Request<'_>) -> Result<(), E>) -> Result
    where
        E: Into<HandlerError>,
    {
        let result = handler(&mut self.request()?);
        match result {
            Ok(()) => self.complete(),
            Err(error) => {
                let outcome = Outcome::Returned(Err(error.into()));
                // It fails if the handler has not answered, and so it is.
                let _ = self.end(&outcome);
                match outcome {
                    Outcome::Returned(Err(error)) => Err(Error::of_handler(error)),
                    Outcome::Returned(Ok(())) | Outcome::Panicked => Ok(()),
                }
            }
        }
    }

    /// Gives the session back to the server (upstream's `httpd_req_async_handler_complete`), which
    /// goes on with it as after a handler. Returns at once.
    ///
    /// # Errors
    ///
    /// [`Error::Unanswered`] if there is no response, or only a part of it: then it is as if this had
    /// been dropped. [`Error::Closed`] if the session has ended, [`Error::ResponseStarted`] if the
    /// handler has answered.
    pub fn complete(mut self) -> Result {
        self.end(&Outcome::Returned(Ok(())))
    }

    /// The client's session.
    pub fn session(&self) -> SessionId {
        self.handover.session
    }

    /// The server.
    pub fn server(&self) -> ServerHandle {
        ServerHandle::new(self.handover.reach.clone())
    }

    /// What the client still does: a cheap question, which waits for nothing.
    ///
    /// To find out, the server reads on while the thread is busy with other things. It reads 16 kB at
    /// most of what the thread has not asked for; what the client does behind them is not seen.
    pub fn peer(&self) -> Peer {
        self.handover.peer()
    }

    /// The thread has done what it could.
    fn end(&mut self, outcome: &Outcome) -> Result {
        let conn = self.conn.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut conn) = conn.or_else(|| self.handover.give_up()) else {
            self.handover.check()?;
            return Err(Error::Unanswered);
        };
        let is_answered = conn.io().reply == Reply::Done;
        note_failure(&mut conn, outcome);
        // The answer may be whole, but whoever gave it is not to be trusted with the next one.
        conn.keep_alive &= !matches!(outcome, Outcome::Panicked);
        let fate = self.handover.check();
        self.handover.send_back(conn, Ask::Done);
        fate?;
        if is_answered { Ok(()) } else { Err(Error::Unanswered) }
    }
}

impl Drop for DetachedRequest {
    fn drop(&mut self) {
        let outcome = match thread::panicking() {
            true => Outcome::Panicked,
            false => Outcome::Returned(Ok(())),
        };
        // Whoever completes it has asked before.
        let _ = self.end(&outcome);
        let_go(self.route.take());
    }
}

impl fmt::Debug for DetachedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DetachedRequest(session {})", self.session())
    }
}
