//! What the databases have in common: a statement is run once, and the server works when a row comes of it.

use std::{error::Error, time::Duration};

use super::failure;
use crate::model::{Failure, Negotiate, Pass, Reason, Verdict};

/// How much is read of a server, in bytes: its greetings, and rows until the first of them is complete.
pub(super) const LIMIT: u64 = 1024 * 1024;

/// How long the farewell may take, so that the server's log is not full of connections that broke off. Many more rows
/// than one take longer, and are broken off.
pub(super) const FAREWELL: Duration = Duration::from_millis(100);

/// How much is kept of what a server says, in characters.
const WORDS: usize = 200;

/// The statement to run.
pub(super) fn statement(negotiate: &Negotiate) -> Result<&str, Failure> {
    let request = negotiate.request.strip_prefix(b"/").unwrap_or(&negotiate.request);
    let fault = if negotiate.login.is_empty() {
        "there is no `login` to ask the database with"
    } else if request.is_empty() {
        "there is no `request`, the statement to run"
    } else {
        return std::str::from_utf8(request)
            .map_err(|error| failure(Reason::Protocol, format!("`request` is no UTF-8: {error}")));
    };
    Err(failure(Reason::Protocol, fault))
}

/// The verdict on a statement that was run.
pub(super) fn judge(has_row: bool) -> Verdict {
    match has_row {
        true => Ok(Pass { detail: "the statement yields a row".to_owned() }),
        false => Err(failure(Reason::Mismatch, "the statement yields no row")),
    }
}

/// A server's words, or an error's, on one line and not too long.
pub(super) fn words(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .take(WORDS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// An error and what caused it.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
