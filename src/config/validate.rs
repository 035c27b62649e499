//! The lines of a file and of those it includes in, a [`Config`] and everything that is wrong with it out.
//!
//! Goes through the lines in order, gives every directive to its row of the table, and hands a virtual
//! service to `resolve` where it ends. Stops at no fault: what is wrong is as if it were not there.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    Diagnostic, File, FileKind, Files, Named, Sources, World,
    credentials::Credentials,
    directives::Directive,
    draft::{Draft, Globals},
    resolve::{Config, Resolver},
    set,
    syntax::{Content, Line, Place, byte_order_mark, lines},
    value::{Value, shown, unknown_command, without_tabs},
    webhooks,
};
use crate::config::diagnostic::Findings;

/// The most files within files: more is a mistake, and each takes some of the stack.
const DEEPEST: usize = 16;
/// The most files, and bytes in all of them, that make up a configuration.
const MOST_FILES: usize = 4096;
const MOST_BYTES: usize = 64 << 20;

/// What came of going through the lines.
pub(super) struct Validated {
    pub(super) config: Config,
    pub(super) sources: Sources,
    pub(super) named: Vec<Named>,
    pub(super) findings: Findings,
}

/// Checks a file and those it includes, line by line.
pub(super) fn validate(file: File, world: &World<'_>) -> Validated {
    let mut reader = Reader {
        draft: Draft {
            globals: Globals::default(),
            block: None,
            folder: PathBuf::new(),
            includes: Vec::new(),
            named: Vec::new(),
            templates: BTreeMap::new(),
            findings: Findings::default(),
            host_name: world.host_name,
            patterns: HashMap::new(),
        },
        resolver: Resolver::new(world),
        files: world.files,
        sources: Sources::default(),
        room: 0,
        n_files: 0,
        within: Vec::new(),
        ended: None,
        line_number: 0,
        told: false,
    };
    reader.file(file);
    let credentials = reader.credentials();
    let templates = webhooks::templates(&mut reader.draft, reader.files);
    let Reader { draft, resolver, sources, .. } = reader;
    let Draft { globals, named, mut findings, .. } = draft;
    Validated {
        config: resolver.finish(globals, credentials.as_ref(), &templates, &mut findings),
        sources,
        named,
        findings,
    }
}

/// Whether a virtual service is over at the latest at this line.
///
/// An indented line that belongs to none is an error, and is then read as if it belonged to the service above,
/// so that one empty line too many gives one error and not one a line.
fn ends_service(line: &Line<'_>) -> bool {
    match line.place {
        Place::Opening => true,
        Place::Block => false,
        Place::Global => {
            line.indent.is_empty()
                && matches!(line.content, Content::Directive { .. } | Content::Unreadable(_))
        }
    }
}

/// Why the last virtual service ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// At an empty line with this number.
    Blank(usize),
    /// At a line that is indented too little.
    Outdent,
}

/// Reads files.
struct Reader<'w> {
    draft: Draft<'w>,
    resolver: Resolver<'w>,
    files: &'w dyn Files,
    sources: Sources,
    /// Where the next file begins, in bytes of all files.
    room: usize,
    n_files: usize,
    /// The files that are being read, each including the next.
    within: Vec<(u64, u64)>,
    ended: Option<Ended>,
    line_number: usize,
    /// Whether it has been said of this run of indented lines that they belong to no virtual service.
    told: bool,
}

impl Reader<'_> {
    fn file(&mut self, file: File) {
        let base = self.room;
        self.room += file.bytes.len() + 1;
        self.n_files += 1;
        self.within.push(file.identity);
        let folder = file.path.parent().unwrap_or(Path::new("")).to_owned();
        let outer = std::mem::replace(&mut self.draft.folder, folder);
        (self.ended, self.line_number, self.told) = (None, 0, false);
        let mark = byte_order_mark(&file.bytes);
        if mark > 0 {
            self.draft.findings.push(
                Diagnostic::warning(
                    "W0107",
                    base..base + mark,
                    "the file begins with a byte order mark",
                )
                .refused()
                .hint("save it without; ldirectord does not know the first line then"),
            );
        }
        for (start, line) in lines(&file.bytes) {
            self.line_number += 1;
            if self.draft.findings.are_too_many() {
                break;
            }
            if ends_service(&line) {
                self.end_service();
            }
            self.line(base + start, &line);
            if line.place == Place::Opening && start + line.len() == file.bytes.len() {
                let span = base + start..base + start + line.len();
                self.draft.findings.push(
                    Diagnostic::warning("W0106", span, "nothing follows this line")
                        .refused()
                        .hint("ldirectord then takes the service for a duplicate; put an empty line behind it"),
                );
            }
            let place = (self.ended, self.line_number, self.told);
            for (pattern, span) in std::mem::take(&mut self.draft.includes) {
                self.include(&pattern, &span);
            }
            (self.ended, self.line_number, self.told) = place;
        }
        self.end_service();
        self.within.pop();
        self.draft.folder = outer;
        self.sources.add(file, FileKind::Configuration, base);
    }

    /// Reads the credentials file, if one is named.
    fn credentials(&mut self) -> Option<Credentials> {
        let (path, span) = self.draft.globals.credentials.clone()?;
        match self.files.read(&path) {
            Ok(file) => {
                let found = Credentials::read(&file, self.room, &mut self.draft.findings);
                self.sources.add(file, FileKind::Credentials, self.room);
                Some(found)
            }
            Err(error) => {
                let fault = format!("cannot read the credentials file {}: {error}", path.display());
                self.draft.findings.push(Diagnostic::error("E0501", span, fault));
                None
            }
        }
    }

    fn end_service(&mut self) {
        if let Some(block) = self.draft.block.take() {
            self.resolver.service(block, &mut self.draft.findings);
        }
    }

    /// Reads the files that a pattern names as if they stood here.
    fn include(&mut self, pattern: &Path, span: &Range<usize>) {
        let found = match is_pattern(pattern) {
            true => self.files.find(pattern),
            false => Ok(vec![pattern.to_owned()]),
        };
        let paths = found.unwrap_or_else(|error| {
            let fault = format!("cannot look for {}: {error}", pattern.display());
            self.draft.findings.push(Diagnostic::error("E0002", span.clone(), fault));
            Vec::new()
        });
        for path in paths {
            match self.files.read(&path) {
                Ok(file) if self.within.contains(&file.identity) => self.draft.findings.push(
                    Diagnostic::error(
                        "E0003",
                        span.clone(),
                        format!("{} includes itself", path.display()),
                    )
                    .hint("take this line out, here or in one of the files between"),
                ),
                Ok(file) => {
                    let limit = match () {
                        () if self.within.len() >= DEEPEST => {
                            format!("more than {DEEPEST} files include each other")
                        }
                        () if self.n_files >= MOST_FILES => {
                            format!("more than {MOST_FILES} files are included")
                        }
                        () if self.room + file.bytes.len() > MOST_BYTES => {
                            format!("more than {} MiB are included", MOST_BYTES >> 20)
                        }
                        () => {
                            self.file(file);
                            continue;
                        }
                    };
                    self.draft.findings.push(Diagnostic::error("E0004", span.clone(), limit));
                    return;
                }
                Err(error) => {
                    let fault = format!("cannot include {}: {error}", path.display());
                    self.draft.findings.push(
                        Diagnostic::error("E0002", span.clone(), fault).hint(
                            "names are looked for in the folder of the file that includes them",
                        ),
                    );
                }
            }
        }
    }

    fn line(&mut self, start: usize, line: &Line<'_>) {
        let text_start = start + line.indent.len();
        let end = start + line.len() - line.ending.len();
        let stray = line.place == Place::Global && !line.indent.is_empty();
        let in_block = line.place == Place::Block || (stray && self.draft.block.is_some());
        match &line.content {
            Content::Comment(_) => return,
            Content::Blank => {
                self.blank(line, start..end);
                return;
            }
            Content::Unreadable(text) => {
                self.unreadable(text, line, text_start..end);
            }
            Content::Directive { key, equals, value, tail } => {
                let key_place = text_start..text_start + key.len();
                let known = Directive::find(key);
                if stray && known.is_some() {
                    self.stray(&shown(key), line, key_place.clone());
                }
                match known {
                    Some(directive) if directive.fits(in_block) && (in_block || !stray) => {
                        let text = match in_block {
                            true => without_tabs(value),
                            false => Cow::Borrowed(value.as_ref()),
                        };
                        let value = Value {
                            directive,
                            text,
                            written: value,
                            tail,
                            start: key_place.end + equals.len(),
                            key: key_place,
                            in_block,
                            carriage_return: line.ending.len() == 2,
                            line,
                        };
                        if directive.extension {
                            let fault = format!("ldirectord does not know `{}`", directive.name);
                            let place = value.key.clone();
                            let fault = Diagnostic::advice("A0105", place, fault).refused();
                            self.draft.findings.push(fault);
                        }
                        (directive.set)(&mut self.draft, &value);
                        self.draft.note(&value);
                    }
                    Some(_) if stray => {}
                    known => {
                        let fault = misplaced(known, key, in_block);
                        let fault = fault.says(unknown_command(line, line.place == Place::Block));
                        self.draft.findings.push(Diagnostic { span: key_place, ..fault });
                    }
                }
            }
        }
        match line.place {
            Place::Opening | Place::Block => {
                self.ended = None;
                self.told = false;
            }
            Place::Global if self.ended.is_none() => self.ended = Some(Ended::Outdent),
            Place::Global => {}
        }
    }

    fn blank(&mut self, line: &Line<'_>, span: Range<usize>) {
        if line.place == Place::Block {
            self.draft.findings.push(
                Diagnostic::warning("W0108", span, "a line of blanks inside of a virtual service")
                    .refused(),
            );
            return;
        }
        self.told = false;
        if self.ended.is_none() || self.draft.block.is_some() {
            self.ended = Some(Ended::Blank(self.line_number));
        }
    }

    /// A line that is indented and belongs to no virtual service.
    fn stray(&mut self, name: &str, line: &Line<'_>, span: Range<usize>) {
        let width: usize = without_tabs(&line.indent).len();
        if width >= 4 && self.told {
            return;
        }
        self.told = true;
        let known = Directive::find(name.as_bytes());
        let for_all = known.is_some_and(|directive| directive.fits(false));
        let fault = Diagnostic::error(
            "E0104",
            span,
            format!("`{name}` is indented, and belongs to no virtual service"),
        );
        let fault = match (self.draft.block.is_some(), self.ended) {
            (true, _) if width < 4 => fault.hint("a line of a virtual service begins with a tab or at least four blanks"),
            (true, Some(Ended::Blank(number))) => fault.hint(format!(
                "line {number} is empty, which ends the virtual service; take it out, or make it a comment"
            )),
            (true, _) => fault.hint("the line above that has fewer than four blanks ended the virtual service"),
            (false, _) if for_all => fault.hint("put it in the first column"),
            (false, _) => fault.hint("a virtual service begins with a `virtual` line in the first column"),
        };
        self.draft.findings.push(fault.says(unknown_command(line, false)));
    }

    /// A line without a directive.
    fn unreadable(&mut self, text: &[u8], line: &Line<'_>, span: Range<usize>) {
        let in_block = line.place == Place::Block || self.draft.block.is_some();
        let trimmed = text.trim_ascii_end();
        let span = span.start..span.start + trimmed.len();
        if trimmed == b"supervised" && !in_block && line.indent.is_empty() {
            self.draft.globals.supervised = true;
            self.draft.findings.push(
                Diagnostic::warning(
                    "W0202",
                    span,
                    "`supervised` stands without a value, which means yes",
                )
                .says("please update your config not to use a bare supervised directive")
                .hint("write supervised=yes"),
            );
            return;
        }
        let first = trimmed.split(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or_default();
        let fault = match Directive::find(first) {
            Some(directive) => Diagnostic::error("E0103", span, format!("`{}` has no `=`", directive.name))
                .hint(format!("for example: {}={}", directive.name, directive.example)),
            None if trimmed.first() == Some(&b'[') => {
                Diagnostic::error("E0103", span, "this file has no sections")
                    .hint("a virtual service begins with virtual=ADDRESS:PORT; to say more about it write a comment")
            }
            None => Diagnostic::error("E0103", span, "this line is neither a directive nor a comment")
                .hint("a directive reads NAME=VALUE; a comment begins with #"),
        };
        self.draft.findings.push(fault.says(unknown_command(line, line.place == Place::Block)));
    }
}

/// A directive that is not known, or not here.
fn misplaced(known: Option<&Directive>, key: &[u8], in_block: bool) -> Diagnostic {
    let name = shown(key);
    match known {
        None => {
            let fault = Diagnostic::error("E0101", 0..0, format!("there is no directive `{name}`"));
            let suggestion =
                set::suggestion(key, in_block).or_else(|| set::suggestion(key, !in_block));
            match suggestion {
                Some(suggestion) => fault.hint(suggestion),
                None => fault,
            }
        }
        Some(_) if in_block => Diagnostic::error(
            "E0102",
            0..0,
            format!("`{name}` cannot be said of one virtual service"),
        )
        .hint("put it in the first column, outside of every virtual service"),
        Some(_) => {
            Diagnostic::error("E0104", 0..0, format!("`{name}` must stand in a virtual service"))
                .hint("indent it by a tab or four blanks, below the `virtual` line it belongs to")
        }
    }
}

/// Whether the name of a file stands for any number of files.
fn is_pattern(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}
