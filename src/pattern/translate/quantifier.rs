//! Quantifiers.

use super::{Atom, Dialect, MOST_REPEATS, PatternError, Translator, fault};
use crate::pattern::class::ByteSet;

impl Translator<'_> {
    /// Refuses a quantifier that has nothing before it.
    pub(super) fn no_quantifier(&mut self) -> Result<(), PatternError> {
        self.skip_blank();
        match self.peek() {
            Some(b'*' | b'+' | b'?') => Err(fault(self.at, "a quantifier follows nothing")),
            // Braces there are literal, as Perl has them.
            _ => Ok(()),
        }
    }

    /// The least and the most repeats, and the length, of the quantifier that is next.
    pub(super) fn peek_quantifier(&self) -> Option<(u32, Option<u32>, usize)> {
        match self.peek()? {
            b'*' => Some((0, None, 1)),
            b'+' => Some((1, None, 1)),
            b'?' => Some((0, Some(1), 1)),
            b'{' => self.braces(self.at),
            _ => None,
        }
    }

    /// The quantifier in braces at this place. Braces with anything else in them are literal.
    pub(super) fn braces(&self, at: usize) -> Option<(u32, Option<u32>, usize)> {
        let text = self.source.get(at..)?;
        let length = text.iter().position(|byte| *byte == b'}')?;
        let inner = std::str::from_utf8(text.get(1..length)?).ok()?;
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| is_number(text).then(|| text.parse().unwrap_or(u32::MAX));
        let blank = [' ', '\t'];
        let (least, most) = match inner.split_once(',') {
            None => {
                let count = number(inner.trim_matches(blank))?;
                (count, Some(count))
            }
            Some((least, most)) => match (least.trim_matches(blank), most.trim_matches(blank)) {
                ("", "") => return None,
                ("", most) => (0, Some(number(most)?)),
                (least, "") => (number(least)?, None),
                (least, most) => (number(least)?, Some(number(most)?)),
            },
        };
        Some((least, most, length.checked_add(1)?))
    }

    /// Reads the quantifier of what was just written, if it has one.
    pub(super) fn quantifier(&mut self, atom: Atom) -> Result<(), PatternError> {
        self.skip_blank();
        let Some((least, most, length)) = self.peek_quantifier() else { return Ok(()) };
        let at = self.at;
        if least.max(most.unwrap_or(0)) > MOST_REPEATS {
            return Err(fault(at, "the number in a quantifier is too large"));
        }
        self.at = self.at.saturating_add(length);
        let kind = match self.peek() {
            Some(b'?') => "?",
            Some(b'+') => "+",
            _ => "",
        };
        self.at = self.at.saturating_add(kind.len());
        self.skip_blank();
        if self.peek_quantifier().is_some() {
            return Err(fault(self.at, "a quantifier follows a quantifier"));
        }
        if self.frame.ends_in_dollar && most != Some(1) {
            self.backtracks = true;
        }
        if most.is_some_and(|most| most < least) {
            // Matches never; the atom stays for the sake of the groups in it.
            self.out.insert_str(atom.start, &format!("(?:{}", ByteSet::EMPTY));
            self.out.push(')');
        } else if atom.is_empty {
            // Once is as good as often.
            if least == 0 {
                self.out.insert_str(atom.start, "(?:");
                self.out.push_str("|)");
            }
        } else {
            let text = match (least, most) {
                (0, None) => "*".to_owned(),
                (1, None) => "+".to_owned(),
                (0, Some(1)) => "?".to_owned(),
                (least, None) => format!("{{{least},}}"),
                (least, Some(most)) if least == most => format!("{{{least}}}"),
                (least, Some(most)) => format!("{{{least},{most}}}"),
            };
            self.out.push_str(&text);
            if kind != "+" || self.dialect != Dialect::Relaxed {
                self.out.push_str(kind);
            }
            self.backtracks |= kind == "+";
        }
        Ok(())
    }
}
