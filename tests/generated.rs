//! `ldirectord.cf.example` is right, complete, and says what the table of directives says.
//!
//! The part behind the line that begins with `# ====` is made from the table;
//! `INSTA_UPDATE=always cargo test --test generated` writes it anew.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "support/world.rs"]
mod world;

use std::{env, fmt::Write as _, fs, path::PathBuf};

use ldirectord::config::{
    self, Diagnostic, File, Severity, World,
    directives::{DIRECTIVES, Directive, Scope, ValueKind},
};

/// Directives that are refused, and only known for that.
const GONE: [&str; 2] = ["connecttimeout", "timeout"];

/// `checkcount` goes out of use; `receive` finds nothing with `httpmethod`, which stands beside it in the reference.
const EXPECTED: [&str; 2] = ["W0201", "W0403"];

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("ldirectord.cf.example")
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

/// Text in lines of at most 90 letters, each with this before it.
fn wrapped(out: &mut String, before: &str, text: &str) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && before.len() + line.len() + 1 + word.len() > 90 {
            writeln!(out, "{before}{line}").unwrap();
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{before}{line}").unwrap();
}

fn row(out: &mut String, before: &str, directive: &Directive) {
    let value = match directive.value {
        ValueKind::YesNo => "yes | no".to_owned(),
        ValueKind::Duration => "TIME".to_owned(),
        ValueKind::Count => "NUMBER".to_owned(),
        ValueKind::Word(words) => words.join(" | "),
        ValueKind::Words(words) => format!("list of {}", words.join(", ")),
        ValueKind::Quoted => "\"TEXT\"".to_owned(),
        ValueKind::Text => "TEXT or \"TEXT\"".to_owned(),
        ValueKind::Rest => "TEXT".to_owned(),
        ValueKind::Special(grammar) => grammar.to_owned(),
    };
    wrapped(out, before, &format!("{} = {value}", directive.name));
    let before = format!("{before}  ");
    wrapped(out, &before, directive.doc);
    let range = if directive.range.is_empty() {
        String::new()
    } else {
        format!("Range: {}. ", directive.range)
    };
    let default = if directive.default.is_empty() {
        String::new()
    } else {
        format!("Default: {}.", directive.default)
    };
    let last = format!("{range}{default}");
    if !last.trim().is_empty() {
        wrapped(out, &before, &last);
    }
}

/// The part of the example that is made from the table.
fn reference() -> String {
    let mut out =
        String::from("# ==== Everything that can be said of all services, and of the daemon\n");
    let known = || DIRECTIVES.iter().filter(|directive| !GONE.contains(&directive.name));
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
    let source = fs::read_to_string(path()).unwrap();
    let own = source.find("# ====").map_or(source.as_str(), |at| source.get(..at).unwrap());
    let wanted = format!("{own}{}", reference());
    if env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(path(), &wanted).unwrap();
        return;
    }
    let hint = "INSTA_UPDATE=always cargo test --test generated writes it anew";
    assert!(source == wanted, "ldirectord.cf.example is not what the table says; {hint}");
}

#[test]
fn the_example_has_no_fault() {
    let source = fs::read_to_string(path()).unwrap();
    assert_eq!(faults(&source), []);
}

#[test]
fn the_example_has_no_fault_with_every_line_tried() {
    let source = all_tried(&fs::read_to_string(path()).unwrap());
    let mut faults = faults(&source);
    // All directives in one service are not what anybody would advise.
    faults.retain(|(severity, code, _)| *severity != Severity::Advice && !EXPECTED.contains(code));
    assert_eq!(faults, [], "{source}");
    for directive in DIRECTIVES.iter().filter(|directive| !GONE.contains(&directive.name)) {
        let shown = source.lines().any(|line| {
            let name = line.trim_start().split([' ', '=']).next();
            name == Some(directive.name)
        });
        assert!(shown, "{} is not shown", directive.name);
    }
}
