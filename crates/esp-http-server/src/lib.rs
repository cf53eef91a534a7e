//! placeholder
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;
mod net;
mod sync;
mod time;
pub use net::{Net, NetError, NetId, RxBuf, TxBuf};
pub use time::Instant;
