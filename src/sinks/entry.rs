//! An event of the log on its way to the writer: its sentence and its fields.
//!
//! In goes a `tracing` event, out come an [`Entry`] and, for programs, its JSON. The names of fields are fixed in this
//! crate's events (`service`, `server`, `reason`…); nobody needs to take a sentence apart to have them.

use std::fmt;

use jiff::{Timestamp, Zoned};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;
use tracing::{
    Level,
    field::{Field, Visit},
};

use super::log::Author;

/// The field of an event that is its sentence.
const MESSAGE: &str = "message";

/// What is written.
#[derive(Debug)]
pub(super) struct Entry {
    /// When it happened.
    pub(super) when: Timestamp,
    /// How it was marked.
    pub(super) level: Level,
    /// What happened, for people; may have several lines.
    pub(super) text: String,
    /// The same for programs.
    pub(super) fields: Fields,
}

impl Entry {
    /// That so many lines were lost, and why.
    pub(super) fn of_lost(when: Timestamp, lost: usize, why: &str) -> Entry {
        Entry {
            when,
            level: Level::WARN,
            text: format!("{lost} log lines were dropped because {why}"),
            fields: Fields(vec![("event", "lines-lost".into()), ("count", lost.into())]),
        }
    }
}

/// Facts by their names, in the order in which the event has them.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// Each with its name; a text without quotes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.iter().map(|(name, value)| match value {
            Value::String(text) => (*name, text.clone()),
            other => (*name, other.to_string()),
        })
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Takes an event apart.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Its sentence.
    pub(super) text: String,
    /// Everything else.
    pub(super) fields: Fields,
}

impl Parts {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.0.push((field.name(), value.into()));
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            self.text = format!("{value:?}");
        } else {
            self.put(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            value.clone_into(&mut self.text);
        } else {
            self.put(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

/// The word of a level, as programs read it.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// A date with its offset from UTC, as RFC 3339 has it, in microseconds.
pub(super) fn date(when: &Zoned) -> String {
    when.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string()
}

/// As much of a text as so many bytes hold.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// An object, and the end of the line.
pub(super) fn json(entry: &Entry, when: &Zoned, author: &Author) -> String {
    #[derive(Serialize)]
    struct Object<'a> {
        time: String,
        level: &'static str,
        message: &'a str,
        configuration: &'a str,
        pid: u32,
        #[serde(flatten)]
        fields: &'a Fields,
    }
    let object = Object {
        time: date(when),
        level: word(entry.level),
        message: &entry.text,
        configuration: &author.name,
        pid: author.pid,
        fields: &entry.fields,
    };
    // Texts and numbers can always be written; a name that were there twice would be, too.
    let mut line = serde_json::to_string(&object).unwrap_or_default();
    line.push('\n');
    line
}
