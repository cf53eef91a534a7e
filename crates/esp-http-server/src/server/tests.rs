//! The engine as its clients see it, in one thread, without sockets and without sleeping: `support`
//! has the network, the clients and the clock. `docs/security.md` says which of them, and of the
//! parsers', keep out what other servers have had.

mod bodies;
mod buffers;
mod contexts;
mod dates;
mod detached;
mod err_handlers;
mod errors;
mod event_streams;
mod eviction;
mod give_back;
mod handlers;
mod limits;
mod memory;
mod misuse;
mod net_contract;
mod openings;
mod random;
mod rates;
mod raw;
mod refused;
mod requests;
mod requests_decoded;
mod responses;
mod routing;
mod serial;
mod sessions;
mod smuggling;
mod statuses;
mod std_io;
mod stop;
mod support;
mod timers;
mod transports;
mod turns;
mod work;
mod ws;
mod ws_closing;
mod ws_deflate;
mod ws_frames;
mod ws_handshake;
mod ws_limits;
mod ws_push;
mod ws_sending;
