//! What a group of bad clients does, and what it should come to.

use std::time::Duration;

/// Clients that do the same.
pub(crate) struct Group {
    /// What is wrong with them, for messages.
    pub(crate) what: &'static str,
    /// How many are there at once.
    pub(crate) count: usize,
    pub(crate) wire: Wire,
    /// What a client does, by its number.
    pub(crate) script: Box<dyn Fn(u64) -> Script + Send + Sync>,
    /// What happens when one is gone.
    pub(crate) after: After,
    /// When the first one comes,
    pub(crate) begins: Duration,
    /// and the least time between two.
    pub(crate) every: Duration,
    pub(crate) expect: Expect,
}

impl Group {
    /// Clients that come once and may stay as long as they like.
    pub(crate) fn new(
        what: &'static str,
        count: usize,
        wire: Wire,
        script: impl Fn(u64) -> Script + Send + Sync + 'static,
    ) -> Group {
        let (after, expect) = (After::Gone, Expect::Anything);
        let (begins, every) = (Duration::ZERO, Duration::ZERO);
        Group { what, count, wire, script: Box::new(script), after, begins, every, expect }
    }

    /// This many come in all, each for one that is gone.
    pub(crate) fn again(self, in_all: usize) -> Group {
        Group { after: After::Again { in_all }, ..self }
    }

    /// They come behind others, so much later.
    pub(crate) fn begins(self, begins: Duration) -> Group {
        Group { begins, ..self }
    }

    /// They come no faster than that. Otherwise they come as fast as this program gets to it.
    pub(crate) fn every(self, every: Duration) -> Group {
        Group { every, ..self }
    }

    pub(crate) fn expect(self, expect: Expect) -> Group {
        Group { expect, ..self }
    }
}

/// What the clients of a group speak, and to which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Plain text, to the plain port.
    Plain,
    /// What the script says goes to the TLS port as it is.
    RawTls,
    /// Through TLS.
    Tls,
    /// TLS 1.2, and what the script says are handshake messages in it.
    Handshake12,
    /// The same in TLS 1.3.
    Handshake13,
    /// TLS 1.3, with a new key for every piece of the script.
    NewKeys,
    /// TLS whose client's last flight of the handshake has one wrong bit.
    Tampered,
}

/// What one client does.
pub(crate) struct Script {
    /// Said at once.
    pub(crate) opening: Vec<u8>,
    /// What follows, piece by piece.
    pub(crate) pieces: Pieces,
    pub(crate) pace: Pace,
    pub(crate) reads: Reads,
    pub(crate) leaves: Leaves,
}

impl Script {
    /// Says this, then nothing, and reads whatever comes.
    pub(crate) fn say(opening: impl Into<Vec<u8>>) -> Script {
        Script {
            opening: opening.into(),
            pieces: Pieces::None,
            pace: Pace::AtOnce,
            reads: Reads::Everything,
            leaves: Leaves::Never,
        }
    }

    /// Goes on with this, for ever.
    pub(crate) fn then_repeat(self, piece: impl Into<Vec<u8>>) -> Script {
        Script { pieces: Pieces::Repeat(piece.into()), ..self }
    }

    /// Goes on with this, a byte at a time.
    pub(crate) fn then_drip(self, bytes: impl Into<Vec<u8>>, every: Duration) -> Script {
        Script { pieces: Pieces::Bytes(bytes.into(), 0), pace: Pace::Every(every), ..self }
    }

    pub(crate) fn pace(self, pace: Pace) -> Script {
        Script { pace, ..self }
    }

    pub(crate) fn reads(self, reads: Reads) -> Script {
        Script { reads, ..self }
    }

    pub(crate) fn leaves(self, leaves: Leaves) -> Script {
        Script { leaves, ..self }
    }
}

pub(crate) enum Pieces {
    None,
    Repeat(Vec<u8>),
    /// A byte each, from here on.
    Bytes(Vec<u8>, usize),
}

impl Pieces {
    /// The next piece; `None` when there is nothing more to say.
    pub(crate) fn next(&mut self) -> Option<&[u8]> {
        match self {
            Self::None => None,
            Self::Repeat(piece) => Some(piece),
            Self::Bytes(bytes, at) => {
                *at += 1;
                bytes.get(*at - 1..*at)
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As fast as the server takes it.
    AtOnce,
    /// A piece now and then.
    Every(Duration),
}

/// What a client reads of what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    Everything,
    /// Nothing, once the handshake is done, into the smallest receive buffer there is.
    Nothing,
    /// So many bytes, so often, into the smallest receive buffer there is.
    Sips(usize, Duration),
}

/// When and how a client goes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    Never,
    /// As soon as everything is said and so many bytes have come.
    After {
        bytes: u64,
        how: How,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With a FIN.
    Politely,
    /// With a RST.
    Reset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Its place stays empty.
    Gone,
    /// Another one comes, until there were so many.
    Again { in_all: usize },
}

/// What a good server does with every client of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// What it likes: only the general rules hold.
    Anything,
    /// Closes the connection before it is so old.
    Cut(Duration),
    /// The same, for clients that can't see it because they don't read: the testbed's files tell.
    CutUnseen(Duration),
    /// Answers with one of these statuses first, and closes.
    Status(&'static [u16]),
    /// Takes the upgrade, and closes with one of these codes.
    WsClose(&'static [u16]),
    /// Answers some with this status and closes; others get a 200, or no answer.
    Refusals(u16),
    /// Closes the connection without a word, before it is so old.
    NoWord(Duration),
    /// Leaves the connection open, as long as the client stays.
    Stay,
}
