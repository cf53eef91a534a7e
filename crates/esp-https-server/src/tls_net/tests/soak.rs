//! Whole conversations cut in every way, driven by nothing but reports.

use super::*;

/// The engine's part, reduced to an echo. It acts on reports alone, so a report that is missing
/// shows as a conversation that stops.
struct Echo {
    net: TlsNet<Pipe>,
    tx: TxBuf,
    is_open: bool,
    is_finished: bool,
    is_shut: bool,
}

impl Echo {
    fn turn(&mut self) -> Result<(), NetError> {
        let mut ready = Vec::new();
        self.net.wait(None, &mut ready);
        if ready.is_empty() {
            return Ok(());
        }
        match self.serve() {
            Err(NetError::WouldBlock) => Ok(()),
            result => result,
        }
    }

    fn serve(&mut self) -> Result<(), NetError> {
        if !self.is_open {
            self.net.open(ID)?;
            self.is_open = true;
        }
        loop {
            let received = if self.wants_more() { self.recv() } else { Err(NetError::WouldBlock) };
            let sent = if self.tx.is_empty() && self.net.unsent(ID) == 0 {
                Err(NetError::WouldBlock)
            } else {
                self.net.send(ID, &mut self.tx).map(|_| ())
            };
            if self.is_finished && !self.is_shut && self.tx.is_empty() {
                self.is_shut = true;
                self.net.shutdown(ID);
            }
            match (received, sent) {
                (Err(NetError::WouldBlock), Err(NetError::WouldBlock)) => {
                    return Err(NetError::WouldBlock);
                }
                (Err(NetError::WouldBlock) | Ok(()), Err(NetError::WouldBlock) | Ok(())) => {}
                (received, sent) => return received.and(sent),
            }
        }
    }

    fn wants_more(&self) -> bool {
        !self.is_finished && self.tx.len() < 50_000
    }

    fn recv(&mut self) -> Result<(), NetError> {
        let mut rx = RxBuf::new();
        rx.reserve(1024);
        self.is_finished = self.net.recv(ID, &mut rx)? == 0;
        self.tx.storage().extend_from_slice(rx.as_slice());
        Ok(())
    }
}

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize) % limit
    }

    /// Small numbers as often as large ones.
    fn magnitude(&mut self, bits: usize) -> usize {
        let limit = 1 << self.below(bits);
        1 + self.below(limit)
    }
}

fn converse(seed: u64) {
    let mut random = Random(seed);
    let version = if random.below(2) == 0 { &TLS12 } else { &TLS13 };
    let mut peer = Peer::new(version);
    let mut echo = Echo {
        net: TlsNet::secure(Pipe::with_wires(1), server_config()),
        tx: TxBuf::new(),
        is_open: false,
        is_finished: false,
        is_shut: false,
    };
    let said = pattern(random.magnitude(18));
    let mut rest = &said[..];
    let mut goodbye = false;
    // Every turn moves a byte at least, most move far more.
    for _ in 0..2_000_000 {
        let wire = &mut echo.net.inner.wires[0];
        wire.step = random.magnitude(16);
        wire.window = random.magnitude(17);
        if peer.is_connected() && !rest.is_empty() && random.below(2) == 0 {
            let (now, later) = rest.split_at(random.magnitude(15).min(rest.len()));
            peer.say(now);
            rest = later;
            if version == &TLS13 && random.below(4) == 0 {
                peer.update_keys();
            }
        } else if rest.is_empty() && !goodbye {
            peer.say_goodbye();
            goodbye = true;
        }
        peer.exchange_some(wire, random.magnitude(16));
        echo.turn().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if peer.is_told_end {
            break;
        }
    }
    assert_eq!(peer.error, None, "seed {seed}");
    assert!(peer.is_told_end, "seed {seed}: stopped after {} bytes", peer.received.len());
    assert!(peer.received == said, "seed {seed}: the echo differs");
    assert!(echo.net.inner.wires[0].is_shut);
}

#[test]
fn conversations_cut_in_every_way_arrive_whole() {
    for seed in 1..=150 {
        converse(seed);
    }
}
