//! [`Said`]: where directives stand, for what can be judged only when all of them are known.

use std::ops::Range;

use super::{
    directives::{Directive, Scope},
    value::Value,
};

/// The directives of a virtual service, or of all that is outside of them, in the order of the file.
///
/// Those are left out that begin something, and real servers.
#[derive(Default)]
pub(super) struct Said(Vec<Mention>);

/// A directive, and where it stands.
pub(super) struct Mention {
    pub(super) name: &'static str,
    /// Whether each of several counts.
    pub(super) repeats: bool,
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
}

impl Said {
    pub(super) fn note(&mut self, value: &Value<'_>) {
        let directive: &Directive = value.directive;
        let Directive { name, repeats, .. } = *directive;
        if !matches!(name, "real" | "real6") && directive.scope != Scope::Opening {
            let (key, span) = (value.key.clone(), value.span());
            self.0.push(Mention { name, repeats, key, value: span });
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Mention> {
        self.0.iter()
    }

    /// Where the value of a directive stands that counts, which is the last one.
    pub(super) fn value(&self, name: &str) -> Option<Range<usize>> {
        let last = self.0.iter().rfind(|mention| mention.name == name);
        last.map(|mention| mention.value.clone())
    }
}
