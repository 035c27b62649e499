//! Edits that can be anything, and what holds of each of them whatever the document is.

use arbitrary::{Arbitrary, Result, Unstructured};
use ldirectord::config::{
    directives::{DIRECTIVES, Scope},
    edit::{self, At, Beside, EditError},
    syntax::{Content, Document, Line, Place},
};

use super::laws;

/// An edit.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Set(At, &'static str, Vec<u8>),
    Unset(At, &'static str),
    Add(At, &'static str, Vec<u8>),
    Replace(At, &'static str, usize, Vec<u8>),
    Remove(At, &'static str, usize),
    AddService(Beside, &'static str, Vec<u8>, Vec<(&'static str, Vec<u8>)>),
    RemoveService(usize, bool),
    SetAddress(usize, Vec<u8>),
}

impl<'a> Arbitrary<'a> for Edit {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Edit> {
        let kind = bytes.int_in_range(0..=7)?;
        let nth = bytes.int_in_range(0..=3)?;
        let at = if bytes.ratio(1, 3)? { At::Global } else { At::Service(nth) };
        let (name, example) = name(bytes, |scope| match (at, kind) {
            (_, 5) => scope == Scope::Opening,
            (At::Global, _) => matches!(scope, Scope::Global | Scope::Both),
            (At::Service(_), _) => matches!(scope, Scope::Virtual | Scope::Both),
        })?;
        let value = value(bytes, example)?;
        Ok(match kind {
            0 => Edit::Set(at, name, value),
            1 => Edit::Unset(at, name),
            2 => Edit::Add(at, name, value),
            3 => Edit::Replace(at, name, nth, value),
            4 => Edit::Remove(at, name, nth),
            5 => {
                let beside = [Beside::End, Beside::Before(nth), Beside::After(nth)];
                let beside = *bytes.choose(&beside)?;
                let mut directives = Vec::new();
                for _ in 0..bytes.int_in_range(0..=3)? {
                    let (name, example) =
                        self::name(bytes, |scope| matches!(scope, Scope::Virtual | Scope::Both))?;
                    directives.push((name, self::value(bytes, example)?));
                }
                Edit::AddService(beside, name, value, directives)
            }
            6 => Edit::RemoveService(nth, bytes.arbitrary()?),
            _ => Edit::SetAddress(nth, value),
        })
    }
}

/// A directive, seven times of eight one that fits, and a value that is right for it.
fn name(
    bytes: &mut Unstructured<'_>,
    fits: impl Fn(Scope) -> bool,
) -> Result<(&'static str, &'static str)> {
    let any = bytes.ratio(1, 8)?;
    let rows: Vec<_> = DIRECTIVES.iter().filter(|row| any || fits(row.scope)).collect();
    // Those that the random documents are full of.
    let often = |name| ["ops", "fork", "supervised"].contains(&name);
    let few: Vec<_> = rows.iter().copied().filter(|row| row.repeats || often(row.name)).collect();
    let rows = if bytes.ratio(1, 2)? && !few.is_empty() { few } else { rows };
    let row = bytes.choose(&rows)?;
    Ok((row.name, row.example))
}

fn value(bytes: &mut Unstructured<'_>, example: &str) -> Result<Vec<u8>> {
    if bytes.ratio(1, 2)? {
        return Ok(example.as_bytes().to_vec());
    }
    let length = bytes.int_in_range(0..=6)?;
    (0..length).map(|_| bytes.choose(b"ab1.:=\"# \t\r\n\xff").copied()).collect()
}

/// Makes a few edits to a document of all the bytes that they leave. Any bytes will do.
pub(crate) fn are_lawful(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let n_edits = bytes.int_in_range(1..=4).unwrap();
    let edits: Vec<Edit> = (0..n_edits).map(|_| Edit::arbitrary(&mut bytes).unwrap()).collect();
    let mut document = Document::parse(bytes.take_rest());
    for edit in &edits {
        is_lawful(&mut document, edit);
    }
}

/// Makes an edit, and holds it to everything that an edit promises.
pub(crate) fn is_lawful(document: &mut Document<'_>, edit: &Edit) {
    let before = document.clone();
    let done = apply(document, edit);
    let source = document.to_bytes();
    assert_eq!(Document::parse(&source), *document, "what we hold is what a reader sees");
    if done.is_err() {
        assert_eq!(*document, before, "an edit that cannot be made changes nothing");
        return;
    }
    others_are_kept(&before, document, edit);
    rest_of_line_is_kept(&before, document, edit);
    is_done(&before, document, edit);
    is_undone(&before, document, edit);
    if laws::faults_of_form(&before.to_bytes()).is_empty() {
        assert_eq!(laws::faults_of_form(&source), [""; 0], "{}", source.escape_ascii());
    }
}

fn apply(document: &mut Document<'_>, edit: &Edit) -> std::result::Result<(), EditError> {
    match edit {
        Edit::Set(at, name, value) => edit::set(document, *at, name, value),
        Edit::Unset(at, name) => edit::unset(document, *at, name).map(drop),
        Edit::Add(at, name, value) => edit::add(document, *at, name, value),
        Edit::Replace(at, name, nth, value) => edit::replace(document, *at, name, *nth, value),
        Edit::Remove(at, name, nth) => edit::remove(document, *at, name, *nth),
        Edit::AddService(beside, name, address, directives) => {
            let directives: Vec<(&str, &[u8])> =
                directives.iter().map(|(name, value)| (*name, value.as_slice())).collect();
            edit::add_service(document, *beside, name, address, &directives).map(drop)
        }
        Edit::RemoveService(nth, comments) => edit::remove_service(document, *nth, *comments),
        Edit::SetAddress(nth, address) => edit::set_address(document, *nth, address),
    }
}

/// The lines that an edit speaks of, by their index before it.
fn touched(before: &Document<'_>, edit: &Edit) -> Vec<usize> {
    let lines = |at: At, name: &str| -> Vec<usize> {
        edit::all(before, at, name).iter().map(|entry| entry.line).collect()
    };
    match edit {
        Edit::Set(at, name, _) => lines(*at, name).pop().into_iter().collect(),
        Edit::Unset(at, name) => lines(*at, name),
        Edit::Add(..) | Edit::AddService(..) => Vec::new(),
        Edit::Replace(at, name, nth, _) | Edit::Remove(at, name, nth) => {
            vec![lines(*at, name)[*nth]]
        }
        Edit::RemoveService(nth, comments) => {
            let mut own = edit::services(before)[*nth].lines.clone();
            let is_comment = |line: &Line<'_>| {
                matches!(line.content, Content::Comment(_)) && line.indent.is_empty()
            };
            while *comments && own.start > 0 && is_comment(&before.lines[own.start - 1]) {
                own.start -= 1;
            }
            own.collect()
        }
        Edit::SetAddress(nth, _) => vec![edit::services(before)[*nth].lines.start],
    }
}

/// All other lines have the same bytes in the same order, and mean the same; there are no new ones but those meant.
fn others_are_kept(before: &Document<'_>, after: &Document<'_>, edit: &Edit) {
    assert_eq!(before.mark, after.mark);
    let touched = touched(before, edit);
    let is_blank = |line: &Line<'_>| line.content == Content::Blank;
    // An empty line may go with what it separated.
    let takes_blank = match edit {
        Edit::RemoveService(..) => true,
        Edit::Unset(..) | Edit::Remove(..) => touched.first() == Some(&0),
        _ => false,
    };
    let mut kept = (before.lines.iter().enumerate())
        .filter(|(index, line)| !(touched.contains(index) || takes_blank && is_blank(line)))
        .map(|(_, line)| line)
        .peekable();
    let mut new = Vec::new();
    for line in &after.lines {
        if takes_blank && is_blank(line) {
            continue;
        }
        match kept.next_if(|kept| is_same(kept, line)) {
            Some(_) => {}
            None if is_blank(line) => assert!(line.indent.is_empty(), "an empty line is empty"),
            None => new.push(line),
        }
    }
    assert_eq!(kept.next(), None, "a line is lost or changed by {edit:?}");
    let n_meant = match edit {
        Edit::Set(..) | Edit::Add(..) | Edit::Replace(..) | Edit::SetAddress(..) => 1,
        Edit::AddService(_, _, _, directives) => 1 + directives.len(),
        Edit::Unset(..) | Edit::Remove(..) | Edit::RemoveService(..) => 0,
    };
    assert!(new.len() <= n_meant, "{new:?} for {edit:?}");
    let n_blank = |document: &Document<'_>| -> usize {
        document.lines.iter().filter(|line| is_blank(line)).count()
    };
    let taken = touched.iter().filter(|index| is_blank(&before.lines[**index])).count();
    let (n_before, n_after) = (n_blank(before), n_blank(after));
    assert!(n_after <= n_before + 3, "{n_before} empty lines, then {n_after}");
    assert!(
        n_before <= n_after + taken + usize::from(takes_blank),
        "{n_before} empty lines, then {n_after}"
    );
}

/// A line that is given another value keeps everything else, and no line comes with it.
fn rest_of_line_is_kept(before: &Document<'_>, after: &Document<'_>, edit: &Edit) {
    let (Edit::Set(..) | Edit::Replace(..) | Edit::SetAddress(..)) = edit else { return };
    let [index] = touched(before, edit)[..] else { return };
    assert_eq!(before.lines.len(), after.lines.len());
    let (before, after) = (&before.lines[index], &after.lines[index]);
    assert_eq!((&before.indent, &before.ending), (&after.indent, &after.ending));
    let Content::Directive { key, equals, value, tail } = &before.content else { return };
    let Content::Directive { key: key2, equals: equals2, value: value2, tail: tail2 } =
        &after.content
    else {
        unreachable!("a directive becomes {after:?}");
    };
    assert_eq!((key, equals, tail), (key2, equals2, tail2));
    let behind = |value: &[u8]| -> usize {
        value.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    };
    assert!(value.is_empty() || behind(value) == behind(value2), "{before:?} becomes {after:?}");
}

/// Whether a line has the same bytes and the same meaning; the file's last one may have got an ending.
fn is_same(before: &Line<'_>, after: &Line<'_>) -> bool {
    before.indent == after.indent
        && before.content == after.content
        && (before.ending == after.ending || before.ending.is_empty())
        && (before.place == after.place
            || matches!(before.content, Content::Comment(_) | Content::Blank))
}

/// Names and values of a place.
fn said(document: &Document<'_>, at: At) -> Vec<(Vec<u8>, Vec<u8>)> {
    edit::directives(document, at)
        .iter()
        .map(|entry| (entry.name.to_vec(), entry.value.to_vec()))
        .collect()
}

fn values(document: &Document<'_>, at: At, name: &str) -> Vec<Vec<u8>> {
    edit::all(document, at, name).iter().map(|entry| entry.value.to_vec()).collect()
}

/// Each service as (name, address) and what is said of it; first, without a name, the file.
type Told = Vec<((Vec<u8>, Vec<u8>), Vec<(Vec<u8>, Vec<u8>)>)>;

fn told(document: &Document<'_>) -> Told {
    let services = edit::services(document);
    let services = services.iter().enumerate().map(|(nth, service)| {
        ((service.name.to_vec(), service.address.to_vec()), said(document, At::Service(nth)))
    });
    [(Default::default(), said(document, At::Global))].into_iter().chain(services).collect()
}

/// What was asked for is what is read, and nothing else is read otherwise.
fn is_done(before: &Document<'_>, after: &Document<'_>, edit: &Edit) {
    let (mut old, mut new) = (told(before), told(after));
    match edit {
        Edit::Set(at, name, _)
        | Edit::Unset(at, name)
        | Edit::Add(at, name, _)
        | Edit::Replace(at, name, ..)
        | Edit::Remove(at, name, _) => {
            let mut expected = values(before, *at, name);
            match edit {
                Edit::Set(.., value) => {
                    expected.pop();
                    expected.push(value.clone());
                    assert_eq!(edit::get(after, *at, name), Some(value.as_slice()));
                }
                Edit::Unset(..) => {
                    expected.clear();
                    assert_eq!(edit::get(after, *at, name), None);
                }
                Edit::Add(.., value) => expected.push(value.clone()),
                Edit::Replace(.., nth, value) => expected[*nth].clone_from(value),
                Edit::Remove(.., nth) => drop(expected.remove(*nth)),
                _ => {}
            }
            assert_eq!(values(after, *at, name), expected);
            let place = match at {
                At::Global => 0,
                At::Service(nth) => nth + 1,
            };
            for told in [&mut old, &mut new] {
                told[place].1.retain(|(other, _)| other != name.as_bytes());
            }
        }
        Edit::AddService(beside, name, address, directives) => {
            let place = match beside {
                Beside::End => old.len(),
                Beside::Before(nth) => nth + 1,
                Beside::After(nth) => nth + 2,
            };
            let bytes = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
            let said = directives.iter().map(|(name, value)| bytes(name, value)).collect();
            old.insert(place, (bytes(name, address), said));
        }
        Edit::RemoveService(nth, _) => drop(old.remove(nth + 1)),
        Edit::SetAddress(nth, address) => old[nth + 1].0.1.clone_from(address),
    }
    assert_eq!(new, old, "after {edit:?}");
}

/// What was there already changes no byte when it is set, and what was added leaves none when it goes again.
fn is_undone(before: &Document<'_>, after: &Document<'_>, edit: &Edit) {
    let mut again = after.clone();
    match edit {
        Edit::Set(..) | Edit::Replace(..) | Edit::SetAddress(..) | Edit::Unset(..) => {
            apply(&mut again, edit).unwrap();
            assert_eq!(again, *after, "{edit:?} twice");
        }
        Edit::Add(..) | Edit::AddService(..) | Edit::Remove(..) | Edit::RemoveService(..) => {}
    }
    // A file that ends with the first line of a service is refused by ldirectord, and never left behind.
    let is_whole = before
        .lines
        .last()
        .is_none_or(|line| !line.ending.is_empty() && line.place != Place::Opening);
    if !is_whole {
        return;
    }
    let mut again = after.clone();
    match edit {
        Edit::Set(at, name, _) if values(before, *at, name).is_empty() => {
            edit::unset(&mut again, *at, name).unwrap();
        }
        Edit::Add(at, name, _) => {
            edit::remove(&mut again, *at, name, values(before, *at, name).len()).unwrap();
        }
        Edit::AddService(beside, _, _, directives) => {
            let position = match beside {
                Beside::End => edit::services(before).len(),
                Beside::Before(nth) => *nth,
                Beside::After(nth) => nth + 1,
            };
            edit::remove_service(&mut again, position, false).unwrap();
            // Two lines that it stood between without an empty line have one between them now; and a file that it
            // would have ended with its first line ends with an empty one.
            if after.lines.len() - before.lines.len() > 2 + directives.len() {
                return;
            }
        }
        _ => return,
    }
    assert_eq!(
        again.to_bytes().escape_ascii().to_string(),
        before.to_bytes().escape_ascii().to_string(),
        "{edit:?} and back"
    );
}
