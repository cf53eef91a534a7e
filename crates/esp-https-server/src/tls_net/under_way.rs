//! The handshakes of one worker in the order in which they have begun.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use esp_http_server::NetId;

use super::session::Session;
use super::session_of;
use crate::open_error::{Cause, HandshakeError, OpenError, OpenStage};
use crate::tls_server::{Admission, TlsServer};

/// Which handshake gives way when there are as many as there may be.
///
/// Entries of those that are over stay until they are met, or until half of the list could be such.
#[derive(Default)]
pub(super) struct UnderWay {
    begun: VecDeque<Entry>,
    /// How long the list was when it was cleared of others last.
    cleared_len: usize,
}

struct Entry {
    id: NetId,
    /// That of its [`Admission`].
    number: u64,
}

impl UnderWay {
    /// Lets a connection begin its handshake; if there are too many, in the place of one of this worker
    /// that has taken longer. That one is put into `revisit`, for the engine to hear of it.
    pub(super) fn admit(
        &mut self,
        id: NetId,
        peer: Option<SocketAddr>,
        server: &Arc<TlsServer>,
        sessions: &mut [Option<Box<Session>>],
        revisit: &mut Vec<NetId>,
    ) -> Result<Box<Admission>, OpenError> {
        loop {
            let refusal = match server.admit(peer) {
                Ok(admission) => {
                    self.begin(id, admission.number(), sessions);
                    return Ok(admission);
                }
                Err(refusal) => refusal,
            };
            match self.give_way(peer, refusal, sessions) {
                Some(gone) => revisit.push(gone),
                None => {
                    let (stage, cause) = (OpenStage::Accepted, Cause::Handshake(refusal));
                    return Err(OpenError { stage, cause });
                }
            }
        }
    }

    /// How many entries there are, for tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.begun.len()
    }

    fn begin(&mut self, id: NetId, number: u64, sessions: &mut [Option<Box<Session>>]) {
        /// Not worth clearing.
        const SHORT: usize = 64;
        if self.begun.len() > 2 * self.cleared_len + SHORT {
            self.begun.retain(|entry| entry.session(sessions).is_some());
            self.cleared_len = self.begun.len();
        }
        self.begun.push_back(Entry { id, number });
    }

    /// Has the oldest one give way that keeps out `peer`, and says whose it was. One whose
    /// ClientHello is still missing goes first: it has cost the server nothing yet, and what floods
    /// are made of is mostly that.
    fn give_way(
        &mut self,
        peer: Option<SocketAddr>,
        refusal: HandshakeError,
        sessions: &mut [Option<Box<Session>>],
    ) -> Option<NetId> {
        let mut oldest = None;
        for (place, entry) in self.begun.iter().enumerate() {
            let Some(session) = entry.session(sessions) else { continue };
            let admission = session.admission()?;
            if !admission.is_in_the_way_of(peer, refusal) {
                continue;
            }
            if !session.tls.has_answered() {
                oldest = Some(place);
                break;
            }
            oldest = oldest.or(Some(place));
        }
        let entry = self.begun.remove(oldest?)?;
        entry.session(sessions)?.give_way();
        Some(entry.id)
    }
}

impl Entry {
    /// Its session, while the handshake is under way.
    fn session<'s>(&self, sessions: &'s mut [Option<Box<Session>>]) -> Option<&'s mut Session> {
        let session = session_of(sessions, self.id)?;
        let is_same = session.admission().is_some_and(|it| it.number() == self.number);
        is_same.then_some(session)
    }
}
