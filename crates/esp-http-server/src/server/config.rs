//! What a server is told when it starts: ESP-IDF's `httpd_config_t`, with the limits it lacks.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use crate::handler::WsQueuePolicy;
use crate::proto::{body, head};

/// The configuration of an HTTP server; `..HttpConfig::default()` fills in what is not said.
///
/// Fields that ESP-IDF's `httpd_config_t` has too carry its names.
///
/// ```
/// use esp_http_server::HttpConfig;
///
/// let config = HttpConfig { server_port: 8080, max_open_sockets: 64, ..HttpConfig::default() };
/// assert!(config.lru_purge_enable);
/// ```
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// TCP port to listen on, of all addresses, if `listen` says nothing else; 0 lets the system
    /// choose a free one. Default 80.
    pub server_port: u16,
    /// Where to listen, if not on all addresses: each entry has its own port, and `server_port` is
    /// not used. Empty by default. All of them lead to the same handlers, by the same transport.
    ///
    /// ```
    /// use esp_http_server::{HttpConfig, ListenAddr};
    ///
    /// let config = HttpConfig {
    ///     listen: vec![
    ///         ListenAddr::Only("127.0.0.1:8080".parse()?),
    ///         ListenAddr::Interface { name: "eth0".into(), port: 80 },
    ///     ],
    ///     ..HttpConfig::default()
    /// };
    /// # Ok::<(), core::net::AddrParseError>(())
    /// ```
    pub listen: Vec<ListenAddr>,
    /// Workers, each with its own event loop and listeners. 0, the default, means one per core, but
    /// not more than one per 64 of `max_open_sockets`, because each serves its share of those.
    pub workers: usize,
    /// Most sessions open at once, over all workers. Default 1024.
    pub max_open_sockets: usize,
    /// Most sessions open at once of one client: an IPv4 address, or the /64 network of an IPv6
    /// address. `usize::MAX`, the default, means no limit, because clients behind one address
    /// translation, or behind a proxy on the level of TCP, are one client here. Where that is not so,
    /// half of `max_open_sockets` leaves the other half to others whatever one does; a browser opens
    /// six.
    ///
    /// Above it the client's own least recently used idle session is closed, as far as
    /// `lru_purge_enable` lets it; otherwise the new connection is, at once. Every worker has its
    /// share, and one at least.
    pub max_sessions_per_addr: usize,
    /// Whether a new connection may close the least recently used idle session when the table is
    /// full. Otherwise it waits in the backlog until there is room. Default true.
    pub lru_purge_enable: bool,
    /// Connections that may wait to be accepted, per worker and entry of `listen`. The system drops
    /// the first packets of those above, which come again a second later. Default 1024. Linux takes no
    /// more than net.core.somaxconn says, 4096 mostly.
    pub backlog_conn: u16,
    /// Whether the system probes a connection on which nothing has come for a while, and ends it if
    /// the peer does not answer (SO_KEEPALIVE). That is TCP's keep-alive, which finds clients that
    /// have vanished in the middle of something; for idle ones there is `idle_timeout`, for WebSockets
    /// [`ws_keep_alive`](crate::ServerBuilder::ws_keep_alive). Default false.
    pub keep_alive_enable: bool,
    /// Silence before the first probe of `keep_alive_enable`. Whole seconds, up to 32767. Default 5 s.
    pub keep_alive_idle: Duration,
    /// Time between two probes. Whole seconds, up to 32767. Default 5 s.
    pub keep_alive_interval: Duration,
    /// Probes without an answer after which the connection is over. Up to 127. Default 3.
    pub keep_alive_count: u32,
    /// Whether a session that is closed is reset (SO_LINGER), so that nothing of it stays in the
    /// system: what its peer has not taken until then is lost. A session that has something to say
    /// first waits for its peer, for `linger_timeout` at most, and then nothing is lost of those that
    /// read. The worker serves others meanwhile, where SO_LINGER with a time of its own would block
    /// it. Default false: the system goes on delivering in the background, for minutes if need be.
    pub enable_so_linger: bool,
    /// Most URI handlers; `usize::MAX`, the default, means no limit.
    pub max_uri_handlers: usize,
    /// Bytes of stack for a handler. Default 256 kB, of which only what is touched takes memory. A
    /// handler that needs more runs into a guard page, which ends the whole process (SIGSEGV). At
    /// least 4096.
    pub stack_size: usize,
    /// Whether two handlers of one worker may be under way at once: while one waits for its peer,
    /// another one runs. Default [`HandlerMode::Concurrent`].
    pub handler_mode: HandlerMode,

    /// Most bytes of a request's head, request line included (431 above). Default 32 kB: browsers keep
    /// 180 cookies for a domain and send them all. Memory is taken for what has arrived, while the
    /// request is under way.
    pub max_req_hdr_len: usize,
    /// Most bytes of a request's URI (414 above). Default 2048.
    pub max_uri_len: usize,
    /// Most header fields in a request (431 above). Default 100.
    pub max_req_hdr_fields: usize,
    /// Most bytes in the first line of a chunk of a request's body, its size and extensions (400
    /// above). Default 256.
    pub max_chunk_line_len: usize,
    /// Most bytes of framing in a chunked body beyond what is fair: 16 bytes for each chunk, and twice
    /// its data (400 above). Only chunks with extensions ever have more, and without this bound small
    /// ones would cost work for ever and bring nothing. Default 16 kB.
    pub max_chunk_excess_len: usize,
    /// Most bytes of the header fields behind a chunked body (431 above). Default 1024.
    pub max_trailers_len: usize,
    /// Most header fields behind a chunked body (431 above). Default 16.
    pub max_trailer_fields: usize,
    /// Most bytes that are received of a session and not yet read by its handler. A head may be longer,
    /// up to `max_req_hdr_len`. A quarter of it is received of a client whose handler waits for
    /// something else. Over TLS the record that came last, 16 kB mostly, may come on top. Default 64 kB,
    /// for uploads at full speed; memory is taken for what comes. A small machine says 4 kB. At least
    /// 1024.
    pub recv_buffer_len: usize,
    /// Most bytes of a response that wait to be sent; a handler that has written so many waits until a
    /// quarter of them is left. A kilobyte comes on top, so that a response of this length leaves in one
    /// write with its head. Over TLS as much again waits encrypted. Default 64 kB, for downloads at full
    /// speed; memory is taken for what is written. A small machine says 4 kB: longer responses work as
    /// well, in pieces. At least 1024.
    pub send_buffer_len: usize,
    /// Most bytes that the buffers of all sessions hold together: what was received, what waits to be
    /// sent, also as WebSocket messages and inside TLS, and buffers kept for the next session. 0, the
    /// default, means 64 kB for each of `max_open_sockets`, and 1 MB at least. Every worker has its
    /// share. Stacks don't count, nor what handlers and contexts hold.
    ///
    /// Above it, buffers that nobody uses are freed; then sessions in a handshake, in the middle of a
    /// head, or lingering behind their last response are cut, those first that have held memory for
    /// longest. If that is not enough, new requests are answered with 503 and `Retry-After` and their
    /// sessions closed, and new connections wait in the backlog. Sessions being served go on, and may
    /// take what their own limits let them.
    pub max_buffer_memory: usize,
    /// Most requests on one connection; the response to the last one says that it closes.
    /// `usize::MAX`, the default, means no limit.
    pub max_requests_per_session: usize,
    /// Most pipelined requests of one session, or messages of one WebSocket, that are begun before
    /// other sessions have their turn. At least 1. Default 32. Other bounds of a turn come on top: a
    /// session that has moved 128 kB lets others go first, too, and if several are busy they share 64: two
    /// each at least for those that have just become ready, and then eight for as many as that is enough for.
    pub max_requests_per_turn: usize,
    /// Most bytes of a body that its handler left unread that are read and dropped so that the
    /// session can stay open. Above it the session closes. Default 64 kB.
    pub purge_len: usize,
    /// Work items that may wait in a worker's queue. Default 1024.
    pub work_queue_len: usize,
    /// Most frames of one WebSocket message (close code 1009 above). 64 of them may be empty. Default
    /// 8192: clients that send large messages in pieces do so in pieces of some kilobytes, and in
    /// pieces of 64 kB that is half a gigabyte. A frame takes at least 6 bytes besides its payload, so
    /// that whoever sends more sends mostly frames, which cost the server more than him.
    pub max_ws_fragments: usize,
    /// Most pings and pongs that a WebSocket client may send in a second (close code 1008 above), all
    /// at once or one by one. Answers to pings of the server don't count. `usize::MAX` means no limit.
    /// Default 32; clients that look whether their server is alive do so every few seconds.
    pub ws_control_frames_per_sec: usize,
    /// Bytes of WebSocket messages from other threads, or of what work functions send, that may wait
    /// for one client to take them. A message that can't be handed to the network at once counts 128
    /// bytes more, for what it takes to keep it. A single message may be longer. Default 64 kB.
    pub ws_queue_len: usize,
    /// What becomes of a WebSocket message above that. Default [`WsQueuePolicy::Close`].
    pub ws_queue_policy: WsQueuePolicy,

    /// Longest time from accept to the end of the TLS handshake. Default 10 s.
    pub handshake_timeout: Duration,
    /// Longest time from the first byte of a request's head to its last (408 above). Default 10 s.
    pub head_timeout: Duration,
    /// Longest time that a request waits for others: for its handler's turn in
    /// [`HandlerMode::Serial`], or for a stack (503 with `Retry-After` above; a WebSocket closes with
    /// 1013). Default 30 s.
    pub queue_timeout: Duration,
    /// Longest time a handler waits for the next bytes of a body (408 if it passes the error on) or
    /// of a WebSocket message (close code 1008). Default 5 s.
    pub recv_wait_timeout: Duration,
    /// Bytes per second that a client must send of a body or of a WebSocket message at least, while
    /// somebody waits for them; 0 is no such rate. Default 128.
    ///
    /// All the waits for one body or message together may last `recv_wait_timeout`, and every byte
    /// puts 1 / `recv_min_rate` of a second back, up to that. So a client that drips is answered as one
    /// that is silent, a little later; what the handler does in between costs the client nothing.
    ///
    /// With the defaults, packets of 640 bytes come just so fast that `recv_wait_timeout` lets them
    /// pass. No honest network is slower and still within that: NB-IoT carries some 2 kB a second, and
    /// 128 bytes where it hardly reaches.
    pub recv_min_rate: usize,
    /// Longest time, on the whole, for dropping what a handler has left unread of a body; see
    /// `purge_len`. Then the session closes. Default 5 s.
    pub purge_timeout: Duration,
    /// Longest time that a peer may leave bytes that wait for it untouched; then the session is
    /// closed. Default 5 s.
    pub send_wait_timeout: Duration,
    /// Bytes per second that a client must take at least while more wait for it than the system takes;
    /// then the session is closed. 0 is no such rate. Default 128.
    ///
    /// The client has `send_wait_timeout`, and every byte that it takes puts 1 / `send_min_rate` of a
    /// second back, up to that, until nothing waits any more. What the system takes counts as taken by
    /// the client: before a session is closed, the system is asked once more whether it takes a little,
    /// since it reports room only when there is much.
    pub send_min_rate: usize,
    /// Longest time that an HTTP session may stay open without a request. Default 60 s.
    pub idle_timeout: Duration,
    /// Longest time a closing session waits for its peer to finish, so that the peer can read what it
    /// was told last (RFC 9112, section 9.6). Default 2 s. See also `enable_so_linger`.
    pub linger_timeout: Duration,
    /// Longest time that a WebSocket client may take to answer a close frame. Default 2 s.
    pub ws_close_timeout: Duration,
    /// Longest time that requests which are under way may take to finish when the server stops;
    /// after it their handlers are told to end and their sessions are closed. Default 5 s.
    pub stop_timeout: Duration,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddr {
    /// This port of all addresses of the machine: IPv6 and IPv4, or IPv4 alone where the machine
    /// has no IPv6.
    Any(u16),
    /// This address and port only. `[::]` means all IPv6 addresses here, without IPv4.
    Only(SocketAddr),
    /// This port, for clients that come by one network interface, whatever its addresses are
    /// (upstream's `if_name`; SO_BINDTODEVICE).
    Interface {
        /// The interface, as `ip link` names it: `eth0`.
        name: String,
        /// The port; 0 lets the system choose a free one.
        port: u16,
    },
}

impl ListenAddr {
    /// The port; 0 if the system is to choose one.
    pub fn port(&self) -> u16 {
        match self {
            Self::Any(port) | Self::Interface { port, .. } => *port,
            Self::Only(addr) => addr.port(),
        }
    }
}

impl fmt::Display for ListenAddr {
    /// `port 80`, `127.0.0.1:80`, `eth0:80`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(port) => write!(f, "port {port}"),
            Self::Only(addr) => addr.fmt(f),
            Self::Interface { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

/// Whether several handlers may be under way in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerMode {
    /// A handler that waits lets others run.
    Concurrent,
    /// A handler starts only after the one before it has returned, as in ESP-IDF. With one worker,
    /// handlers need no locks among themselves. A slow peer still does not hold up the server:
    /// heads, handshakes and responses go on; only other handlers wait.
    Serial,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            server_port: 80,
            listen: Vec::new(),
            workers: 0,
            max_open_sockets: 1024,
            max_sessions_per_addr: usize::MAX,
            lru_purge_enable: true,
            backlog_conn: 1024,
            keep_alive_enable: false,
            keep_alive_idle: Duration::from_secs(5),
            keep_alive_interval: Duration::from_secs(5),
            keep_alive_count: 3,
            enable_so_linger: false,
            max_uri_handlers: usize::MAX,
            stack_size: 256 * 1024,
            handler_mode: HandlerMode::Concurrent,
            max_req_hdr_len: 32 * 1024,
            max_uri_len: 2048,
            max_req_hdr_fields: 100,
            max_chunk_line_len: 256,
            max_chunk_excess_len: 16 * 1024,
            max_trailers_len: 1024,
            max_trailer_fields: 16,
            recv_buffer_len: 64 * 1024,
            send_buffer_len: 64 * 1024,
            max_buffer_memory: 0,
            max_requests_per_session: usize::MAX,
            max_requests_per_turn: 32,
            purge_len: 64 * 1024,
            work_queue_len: 1024,
            max_ws_fragments: 8192,
            ws_control_frames_per_sec: 32,
            ws_queue_len: 64 * 1024,
            ws_queue_policy: WsQueuePolicy::Close,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            queue_timeout: Duration::from_secs(30),
            recv_wait_timeout: Duration::from_secs(5),
            recv_min_rate: 128,
            purge_timeout: Duration::from_secs(5),
            send_wait_timeout: Duration::from_secs(5),
            send_min_rate: 128,
            idle_timeout: Duration::from_secs(60),
            linger_timeout: Duration::from_secs(2),
            ws_close_timeout: Duration::from_secs(2),
            stop_timeout: Duration::from_secs(5),
        }
    }
}

impl HttpConfig {
    pub(crate) fn head_limits(&self) -> head::Limits {
        head::Limits {
            head_len: self.max_req_hdr_len,
            uri_len: self.max_uri_len,
            field_count: self.max_req_hdr_fields,
        }
    }

    pub(crate) fn body_limits(&self) -> body::Limits {
        body::Limits {
            chunk_line_len: self.max_chunk_line_len,
            excess_len: self.max_chunk_excess_len,
            trailers_len: self.max_trailers_len,
            trailer_count: self.max_trailer_fields,
        }
    }

    /// With so many bytes waiting to be sent whoever writes must wait.
    pub(crate) fn send_high(&self) -> usize {
        self.send_buffer_len + 1024
    }

    /// With so few whoever waits to write goes on.
    pub(crate) fn send_low(&self) -> usize {
        self.send_buffer_len / 4
    }

    /// The memory that is taken for them at most. What frames them goes behind them unasked.
    pub(crate) fn send_capacity(&self) -> usize {
        self.send_high() + 256
    }

    /// Bytes that are received of a peer whose handler waits for something else.
    pub(crate) fn read_ahead_len(&self) -> usize {
        self.recv_buffer_len / 4
    }

    /// What the sessions of one of so many workers may hold.
    pub(crate) fn buffer_memory_of(&self, workers: usize) -> usize {
        let all = match self.max_buffer_memory {
            0 => self.max_open_sockets.saturating_mul(64 * 1024).max(1024 * 1024),
            memory => memory,
        };
        all / workers
    }

    /// How many sessions one client may have in each worker.
    pub(crate) fn sockets_of_client(&self, workers: usize) -> usize {
        self.max_sessions_per_addr.div_ceil(workers).max(1)
    }

    /// How many of `max_open_sockets` are the share of worker number `worker` of `workers`.
    pub(crate) fn sockets_of(&self, worker: usize, workers: usize) -> usize {
        self.max_open_sockets / workers + usize::from(worker < self.max_open_sockets % workers)
    }
}
