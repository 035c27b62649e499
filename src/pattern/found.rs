//! [`Found`]: in how many texts a pattern is found, told from the pattern alone.
//!
//! A pattern is a way from one place of a text to another. Whether a `^`, `$` or `\b` holds at a place depends on the
//! kinds of the two bytes beside it alone, so sixteen kinds of places tell all of them apart, and a table of the ways
//! between these decides exactly whether a pattern of the linear engine is ever found.

use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind, Look},
};

use super::{Engine, Pattern};

/// In how many texts a pattern is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Found {
    /// In no text at all, such as `a^b`.
    Never,
    /// In some and not in others, or that cannot be told.
    Sometimes,
    /// In every text, such as `a*`.
    Always,
}

impl Pattern {
    /// In how many texts it is found. Takes as long as to understand the pattern.
    pub fn found(&self) -> Found {
        match &self.inner.engine {
            Engine::Linear(regex) => match parse(regex.as_str()) {
                Some(hir) if Ways::of(&hir).is_none() => Found::Never,
                Some(hir) if Edge::ALL.iter().any(|edge| needs_nothing(&hir, *edge)) => {
                    Found::Always
                }
                _ => Found::Sometimes,
            },
            // Wherever the pattern is found, its relaxed form is found too.
            Engine::Backtracking { relaxed, .. } => {
                match relaxed.as_ref().and_then(|relaxed| parse(relaxed.as_str())) {
                    Some(hir) if Ways::of(&hir).is_none() => Found::Never,
                    _ => Found::Sometimes,
                }
            }
        }
    }
}

/// The tree of a pattern that `regex` has taken.
fn parse(text: &str) -> Option<Hir> {
    ParserBuilder::new().unicode(false).utf8(false).build().parse(text).ok()
}

// === found always ===

/// A place that every text has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

impl Edge {
    const ALL: [Edge; 2] = [Edge::Start, Edge::End];
}

/// Whether a pattern is found at this place of every text.
fn needs_nothing(hir: &Hir, edge: Edge) -> bool {
    let inner = |hir: &Hir| needs_nothing(hir, edge);
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(_) | HirKind::Class(_) => false,
        HirKind::Look(Look::Start | Look::StartLF) => edge == Edge::Start,
        HirKind::Look(Look::End | Look::EndLF) => edge == Edge::End,
        HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => repetition.min == 0 || inner(&repetition.sub),
        HirKind::Capture(capture) => inner(&capture.sub),
        HirKind::Concat(parts) => parts.iter().all(inner),
        HirKind::Alternation(parts) => parts.iter().any(inner),
    }
}

// === found never ===

/// The kinds of what stands beside a place; a byte is of one of the last three.
const EDGE: usize = 0;
const LINE_FEED: usize = 1;
const WORD: usize = 2;
const OTHER: usize = 3;
const KINDS: usize = 4;

fn kind(byte: u8) -> usize {
    match byte {
        b'\n' => LINE_FEED,
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' => WORD,
        _ => OTHER,
    }
}

/// For each kind of place, the kinds of places to which a pattern leads from there, a bit each.
///
/// The kind of a place is that of what stands before it, times four, and that of what stands behind it.
#[derive(Clone, Copy)]
struct Ways([u16; KINDS * KINDS]);

impl Ways {
    const NONE: Ways = Ways([0; KINDS * KINDS]);
    const EVERY: Ways = Ways([u16::MAX; KINDS * KINDS]);

    /// Leads nowhere else, and that only at places with such things before and behind them.
    fn stay(holds: impl Fn(usize, usize) -> bool) -> Ways {
        Ways(std::array::from_fn(
            |place| {
                if holds(place / KINDS, place % KINDS) { 1 << place } else { 0 }
            },
        ))
    }

    /// Leads over one byte whose kind is one for which this is true.
    fn step(is_one: impl Fn(usize) -> bool) -> Ways {
        Ways(std::array::from_fn(|place| {
            let behind = place % KINDS;
            if behind != EDGE && is_one(behind) { 0b1111 << (KINDS * behind) } else { 0 }
        }))
    }

    fn then(self, next: Ways) -> Ways {
        Ways(self.0.map(|ends| {
            let reached = next.0.iter().zip(0..).filter(|(_, place)| ends >> place & 1 == 1);
            reached.fold(0, |all, (ways, _)| all | ways)
        }))
    }

    fn or(self, other: Ways) -> Ways {
        let mut ways = self;
        ways.0.iter_mut().zip(other.0).for_each(|(mine, others)| *mine |= others);
        ways
    }

    fn times(self, mut count: u32) -> Ways {
        let (mut all, mut power) = (Ways::stay(|_, _| true), self);
        while count > 0 {
            if count % 2 == 1 {
                all = all.then(power);
            }
            power = power.then(power);
            count /= 2;
        }
        all
    }

    fn is_none(self) -> bool {
        self.0 == Ways::NONE.0
    }

    fn of(hir: &Hir) -> Ways {
        let anywhere = Ways::stay(|_, _| true);
        match hir.kind() {
            HirKind::Empty => anywhere,
            HirKind::Literal(literal) => {
                let bytes = literal.0.iter().map(|byte| kind(*byte));
                bytes.fold(anywhere, |ways, kind| ways.then(Ways::step(|one| one == kind)))
            }
            HirKind::Class(Class::Bytes(class)) => Ways::step(|one| {
                let mut bytes = class.iter().flat_map(|range| range.start()..=range.end());
                bytes.any(|byte| kind(byte) == one)
            }),
            // There is none without Unicode.
            HirKind::Class(Class::Unicode(_)) => Ways::EVERY,
            HirKind::Look(look) => match look {
                Look::Start => Ways::stay(|before, _| before == EDGE),
                Look::End => Ways::stay(|_, behind| behind == EDGE),
                Look::StartLF => Ways::stay(|before, _| matches!(before, EDGE | LINE_FEED)),
                Look::EndLF => Ways::stay(|_, behind| matches!(behind, EDGE | LINE_FEED)),
                Look::WordAscii => {
                    Ways::stay(|before, behind| (before == WORD) != (behind == WORD))
                }
                Look::WordAsciiNegate => {
                    Ways::stay(|before, behind| (before == WORD) == (behind == WORD))
                }
                _ => anywhere,
            },
            HirKind::Repetition(repetition) => {
                let once = Ways::of(&repetition.sub);
                // No way is longer than the number of places.
                let more = repetition.max.map_or(16, |most| most.saturating_sub(repetition.min));
                once.times(repetition.min).then(anywhere.or(once).times(more))
            }
            HirKind::Capture(capture) => Ways::of(&capture.sub),
            HirKind::Concat(parts) => {
                parts.iter().fold(anywhere, |ways, part| ways.then(Ways::of(part)))
            }
            HirKind::Alternation(parts) => {
                parts.iter().fold(Ways::NONE, |ways, part| ways.or(Ways::of(part)))
            }
        }
    }
}
