//! Random bytes, so that nobody can answer who has not heard the question.

use super::failure;
use crate::model::{Failure, Reason};

/// This many bytes that nobody can foresee.
pub(super) fn bytes<const COUNT: usize>() -> Result<[u8; COUNT], Failure> {
    #[cfg(any(test, fuzzing))]
    if FORESEEN.get() {
        return Ok([b'F'; COUNT]);
    }
    let mut bytes = [0; COUNT];
    openssl::rand::rand_bytes(&mut bytes)
        .map_err(|error| failure(Reason::Internal, format!("no random numbers: {error}")))?;
    Ok(bytes)
}

#[cfg(any(test, fuzzing))]
thread_local! {
    static FORESEEN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether this thread's bytes are always the same, so that what is made of them is.
#[cfg(any(test, fuzzing))]
pub(super) fn foresee(foreseen: bool) {
    FORESEEN.set(foreseen);
}
