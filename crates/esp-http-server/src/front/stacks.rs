//! The stacks that handlers run on.

use core::fmt;

use corosensei::stack::DefaultStack;

use crate::handler::Stacks;
use crate::pool::Pool;

/// Stacks of one size, each with a guard page, reused for as long as they are asked for.
///
/// Mapping a stack costs two system calls, a page fault per page touched, and the same again to
/// unmap it, so a worker keeps the ones that come back. It keeps a bounded number, and those only that
/// it needs: the pages that a stack has ever touched stay with it, and a burst of handlers must not
/// hold them for ever.
pub struct StackPool {
    size: usize,
    idle: Pool<DefaultStack>,
    /// Whether the last mapping failed and that was logged.
    short: bool,
}

impl StackPool {
    /// A pool of stacks of `size` bytes (rounded up to whole pages, the guard page not counted),
    /// which keeps at most `keep` that nobody uses. Nothing is mapped before it is asked for.
    pub const fn new(size: usize, keep: usize) -> Self {
        Self { size, idle: Pool::new(keep), short: false }
    }

    /// How many stacks are kept that nobody uses.
    pub const fn idle(&self) -> usize {
        self.idle.len()
    }

    fn map(&mut self) -> Option<DefaultStack> {
        match DefaultStack::new(self.size) {
            Ok(stack) => {
                self.short = false;
                Some(stack)
            }
            Err(error) => {
                // Once per shortage: under load this would be a line per request.
                if !self.short {
                    log::error!(
                        "no stack of {} bytes for a handler: {error}; too little memory, or too \
                         many mappings for vm.max_map_count (a stack takes two)",
                        self.size,
                    );
                }
                self.short = true;
                None
            }
        }
    }
}

impl Stacks for StackPool {
    type Stack = DefaultStack;

    fn take(&mut self) -> Option<DefaultStack> {
        self.idle.take().or_else(|| self.map())
    }

    fn give(&mut self, stack: DefaultStack) {
        self.idle.give(stack);
    }

    fn free_unneeded(&mut self) -> usize {
        drop(self.idle.surplus());
        self.idle.len()
    }
}

impl fmt::Debug for StackPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackPool")
            .field("size", &self.size)
            .field("idle", &self.idle.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corosensei::stack::Stack as _;
    use corosensei::{Coroutine, CoroutineResult};

    #[test]
    fn the_stack_given_back_last_is_taken_first() {
        let mut pool = StackPool::new(16 * 1024, 4);
        let (one, two) = (pool.take().unwrap(), pool.take().unwrap());
        let base_of_two = two.base();
        assert_ne!(one.base(), base_of_two);
        pool.give(one);
        pool.give(two);
        assert_eq!(pool.idle(), 2);
        assert_eq!(pool.take().unwrap().base(), base_of_two);
        assert_eq!(pool.idle(), 1);
    }

    #[test]
    fn no_more_stacks_are_kept_than_was_said() {
        let mut pool = StackPool::new(16 * 1024, 2);
        let burst: Vec<_> = (0..5).map(|_| pool.take().unwrap()).collect();
        for stack in burst {
            pool.give(stack);
        }
        assert_eq!(pool.idle(), 2);
    }

    #[test]
    fn stacks_of_a_burst_are_unmapped_when_nobody_needs_them() {
        let mut pool = StackPool::new(16 * 1024, 8);
        let burst: Vec<_> = (0..5).map(|_| pool.take().unwrap()).collect();
        burst.into_iter().for_each(|stack| pool.give(stack));
        assert_eq!(pool.free_unneeded(), 5, "they have just come back");
        let stack = pool.take().unwrap();
        pool.give(stack);
        assert_eq!(pool.free_unneeded(), 1);
        assert_eq!(pool.free_unneeded(), 0);
    }

    #[test]
    fn a_stack_is_as_large_as_was_asked_and_a_coroutine_runs_on_it_twice() {
        let mut pool = StackPool::new(64 * 1024, 1);
        for _ in 0..2 {
            let stack = pool.take().unwrap();
            assert!(stack.base().get() - stack.limit().get() >= 64 * 1024);
            let mut task = Coroutine::with_stack(stack, |yielder, first: u32| {
                let room = core::hint::black_box([first as u8; 16 * 1024]);
                yielder.suspend(room.iter().map(|&byte| u32::from(byte)).sum::<u32>())
            });
            assert_eq!(task.resume(1).as_yield(), Some(16 * 1024));
            assert!(matches!(task.resume(7), CoroutineResult::Return(7)));
            pool.give(task.into_stack());
        }
        assert_eq!(pool.idle(), 1);
    }

    #[test]
    fn a_stack_that_cannot_be_had_is_none_and_the_pool_goes_on() {
        // More than the address space has, less than would overflow.
        let mut pool = StackPool::new(usize::MAX / 2, 1);
        assert!(pool.take().is_none());
        assert!(pool.short);
        pool.size = 16 * 1024;
        assert!(pool.take().is_some());
        assert!(!pool.short);
    }
}
