//! Escapes outside classes, and classes.

use super::{PatternError, Translator, fault};
use crate::pattern::class::ByteSet;

/// What an escape stands for.
enum Escaped {
    /// A byte, or a character that no byte is.
    Character(u32),
    Set(ByteSet),
}

impl Translator<'_> {
    /// An escape outside a class; its backslash has been read.
    pub(super) fn escape(&mut self, at: usize) -> Result<(), PatternError> {
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
            b'R' => self.write_atomic(r"\x0d\x0a|[\x0a-\x0d\x85]"),
            b'X' => self.write_atomic(r"\x0d\x0a|[\x00-\xff]"),
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

    pub(super) fn write_character(&mut self, value: u32) -> Result<(), PatternError> {
        match u8::try_from(value) {
            Ok(byte) => self.write_byte(byte),
            // No byte is such a character.
            Err(_) => self.write(&ByteSet::EMPTY.to_string()),
        }
    }

    /// A reference by number, by number backwards, or by name.
    pub(super) fn reference(&mut self, at: usize, name: &[u8]) -> Result<(), PatternError> {
        let number = self.number_of(name.trim_ascii());
        match number {
            Some(number) => self.write_reference(number),
            // The first round does not know them all.
            None if self.known.is_none() => self.write_reference(1),
            None => Err(fault(at, "a reference to a group that does not exist")),
        }
    }

    pub(super) fn number_of(&self, name: &[u8]) -> Option<u32> {
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
    pub(super) fn class(&mut self, at: usize) -> Result<ByteSet, PatternError> {
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
}
