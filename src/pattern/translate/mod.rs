//! Perl's dialect to the common one of our engines.
//!
//! Flags, comments, classes, escapes, names and the like are worked out here. What is left has one meaning
//! everywhere: literal bytes, classes of bytes, groups, alternatives, quantifiers, `\A`, `\z`, `\b`, `\B`, and for the
//! backtracking engine look-around, atomic groups, possessive quantifiers, conditions and numbered back-references.
//! Sources: perlre(1), perlrecharclass(1), perlrebackslash(1) of Perl 5.36; tests compare with the real one.

use super::{PatternError, class::ByteSet};

/// The largest number in a quantifier, as Perl has it.
const MOST_REPEATS: u32 = 65_534;

/// The deepest nesting of groups, so that no engine runs out of stack.
const DEEPEST: usize = 200;

/// Which engine a translation is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialect {
    /// `regex`.
    Linear,
    /// `fancy-regex`.
    Backtracking,
}

/// A pattern for an engine.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) text: String,
    pub(super) dialect: Dialect,
}

/// Translates a pattern, for the linear engine if that can be.
pub(super) fn translate(source: &[u8]) -> Result<Translation, PatternError> {
    // What a reference refers to is known only at the end, so the first round is for the groups.
    let first = Translator::run(source, Dialect::Linear, None)?;
    let groups = Some(&first.groups);
    let second = Translator::run(source, Dialect::Linear, groups)?;
    match second.backtracks {
        false => Ok(Translation { text: second.out, dialect: Dialect::Linear }),
        true => {
            let third = Translator::run(source, Dialect::Backtracking, groups)?;
            Ok(Translation { text: third.out, dialect: Dialect::Backtracking })
        }
    }
}

/// What `(?imsxn)` set.
#[derive(Clone, Copy, Default)]
struct Flags {
    any_case: bool,
    multi_line: bool,
    dot_is_all: bool,
    extended: bool,
    extended_classes: bool,
    no_captures: bool,
}

/// The groups that capture, in order, with their names.
#[derive(Clone, Default)]
struct Groups {
    names: Vec<Option<Vec<u8>>>,
    /// Whether `(?|…)` numbers some of them otherwise than we do.
    reset: bool,
}

/// A group, or the whole pattern.
#[derive(Clone, Default)]
struct Frame {
    /// Where it begins.
    at: usize,
    /// Where its translation begins.
    start: usize,
    /// The flags that hold again after it.
    flags: Flags,
    /// Whether it matches nothing by itself, as look-around does.
    is_empty: bool,
    /// Whether something in it matches more than a place.
    has_width: bool,
    /// Whether the branch so far ends in `$`, and whether an earlier one did.
    /// A `$` may swallow the last line feed only if nothing stands after it.
    ends_in_dollar: bool,
    earlier_ends_in_dollar: bool,
}

/// What stands before a quantifier.
#[derive(Clone, Copy)]
struct Atom {
    /// Where its translation begins.
    start: usize,
    /// Whether it matches nothing by itself.
    is_empty: bool,
}

/// What an escape stands for.
enum Escaped {
    /// A byte, or a character that no byte is.
    Character(u32),
    Set(ByteSet),
}

struct Translator<'a> {
    source: &'a [u8],
    at: usize,
    out: String,
    dialect: Dialect,
    /// Whether only the backtracking engine can do it.
    backtracks: bool,
    flags: Flags,
    frames: Vec<Frame>,
    frame: Frame,
    groups: Groups,
    /// What an earlier round found out of the groups.
    known: Option<&'a Groups>,
}

impl<'a> Translator<'a> {
    fn run(
        source: &'a [u8],
        dialect: Dialect,
        known: Option<&'a Groups>,
    ) -> Result<Translator<'a>, PatternError> {
        let mut translator = Translator {
            source,
            at: 0,
            out: String::new(),
            dialect,
            backtracks: false,
            flags: Flags::default(),
            frames: Vec::new(),
            frame: Frame::default(),
            groups: Groups::default(),
            known,
        };
        while let Some(byte) = translator.next() {
            translator.element(byte)?;
        }
        match translator.frames.is_empty() {
            true => Ok(translator),
            false => Err(fault(translator.frame.at, "the group that begins here has no end")),
        }
    }

    // === Reading ===

    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn rest(&self) -> &'a [u8] {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// Passes over this text if it is next.
    fn eat(&mut self, text: &[u8]) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at = self.at.saturating_add(text.len());
        }
        is_next
    }

    /// What stands before this byte, which is passed over too.
    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let length = self.rest().iter().position(|byte| *byte == end)?;
        let text = self.rest().get(..length)?;
        self.at = self.at.saturating_add(length).saturating_add(1);
        Some(text)
    }

    /// Up to this many digits of a number; nothing when there are none.
    fn digits(&mut self, radix: u32, most: usize) -> Option<u32> {
        let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
        let length = self.rest().iter().take(most).take_while(is_digit).count();
        let text = std::str::from_utf8(self.rest().get(..length)?).ok()?;
        self.at = self.at.saturating_add(length);
        (length > 0).then(|| u32::from_str_radix(text, radix).unwrap_or(u32::MAX))
    }

    /// Passes over what `(?x)` makes blank, and over comments.
    fn skip_blank(&mut self) {
        loop {
            let here = self.at;
            if self.flags.extended {
                match self.peek() {
                    Some(b'\t'..=b'\r' | b' ') => self.at = self.at.saturating_add(1),
                    Some(b'#') if self.until(b'\n').is_none() => self.at = self.source.len(),
                    _ => {}
                }
            }
            if self.rest().starts_with(b"(?#") && self.until(b')').is_none() {
                return;
            }
            if self.at == here {
                return;
            }
        }
    }

    // === Writing ===

    /// Something begins that matches: what a `$` before it would swallow may be needed.
    fn begin(&mut self, is_empty: bool) -> Atom {
        if self.frame.ends_in_dollar {
            self.backtracks = true;
        }
        Atom { start: self.out.len(), is_empty }
    }

    fn write(&mut self, text: &str) -> Result<(), PatternError> {
        let atom = self.begin(false);
        self.frame.has_width = true;
        self.out.push_str(text);
        self.quantifier(atom)
    }

    /// Writes what matches a place and no text.
    fn write_place(&mut self, text: &str) -> Result<(), PatternError> {
        let atom = self.begin(true);
        self.out.push_str(text);
        self.quantifier(atom)
    }

    fn write_set(&mut self, set: ByteSet) -> Result<(), PatternError> {
        let set = if self.flags.any_case { set.any_case() } else { set };
        self.write(&set.to_string())
    }

    fn write_byte(&mut self, byte: u8) -> Result<(), PatternError> {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' if self.flags.any_case => {
                self.write_set(ByteSet::of(|other| other == byte))
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b' ' | b'_' => {
                self.write(char::from(byte).encode_utf8(&mut [0; 4]))
            }
            _ => self.write(&format!(r"\x{byte:02x}")),
        }
    }

    /// The end of the text, or the place before the line feed that ends it.
    fn write_dollar(&mut self) -> Result<(), PatternError> {
        let atom = self.begin(true);
        self.out.push_str(match self.dialect {
            Dialect::Linear => r"(?:\x0a?\z)",
            Dialect::Backtracking => r"(?=\x0a?\z)",
        });
        self.frame.ends_in_dollar = true;
        self.quantifier(atom)
    }

    /// The start of a line. Perl knows no line after the last line feed, and the engines do.
    fn write_line_start(&mut self) -> Result<(), PatternError> {
        let followed = self.rest();
        let is_plain = followed.first().is_some_and(u8::is_ascii_alphanumeric)
            && !followed.get(1).is_some_and(|byte| b"*?{+".contains(byte));
        match (self.dialect, is_plain && !self.flags.extended) {
            (Dialect::Linear, true) => self.write_place("(?m:^)"),
            _ => {
                self.backtracks = true;
                self.write_place(r"(?:\A|(?<=\x0a)(?!\z))")
            }
        }
    }

    fn write_reference(&mut self, number: u32) -> Result<(), PatternError> {
        self.backtracks = true;
        match self.flags.any_case {
            true => self.write(&format!(r"(?i:\{number})")),
            false => self.write(&format!(r"(?:\{number})")),
        }
    }

    // === Elements ===

    fn element(&mut self, byte: u8) -> Result<(), PatternError> {
        let at = self.at.saturating_sub(1);
        match byte {
            b'\\' => self.escape(at),
            b'[' => {
                let set = self.class(at)?;
                self.write(&set.to_string())
            }
            b'(' => self.open(at),
            b')' => self.close(at),
            b'|' => {
                self.out.push('|');
                self.frame.earlier_ends_in_dollar |= self.frame.ends_in_dollar;
                self.frame.ends_in_dollar = false;
                self.no_quantifier()
            }
            b'.' if self.flags.dot_is_all => self.write(&ByteSet::EMPTY.not().to_string()),
            b'.' => self.write(&ByteSet::of(|byte| byte != b'\n').to_string()),
            b'^' if self.flags.multi_line => self.write_line_start(),
            b'^' => self.write_place(r"\A"),
            b'$' if self.flags.multi_line => self.write_place("(?m:$)"),
            b'$' => self.write_dollar(),
            b'*' | b'+' | b'?' => Err(fault(at, "a quantifier follows nothing")),
            b'\t'..=b'\r' | b' ' if self.flags.extended => Ok(()),
            b'#' if self.flags.extended => {
                if self.until(b'\n').is_none() {
                    self.at = self.source.len();
                }
                Ok(())
            }
            _ => self.write_byte(byte),
        }
    }

    /// An escape outside a class; its backslash has been read.
    fn escape(&mut self, at: usize) -> Result<(), PatternError> {
        let Some(letter) = self.next() else {
            return Err(fault(at, "a backslash stands at the end"));
        };
        match letter {
            b'A' | b'G' => self.write_place(r"\A"),
            b'z' => self.write_place(r"\z"),
            b'Z' => self.write_dollar(),
            b'b' | b'B' if self.peek() == Some(b'{') => Err(fault(at, r"\b{…} is not supported")),
            b'b' => self.write_place(r"\b"),
            b'B' => self.write_place(r"\B"),
            // Where a match begins is of no interest.
            b'K' => self.write_place(""),
            b'R' => {
                self.backtracks = true;
                self.write(r"(?>\x0d\x0a|[\x0a-\x0d\x85])")
            }
            b'X' => {
                self.backtracks = true;
                self.write(r"(?>\x0d\x0a|[\x00-\xff])")
            }
            b'p' | b'P' => Err(fault(at, "Unicode properties are not supported")),
            b'1'..=b'9' => {
                self.at = self.at.saturating_sub(1);
                let start = self.at;
                let number = self.digits(10, 9).unwrap_or_default();
                let exists = self.known.is_none_or(|known| {
                    usize::try_from(number).is_ok_and(|it| it <= known.names.len())
                });
                match (exists, number) {
                    (true, _) => self.write_reference(number),
                    (false, ..10) => Err(fault(at, "a reference to a group that does not exist")),
                    (false, _) => {
                        self.at = start;
                        match self.digits(8, 3) {
                            Some(value) => self.write_character(value),
                            // An 8 or a 9 that is no octal digit stands for itself.
                            None => {
                                let byte = self.next().unwrap_or_default();
                                self.write_byte(byte)
                            }
                        }
                    }
                }
            }
            b'g' => {
                let name = match self.peek() {
                    Some(b'{') => {
                        self.at = self.at.saturating_add(1);
                        self.until(b'}').ok_or_else(|| fault(at, r"\g{ has no end"))?
                    }
                    _ => {
                        let start = self.at;
                        let is_part = |(place, byte): &(usize, &u8)| {
                            byte.is_ascii_digit() || (*place == 0 && **byte == b'-')
                        };
                        let length = self.rest().iter().enumerate().take_while(is_part).count();
                        self.at = start.saturating_add(length);
                        self.source.get(start..self.at).unwrap_or_default()
                    }
                };
                self.reference(at, name)
            }
            b'k' => {
                let end = match self.next() {
                    Some(b'<') => b'>',
                    Some(b'\'') => b'\'',
                    Some(b'{') => b'}',
                    _ => return Err(fault(at, r"\k needs a name")),
                };
                let name =
                    self.until(end).ok_or_else(|| fault(at, r"the name after \k has no end"))?;
                self.reference(at, name)
            }
            _ => match self.escaped(at, letter)? {
                Escaped::Character(value) => self.write_character(value),
                Escaped::Set(set) => self.write_set(set),
            },
        }
    }

    fn write_character(&mut self, value: u32) -> Result<(), PatternError> {
        match u8::try_from(value) {
            Ok(byte) => self.write_byte(byte),
            // No byte is such a character.
            Err(_) => self.write(&ByteSet::EMPTY.to_string()),
        }
    }

    /// A reference by number, by number backwards, or by name.
    fn reference(&mut self, at: usize, name: &[u8]) -> Result<(), PatternError> {
        let number = self.number_of(name.trim_ascii());
        match number {
            Some(number) => self.write_reference(number),
            // The first round does not know them all.
            None if self.known.is_none() => self.write_reference(1),
            None => Err(fault(at, "a reference to a group that does not exist")),
        }
    }

    fn number_of(&self, name: &[u8]) -> Option<u32> {
        let known = self.known?;
        let text = std::str::from_utf8(name).ok()?;
        let exists = |number: &usize| (1..=known.names.len()).contains(number);
        let number = match text.strip_prefix('-') {
            Some(back) => self
                .groups
                .names
                .len()
                .checked_add(1)?
                .checked_sub(back.parse::<usize>().ok()?)
                .filter(exists),
            None if text.starts_with(|first: char| first.is_ascii_digit()) => {
                text.parse().ok().filter(exists)
            }
            None => {
                let is_it = |it: &Option<Vec<u8>>| it.as_deref() == Some(name);
                known.names.iter().position(is_it).and_then(|place| place.checked_add(1))
            }
        };
        number.and_then(|number| u32::try_from(number).ok())
    }

    /// An escape that means the same inside a class and outside; its letter has been read.
    fn escaped(&mut self, at: usize, letter: u8) -> Result<Escaped, PatternError> {
        let value = match letter {
            b'a' => 0x07,
            b'e' => 0x1b,
            b'f' => 0x0c,
            b'n' => 0x0a,
            b'r' => 0x0d,
            b't' => 0x09,
            b'0' => {
                self.at = self.at.saturating_sub(1);
                self.digits(8, 3).unwrap_or_default()
            }
            b'c' => match self.next() {
                Some(byte) if byte.is_ascii_graphic() => {
                    u32::from(byte.to_ascii_uppercase() ^ 0x40)
                }
                _ => return Err(fault(at, r"\c needs a character")),
            },
            b'x' if self.eat(b"{") => self.braced(at, 16)?,
            b'x' => self.digits(16, 2).unwrap_or_default(),
            b'o' if self.eat(b"{") => self.braced(at, 8)?,
            b'o' => return Err(fault(at, r"\o needs braces")),
            b'N' if self.eat(b"{U+") => self.braced(at, 16)?,
            b'N' if self.peek() == Some(b'{') && self.braces(self.at).is_none() => {
                return Err(fault(at, "characters by name are not supported"));
            }
            b'N' => return Ok(Escaped::Set(ByteSet::of(|byte| byte != b'\n'))),
            _ => match ByteSet::of_escape(letter) {
                Some(set) => return Ok(Escaped::Set(set)),
                // Perl takes what it does not know for the character itself.
                None => u32::from(letter),
            },
        };
        Ok(Escaped::Character(value))
    }

    /// The number in braces whose opening one has been read.
    fn braced(&mut self, at: usize, radix: u32) -> Result<u32, PatternError> {
        let text =
            self.until(b'}').ok_or_else(|| fault(at, "the brace of an escape has no end"))?;
        let text = String::from_utf8_lossy(text).replace('_', "");
        let digits: String =
            text.trim().chars().take_while(|digit| digit.is_digit(radix)).collect();
        Ok(match digits.as_str() {
            "" => 0,
            digits => u32::from_str_radix(digits, radix).unwrap_or(u32::MAX),
        })
    }

    // === Classes ===

    /// What a class matches; its opening bracket has been read.
    fn class(&mut self, at: usize) -> Result<ByteSet, PatternError> {
        let no_end = || fault(at, "the class that begins here has no end");
        let is_negated = self.eat(b"^");
        let (mut set, mut is_first) = (ByteSet::EMPTY, true);
        loop {
            let place = self.at;
            let byte = self.next().ok_or_else(no_end)?;
            if byte == b']' && !is_first {
                break;
            }
            is_first = false;
            if self.flags.extended_classes && matches!(byte, b' ' | b'\t') {
                continue;
            }
            let low = match self.class_element(place, byte)? {
                Escaped::Set(more) => {
                    set = set.or(more);
                    continue;
                }
                Escaped::Character(low) => low,
            };
            let is_range =
                self.peek() == Some(b'-') && self.rest().get(1).is_some_and(|after| *after != b']');
            let mut high = low;
            if is_range {
                self.at = self.at.saturating_add(1);
                let place = self.at;
                let byte = self.next().ok_or_else(no_end)?;
                match self.class_element(place, byte)? {
                    Escaped::Character(end) if end < low => {
                        return Err(fault(place, "a range that ends before it begins"));
                    }
                    Escaped::Character(end) => high = end,
                    // The hyphen before a set stands for itself.
                    Escaped::Set(more) => set = set.or(more).or(ByteSet::of(|byte| byte == b'-')),
                }
            }
            set = set.or(ByteSet::of(|byte| (low..=high).contains(&u32::from(byte))));
        }
        let set = if self.flags.any_case { set.any_case() } else { set };
        Ok(if is_negated { set.not() } else { set })
    }

    fn class_element(&mut self, at: usize, byte: u8) -> Result<Escaped, PatternError> {
        match byte {
            b'[' if matches!(self.peek(), Some(b':')) => {
                let inner = self.rest().get(1..).unwrap_or_default();
                let Some(length) = inner.windows(2).position(|pair| pair == b":]") else {
                    return Ok(Escaped::Character(u32::from(byte)));
                };
                let name = inner.get(..length).unwrap_or_default();
                let (is_negated, word) =
                    name.strip_prefix(b"^").map_or((false, name), |word| (true, word));
                if !word.iter().all(u8::is_ascii_alphabetic) {
                    return Ok(Escaped::Character(u32::from(byte)));
                }
                let set =
                    ByteSet::of_posix(word).ok_or_else(|| fault(at, "no class has this name"))?;
                self.at = self.at.saturating_add(length).saturating_add(3);
                Ok(Escaped::Set(if is_negated { set.not() } else { set }))
            }
            b'\\' => {
                let letter =
                    self.next().ok_or_else(|| fault(at, "a backslash stands at the end"))?;
                match letter {
                    b'b' => Ok(Escaped::Character(0x08)),
                    b'1'..=b'7' => {
                        self.at = self.at.saturating_sub(1);
                        Ok(Escaped::Character(self.digits(8, 3).unwrap_or_default()))
                    }
                    b'p' | b'P' => Err(fault(at, "Unicode properties are not supported")),
                    b'N' if self.peek() != Some(b'{') => {
                        Err(fault(at, r"\N may not stand in a class"))
                    }
                    _ => self.escaped(at, letter),
                }
            }
            _ => Ok(Escaped::Character(u32::from(byte))),
        }
    }

    // === Groups ===

    /// A group, or what looks like one; its opening bracket has been read.
    fn open(&mut self, at: usize) -> Result<(), PatternError> {
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
                return self.push(at, &format!("(?{text}"), is_empty);
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
        self.push(at, &format!("(?({number})"), false)
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

    fn close(&mut self, at: usize) -> Result<(), PatternError> {
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

    // === Quantifiers ===

    /// Refuses a quantifier that has nothing before it.
    fn no_quantifier(&mut self) -> Result<(), PatternError> {
        self.skip_blank();
        match self.peek() {
            Some(b'*' | b'+' | b'?') => Err(fault(self.at, "a quantifier follows nothing")),
            // Braces there are literal, as Perl has them.
            _ => Ok(()),
        }
    }

    /// The least and the most repeats, and the length, of the quantifier that is next.
    fn peek_quantifier(&self) -> Option<(u32, Option<u32>, usize)> {
        match self.peek()? {
            b'*' => Some((0, None, 1)),
            b'+' => Some((1, None, 1)),
            b'?' => Some((0, Some(1), 1)),
            b'{' => self.braces(self.at),
            _ => None,
        }
    }

    /// The quantifier in braces at this place. Braces with anything else in them are literal.
    fn braces(&self, at: usize) -> Option<(u32, Option<u32>, usize)> {
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
    fn quantifier(&mut self, atom: Atom) -> Result<(), PatternError> {
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
            self.out.push_str(kind);
            self.backtracks |= kind == "+";
        }
        Ok(())
    }
}

fn is_name(name: &[u8]) -> bool {
    let starts_well = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    starts_well && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

fn fault(at: usize, message: &str) -> PatternError {
    PatternError { message: message.to_owned(), at: Some(at) }
}
