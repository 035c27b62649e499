//! Perl's dialect to the common one of our engines.
//!
//! Flags, comments, classes, escapes, names and the like are worked out here. What is left has one meaning
//! everywhere: literal bytes, classes of bytes, groups, alternatives, quantifiers, `\A`, `\z`, `\b`, `\B`, and for the
//! backtracking engine look-around, atomic groups, possessive quantifiers, conditions and numbered back-references.
//! Sources: perlre(1), perlrecharclass(1), perlrebackslash(1) of Perl 5.36; tests compare with the real one.

mod escape;
mod group;
mod quantifier;

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
    /// `regex`, for a pattern that is found wherever the true one is, and maybe elsewhere.
    Relaxed,
}

/// A pattern for an engine.
#[derive(Debug)]
pub(super) struct Translation {
    /// For the linear engine if that can be, else for the backtracking one.
    pub(super) text: String,
    /// Where backtracking is worth while: what the true pattern matches begins as something that this matches.
    pub(super) relaxed: Option<String>,
}

/// Translates a pattern.
pub(super) fn translate(source: &[u8]) -> Result<Translation, PatternError> {
    // What a reference refers to is known only at the end, so the first round is for the groups.
    let first = Translator::run(source, Dialect::Linear, None)?;
    let groups = Some(&first.groups);
    let second = Translator::run(source, Dialect::Linear, groups)?;
    match second.backtracks {
        false => Ok(Translation { text: second.out, relaxed: None }),
        true => {
            let exact = Translator::run(source, Dialect::Backtracking, groups)?;
            let relaxed = Translator::run(source, Dialect::Relaxed, groups)?;
            Ok(Translation { text: exact.out, relaxed: Some(relaxed.out) })
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
            Dialect::Relaxed => "(?m:$)",
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
            (Dialect::Linear, true) | (Dialect::Relaxed, _) => self.write_place("(?m:^)"),
            _ => {
                self.backtracks = true;
                self.write_place(r"(?:\A|(?<=\x0a)(?!\z))")
            }
        }
    }

    /// Writes an atomic group.
    fn write_atomic(&mut self, text: &str) -> Result<(), PatternError> {
        self.backtracks = true;
        let start = if self.dialect == Dialect::Relaxed { "(?:" } else { "(?>" };
        self.write(&format!("{start}{text})"))
    }

    fn write_reference(&mut self, number: u32) -> Result<(), PatternError> {
        self.backtracks = true;
        if self.known.is_some_and(|known| known.reset) {
            return Err(fault(self.at, "references in a pattern with (?|…) are not supported"));
        }
        match (self.dialect, self.flags.any_case) {
            (Dialect::Relaxed, _) => self.write(r"(?:[\x00-\xff]*)"),
            (_, true) => self.write(&format!(r"(?i:\{number})")),
            (_, false) => self.write(&format!(r"(?:\{number})")),
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
}

fn fault(at: usize, message: &str) -> PatternError {
    PatternError { message: message.to_owned(), at: Some(at) }
}
