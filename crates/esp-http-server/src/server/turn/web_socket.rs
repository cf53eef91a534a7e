//! A session that becomes a WebSocket, is one, and closes.

#[cfg(feature = "deflate")]
use alloc::boxed::Box;

use super::super::Stacks;
use super::super::conn::Peer;
use super::super::event::Notice;
use super::super::routes::Found;
use super::super::session::{Job, Phase, Timer};
use super::super::ws_uri_handler::WsRoute;
use super::{Arrived, Flushed, Step, Turn};
use crate::error::Error;
use crate::handler::ws::{
    Closing, Opening, Received, Sink, WsState, receive, receive_control, send_close,
};
use crate::handler::{Failure, Outcome, Wake};
use crate::net::Net;
use crate::proto::head::Head;
use crate::proto::response as encode;
#[cfg(feature = "deflate")]
use crate::proto::ws::deflate::negotiate;
use crate::proto::ws::frame::CloseCode;
use crate::proto::ws::handshake::{self, HandshakeError};

impl<S: Stacks, N: Net> Turn<'_, S, N>
where
    S::Stack: 'static,
{
    /// A request for a URI of WebSockets (RFC 6455, section 4.2): the application may have a say
    /// before it is one.
    pub(super) fn upgrade(&mut self, found: Found) -> Step {
        let scheme = self.worker.shared.layer.scheme;
        let Some(route) = found.ws_route() else { return Step::Closed };
        let head = &self.conn().io().head;
        let judged = handshake::accept(head).and_then(|_| route.origin.check(head, scheme));
        if let Err(error) = judged {
            return self.refuse(error);
        }
        if route.pre_handshake.is_none() {
            return self.switch_protocols(found);
        }
        self.session.ws_handler = Some(found.clone());
        self.start(Job::PreHandshake(found))
    }

    fn refuse(&mut self, error: HandshakeError) -> Step {
        for (name, value) in error.fields() {
            self.field(name, value);
        }
        self.fail(Failure::with_text(error.status(), alloc::format!("{error}")))
    }

    /// Makes the session a WebSocket, which its head has asked for and nobody has refused.
    pub(super) fn switch_protocols(&mut self, found: Found) -> Step {
        let Some(route) = found.ws_route() else { return Step::Closed };
        let now = self.now;
        let conn = self.conn();
        let shared = conn.shared.clone();
        let io = conn.io_mut();
        let accept = match handshake::accept(&io.head) {
            Ok(accept) => accept,
            Err(error) => return self.refuse(error),
        };
        let subprotocol = subprotocol(route, &io.head);
        let name = subprotocol.map(|number| &*route.subprotocols[usize::from(number)]);
        let path = found.has_parameters.then(|| io.head.path().into());
        let opening = Opening { subprotocol, control_frames: route.control_frames, path };
        let ws = WsState::new(opening, &shared.config, now);
        let out = io.tx.storage();
        handshake::encode_response(out, &accept, name).expect("names were checked at registration");
        #[cfg(feature = "deflate")]
        let ws = self.agree_on_compression(route, ws);
        encode::end_of_head(self.conn().io_mut().tx.storage());
        self.conn().io_mut().head.clear();
        self.conn().ws = Some(ws);
        self.session.ws_handler = Some(found.clone());
        self.session.phase = Phase::WebSocket;
        self.worker.mailbox().session_upgraded(self.session.id);
        self.worker.tell_traffic(Notice::HeadersSent(self.session.id));
        match route.post_handshake {
            Some(_) => self.start(Job::PostHandshake(found)),
            None => Step::Again,
        }
    }

    #[cfg(feature = "deflate")]
    fn agree_on_compression(&mut self, route: &WsRoute, mut ws: Box<WsState>) -> Box<WsState> {
        let conn = self.session.conn.as_mut().expect("a resting session has its connection");
        let io = conn.io_mut();
        if let Some(config) = &route.deflate
            && let Some(agreed) = negotiate(&io.head, config)
        {
            agreed.encode_field(io.tx.storage());
            let config = &self.worker.shared.config;
            ws.compress(&agreed, config, &mut self.worker.deflater);
        }
        ws
    }

    /// A WebSocket between two messages.
    pub(super) fn web_socket(&mut self) -> Step {
        self.lend();
        if self.worker.stop_at.is_some() {
            send_close(self.conn(), CloseCode::GOING_AWAY, "");
        }
        let closing = self.conn().ws.as_ref().map_or(Closing::Done, |ws| ws.closing());
        match closing {
            Closing::No => {}
            // A peer that was sent a close frame has nothing to say but its own.
            Closing::Sent => self.await_close(),
            Closing::Done => return self.begin_closing(),
        }
        let high = self.worker.shared.config.send_high();
        loop {
            let conn = self.conn();
            let may_answer = conn.io().tx.len() < high;
            if may_answer {
                match receive(conn, &mut Sink::Drop) {
                    Ok(Received::Begun | Received::Asked) if closing == Closing::No => {
                        self.used.requests += 1;
                        let handler = self.session.ws_handler.clone();
                        return match handler {
                            Some(handler) => self.start(Job::Uri(handler)),
                            None => Step::Closed,
                        };
                    }
                    // The rest of a message that no handler wanted is dropped. What a little inflates
                    // to may be much, so that each piece is a step of its own.
                    #[cfg(feature = "deflate")]
                    Ok(Received::Part { .. }) if self.inflates() => return Step::Again,
                    Ok(Received::NeedMore) => {}
                    Ok(Received::Closed) | Err(_) => return self.begin_closing(),
                    Ok(_) => continue,
                }
            }
            match self.flush() {
                Flushed::Lost => return Step::Closed,
                Flushed::Blocked if !may_answer => return Step::Rest,
                _ if !may_answer => continue,
                _ => {}
            }
            match self.recv() {
                // Each read is a step of its own, or a peer that sends fast enough would keep the
                // worker to itself.
                Arrived::Some => return Step::Again,
                Arrived::Nothing => {
                    if closing == Closing::No && self.is_inside_message() {
                        self.await_peer();
                    }
                    return Step::Rest;
                }
                Arrived::Finished | Arrived::Lost => return Step::Closed,
            }
        }
    }

    /// Whether the peer has begun something, if only the head of a frame. Between messages it may be
    /// silent for as long as it likes.
    fn is_inside_message(&mut self) -> bool {
        let conn = self.conn();
        !conn.io().rx.is_empty() || conn.ws.as_ref().is_some_and(|ws| !ws.is_between_messages())
    }

    #[cfg(feature = "deflate")]
    fn inflates(&mut self) -> bool {
        self.conn().ws.as_ref().is_some_and(|ws| ws.inflates())
    }

    /// Its handler sleeps. Control frames before the next message need not wait for that: a peer that
    /// gets no pong takes us for dead.
    pub(super) fn ws_asleep(&mut self) -> Step {
        let unread_len = self.conn().io().rx.len();
        let high = self.worker.shared.config.send_high();
        while self.conn().io().tx.len() < high {
            match receive_control(self.conn()) {
                Some(Ok(Received::Control)) => {}
                None | Some(Ok(Received::NeedMore)) => break,
                // It has closed: `WsRequest::sleep` says so.
                Some(_) => return self.resume(Wake::Ready),
            }
        }
        match self.conn().io().rx.len() < unread_len {
            true => Step::Again,
            false => Step::Rest,
        }
    }

    /// A handler of a WebSocket has ended.
    pub(super) fn ws_ended(&mut self, outcome: &Outcome) -> Step {
        self.session.used = true;
        let code = match outcome {
            Outcome::Returned(Ok(()))
                if self.conn().ws.as_ref().is_some_and(|ws| ws.is_torso()) =>
            {
                log::error!("session {}: a message in fragments was not finished", self.session.id);
                Some(CloseCode::INTERNAL_ERROR)
            }
            Outcome::Returned(Ok(())) => None,
            Outcome::Returned(Err(error)) => match Error::find(error) {
                // Of this session, that is: what a handler has to do with may be another one.
                Some(Error::Closed) if self.has_ended() => None,
                // The client's fault: it has stopped in the middle of a message.
                Some(Error::TimedOut) => Some(CloseCode::POLICY_VIOLATION),
                _ => Some(CloseCode::INTERNAL_ERROR),
            },
            Outcome::Panicked => Some(CloseCode::INTERNAL_ERROR),
        };
        if let Some(code) = code {
            send_close(self.conn(), code, "");
        }
        self.session.phase = Phase::WebSocket;
        Step::Again
    }

    fn has_ended(&mut self) -> bool {
        let conn = self.conn();
        let is_closing = conn.ws.as_ref().is_none_or(|ws| ws.closing() != Closing::No);
        is_closing || conn.peer != Peer::Sending
    }

    /// Begins the closing handshake; a handler that is under way sees its end.
    pub(in crate::server) fn close_ws(&mut self, code: CloseCode, reason: &str) -> super::Fate {
        if self.conn().ws.is_some() {
            self.lend();
            send_close(self.conn(), code, reason);
            self.await_close();
        }
        self.run()
    }

    /// A handler waits and has closed the session, or was told that its client has: it takes no more
    /// messages, and the handler has no more time than the client.
    pub(super) fn hurry_if_closing(&mut self) {
        if self.conn().ws.as_ref().is_some_and(|ws| ws.closing() != Closing::No) {
            self.await_close();
        }
    }

    /// The peer has so long to answer our close frame (RFC 6455, section 7.1.2).
    pub(super) fn await_close(&mut self) {
        self.worker.mailbox().session_closing(self.session.id);
        let timeout = self.worker.shared.config.ws_close_timeout;
        self.session.timers.stop(Timer::Recv);
        self.session.timers.stop(Timer::Ping);
        self.session.timers.stop(Timer::Pong);
        self.session.timers.start(Timer::Linger, self.now + timeout);
    }

    /// Says to a WebSocket why it ends, as far as there is room for that.
    pub(super) fn say_goodbye(&mut self, code: CloseCode) {
        if self.conn().ws.is_some() {
            self.lend();
            send_close(self.conn(), code, "");
            self.flush();
        }
    }
}

/// The first subprotocol of the server's that the client offers, by its place.
fn subprotocol(route: &WsRoute, head: &Head) -> Option<u16> {
    let names = &route.subprotocols;
    let is_offered = |name| handshake::choose_subprotocol(head, &[name]).is_some();
    let place = names.iter().position(|name| is_offered(&**name))?;
    u16::try_from(place).ok()
}
