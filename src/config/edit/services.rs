//! Virtual services are put into a document and taken out of it as a whole.

use super::{
    At, EditError, check, is_blank, is_empty, is_outer_comment, row, services,
    write::{ending_near, equals_like, replace_value, splice, written},
};
use crate::config::{
    directives::{Directive, Scope},
    syntax::{Content, Document, Line, Place},
};

/// Where a virtual service is put.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Beside {
    /// At the end of the file; blank lines there stay at the end.
    End,
    /// Before the virtual service with this position, and before the comment lines directly above it.
    Before(usize),
    /// Behind the virtual service with this position.
    After(usize),
}

/// Adds a virtual service with these directives, in this order; its position.
///
/// `name` is `virtual` or `virtual6`. It is separated from its neighbours by empty lines.
/// Where it has no directives and is the last of the file, an empty line follows it.
pub fn add_service(
    document: &mut Document<'_>,
    beside: Beside,
    name: &str,
    address: &[u8],
    directives: &[(&str, &[u8])],
) -> Result<usize, EditError> {
    let opening = opening(name)?;
    check(opening, At::Global, address)?;
    let present = services(document);
    let position = match beside {
        Beside::End => present.len(),
        Beside::Before(nth) if nth < present.len() => nth,
        Beside::After(nth) if nth < present.len() => nth + 1,
        Beside::Before(nth) | Beside::After(nth) => return Err(EditError::NoService(nth)),
    };
    let line = match beside {
        Beside::Before(_) => present
            .get(position)
            .map(|service| service.lines.start - comments_above(document, service.lines.start)),
        Beside::After(nth) => present.get(nth).map(|service| service.lines.end),
        Beside::End => document.lines.iter().rposition(|line| !is_blank(line)).map(|last| last + 1),
    };
    let line = line.unwrap_or_default();

    let ending = ending_near(document, line);
    let like = |place: Place| {
        let alike = |line: &&Line<'_>| {
            line.place == place && matches!(line.content, Content::Directive { .. })
        };
        let (before, behind) = document.lines.split_at(line.min(document.lines.len()));
        before.iter().rfind(alike).or_else(|| behind.iter().find(alike))
    };
    let (block, global) = (like(Place::Block), like(Place::Global));
    let opened = like(Place::Opening);
    let mut new = Vec::new();
    let above = line.checked_sub(1).and_then(|above| document.lines.get(above));
    if above.is_some_and(|above| !is_blank(above)) {
        new.push(ending.clone());
    }
    new.push(written(b"", opening.name, &equals_like(opened.or(global)), address, &ending));
    for (name, value) in directives {
        let directive = row(At::Service(position), name)?;
        check(directive, At::Service(position), value)?;
        let indent = block.map_or(b"\t".as_slice(), |line| &line.indent);
        let equals = equals_like(block.or(opened).or(global));
        new.push(written(indent, directive.name, &equals, value, &ending));
    }
    // In front of everything there is always one, so that it can go with the service again.
    if document.lines.get(line).is_some_and(|next| line == 0 || !is_blank(next)) {
        new.push(ending);
    }
    splice(document, line..line, new);
    Ok(position)
}

/// Takes a virtual service out, with one of the empty lines that separated it from its neighbours.
///
/// `comments` says whether the comment lines directly above it, without an empty line between, go too.
pub fn remove_service(
    document: &mut Document<'_>,
    nth: usize,
    comments: bool,
) -> Result<(), EditError> {
    let service = services(document).into_iter().nth(nth).ok_or(EditError::NoService(nth))?;
    let mut lines = service.lines;
    if comments {
        lines.start -= comments_above(document, lines.start);
    }
    let above = lines.start.checked_sub(1).and_then(|index| document.lines.get(index));
    let behind = document.lines.get(lines.end);
    match (above, behind) {
        (_, Some(behind)) if !is_blank(behind) => {}
        (Some(above), _) if is_empty(above) => lines.start -= 1,
        (above, Some(behind)) if above.is_none_or(is_blank) && is_empty(behind) => lines.end += 1,
        _ => {}
    }
    splice(document, lines, Vec::new());
    Ok(())
}

/// Gives a virtual service another address, port or mark.
pub fn set_address(
    document: &mut Document<'_>,
    nth: usize,
    address: &[u8],
) -> Result<(), EditError> {
    let service = services(document).into_iter().nth(nth).ok_or(EditError::NoService(nth))?;
    if service.address == address {
        return Ok(());
    }
    let line = service.lines.start;
    let name = String::from_utf8_lossy(service.name).into_owned();
    check(opening(&name)?, At::Global, address)?;
    replace_value(document, line, address);
    Ok(())
}

/// The row of a directive that begins a virtual service.
fn opening(name: &str) -> Result<&'static Directive, EditError> {
    let directive =
        Directive::find(name.as_bytes()).ok_or_else(|| EditError::Unknown(name.to_owned()))?;
    match directive.scope {
        Scope::Opening => Ok(directive),
        _ => Err(EditError::NotOpening(directive.name)),
    }
}

/// How many lines directly above this one are comments on it.
fn comments_above(document: &Document<'_>, line: usize) -> usize {
    let above = document.lines.get(..line).unwrap_or_default();
    above.iter().rev().take_while(|line| is_outer_comment(line)).count()
}
