//! Keeps a panic of user code from ending the loop that runs it.

use core::fmt::Display;

/// Runs user code. With `std` a panic in it is caught and logged with `what` was going on; without,
/// a panic is the end of the program anyway.
#[cfg(feature = "std")]
pub(crate) fn contain(what: &dyn Display, user_code: impl FnOnce()) {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    // What the user code left half done is the user's own, as with a thread that panicked.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(user_code)) {
        log::error!("{what} panicked: {}", message(&*panic));
        drop_thrown(panic);
    }
}

/// A payload may panic when it is dropped, and so may that one's. What goes on so without end is leaked.
#[cfg(feature = "std")]
fn drop_thrown(mut thrown: alloc::boxed::Box<dyn core::any::Any + Send>) {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    for _ in 0..16 {
        match catch_unwind(AssertUnwindSafe(|| drop(thrown))) {
            Ok(()) => return,
            Err(again) => thrown = again,
        }
    }
    core::mem::forget(thrown);
}

#[cfg(feature = "std")]
fn message(panic: &(dyn core::any::Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<alloc::string::String>() {
        text
    } else {
        "(no message)"
    }
}

#[cfg(not(feature = "std"))]
pub(crate) fn contain(_what: &dyn Display, user_code: impl FnOnce()) {
    user_code();
}
