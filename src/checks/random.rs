//! Random bytes, so that nobody can answer who has not heard the question.

use super::failure;
use crate::model::{Failure, Reason};

/// This many bytes that nobody can foresee.
pub(super) fn bytes<const COUNT: usize>() -> Result<[u8; COUNT], Failure> {
    let mut bytes = [0; COUNT];
    openssl::rand::rand_bytes(&mut bytes)
        .map_err(|error| failure(Reason::Internal, format!("no random numbers: {error}")))?;
    Ok(bytes)
}
