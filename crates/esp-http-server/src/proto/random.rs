//! Numbers for tests that mutate their input: the same ones in every run.

/// How many inputs a test mutates; Miri is slow.
pub(crate) const ROUNDS: usize = if cfg!(miri) { 20 } else { 3_000 };

/// A source of numbers below a bound that is given with each call (xorshift).
pub(crate) fn numbers() -> impl FnMut(usize) -> usize {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % below
    }
}
