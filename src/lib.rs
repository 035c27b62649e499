//! ldirectord.
