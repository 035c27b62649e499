//! What an HTTP check asks and expects beyond what ldirectord's can.

use std::{fmt, ops::RangeInclusive};

use super::Secret;
use crate::pattern::Pattern;

/// The method of an HTTP request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum HttpMethod {
    /// GET.
    #[default]
    Get,
    /// HEAD: the answer has no body, so a `receive` pattern never matches.
    Head,
    /// OPTIONS.
    Options,
    /// POST.
    Post,
    /// PUT.
    Put,
}

impl fmt::Display for HttpMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HttpMethod::Get => "GET",
            HttpMethod::Head => "HEAD",
            HttpMethod::Options => "OPTIONS",
            HttpMethod::Post => "POST",
            HttpMethod::Put => "PUT",
        })
    }
}

/// What an HTTP check asks and expects where the file says more than ldirectord knows; the default is ldirectord's check.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpSettings {
    /// The header fields to send besides our own, no name twice (`requestheader`).
    pub headers: Vec<HttpHeader>,
    /// The body to send; empty is none (`requestbody`).
    pub body: Secret,
    /// The statuses of a good answer, sorted; empty stands for all of 2xx (`expectstatus`).
    pub statuses: Vec<RangeInclusive<u16>>,
    /// The fields that the header of a good answer has, and what is found in each (`expectheader`).
    pub expected_headers: Vec<(String, Pattern)>,
    /// How much of a body is looked at, in bytes (`maxbody`).
    pub max_body: u32,
    /// Whether the connection is kept for the next attempt (`httpkeepalive`).
    pub keep_alive: bool,
}

impl Default for HttpSettings {
    fn default() -> HttpSettings {
        HttpSettings {
            headers: Vec::new(),
            body: Secret::default(),
            statuses: Vec::new(),
            expected_headers: Vec::new(),
            max_body: 1024 * 1024,
            keep_alive: false,
        }
    }
}

/// A field of a request's header. The value may be one that nobody should read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpHeader {
    /// The name as written.
    pub name: String,
    /// The value, without blanks around it.
    pub value: Secret,
}
