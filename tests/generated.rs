//! What is made from the table of directives is what the table says: `ldirectord.cf.example` and the manual page
//! `contrib/man/ldirectord.cf.5`. Both are right and complete, and so is `contrib/man/ldirectord.8`.
//!
//! `INSTA_UPDATE=always cargo test --test generated` writes them anew. Of the example the part behind the line that
//! begins with `# ====` is made; the manual pages are made whole, from the templates beside them.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/world.rs"]
mod world;

use std::{env, fmt::Write as _, fs, path::PathBuf, process::Command};

use ldirectord::{
    checks,
    config::{
        self, Diagnostic, File, Severity, World,
        directives::{DIRECTIVES, Directive, EXTENSIONS, SERVICES, Scope},
    },
};
use roff::{Inline, Roff, bold, italic, roman};
use textwrap::{Options, WordSplitter};

/// `checkcount` goes out of use; `receive` finds nothing with `httpmethod`, which stands beside it in the reference.
const EXPECTED: [&str; 2] = ["W0201", "W0403"];

const EXAMPLE: &str = "ldirectord.cf.example";
const MANUAL: &str = "contrib/man/ldirectord.cf.5";
const MANUAL_OF_PROGRAM: &str = "contrib/man/ldirectord.8";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap()
}

/// A file is what it should be; or it is written, where that is asked for.
fn hold_to(name: &str, wanted: &str) {
    if env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        // The other tests read it at the same time.
        let new = path(&format!("{name}.new"));
        fs::write(&new, wanted).unwrap();
        fs::rename(new, path(name)).unwrap();
        return;
    }
    let hint = "INSTA_UPDATE=always cargo test --test generated writes it anew";
    assert!(read(name) == wanted, "{name} is not what the table says; {hint}");
}

/// The rows that have a right value.
fn known() -> impl Iterator<Item = &'static Directive> {
    DIRECTIVES.iter().filter(|directive| !directive.is_gone())
}

/// The codes of what is wrong with a file.
fn faults(source: &str) -> Vec<(Severity, &'static str, usize)> {
    let names = world::FewNames::default();
    // The kernel is set up as the example wants it.
    let world = World { expire_quiescent_template: Some(true), ..world::world(&names) };
    let loaded = config::load(File::new("x.cf", source), &world);
    let line = |fault: &Diagnostic| loaded.sources.line(&fault.span).unwrap().number;
    loaded.diagnostics.iter().map(|fault| (fault.severity, fault.code, line(fault))).collect()
}

/// Text in lines that are so wide, each with this before it.
fn wrapped(text: &str, width: usize, before: &str) -> String {
    let options = Options::new(width)
        .initial_indent(before)
        .subsequent_indent(before)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    textwrap::fill(text, options) + "\n"
}

// === the example ===

fn row(out: &mut String, before: &str, directive: &Directive) {
    let mut told = |before: &str, text: &str| out.push_str(&wrapped(text, 90, before));
    told(before, &directive.syntax());
    let before = format!("{before}  ");
    if directive.extension {
        told(&before, "(extension: ldirectord refuses it)");
    }
    told(&before, directive.doc);
    let facts = facts(directive);
    if !facts.is_empty() {
        told(&before, &facts);
    }
}

/// The range of a value and its default, in sentences.
fn facts(directive: &Directive) -> String {
    let facts = [("Range", directive.range), ("Default", directive.default)];
    let told = facts.into_iter().filter(|(_, text)| !text.is_empty());
    told.map(|(name, text)| format!("{name}: {text}.")).collect::<Vec<_>>().join(" ")
}

/// The part of the example that is made from the table.
fn reference() -> String {
    let mut out =
        String::from("# ==== Everything that can be said of all services, and of the daemon\n");
    for directive in known().filter(|row| matches!(row.scope, Scope::Global | Scope::Both)) {
        out.push('\n');
        row(&mut out, "# ", directive);
        if directive.scope == Scope::Both {
            out.push_str("#   A virtual service can say otherwise for itself.\n");
        }
        let example = directive.global_example.unwrap_or(directive.example);
        writeln!(out, "#{} = {example}", directive.name).unwrap();
    }
    out.push_str("\n# ==== Everything that can be said of a virtual service\n\n");
    for six in [false, true] {
        let of_the_other = |directive: &&Directive| match six {
            true => matches!(directive.name, "virtual6" | "real6"),
            false => !directive.name.ends_with('6'),
        };
        for directive in known().filter(of_the_other) {
            match directive.scope {
                Scope::Opening => {
                    row(&mut out, "# ", directive);
                    writeln!(out, "#{} = {}", directive.name, example(directive)).unwrap();
                }
                Scope::Virtual => {
                    out.push_str("#\t#\n");
                    row(&mut out, "#\t# ", directive);
                    writeln!(out, "#\t{} = {}", directive.name, directive.example).unwrap();
                }
                Scope::Global | Scope::Both => {}
            }
        }
        if !six {
            out.push('\n');
        }
    }
    out
}

/// The example: its own part as it stands there, and the part that is made.
fn whole_example() -> String {
    let source = read(EXAMPLE);
    let own = source.find("# ====").map_or(source.as_str(), |at| source.get(..at).unwrap());
    format!("{own}{}", reference())
}

/// The services of the reference must be none of those that stand above it.
fn example(directive: &Directive) -> String {
    directive.example.replace("192.0.2.1:", "192.0.2.2:").replace("::1]", "::2]")
}

/// The example with every line tried that is marked for it.
fn all_tried(source: &str) -> String {
    let tried = |line: &str| match line.strip_prefix('#') {
        Some(rest)
            if rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '\t') =>
        {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    source.lines().map(tried).collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn the_example_is_made_from_the_table() {
    hold_to(EXAMPLE, &whole_example());
}

#[test]
fn the_example_has_no_fault() {
    let source = whole_example();
    assert_eq!(faults(&source), []);
}

#[test]
fn the_example_has_no_fault_with_every_line_tried() {
    let source = all_tried(&whole_example());
    let mut faults = faults(&source);
    // All directives in one service are not what anybody would advise.
    faults.retain(|(severity, code, _)| *severity != Severity::Advice && !EXPECTED.contains(code));
    assert_eq!(faults, [], "{source}");
    for directive in known() {
        let shown = source.lines().any(|line| {
            let name = line.trim_start().split([' ', '=']).next();
            name == Some(directive.name)
        });
        assert!(shown, "{} is not shown", directive.name);
    }
}

// === the manual pages ===

/// Text with what stands in backquotes in bold.
fn inlines(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

/// A line with its name in bold and what is to be filled in, which has capitals, in italics.
fn syntax(directive: &Directive) -> Vec<Inline> {
    let mut parts = vec![bold(format!("{} =", directive.name)), roman(" ")];
    let grammar = directive.value.grammar();
    let mut rest = grammar.as_str();
    let capital = |letter: char| letter.is_ascii_uppercase();
    while !rest.is_empty() {
        let is_word = rest.starts_with(capital);
        let end = rest.find(|letter| capital(letter) != is_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(if is_word { italic(part) } else { roman(part) });
        rest = after;
    }
    parts
}

/// The entries of these directives.
fn entries(of: impl Fn(&Directive) -> bool) -> Roff {
    let mut page = Roff::new();
    for directive in known().filter(|directive| of(directive)) {
        page.control("PP", []).text(syntax(directive)).control("RS", []);
        let mark = if directive.extension { "(extension: ldirectord refuses it) " } else { "" };
        page.text(inlines(&format!("{mark}{}", directive.doc)));
        let mut facts = facts(directive);
        for (name, text) in
            [("Inheritance", directive.inherits), ("In ldirectord", directive.differs)]
        {
            if !text.is_empty() {
                write!(facts, " {name}: {text}.").unwrap();
            }
        }
        let facts = Some(roman(facts.trim())).filter(|text| *text != roman(""));
        for (number, line) in
            facts.into_iter().chain(directive.examples().into_iter().map(bold)).enumerate()
        {
            page.control(if number == 0 { "PP" } else { "br" }, []).text([line]);
        }
        page.control("RE", []);
    }
    page
}

/// The services that can be checked.
fn services() -> Roff {
    let mut page = Roff::new();
    for info in checks::whole_catalogue() {
        let port = info.default_port.map(|port| format!(" Port {port}, if none is given."));
        let used: Vec<String> = info.uses(true).map(|name| format!("`{name}`")).collect();
        let used = match used.as_slice() {
            [] => String::new(),
            used => format!(" Uses {}.", used.join(", ")),
        };
        let mark = if EXTENSIONS.contains(&info.name) {
            "(extension: ldirectord refuses it, and no port implies it) "
        } else {
            ""
        };
        let text = format!("{mark}{}{}{used}", info.doc, port.unwrap_or_default());
        page.control("TP", []).text([bold(info.name)]).text(inlines(&text));
    }
    page
}

/// A manual page: its template with the table in it.
fn manual(name: &str) -> String {
    let template = format!("{name}.in");
    let mut page = format!(
        ".\\\" Made from {} and the table of directives; see tests/generated.rs.\n",
        template.rsplit('/').next().unwrap()
    );
    for line in read(&template).lines() {
        let made = match line {
            "@GLOBAL@" => entries(|row| row.scope == Scope::Global),
            "@OPENING@" => entries(|row| row.scope == Scope::Opening),
            "@BOTH@" => entries(|row| row.scope == Scope::Both),
            "@VIRTUAL@" => entries(|row| row.scope == Scope::Virtual),
            "@SERVICES@" => services(),
            line => {
                page += &line.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
                page.push('\n');
                continue;
            }
        };
        for line in made.to_roff().lines() {
            match line.starts_with('.') {
                true => page += &format!("{line}\n"),
                // Sentences begin on lines of their own, so that all have the same distance.
                false => line.split_inclusive(". ").for_each(|line| page += &wrapped(line, 79, "")),
            }
        }
    }
    page
}

#[test]
fn the_manual_pages_are_made_from_the_table() {
    for name in [MANUAL, MANUAL_OF_PROGRAM] {
        hold_to(name, &manual(name));
    }
}

#[test]
fn the_manual_page_is_whole() {
    let page = manual(MANUAL);
    assert!(!page.contains("@VERSION@") && !page.contains("\n@"), "nothing is left to fill in");
    let body = page.lines().filter(|line| !line.starts_with('.'));
    assert!(body.clone().all(|line| !line.starts_with('\'')), "no line is taken for a request");
    for directive in known() {
        let entry = format!(".PP\n\\fB{} =\\fR", directive.name);
        assert_eq!(page.matches(&entry).count(), 1, "{}", directive.name);
    }
    for (name, _) in SERVICES {
        assert!(page.contains(&format!(".TP\n\\fB{name}\\fR\n")), "{name}");
    }
}

/// What stands between `.EX` and `.EE`, and is a configuration.
#[test]
fn the_examples_of_the_manual_page_have_no_fault() {
    let page = manual(MANUAL);
    let examples = page.split(".EX\n").skip(1).map(|rest| rest.split(".EE").next().unwrap());
    let examples: Vec<&str> = examples.filter(|example| example.contains("virtual =")).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        assert_eq!(faults(example), [], "{example}");
    }
}

/// The commands and options of a help text: what stands in lines that begin with blanks, up to two more of them.
fn words_of_help(help: &str) -> Vec<&str> {
    let entry = |line: &'_ str| line.starts_with("  ") && !line.starts_with("        ");
    let (_usage, rest) = help.split_once("Commands:").unwrap();
    let named = rest.lines().filter(|line| entry(line)).map(|line| {
        let line = line.trim_start();
        line.split("  ").next().unwrap()
    });
    named.filter(|named| !named.starts_with('/')).flat_map(|named| named.split(", ")).collect()
}

#[test]
fn the_manual_page_of_the_program_has_all_that_its_help_has() {
    let page = manual(MANUAL_OF_PROGRAM);
    let lines: Vec<&str> = page.lines().collect();
    let entries = lines.windows(2).filter(|pair| pair[0] == ".TP").map(|pair| pair[1]);
    let entries: Vec<&str> = entries.collect();
    let help = Command::new(env!("CARGO_BIN_EXE_ldirectord")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = words_of_help(&help);
    for expected in ["start", "alert test", "-d", "--debug", "--table WHERE"] {
        assert!(words.contains(&expected), "{expected} of {words:?}");
    }
    for word in words {
        let name = word.split(" WHERE").next().unwrap().replace('-', "\\-");
        let is_entry = |entry: &&str| {
            entry.split([' ', '"']).any(|part| part == name)
                || entry.contains(&format!("\"{name}\""))
        };
        assert!(entries.iter().any(is_entry), "{word} of {entries:?}");
    }
}
