//! [`Value`]: what stands after the `=`, and the shapes that it may have.
//!
//! Each method reads one shape, as loosely or strictly as ldirectord does, and says what is wrong with it.
//! A fault gives `None`, and the directive then is as if it were not there, so that reading can go on.
//!
//! Differs from ldirectord: what makes it refuse a value and does no harm (blanks, a comment or a carriage return
//! behind `yes`, a `#` inside of quotes) gives a warning.

use std::{borrow::Cow, ops::Range, time::Duration};

use super::{
    diagnostic::{Diagnostic, Findings},
    directives::Directive,
    secret::{HIDDEN, masked},
    syntax::Line,
};

/// What stands after the `=` of a directive.
pub(super) struct Value<'a> {
    /// The row of the directive.
    pub(super) directive: &'static Directive,
    /// The value; in a block every tab is four blanks, as ldirectord has it.
    pub(super) text: Cow<'a, [u8]>,
    /// The value as it stands in the file.
    pub(super) written: &'a [u8],
    /// The comment behind it.
    pub(super) tail: &'a [u8],
    /// Where the value begins in the file.
    pub(super) start: usize,
    /// Where the directive's name stands in the file.
    pub(super) key: Range<usize>,
    /// Whether it is said of a virtual service.
    pub(super) in_block: bool,
    /// Whether the line ends the way of Windows.
    pub(super) carriage_return: bool,
    /// The whole line, for ldirectord's `Unknown command`.
    pub(super) line: &'a Line<'a>,
}

/// The first run of digits in a value.
pub(super) struct Digits {
    /// The number; the largest there is when it is larger.
    pub(super) number: u32,
    /// Whether the number is 0 though the digits are not just `0`.
    pub(super) odd_zero: bool,
    /// Whether the digits are just `0`.
    pub(super) zero: bool,
}

/// A unit of time.
struct Unit {
    name: &'static str,
    plural: &'static str,
    ms: u64,
}

const UNITS: &[Unit] = &[
    Unit { name: "ms", plural: "milliseconds", ms: 1 },
    Unit { name: "s", plural: "seconds", ms: 1000 },
    Unit { name: "m", plural: "minutes", ms: 60_000 },
    Unit { name: "h", plural: "hours", ms: 3_600_000 },
];

/// Whether a byte belongs to a word: letters, digits and `_`.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The first place where this many or more bytes in a row satisfy a test.
pub(super) fn first_run(text: &[u8], test: impl Fn(u8) -> bool) -> Option<Range<usize>> {
    let start = text.iter().position(|byte| test(*byte))?;
    let rest = text.get(start..)?;
    let length = rest.iter().position(|byte| !test(*byte)).unwrap_or(rest.len());
    Some(start..start + length)
}

/// The bytes in this place; none when there is no such place.
pub(super) fn slice(text: &[u8], range: Range<usize>) -> &[u8] {
    text.get(range).unwrap_or_default()
}

/// Bytes for a message.
pub(super) fn shown(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}

/// Every tab becomes four blanks.
pub(super) fn without_tabs(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\t') {
        return Cow::Borrowed(text);
    }
    let mut wide = Vec::with_capacity(text.len() + 12);
    for byte in text {
        match byte {
            b'\t' => wide.extend_from_slice(b"    "),
            other => wide.push(*other),
        }
    }
    Cow::Owned(wide)
}

impl Value<'_> {
    /// Where the value stands in the file, without blanks behind it; the name where there is no value.
    pub(super) fn span(&self) -> Range<usize> {
        match self.written.trim_ascii_end().len() {
            0 => self.key.clone(),
            length => self.start..self.start + length,
        }
    }

    /// Where a part of the text stands in the file.
    pub(super) fn part(&self, part: Range<usize>) -> Range<usize> {
        let place = |wanted: usize| {
            let (mut wide, mut narrow) = (0, 0);
            for byte in self.written {
                if wide >= wanted {
                    break;
                }
                wide += if self.in_block && *byte == b'\t' { 4 } else { 1 };
                narrow += 1;
            }
            self.start + narrow
        };
        match part.is_empty() {
            true => self.span(),
            false => place(part.start)..place(part.end),
        }
    }

    /// An error in the words of the directive's row.
    pub(super) fn wrong(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.span(), message).says(self.directive.says(self.in_block))
    }

    /// An error that ldirectord reports as an unknown command.
    pub(super) fn unknown_command(
        &self,
        code: &'static str,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, self.span(), message)
            .says(unknown_command(self.line, self.in_block))
    }

    /// **D**: the first digits anywhere in the value, whatever else there is.
    pub(super) fn digits(&self, findings: &mut Findings) -> Option<Digits> {
        self.digits_with(&[], findings).map(|(digits, _)| digits)
    }

    /// **D**, and the unit right behind the digits.
    fn digits_with(
        &self,
        units: &'static [Unit],
        findings: &mut Findings,
    ) -> Option<(Digits, Option<&'static Unit>)> {
        let name = self.directive.name;
        let Some(run) = first_run(&self.text, |byte| byte.is_ascii_digit()) else {
            findings.push(
                self.wrong("E0202", format!("`{name}` needs a number"))
                    .hint(format!("for example: {name} = {}", self.directive.example)),
            );
            return None;
        };
        let digits = slice(&self.text, run.clone());
        let letters = first_run(slice(&self.text, run.end..self.text.len()), is_word)
            .filter(|letters| letters.start == 0)
            .map_or(0, |letters| letters.end);
        let word = slice(&self.text, run.end..run.end + letters);
        let unit = units.iter().find(|unit| unit.name.as_bytes() == word);
        let end = if unit.is_some() { run.end + letters } else { run.end };
        let comment = self.text.iter().position(|byte| *byte == b'#').unwrap_or(self.text.len());
        let before = slice(&self.text, 0..run.start);
        let behind = slice(&self.text, end..comment.max(end));
        let blank = |text: &[u8]| text.trim_ascii().is_empty();
        if !blank(before) || !blank(behind) {
            let read = shown(slice(&self.text, run.start..end));
            let fault = format!("only `{read}` is read of this value");
            let hint = match units {
                [] => "write the number alone",
                _ => "write the number alone, or with a unit right behind it: ms, s, m or h",
            };
            findings.push(Diagnostic::warning("W0103", self.span(), fault).hint(hint));
        }
        let number = digits.iter().fold(0_u32, |number, digit| {
            number.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
        });
        let digits =
            Digits { number, zero: digits == b"0", odd_zero: number == 0 && digits != b"0" };
        Some((digits, unit))
    }

    /// **D** non-zero: as [`Value::digits`], and `0` is wrong; `00` is not, to ldirectord, and 1 to us.
    pub(super) fn positive(&self, findings: &mut Findings) -> Option<u32> {
        let digits = self.digits(findings)?;
        self.not_zero(digits, Some(1), findings)
    }

    /// **D** from 0.
    pub(super) fn count(&self, findings: &mut Findings) -> Option<u32> {
        self.digits(findings).map(|digits| digits.number)
    }

    /// **D** non-zero with a unit, which is seconds where there is none. For `00` stand the seconds of `instead`;
    /// where there are none it is as wrong as `0`.
    pub(super) fn duration(
        &self,
        instead: Option<u32>,
        findings: &mut Findings,
    ) -> Option<Duration> {
        let (digits, unit) = self.digits_with(UNITS, findings)?;
        let number = self.not_zero(digits, instead, findings)?;
        Some(self.in_units(number, unit, findings))
    }

    /// **D** with a unit of a second or more; the number of seconds, which may be 0.
    pub(super) fn whole_seconds(&self, findings: &mut Findings) -> Option<u32> {
        let (digits, unit) = self.digits_with(UNITS, findings)?;
        let duration = self.in_units(digits.number, unit, findings);
        if duration.subsec_millis() > 0 {
            let name = self.directive.name;
            let fault = format!("`{name}` is a whole number of seconds");
            findings.push(self.wrong("E0204", fault));
            return None;
        }
        Some(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
    }

    /// **D** from 1 to 65535.
    pub(super) fn port(&self, findings: &mut Findings) -> Option<u16> {
        let digits = self.digits(findings)?;
        let port = u16::try_from(digits.number).ok().filter(|port| *port > 0);
        if port.is_none() {
            let fault = format!("`{}` is a number from 1 to 65535", self.directive.name);
            let fault = Diagnostic::error("E0204", self.span(), fault);
            findings.push(match self.directive.extension {
                true => fault,
                false => fault.says("checkport must be in range 1..65536"),
            });
        }
        port
    }

    fn not_zero(
        &self,
        digits: Digits,
        instead: Option<u32>,
        findings: &mut Findings,
    ) -> Option<u32> {
        let fault = format!("`{}` must be 1 or more", self.directive.name);
        match instead {
            _ if !digits.zero && !digits.odd_zero => Some(digits.number),
            Some(instead) if digits.odd_zero => {
                let fault = format!("{fault}, and is taken as {instead}");
                findings.push(Diagnostic::warning("W0204", self.span(), fault));
                Some(instead)
            }
            _ => {
                findings.push(self.wrong("E0203", fault));
                None
            }
        }
    }

    /// Differs from ldirectord: a unit counts; there every number is one of seconds.
    fn in_units(&self, number: u32, unit: Option<&Unit>, findings: &mut Findings) -> Duration {
        let Some(unit) = unit else { return Duration::from_secs(u64::from(number)) };
        if unit.ms != 1000 && !self.directive.extension {
            let fault = format!("`{}` stands for {} here", unit.name, unit.plural);
            // That somebody has meant seconds is possible with the others.
            let fault = match unit.ms {
                1 => Diagnostic::advice("A0105", self.span(), fault),
                _ => Diagnostic::warning("W0209", self.span(), fault),
            };
            let hint = format!("ldirectord knows no units, and takes the {number} for seconds");
            findings.push(fault.hint(hint));
        }
        Duration::from_millis(u64::from(number).saturating_mul(unit.ms))
    }

    /// **W**: the first run of letters, digits and underscores, whatever else there is.
    pub(super) fn word(&self) -> Option<Range<usize>> {
        first_run(&self.text, is_word)
    }

    /// The value where it must be exact: without what ldirectord would stumble over, and what that is.
    fn tidied(&self) -> (&[u8], Option<&'static str>) {
        let text = self.text.as_ref();
        let comment = (1..text.len()).find(|at| {
            text.get(*at) == Some(&b'#') && text.get(at - 1).is_some_and(u8::is_ascii_whitespace)
        });
        let tidy = slice(text, 0..comment.unwrap_or(text.len())).trim_ascii_end();
        let fault = match comment {
            // What ldirectord does not know it does not refuse for its value.
            _ if self.directive.extension => None,
            Some(_) => Some("the comment behind it"),
            None if tidy.len() < text.len() => Some("the blanks behind it"),
            None if self.carriage_return => Some("the carriage return at the end of the line"),
            None => None,
        };
        (tidy, fault)
    }

    /// The value where it must be exact, for ldirectord: call `accepted` when it is right without the rest.
    pub(super) fn exact(&self) -> (&[u8], impl FnOnce(&mut Findings) + use<>) {
        let (tidy, fault) = self.tidied();
        let (span, name) = (self.span(), self.directive.name);
        let accepted = move |findings: &mut Findings| {
            if let Some(fault) = fault {
                findings.push(
                    Diagnostic::warning(
                        "W0101",
                        span,
                        format!("ldirectord refuses `{name}` for {fault}"),
                    )
                    .refused(),
                );
            }
        };
        (tidy, accepted)
    }

    /// **YN**: exactly `yes` or `no`.
    pub(super) fn yes_no(&self, findings: &mut Findings) -> Option<bool> {
        let (tidy, accepted) = self.exact();
        let answer = match tidy {
            b"yes" => true,
            b"no" => false,
            other => {
                let name = self.directive.name;
                let mut fault = self
                    .wrong("E0201", format!("`{name}` is `yes` or `no`, not `{}`", shown(other)));
                let plain: Vec<u8> =
                    other.iter().filter(|byte| byte.is_ascii_alphabetic()).copied().collect();
                match plain.to_ascii_lowercase().as_slice() {
                    b"yes" | b"true" | b"on" => fault = fault.hint(format!("write {name}=yes")),
                    b"no" | b"false" | b"off" => fault = fault.hint(format!("write {name}=no")),
                    _ => {}
                }
                findings.push(fault);
                return None;
            }
        };
        accepted(findings);
        Some(answer)
    }

    /// From the first to the last `"` of a text that begins with one.
    fn between_quotes(text: &[u8]) -> Option<Range<usize>> {
        let last = text.iter().rposition(|byte| *byte == b'"')?;
        (text.first() == Some(&b'"') && last > 0).then_some(1..last)
    }

    /// The value with its comment, when only a `#` inside of quotes made that a comment.
    pub(super) fn with_hash(&self) -> Option<Vec<u8>> {
        if self.tail.is_empty() {
            return None;
        }
        let mut whole = self.text.to_vec();
        whole.extend_from_slice(&without_tabs(self.tail));
        let mut quoted = false;
        let end = whole.iter().position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b'#' && !quoted
        });
        whole.truncate(end.unwrap_or(whole.len()));
        (whole.len() > self.text.len()).then_some(whole)
    }

    /// Says that the `#` of [`Value::with_hash`] was taken into the value.
    pub(super) fn hash_taken(&self) -> Diagnostic {
        Diagnostic::warning(
            "W0102",
            self.start + self.written.len()..self.start + self.written.len() + 1,
            "the `#` inside of quotes belongs to the value; to ldirectord it begins a comment",
        )
        .refused()
    }

    /// **Q**: text in double quotes; what follows the last quote is ignored.
    pub(super) fn quoted(&self, may_be_empty: bool, findings: &mut Findings) -> Option<Vec<u8>> {
        let name = self.directive.name;
        let found = match Self::between_quotes(&self.text) {
            Some(range) => {
                if !slice(&self.text, range.end + 1..self.text.len()).trim_ascii().is_empty() {
                    findings.push(Diagnostic::warning(
                        "W0103",
                        self.part(range.end + 1..self.text.trim_ascii_end().len()),
                        "what follows the closing quote is ignored",
                    ));
                }
                slice(&self.text, range).to_vec()
            }
            None => {
                let whole = self.with_hash();
                let range = whole.as_deref().and_then(Self::between_quotes);
                if let (Some(whole), Some(range)) = (whole, range) {
                    findings.push(self.hash_taken());
                    slice(&whole, range).to_vec()
                } else {
                    let text = match name {
                        hidden if HIDDEN.contains(&hidden) => "...".to_owned(),
                        _ => shown(self.text.trim_ascii()).replace(['"', '\''], ""),
                    };
                    let fault = match self.text.trim_ascii().is_empty() {
                        true => format!("`{name}` needs a value in double quotes"),
                        false => format!("the value of `{name}` must be in double quotes"),
                    };
                    findings.push(
                        self.unknown_command("E0205", fault)
                            .hint(format!("write {name}=\"{text}\"")),
                    );
                    return None;
                }
            }
        };
        if found.is_empty() && !may_be_empty {
            findings.push(self.wrong("E0206", format!("the value of `{name}` is empty")));
            return None;
        }
        Some(found)
    }

    /// Text in double quotes with escapes, in which a `#` is one. Only a comment may follow.
    pub(super) fn literal(&self, findings: &mut Findings) -> Option<Vec<u8>> {
        let whole = [self.written, self.tail].concat();
        let Some(text) = whole.strip_prefix(b"\"") else { return self.quoted(true, findings) };
        let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
        let (fault, hint) = loop {
            let (byte, behind) = match rest {
                [] => break ("the text has no quote at its end", "write \" behind it"),
                [b'"', behind @ ..] => match behind.trim_ascii() {
                    [] | [b'#', ..] => return Some(bytes),
                    _ => break ("the text ends here, and more follows", r#"write \" for a quote"#),
                },
                [b'\\', escape @ ..] => match escaped(escape) {
                    Some(found) => found,
                    None => break ("this backslash begins no escape", ESCAPES),
                },
                [byte, behind @ ..] => (*byte, behind),
            };
            bytes.push(byte);
            rest = behind;
        };
        let at = self.start + whole.trim_ascii_end().len().min(whole.len() - rest.len());
        findings.push(Diagnostic::error("E0216", at..at + 1, fault).hint(hint));
        None
    }

    /// **q**: as **Q** where it is that, else the rest of the line as it is.
    pub(super) fn quoted_or_rest(&self, findings: &mut Findings) -> Option<Vec<u8>> {
        match Self::between_quotes(&self.text) {
            Some(range) if !range.is_empty() => Some(slice(&self.text, range).to_vec()),
            Some(_) => {
                let name = self.directive.name;
                findings.push(self.wrong("E0206", format!("the value of `{name}` is empty")));
                None
            }
            None => self.rest(findings),
        }
    }

    /// **R**: the rest of the line as it is, which must not be empty.
    pub(super) fn rest(&self, findings: &mut Findings) -> Option<Vec<u8>> {
        let name = self.directive.name;
        if self.text.trim_ascii().is_empty() {
            findings.push(self.wrong("E0206", format!("`{name}` needs a value")));
            return None;
        }
        let (tidy, _) = self.tidied();
        if self.directive.extension {
            return Some(tidy.to_vec());
        }
        if tidy.len() < self.text.len() {
            let (part, what) = match tidy.len() < self.text.trim_ascii_end().len() {
                true => {
                    (tidy.len()..self.text.trim_ascii_end().len(), "this is no comment here and")
                }
                false => (tidy.len()..self.text.len(), "the blanks at the end"),
            };
            let verb = if what.starts_with("this") { "belongs" } else { "belong" };
            findings.push(
                Diagnostic::warning(
                    "W0104",
                    self.part(part),
                    format!("{what} {verb} to the value"),
                )
                .hint("put the comment on a line of its own, and end the value without blanks"),
            );
        }
        if self.carriage_return {
            findings.push(Diagnostic::warning(
                "W0105",
                self.span(),
                "ldirectord takes the carriage return at the end of the line into the value",
            ));
        }
        Some(self.text.to_vec())
    }

    /// The rest of the line without blanks at its ends, for people's eyes; may be empty.
    pub(super) fn remark(&self) -> String {
        shown(self.text.trim_ascii()).into_owned()
    }

    /// Text for a field that holds text only.
    pub(super) fn utf8(&self, bytes: Vec<u8>, findings: &mut Findings) -> Option<String> {
        String::from_utf8(bytes)
            .map_err(|_| {
                findings.push(
                    Diagnostic::error(
                        "E0210",
                        self.span(),
                        format!("the value of `{}` is not UTF-8 text", self.directive.name),
                    )
                    .hint("save the file as UTF-8"),
                );
            })
            .ok()
    }
}

/// What may follow a backslash in a text with escapes.
const ESCAPES: &str = r#"an escape is \r, \n, \t, \0, \\, \" or \x with two hexadecimal digits"#;

/// The byte that what follows a backslash stands for, and what stands behind that.
fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    match text {
        [b'r', behind @ ..] => Some((b'\r', behind)),
        [b'n', behind @ ..] => Some((b'\n', behind)),
        [b't', behind @ ..] => Some((b'\t', behind)),
        [b'0', behind @ ..] => Some((b'\0', behind)),
        [sign @ (b'\\' | b'"'), behind @ ..] => Some((*sign, behind)),
        [b'x', high, low, behind @ ..] => {
            let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
            Some((byte, behind))
        }
        _ => None,
    }
}

/// The most of a line that is repeated, in bytes.
const REPEATED: usize = 500;

/// What ldirectord says of a line that it does not know; it shows passwords, we do not.
pub(super) fn unknown_command(line: &Line<'_>, in_block: bool) -> String {
    let text: Vec<u8> = line.parts().take(5).flatten().copied().take(REPEATED).collect();
    let text = masked(&text);
    match in_block {
        true => format!("Unknown command \"{}\n\"", shown(&text)),
        false => format!("Unknown command {}\n ", shown(&text)),
    }
}
