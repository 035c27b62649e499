//! `explain`: says what a code, a directive or a service means; without a word, what there is.
//!
//! Everything is said by the table of directives, the codes and the catalogue of checks; here it is laid out.

use std::fmt::Write as _;

use textwrap::{Options, WordSplitter};

use crate::{
    checks,
    cli::{exit::Exit, output},
    config::{
        codes,
        directives::{DIRECTIVES, Directive, EXTENSIONS, SERVICES, Scope, ValueKind, nearest_word},
        manual::first_sentence,
    },
    model::{Carrier, ProtocolInfo},
};

/// How wide the text is, in columns.
const WIDTH: usize = 80;
/// What a fact is called stands in so many columns.
const LABEL: usize = 16;

/// `explain`.
pub(super) fn run(words: &[String]) -> Exit {
    if words.is_empty() {
        output::out(everything().trim_end());
        return Exit::Success;
    }
    let mut exit = Exit::Success;
    let mut texts = Vec::new();
    for word in words {
        match explain(word) {
            Some(text) => texts.push(text),
            None => {
                output::complain(unknown(word));
                exit = Exit::Failure;
            }
        }
    }
    if !texts.is_empty() {
        output::out(texts.join("\n").trim_end());
    }
    exit
}

/// What a word means; case says nothing. A word that a directive takes is explained with that directive.
fn explain(word: &str) -> Option<String> {
    let code = word.to_ascii_uppercase();
    let name = word.to_ascii_lowercase();
    if let Some(text) = codes::explain(&code) {
        return Some(of_code(&code, text));
    }
    if let Some(directive) = Directive::find(name.as_bytes()) {
        return Some(of_directive(directive));
    }
    let Some((name, _)) = SERVICES.iter().find(|(known, _)| *known == name) else {
        return DIRECTIVES.iter().find(|row| is_a_word_of(row, word)).map(of_directive);
    };
    checks::whole_catalogue().iter().find(|info| info.name == *name).map(of_service)
}

fn is_a_word_of(directive: &Directive, word: &str) -> bool {
    match directive.value {
        ValueKind::Word(words) | ValueKind::Words(words) => {
            words.iter().any(|known| known.eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

fn unknown(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    // One code is not like another because they differ in a digit.
    let known: Vec<&str> = directives_and_services().collect();
    let near: Vec<&str> = match nearest_word(lower.as_bytes(), &known) {
        Some(near) => vec![near],
        None if lower.len() < 3 => Vec::new(),
        None => known.into_iter().filter(|name| name.contains(&lower)).take(5).collect(),
    };
    let hint = match near.as_slice() {
        [] => "`ldirectord explain` lists everything".to_owned(),
        near => format!("did you mean {}?", near.join(", ")),
    };
    format!("`{word}` is no code, directive or service\nhint: {hint}")
}

fn directives_and_services() -> impl Iterator<Item = &'static str> {
    let directives = DIRECTIVES.iter().map(|directive| directive.name);
    directives.chain(SERVICES.iter().map(|(name, _)| *name))
}

fn of_code(code: &str, text: &str) -> String {
    let severity = match code.as_bytes().first() {
        Some(b'E') => "error: the file cannot be used",
        Some(b'W') => "warning: the file can be used",
        _ => "advice: the file can be used",
    };
    format!("{code}, {severity}\n\n{}", paragraphs(text))
}

fn of_directive(directive: &Directive) -> String {
    let mut text =
        filled(&directive.syntax(), "", "    ") + "\n\n" + &paragraph(directive.doc) + "\n";
    let mut fact = |label: &str, said: &str| {
        if !said.is_empty() {
            let label = format!("    {label:<LABEL$}");
            text += &(filled(said, &label, &" ".repeat(4 + LABEL)) + "\n");
        }
    };
    fact("Where", directive.place());
    if !directive.is_gone() {
        fact("Unit", directive.value.unit().unwrap_or_default());
        fact("Range", directive.range);
        fact("Default", directive.default);
        fact("Inheritance", directive.inheritance());
        let twice = if directive.repeats { "both count" } else { "the last one counts" };
        fact("Given twice", if directive.scope == Scope::Opening { "" } else { twice });
    }
    fact("Perl program", &directive.difference());
    for (number, complaint) in directive.complaints().iter().enumerate() {
        fact(if number == 0 { "Its complaint" } else { "" }, complaint);
    }
    for (number, line) in directive.examples().iter().enumerate() {
        fact(if number == 0 { "Example" } else { "" }, line);
    }
    text
}

fn of_service(info: &ProtocolInfo) -> String {
    let mut text = format!("service = {}\n\n{}\n", info.name, paragraph(info.doc));
    let travels = match info.carrier {
        Carrier::Tcp => "over TCP",
        Carrier::Tls => "over TLS",
        Carrier::StartTls => "over TCP, or TLS with `starttls`",
        Carrier::Udp => "over UDP",
        Carrier::AsService => "over TCP or UDP, like the service",
        Carrier::Own => "",
    };
    let port = info.default_port.map(|port| format!("port {port} unless another is given"));
    let facts: Vec<&str> = [travels, port.as_deref().unwrap_or_default()]
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect();
    // Writing to a string cannot fail.
    if !facts.is_empty() {
        writeln!(text, "    Asked {}", facts.join(", ")).unwrap_or_default();
    }
    if checks::catalogue().iter().all(|built| built.name != info.name) {
        text += "    This program was built without it (E0401)\n";
    }
    if EXTENSIONS.contains(&info.name) {
        text += "    The Perl program refuses a file with it; this is an extension\n";
    }
    if info.uses(true).next().is_some() {
        text += "    Directives that it uses:\n";
    }
    for name in info.uses(true) {
        let doc = Directive::find(name.as_bytes()).map_or("", |directive| directive.doc);
        text += &entry(name, doc, "      ");
    }
    text
}

/// Everything that can be explained, a line each.
fn everything() -> String {
    let mut text = "Directives (+ marks an extension, which the Perl program refuses)\n".to_owned();
    for directive in DIRECTIVES {
        let mark = if directive.extension { "+ " } else { "  " };
        text += &entry(directive.name, directive.doc, mark);
    }
    text += "\nServices, the words of the directive service\n";
    for info in checks::whole_catalogue() {
        let mark = if EXTENSIONS.contains(&info.name) { "+ " } else { "  " };
        text += &entry(info.name, info.doc, mark);
    }
    text += "\nCodes: E an error, W a warning, A advice\n";
    for (code, paragraph) in codes::CODES {
        text += &entry(code, paragraph, "  ");
    }
    text + "\n`ldirectord explain NAME ...` says more."
}

/// A name and what it is in one line, cut where that is long.
fn entry(name: &str, doc: &str, before: &str) -> String {
    let line = format!("{before}{name:<18}{}", first_sentence(doc));
    match line.char_indices().nth(WIDTH) {
        None => line + "\n",
        Some(_) => {
            let room: String = line.chars().take(WIDTH - 3).collect();
            let words = room.rsplit_once(' ').map_or(&*room, |(words, _)| words);
            format!("{}...\n", words.trim_end_matches([',', ';', ':']))
        }
    }
}

/// Paragraphs with empty lines between; a line that begins with a blank is an example and stays as it is.
fn paragraphs(text: &str) -> String {
    let told = text.split("\n\n").map(|part| match part.starts_with(' ') {
        true => part.lines().map(|line| format!("    {line}\n")).collect(),
        false => paragraph(part),
    });
    told.collect::<Vec<String>>().join("\n")
}

fn paragraph(text: &str) -> String {
    filled(text, "    ", "    ") + "\n"
}

fn filled(text: &str, first: &str, others: &str) -> String {
    let options = Options::new(WIDTH)
        .initial_indent(first)
        .subsequent_indent(others)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_listed_is_explained_in_lines_that_fit() {
        let names = || directives_and_services().chain(codes::CODES.iter().map(|(code, _)| *code));
        for name in names() {
            let text = explain(name).unwrap();
            assert_eq!(explain(&name.to_ascii_uppercase()).as_ref(), Some(&text));
            // A word such as the grammar of checktype cannot be broken.
            for line in text.lines().filter(|line| line.trim().contains(' ')) {
                assert!(line.chars().count() <= WIDTH, "{name}: {line}");
                assert_eq!(line.trim_end(), line, "{name}");
            }
        }
        assert_eq!(explain("negotiate"), explain("checktype"));
        let list = everything();
        assert!(list.lines().all(|line| line.chars().count() <= WIDTH), "{list}");
        for name in names() {
            assert!(list.contains(&format!(" {name} ")), "{name}");
        }
    }
}
