//! A row of the table of directives in the words of a manual: from these are made what `explain` says, the manual page
//! ldirectord.cf(5), and ldirectord.cf.example.

use super::directives::{Directive, Scope, ValueKind};

impl ValueKind {
    /// What is written after the `=`; capitals stand for what is to be filled in.
    pub fn grammar(self) -> String {
        match self {
            ValueKind::YesNo => "yes | no".to_owned(),
            ValueKind::Duration => "TIME".to_owned(),
            ValueKind::Count => "NUMBER".to_owned(),
            ValueKind::Word(words) => words.join(" | "),
            ValueKind::Words(words) => format!("list of {}", words.join(", ")),
            ValueKind::Quoted => "\"TEXT\"".to_owned(),
            ValueKind::Text => "TEXT or \"TEXT\"".to_owned(),
            ValueKind::Rest => "TEXT".to_owned(),
            ValueKind::Special(grammar) => grammar.to_owned(),
        }
    }

    /// The unit of a number that has one.
    pub fn unit(self) -> Option<&'static str> {
        (self == ValueKind::Duration)
            .then_some("seconds, or right behind the number: ms, s, m or h")
    }
}

impl Directive {
    /// The whole line: `checktimeout = TIME`.
    pub fn syntax(&self) -> String {
        format!("{} = {}", self.name, self.value.grammar())
    }

    /// Whether every value is refused, and the name only known for that.
    pub fn is_gone(&self) -> bool {
        self.example.is_empty()
    }

    /// Where it may stand.
    pub fn place(&self) -> &'static str {
        match self.scope {
            Scope::Global => "in the first column, outside of every virtual service",
            Scope::Virtual => "in a virtual service",
            Scope::Both => "in the first column for all services, or in one of them",
            Scope::Opening => "in the first column, where it begins a virtual service",
        }
    }

    /// Whose word counts for a virtual service; nothing for what begins one.
    pub fn inheritance(&self) -> &'static str {
        match self.scope {
            _ if !self.inherits.is_empty() => self.inherits,
            Scope::Global => "none; it holds for the whole daemon",
            Scope::Opening => "",
            Scope::Virtual => "none; each virtual service has its own",
            Scope::Both => "what the virtual service says, else the global line, else the default",
        }
    }

    /// What ldirectord makes of it, where that is not the same.
    pub fn difference(&self) -> String {
        if self.extension {
            return "refuses the file; this is an extension".to_owned();
        }
        let has_units = self.value == ValueKind::Duration && !self.is_gone();
        let units = has_units.then_some("no units there, 5m is 5 seconds");
        let own = Some(self.differs).filter(|differs| !differs.is_empty());
        units.into_iter().chain(own).collect::<Vec<_>>().join("; ")
    }

    /// What ldirectord prints when the value is wrong, each text once.
    pub fn complaints(&self) -> Vec<&'static str> {
        let mut texts: Vec<&str> = [false, true]
            .into_iter()
            .filter(|in_block| self.fits(*in_block))
            .map(|in_block| self.says(in_block))
            .filter(|text| !text.is_empty())
            .collect();
        texts.dedup();
        texts
    }

    /// Lines that are right, and may stand where it may.
    pub fn examples(&self) -> Vec<String> {
        let values = [self.global_example, Some(self.example).filter(|value| !value.is_empty())];
        values.into_iter().flatten().map(|value| format!("{} = {value}", self.name)).collect()
    }
}

/// The first sentence of a paragraph, for lists.
pub fn first_sentence(paragraph: &str) -> &str {
    let end = paragraph.find(". ").map_or(paragraph.len(), |stop| stop + 1);
    paragraph.get(..end).unwrap_or(paragraph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::directives::DIRECTIVES;

    fn row(name: &str) -> &'static Directive {
        Directive::find(name.as_bytes()).unwrap()
    }

    #[test]
    fn a_row_says_where_it_stands_and_whose_word_counts() {
        let timeout = row("checktimeout");
        assert_eq!(timeout.syntax(), "checktimeout = TIME");
        assert!(timeout.value.unit().is_some_and(|unit| unit.starts_with("seconds")));
        assert!(timeout.inheritance().contains("the global negotiatetimeout"));
        assert_eq!(timeout.complaints(), ["invalid check timeout value", "invalid check timeout"]);
        let quiescent = row("quiescent");
        assert!(quiescent.inheritance().contains("else the global line"));
        assert_eq!(quiescent.examples(), ["quiescent = yes"]);
        assert_eq!(quiescent.value.unit(), None);
        assert!(row("include").difference().contains("refuses"));
        assert_eq!(row("credentials").examples().len(), 2);
    }

    #[test]
    fn units_stand_in_no_range_and_only_what_is_gone_has_no_example() {
        for directive in DIRECTIVES {
            let in_words = directive.range.contains("second");
            assert!(!in_words, "{}: {}", directive.name, directive.range);
            let gone = ["connecttimeout", "timeout"].contains(&directive.name);
            assert_eq!(directive.is_gone(), gone, "{}", directive.name);
        }
    }
}
