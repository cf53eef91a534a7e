//! A small request on a connection that stays open costs the engine no heap allocation, and neither do
//! the events of it that nobody hears. Compression keeps as much memory as it says.
//!
//! Alone in its file, because a program has one allocator.

#![cfg(all(feature = "std", target_os = "linux"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use esp_http_server::front::StackPool;
use esp_http_server::{
    EventLoop, HttpConfig, HttpEvent, Instant, Method, Net, NetError, NetId, Request, Result,
    RxBuf, ServerBuilder, TxBuf, UriHandler,
};

/// The system's allocator, which counts what it is asked for.
struct Counting;

thread_local! {
    /// Of this thread alone: the test harness has others, which allocate when they like.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that are allocated now.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

// A thread that ends has nothing to count any more.

fn count() {
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

fn hold(len: isize) {
    let _ = HELD.try_with(|held| held.set(held.get() + len));
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed on to the system's allocator, with what it was called with.
#[expect(unsafe_code, reason = "an allocator can't be had without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        hold(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        hold(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, and the block is the system's.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        hold(new_size as isize - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `realloc`, and the block is the system's.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

const CLIENTS: usize = 5;

/// Another second whenever it is asked for.
static CLOCK: AtomicU64 = AtomicU64::new(784_111_777);

/// Some connections that are there from the start, each with room for one request and one answer.
struct FixedNet {
    accepted: usize,
    requests: [&'static [u8]; CLIENTS],
    answers: [([u8; 512], usize); CLIENTS],
}

impl Net for FixedNet {
    fn accept(&mut self) -> Option<NetId> {
        let next = (self.accepted < CLIENTS).then_some(NetId(self.accepted as u32));
        self.accepted += usize::from(next.is_some());
        next
    }

    fn recv(&mut self, id: NetId, rx: &mut RxBuf) -> Result<usize, NetError> {
        let request = &mut self.requests[id.index()];
        if request.is_empty() {
            return Err(NetError::WouldBlock);
        }
        let storage = rx.storage();
        let (now, later) = request.split_at(request.len().min(storage.capacity() - storage.len()));
        storage.extend_from_slice(now);
        *request = later;
        Ok(now.len())
    }

    fn send(&mut self, id: NetId, tx: &mut TxBuf) -> Result<usize, NetError> {
        let (answer, answer_len) = &mut self.answers[id.index()];
        let len = tx.len();
        answer[*answer_len..*answer_len + len].copy_from_slice(tx.as_slice());
        *answer_len += len;
        tx.advance(len);
        Ok(len)
    }

    fn shutdown(&mut self, _: NetId) {}

    fn close(&mut self, id: NetId) {
        panic!("{id:?} was closed");
    }

    fn stop_listening(&mut self) {}

    fn wait(&mut self, _: Option<Instant>, _: &mut Vec<NetId>) {}
}

fn page(request: &mut Request) -> Result {
    request.respond().content_type("text/plain").header("X-Kind", "page").send("hello")
}

fn echo(request: &mut Request) -> Result {
    let mut body = [0; 16];
    let len = request.recv(&mut body)?;
    request.respond().send(&body[..len])
}

fn chunks(request: &mut Request) -> Result {
    let mut body = request.respond().chunked()?;
    for _ in 0..5 {
        body.send("piece")?;
        body.flush()?;
    }
    body.finish()
}

fn post(request: &mut Request) -> Result {
    assert_eq!(request.param("user")?, "7");
    let name = request.user_ctx::<&str>().copied().unwrap_or_default();
    request.respond().send(name)
}

const GET: &[u8] = b"GET /page?a=b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: b\r\n\r\n";
const POST: &[u8] = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKS: &[u8] = b"GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n";
const PARAMS: &[u8] = b"GET /users/7/posts/8/text HTTP/1.1\r\nHost: a\r\n\r\n";
const MISSING: &[u8] = b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_small_request_on_an_open_connection_allocates_nothing() {
    let net = FixedNet { accepted: 0, requests: [&[]; CLIENTS], answers: [([0; 512], 0); CLIENTS] };
    let event_loop = EventLoop::new(1);
    let (mut server, mut net) = ServerBuilder::new(HttpConfig::default())
        .events(event_loop.clone())
        .get("/page", page)
        .post("/echo", echo)
        .get("/chunks", chunks)
        .uri_handler(UriHandler::new(Method::Get, "/users/{user}/posts/*", post).user_ctx("posts"))
        .wall_clock(|| Some(Duration::from_secs(CLOCK.fetch_add(1, Relaxed))))
        .engine(StackPool::new(64 * 1024, CLIENTS), net)
        .unwrap();
    let ready: [NetId; CLIENTS] = core::array::from_fn(|index| NetId(index as u32));
    let mut now = Instant::START;
    let mut round = |count: usize| {
        for _ in 0..count {
            net.requests = [GET, POST, CHUNKS, PARAMS, MISSING];
            net.answers.iter_mut().for_each(|(_, len)| *len = 0);
            server.poll(now, &mut net, &ready);
            // The pieces leave one by one.
            for _ in 0..10 {
                now = Instant::from_micros(now.as_micros() + 1000);
                server.poll(now, &mut net, &[]);
            }
            let ends = ["hello", "hello", "0\r\n\r\n", "posts", ""];
            for ((answer, len), end) in net.answers.iter().zip(ends) {
                assert!(*len > 0 && answer[..*len].ends_with(end.as_bytes()));
            }
        }
    };
    round(10);
    let before = ALLOCATIONS.get();
    assert!(before > 0, "the first rounds do allocate");
    let seconds = CLOCK.load(Relaxed);
    round(1000);
    assert!(CLOCK.load(Relaxed) > seconds + 5, "the date changes now and then");
    assert_eq!(ALLOCATIONS.get() - before, 0);

    // With somebody who listens each event is one, also if the loop has no room for it.
    let subscription = event_loop.on(|_: &HttpEvent| {});
    let before = ALLOCATIONS.get();
    round(1);
    let events = ALLOCATIONS.get() - before;
    assert!(events >= 4 * CLIENTS, "received, head, head of the answer, sent: {events}");
    drop(subscription);
    let before = ALLOCATIONS.get();
    round(1000);
    assert_eq!(ALLOCATIONS.get() - before, 0, "nobody listens any more");
}

/// What `ContextTakeover`, `DeflateConfig` and the module `deflate` say.
#[cfg(feature = "deflate")]
#[test]
fn compression_keeps_what_it_says_between_messages() {
    use esp_http_server::proto::ws::deflate::{
        Compression, ContextTakeover, Deflater, Inflater, Rest, WindowBits,
    };

    let message: Vec<u8> =
        (0..100_000_u32).map(|number| (number.wrapping_mul(number) >> 7) as u8).collect();
    for (context_takeover, bits) in [
        (ContextTakeover::Off, 15),
        (ContextTakeover::On, 8),
        (ContextTakeover::On, 12),
        (ContextTakeover::On, 15),
    ] {
        let window_bits = WindowBits::new(bits).unwrap();
        let how = Compression { window_bits, context_takeover };
        let (mut payload, mut room) = (Vec::with_capacity(200_000), vec![0; 200_000]);
        let before = HELD.get();
        let mut deflater = Deflater::new();
        deflater.deflate(&message, how, &mut payload);
        let deflater_len = HELD.get() - before;
        assert!((300_000..=330_000).contains(&deflater_len), "{deflater_len}");

        let before = HELD.get();
        let mut inflater = Inflater::new(how);
        for _ in 0..3 {
            let inflated = inflater.inflate(&payload, Rest::Ended, &mut room).unwrap();
            assert!(inflated.is_done && room[..inflated.produced] == message);
        }
        let window_len = match context_takeover {
            ContextTakeover::On => 1 << bits,
            ContextTakeover::Off => 0,
        };
        assert_eq!(HELD.get() - before, window_len, "{bits} bits");
    }
}
