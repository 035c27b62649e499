//! Groups, look-around, conditions, and the flags that they set.

use super::{Atom, DEEPEST, Dialect, Flags, Frame, PatternError, Translator, fault};

impl Translator<'_> {
    /// A group, or what looks like one; its opening bracket has been read.
    pub(super) fn open(&mut self, at: usize) -> Result<(), PatternError> {
        if self.peek() == Some(b'*') {
            return Err(fault(at, "backtracking verbs are not supported"));
        }
        if !self.eat(b"?") {
            return match self.flags.no_captures {
                true => self.push(at, "(?:", false),
                false => self.push_capture(at, None),
            };
        }
        if self.eat(b"#") {
            return match self.until(b')') {
                Some(_) => Ok(()),
                None => Err(fault(at, "the comment that begins here has no end")),
            };
        }
        for (text, is_empty) in [("=", true), ("!", true), ("<=", true), ("<!", true), (">", false)]
        {
            if self.eat(text.as_bytes()) {
                self.backtracks = true;
                return match (self.dialect, is_empty) {
                    (Dialect::Relaxed, true) => self.push(at, "(?:|", true),
                    (Dialect::Relaxed, false) => self.push(at, "(?:", false),
                    _ => self.push(at, &format!("(?{text}"), is_empty),
                };
            }
        }
        if self.eat(b"|") {
            self.groups.reset = true;
            return self.push(at, "(?:", false);
        }
        for (start, end) in [(b"<".as_slice(), b'>'), (b"P<", b'>'), (b"'", b'\'')] {
            if self.eat(start) {
                let name = self.until(end).filter(|name| is_name(name));
                let name =
                    name.ok_or_else(|| fault(at, "the group that begins here has no valid name"))?;
                return self.push_capture(at, Some(name.to_owned()));
            }
        }
        if self.eat(b"P=") {
            let name = self.until(b')').ok_or_else(|| fault(at, "the reference has no end"))?;
            return self.reference(at, name);
        }
        if self.eat(b"(") {
            return self.open_condition(at);
        }
        match (self.peek(), self.rest().get(1)) {
            (Some(b'{' | b'?' | b'p'), _) => Err(fault(at, "code may not stand in this pattern")),
            (Some(b'R' | b'&' | b'P' | b'+' | b'0'..=b'9'), _)
            | (Some(b'-'), Some(b'0'..=b'9')) => Err(fault(at, "recursion is not supported")),
            _ => self.open_flags(at),
        }
    }

    /// `(?(1)yes|no)`; its second bracket has been read.
    fn open_condition(&mut self, at: usize) -> Result<(), PatternError> {
        let condition = self.until(b')').ok_or_else(|| fault(at, "the condition has no end"))?;
        let name = match condition {
            [b'<', name @ .., b'>'] | [b'\'', name @ .., b'\''] => name,
            _ if condition.iter().all(u8::is_ascii_digit) => condition,
            _ => return Err(fault(at, "this condition is not supported")),
        };
        let number = match self.number_of(name) {
            Some(number) => number,
            None if self.known.is_none() => 1,
            None => {
                return Err(fault(
                    at,
                    "a condition on a group that does not exist is not supported",
                ));
            }
        };
        self.backtracks = true;
        match self.dialect {
            Dialect::Relaxed => self.push(at, "(?:|", false),
            _ => self.push(at, &format!("(?({number})"), false),
        }
    }

    /// `(?i)` and `(?i:…)`.
    fn open_flags(&mut self, at: usize) -> Result<(), PatternError> {
        let mut flags = self.flags;
        if self.eat(b"^") {
            flags = Flags::default();
        }
        let mut value = true;
        loop {
            match self.next() {
                Some(b'i') => flags.any_case = value,
                Some(b'm') => flags.multi_line = value,
                Some(b's') => flags.dot_is_all = value,
                Some(b'n') => flags.no_captures = value,
                Some(b'x') => {
                    flags.extended = value;
                    flags.extended_classes = value && self.eat(b"x");
                }
                // Character sets, of which the text has none; and what only matters elsewhere.
                Some(b'a' | b'd' | b'l' | b'u' | b'p') => {}
                Some(b'-') if value => value = false,
                Some(b')') => {
                    self.flags = flags;
                    return self.no_quantifier();
                }
                Some(b':') => {
                    self.push(at, "(?:", false)?;
                    self.flags = flags;
                    return Ok(());
                }
                Some(_) => return Err(fault(at, "a group of a kind that is not known")),
                None => return Err(fault(at, "the group that begins here has no end")),
            }
        }
    }

    fn push_capture(&mut self, at: usize, name: Option<Vec<u8>>) -> Result<(), PatternError> {
        self.groups.names.push(name);
        self.push(at, "(", false)
    }

    fn push(&mut self, at: usize, text: &str, is_empty: bool) -> Result<(), PatternError> {
        if self.frames.len() >= DEEPEST {
            return Err(fault(at, "groups are nested too deeply"));
        }
        self.begin(is_empty);
        let frame =
            Frame { at, start: self.out.len(), flags: self.flags, is_empty, ..Frame::default() };
        self.out.push_str(text);
        let outer = std::mem::replace(&mut self.frame, frame);
        self.frames.push(outer);
        self.no_quantifier()
    }

    pub(super) fn close(&mut self, at: usize) -> Result<(), PatternError> {
        let Some(outer) = self.frames.pop() else {
            return Err(fault(at, "this bracket closes nothing"));
        };
        let inner = std::mem::replace(&mut self.frame, outer);
        self.flags = inner.flags;
        self.out.push(')');
        self.frame.ends_in_dollar |= inner.ends_in_dollar || inner.earlier_ends_in_dollar;
        let is_empty = inner.is_empty || !inner.has_width;
        self.frame.has_width |= !is_empty;
        self.quantifier(Atom { start: inner.start, is_empty })
    }
}

fn is_name(name: &[u8]) -> bool {
    let starts_well = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    starts_well && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}
