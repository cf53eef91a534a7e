//! Ring 2: what touches the operating system. Sockets, threads' wake-ups, stacks and the clock are
//! here and nowhere else.
//!
//! | file | what |
//! |---|---|
//! | `server` | [`HttpServer`]: the workers of a running server, and how they start and stop |
//! | `listen` | [`listen`]: for every worker one [`Listener`] per address |
//! | `epoll` | [`EpollNet`], the [`Net`](crate::Net) of one worker; in `epoll/backlog` who is accepted next |
//! | `wake` | [`Waker`], which ends a worker's wait from any thread |
//! | `clock` | [`Clock`], which says what [`Instant`](crate::Instant) it is |
//! | `stacks` | [`StackPool`], the stacks that handlers run on |

mod clock;
mod epoll;
mod listen;
mod server;
mod stacks;
pub(crate) mod wake;

pub use clock::Clock;
pub use epoll::EpollNet;
pub use listen::{ListenError, Listener, listen};
pub use server::HttpServer;
pub use stacks::StackPool;
pub use wake::Waker;
