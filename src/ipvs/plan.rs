//! plan

use super::{Op, Table, Target};

/// Plans.
pub fn plan(_observed: &Table, _target: &Target) -> Vec<Op> {
    Vec::new()
}
