//! Whole sessions, cut into pieces at random, with key updates and pushes in between: every byte
//! must arrive, in its order, in both directions.

mod support;

use std::sync::Arc;

use esp_tls::{Blame, TlsConfig};
use support::{ClientSetup, Pair, Rng, TLS12, TLS13, server_config};

const SESSIONS_PER_VERSION: u64 = 200;
const LARGEST_CUT: usize = 20_000;

#[test]
fn tls13_sessions_cut_anywhere_lose_nothing() {
    torture(TLS13);
}

#[test]
fn tls12_sessions_cut_anywhere_lose_nothing() {
    torture(TLS12);
}

fn torture(versions: &'static [&'static rustls::SupportedProtocolVersion]) {
    let server = server_config();
    let client = ClientSetup::versions(versions).build();
    let heard_len: usize =
        (0..SESSIONS_PER_VERSION).map(|seed| Session::new(&server, &client, seed).run()).sum();
    assert!(heard_len > 2_000_000, "only {heard_len} bytes were exchanged");
}

struct Session {
    seed: u64,
    rng: Rng,
    pair: Pair,
    /// Bytes on their way to the server, and to the client.
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    said_by_client: Vec<u8>,
    heard_by_server: Vec<u8>,
    said_by_server: Vec<u8>,
    heard_by_client: Vec<u8>,
    largest_cut: usize,
}

impl Session {
    fn new(server: &TlsConfig, client: &Arc<rustls::ClientConfig>, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        // Some sessions dribble throughout, some come in large pieces.
        let largest_cut = [7, 300, 3_000, LARGEST_CUT][rng.within(0..=3)];
        Self {
            seed,
            rng,
            pair: Pair::new(server, client),
            to_server: Vec::new(),
            to_client: Vec::new(),
            said_by_client: Vec::new(),
            heard_by_server: Vec::new(),
            said_by_server: Vec::new(),
            heard_by_client: Vec::new(),
            largest_cut,
        }
    }

    /// Returns how many bytes arrived, on both sides.
    fn run(mut self) -> usize {
        for _ in 0..self.rng.within(5..=40) {
            match self.rng.within(0..=9) {
                0..=2 => self.client_speaks(),
                3 => self.client_updates_its_keys(),
                4 => self.server_pushes(),
                _ => {
                    self.carry_to_server();
                    self.carry_to_client();
                }
            }
        }
        self.finish();
        assert_eq!(self.heard_by_server, self.said_by_client, "seed {}", self.seed);
        assert_eq!(self.heard_by_client, self.said_by_server, "seed {}", self.seed);
        assert_eq!(self.pair.server.needed_len(), 0, "seed {}: nothing is left over", self.seed);
        self.heard_by_server.len() + self.heard_by_client.len()
    }

    fn client_speaks(&mut self) {
        if self.pair.client.tls.is_handshaking() {
            return;
        }
        for _ in 0..self.rng.within(1..=5) {
            let len = self.rng.within(1..=[20, 2_000, 40_000][self.seed as usize % 3]);
            let said = self.rng.bytes(len);
            self.to_server.append(&mut self.pair.client.encrypt(&said));
            self.said_by_client.extend(said);
        }
    }

    fn client_updates_its_keys(&mut self) {
        // TLS 1.2 has none.
        if self.pair.client.tls.refresh_traffic_keys().is_ok() {
            self.to_server.append(&mut self.pair.client.take());
        }
    }

    fn server_pushes(&mut self) {
        if self.pair.server.is_handshaking() {
            return;
        }
        let len = self.rng.within(1..=40_000);
        let said = self.rng.bytes(len);
        self.pair.server.send(&said, &mut self.to_client).unwrap();
        self.said_by_server.extend(said);
    }

    fn carry_to_server(&mut self) {
        let at_most = self.largest_cut.min(self.to_server.len().max(1));
        let cut = self.rng.within(1..=at_most).min(self.to_server.len());
        let mut piece: Vec<u8> = self.to_server.drain(..cut).collect();
        self.pair
            .server
            .recv(&mut piece, &mut self.heard_by_server, &mut self.to_client)
            .unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
    }

    fn carry_to_client(&mut self) {
        let cut = self.rng.within(0..=self.to_client.len());
        let piece: Vec<u8> = self.to_client.drain(..cut).collect();
        self.heard_by_client.append(&mut self.pair.client.give(&piece).unwrap());
        self.to_server.append(&mut self.pair.client.take());
    }

    /// Carries until the wire is empty, then has the server say a last word.
    fn finish(&mut self) {
        while self.pair.server.is_handshaking()
            || !self.to_server.is_empty()
            || !self.to_client.is_empty()
        {
            self.carry_to_server();
            self.carry_to_client();
        }
        self.server_pushes();
        while !self.to_client.is_empty() {
            self.carry_to_client();
        }
        assert!(self.to_server.is_empty());
    }
}

/// Flips bits on the way to the server. Whatever that does to a session, it is the peer's fault,
/// never a panic, and never data that nobody said.
#[test]
fn damaged_bytes_are_the_peers_fault() {
    const ROUNDS: usize = 4;
    let server = server_config();
    let mut noticed = 0;
    for versions in [TLS12, TLS13] {
        let client = ClientSetup::versions(versions).build();
        for seed in 0..500 {
            let mut rng = Rng::new(seed);
            let mut pair = Pair::new(&server, &client);
            // The first rounds are the handshake, the later ones data.
            let damaged_round = rng.within(0..=ROUNDS - 1);
            for round in 0..ROUNDS {
                let mut wire = pair.client.take();
                if !pair.client.tls.is_handshaking() {
                    wire.append(&mut pair.client.encrypt(b"data"));
                }
                if round == damaged_round {
                    flip_bits(&mut wire, &mut rng);
                }
                let (result, received) = support::recv(&mut pair.server, &wire);
                assert!(b"data".starts_with(&received.plain), "{:?}", received.plain);
                if let Err(error) = &result {
                    assert_eq!(error.blame(), Blame::Peer, "seed {seed}: {error}");
                    noticed += 1;
                }
                if result.is_err() || pair.client.give(&received.out).is_err() {
                    break;
                }
            }
        }
    }
    assert!(noticed > 600, "only {noticed} sessions noticed");
}

fn flip_bits(wire: &mut [u8], rng: &mut Rng) {
    for _ in 0..rng.within(1..=3) {
        let at = rng.within(0..=wire.len() - 1);
        wire[at] ^= 1 << rng.within(0..=7);
    }
}
