//! What tests of parsers share: numbers to mutate their input with, the same ones in every run, where
//! to cut it, and how much there is of it. With Miri, which is thousands of times slower, it is less.

/// How many inputs a test mutates.
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

/// How many of something a test takes that is about many.
pub(crate) const fn many(count: usize) -> usize {
    if cfg!(miri) { count / 50 } else { count }
}

/// Where a test cuts an input of so many bytes: everywhere, or in its middle.
pub(crate) fn cuts(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(if cfg!(miri) { len / 2 + 1 } else { 1 })
}

/// Where pieces of an input of so many bytes end that drips in: at every byte, or at a few.
pub(crate) fn drips(len: usize) -> impl Iterator<Item = usize> {
    (0..len).step_by(if cfg!(miri) { len / 5 + 1 } else { 1 }).chain([len])
}
