//! One bad client: its script, and what came of it.

use std::io;
use std::time::{Duration, Instant};

use super::line::{Buffer, Line, Received, Tls};
use crate::script::{How, Leaves, Pace, Reads, Script, Wire};
use crate::testbed::Ports;

/// What is kept of the first and of the last bytes that came.
const EDGE_LEN: usize = 256;
/// Pieces that a client says, and reads that it makes, before it lets others go first.
const TURN_BUDGET: usize = 4;

pub(super) struct Client {
    pub(super) group: usize,
    line: Line,
    script: Script,
    pub(super) story: Story,
    /// What the last report of the socket said; neither is forgotten before it has blocked.
    is_readable: bool,
    is_writable: bool,
    is_connected: bool,
    has_begun: bool,
    says_no_more: bool,
    says_next: Instant,
    reads_next: Instant,
}

/// What happened to a client.
pub(super) struct Story {
    pub(super) opened: Instant,
    /// Bytes that came.
    pub(super) received: u64,
    first: Vec<u8>,
    last: Vec<u8>,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is more to do at once.
    Again,
    /// Nothing can be done before the socket says so.
    Rest,
    /// Nothing is to be done before that moment.
    Until(Instant),
    /// The server has ended it.
    Ended,
    /// The client goes by itself.
    Leaves(How),
}

impl Client {
    pub(super) fn connect(
        group: usize,
        ports: Ports,
        wire: Wire,
        script: Script,
        tls: &Tls,
    ) -> io::Result<Client> {
        let buffer = match script.reads {
            Reads::Everything => Buffer::Ordinary,
            Reads::Nothing | Reads::Sips(..) => Buffer::Smallest,
        };
        let now = Instant::now();
        Ok(Client {
            group,
            line: Line::connect(ports, wire, buffer, tls)?,
            script,
            story: Story { opened: now, received: 0, first: Vec::new(), last: Vec::new() },
            is_readable: false,
            is_writable: false,
            is_connected: false,
            has_begun: false,
            says_no_more: false,
            says_next: now,
            reads_next: now,
        })
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// The socket has something to say. Its first words are that it is connected: before that it
    /// waited for a place in the server's backlog.
    pub(super) fn report(&mut self, is_readable: bool, is_writable: bool) {
        if !self.is_connected {
            self.is_connected = true;
            self.story.opened = Instant::now();
        }
        self.is_readable |= is_readable;
        self.is_writable |= is_writable;
    }

    /// Goes by itself.
    pub(super) fn leave(self, how: How) {
        self.line.leave(how);
    }

    /// Reads and says what is due.
    pub(super) fn turn(&mut self, now: Instant, scratch: &mut [u8]) -> Turn {
        if !self.read(now, scratch) {
            return Turn::Ended;
        }
        match self.say(now) {
            Ok(()) => {}
            // Before it has read the server's last words; the end comes with them.
            Err(_) if self.is_readable && self.script.reads == Reads::Everything => {
                self.says_no_more = true;
                self.is_writable = false;
            }
            Err(_) => return Turn::Ended,
        }
        if let Leaves::After { bytes, how } = self.script.leaves
            && self.says_no_more
            && self.line.is_flushed()
            && self.story.received >= bytes
        {
            return Turn::Leaves(how);
        }
        self.rest(now)
    }

    fn rest(&self, now: Instant) -> Turn {
        let says = match self.is_writable && self.line.is_open() && !self.says_no_more {
            true => Some(self.says_next),
            false => None,
        };
        let reads = match self.script.reads {
            Reads::Everything => Some(now),
            Reads::Nothing => None,
            Reads::Sips(..) => Some(self.reads_next),
        };
        match says.into_iter().chain(reads.filter(|_| self.is_readable)).min() {
            None => Turn::Rest,
            Some(at) if at <= now => Turn::Again,
            Some(at) => Turn::Until(at),
        }
    }

    /// Whether the connection goes on.
    fn read(&mut self, now: Instant, scratch: &mut [u8]) -> bool {
        let mut most = scratch.len();
        match self.script.reads {
            // What the handshake needs is read in any case.
            _ if !self.line.is_open() => {}
            Reads::Everything => {}
            Reads::Nothing => return true,
            Reads::Sips(len, every) => {
                if self.reads_next > now {
                    return true;
                }
                most = len;
                self.reads_next = now + every;
            }
        }
        for _ in 0..TURN_BUDGET {
            if !self.is_readable {
                break;
            }
            let mut plain = Vec::new();
            let received = self.line.recv(&mut scratch[..most], &mut plain);
            self.story.note(&plain);
            match received {
                Received::Some if most < scratch.len() => break,
                Received::Some => {}
                Received::Blocked => self.is_readable = false,
                Received::Ended => return false,
            }
        }
        true
    }

    fn say(&mut self, now: Instant) -> io::Result<()> {
        for _ in 0..TURN_BUDGET {
            if !self.is_writable {
                return Ok(());
            }
            if !self.line.flush()? {
                self.is_writable = false;
                return Ok(());
            }
            if !self.line.is_open() || self.says_no_more || now < self.says_next {
                return Ok(());
            }
            if !self.has_begun {
                self.has_begun = true;
                self.line.say(&self.script.opening)?;
            } else if let Some(piece) = self.script.pieces.next() {
                self.line.say(piece)?;
                if let Pace::Every(time) = self.script.pace {
                    self.says_next = now + time;
                }
            } else {
                self.says_no_more = true;
            }
        }
        Ok(())
    }
}

impl Story {
    fn note(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        let room = EDGE_LEN - self.first.len();
        self.first.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.last.extend_from_slice(&bytes[bytes.len().saturating_sub(EDGE_LEN)..]);
        let surplus = self.last.len().saturating_sub(EDGE_LEN);
        self.last.drain(..surplus);
    }

    /// The status of the first response that came.
    pub(super) fn status(&self) -> Option<u16> {
        let line = self.first.strip_prefix(b"HTTP/1.1 ")?;
        std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()
    }

    /// The status of the last response that came, if it is a short one.
    pub(super) fn last_status(&self) -> Option<u16> {
        const VERSION: &[u8] = b"HTTP/1.1 ";
        let at = self.last.windows(VERSION.len()).rposition(|bytes| bytes == VERSION)?;
        let status = self.last.get(at + VERSION.len()..)?.get(..3)?;
        std::str::from_utf8(status).ok()?.parse().ok()
    }

    /// The code of the close frame that came last.
    pub(super) fn close_code(&self) -> Option<u16> {
        // It is the last frame, so its length must lead exactly to the end of what came.
        (0..self.last.len().saturating_sub(3)).find_map(|at| match self.last[at..] {
            [0x88, len, high, low, ..] if at + 2 + usize::from(len) == self.last.len() => {
                Some(u16::from_be_bytes([high, low]))
            }
            _ => None,
        })
    }

    /// The first bytes that came, as text for a message.
    pub(super) fn first_words(&self) -> String {
        String::from_utf8_lossy(&self.first[..self.first.len().min(40)]).escape_debug().collect()
    }

    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }
}
