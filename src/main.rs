//! `ldirectord`: hands the words of the command line to [`ldirectord::cli`] and ends with its code.

use std::env;

use ldirectord::cli::{self, Exit};

fn main() -> Exit {
    cli::run(env::args_os())
}
