//! What several test programs share. Each names the modules it needs.

pub(crate) mod lab;
