//! An idle session holds no buffers, whatever went through it before.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use esp_tls::{
    ClientAuth, ClientCa, ClientHello, ExpiredCrl, Selection, SessionTickets, TlsConfig, TlsSession,
};
use support::{Client, ClientSetup, TLS12, TLS13, pki, server_config};

struct Counting;

thread_local! {
    static LIVE_LEN: Cell<isize> = const { Cell::new(0) };
}

fn count(len: isize) {
    // A thread that ends has no counter any more, and nobody who asks for it.
    let _ = LIVE_LEN.try_with(|live| live.set(live.get() + len));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes on the heap that `body` leaves allocated on this thread.
fn kept_by<T>(body: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE_LEN.get();
    let value = body();
    (value, usize::try_from(LIVE_LEN.get() - before).unwrap())
}

/// One session and what it holds, measured around each of its own calls.
struct Measured {
    session: TlsSession,
    client: Client,
    held_len: usize,
}

impl Measured {
    fn connected(versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Self {
        Self::connected_to(&server_config(), ClientSetup::versions(versions))
    }

    fn connected_to(config: &TlsConfig, setup: ClientSetup<'_>) -> Self {
        let client = Client::new(&setup.build());
        let (session, held_len) = kept_by(|| TlsSession::new(config));
        let mut this = Self { session, client, held_len };
        loop {
            let wire = this.client.take();
            if wire.is_empty() {
                assert!(!this.session.is_handshaking());
                return this;
            }
            let out = this.recv(&wire);
            this.client.give(&out).unwrap();
        }
    }

    fn recv(&mut self, wire: &[u8]) -> Vec<u8> {
        let (mut input, mut plain, mut out) =
            (wire.to_vec(), Vec::with_capacity(200_000), Vec::with_capacity(200_000));
        let before = LIVE_LEN.get();
        self.session.recv(&mut input, &mut plain, &mut out).unwrap();
        self.note(before);
        out
    }

    fn send(&mut self, plain: &[u8]) {
        let mut out = Vec::with_capacity(200_000);
        let before = LIVE_LEN.get();
        self.session.send(plain, &mut out).unwrap();
        self.note(before);
        self.client.give(&out).unwrap();
    }

    fn note(&mut self, before: isize) {
        self.held_len = self.held_len.checked_add_signed(LIVE_LEN.get() - before).unwrap();
    }
}

#[test]
fn an_idle_session_stays_below_four_kilobytes() {
    for versions in [TLS12, TLS13] {
        let measured = Measured::connected(versions);
        let held_len = measured.held_len;
        assert!((500..4_000).contains(&held_len), "{held_len} bytes of Rust's heap");
    }
}

#[test]
fn a_session_that_goes_on_gives_back_what_its_handshake_needed() {
    let mut measured = Measured::connected(TLS13);
    measured.send(b"hello");
    let before_len = measured.held_len;
    let before = LIVE_LEN.get();
    measured.session.settle().unwrap();
    measured.note(before);
    let held_len = measured.held_len;
    assert!(held_len + 1_000 < before_len, "{held_len} bytes of Rust's heap, {before_len} before");
    // And with what it has, it goes on.
    let hello = measured.client.encrypt(b"hello");
    measured.recv(&hello);
    measured.send(b"hello");
    assert_eq!(measured.held_len, held_len);
}

#[test]
fn what_a_handshake_went_by_is_gone_when_it_is_over() {
    let ca = ClientCa::new(&pki().ca.cert_pem, ClientAuth::Optional)
        .and_then(|ca| ca.crls(pki().authority.crl(&[], 2090), ExpiredCrl::Refuse))
        .unwrap();
    let everything = server_config()
        .with_client_ca(ca)
        .and_then(|config| config.session_tickets(SessionTickets::On))
        .and_then(|config| config.max_fragment_len(1024))
        .and_then(|config| config.selector(|_: &ClientHello<'_>| Selection::own()))
        .unwrap();
    for versions in [TLS12, TLS13] {
        // What is made once is made.
        Measured::connected_to(&everything, ClientSetup::versions(versions));
        let plain = Measured::connected(versions).held_len;
        let chosen = Measured::connected_to(&everything, ClientSetup::versions(versions));
        // Queues in rustls that have grown for the longer handshake.
        assert!(chosen.held_len < plain + 200, "{plain} and {} bytes", chosen.held_len);

        let setup = ClientSetup { versions, ..ClientSetup::identity(&pki().client) };
        let verified = Measured::connected_to(&everything, setup);
        let chain_len = pki().client.cert_der.len();
        assert!(
            verified.held_len < chosen.held_len + chain_len + 200,
            "{} bytes with an identity of {chain_len}, {} without",
            verified.held_len,
            chosen.held_len
        );
    }
}

#[test]
fn a_session_before_its_first_byte_is_small() {
    let config = server_config();
    let (_session, held_len) = kept_by(|| TlsSession::new(&config));
    assert!(held_len <= 64, "{held_len} bytes");
}

#[test]
fn what_went_through_leaves_nothing_behind() {
    for versions in [TLS12, TLS13] {
        let mut measured = Measured::connected(versions);
        // The first words make rustls' queues grow once, the second ones settle the session.
        for _ in 0..2 {
            let hello = measured.client.encrypt(b"hello");
            measured.recv(&hello);
            measured.send(b"hello");
        }
        let at_rest_len = measured.held_len;

        for _ in 0..3 {
            let wire = measured.client.encrypt(&[b'x'; 100_000]);
            let (first, rest) = wire.split_at(50_007);
            measured.recv(first);
            assert!(measured.session.needed_len() > 0);
            assert!(measured.held_len > at_rest_len, "the start of a record is held");
            measured.recv(rest);
            measured.send(&[b'y'; 100_000]);
            assert_eq!(measured.held_len, at_rest_len);
        }
    }
}

#[test]
fn a_session_that_ends_gives_everything_back() {
    let config = server_config();
    let client = ClientSetup::default().build();
    let run = |bytes: usize| {
        let mut pair = support::Pair::new(&config, &client);
        let wire = pair.client.take();
        let _ = support::recv(&mut pair.server, &wire[..bytes.min(wire.len())]);
    };
    run(10_000); // What is made once is made.
    let ((), kept_len) = kept_by(|| (0..100).for_each(|bytes| run(bytes * 20)));
    assert_eq!(kept_len, 0);
}
