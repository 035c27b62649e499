//! The story's looks: steps, sentences, tables. Colours only where the caller says that they show.

use std::io::{self, Write as _};
use std::time::Duration;

use crate::machines::{SERVICES, WEBS, Web};
use crate::table::Table;
use crate::tally::Count;

/// Standard output, as the story is told on it.
pub(crate) struct Page {
    out: io::Stdout,
    colour: bool,
    step: u32,
}

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const FAINT: &str = "2";

impl Page {
    /// An empty page; the first step is number 1.
    pub(crate) fn new(colour: bool) -> Self {
        Self { out: io::stdout(), colour, step: 0 }
    }

    /// Goes on after the first `step` steps.
    pub(crate) fn continue_after(&mut self, step: u32) {
        self.step = step;
    }

    /// A numbered step: what happens, in one sentence, then why.
    pub(crate) fn step(&mut self, what: &str, why: &[&str]) {
        self.step += 1;
        self.line("");
        self.line(&self.paint(BOLD, &format!("{}. {what}", self.step)));
        for line in why {
            self.line(&format!("   {line}"));
        }
    }

    /// What was seen and is as it should be.
    pub(crate) fn seen(&self, text: &str) {
        self.line(&format!("   {} {text}", self.paint(GREEN, "ok:")));
    }

    /// What was seen and is not as it should be.
    pub(crate) fn wrong(&self, text: &str) {
        self.line("");
        self.line(&format!("   {} {text}", self.paint(RED, "NOT AS IT SHOULD BE:")));
    }

    /// A plain line.
    pub(crate) fn line(&self, text: &str) {
        // Where nobody can read the story there is nobody to tell that to; the exit code still counts.
        let mut out = self.out.lock();
        drop(writeln!(out, "{text}").and_then(|()| out.flush()));
    }

    /// A command and what it says, or what a file says.
    pub(crate) fn quote(&self, heading: &str, text: &str) {
        self.line("");
        self.line(&format!("     {}", self.paint(BOLD, heading)));
        for line in text.lines() {
            self.line(&self.paint(FAINT, &format!("     {}", line.trim_end())));
        }
        self.line("");
    }

    /// The weights in the kernel's table: a line a service, a column a server.
    pub(crate) fn weights(&self, table: &Table) {
        self.line("");
        let names: Vec<_> = WEBS.iter().map(|web| format!("{:>7}", web.name)).collect();
        self.line(&self.paint(
            BOLD,
            &format!("     {:<34}{}", "weights in the kernel's table", names.concat()),
        ));
        for service in &SERVICES {
            let cells: Vec<_> = WEBS
                .iter()
                .map(|web| match table.weight(service.address, web.address) {
                    Some(0) => self.paint(RED, &format!("{:>7}", 0)),
                    Some(weight) => self.paint(GREEN, &format!("{weight:>7}")),
                    None => format!("{:>7}", "-"),
                })
                .collect();
            self.line(&format!(
                "     {:<34}{}",
                format!("{}:80 {}", service.address, service.method),
                cells.concat()
            ));
        }
        self.line("");
    }

    /// Who answered: a line a service, a column a server.
    pub(crate) fn answers(&self, count: &Count) {
        self.line("");
        let names: Vec<_> = WEBS.iter().map(|web| format!("{:>7}", web.name)).collect();
        self.line(&self.paint(
            BOLD,
            &format!("     {:<34}{}{:>7}", "requests answered by", names.concat(), "lost"),
        ));
        for service in &SERVICES {
            let cells: Vec<_> = WEBS
                .iter()
                .map(|web: &Web| format!("{:>7}", count.answered(service, web)))
                .collect();
            let lost = self.alarm(count.lost(service), 7);
            self.line(&format!(
                "     {:<34}{}{lost}",
                format!("{}:80 {}", service.address, service.method),
                cells.concat()
            ));
        }
        self.line("");
    }

    /// A long text, in lines that fit.
    pub(crate) fn wrapped(&self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.len() + word.len() > 80 {
                self.line(&self.paint(FAINT, &format!("     {line}")));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&self.paint(FAINT, &format!("     {line}")));
    }

    /// What the page is about.
    pub(crate) fn title(&self, text: &str) {
        self.line("");
        self.line(&self.paint(BOLD, text));
    }

    /// A row of the closing figures: a number a service and their sum.
    pub(crate) fn figures(&self, name: &str, numbers: &[usize]) {
        let cells: Vec<_> = numbers.iter().map(|number| format!("{number:>16}")).collect();
        let sum: usize = numbers.iter().sum();
        self.line(&format!("   {name:<34}{}{sum:>12}", cells.concat()));
    }

    /// The heading over such rows.
    pub(crate) fn figures_heading(&self, name: &str, columns: &[&str]) {
        let cells: Vec<_> = columns.iter().map(|column| format!("{column:>16}")).collect();
        let text = format!("   {name:<34}{}{:>12}", cells.concat(), "together");
        self.line(&self.paint(BOLD, &text));
    }

    /// A heading over columns.
    pub(crate) fn heading(&self, name: &str, columns: &[&str]) {
        let cells: Vec<_> = columns.iter().map(|column| format!("{column:>16}")).collect();
        self.line(&self.paint(BOLD, &format!("   {name:<34}{}", cells.concat())));
    }

    /// A row of times under such a heading.
    pub(crate) fn times(&self, name: &str, times: &[Duration]) {
        let cells: Vec<_> = times.iter().map(|time| format!("{:>16}", seconds(*time))).collect();
        self.line(&format!("   {name:<34}{}", cells.concat()));
    }

    fn alarm(&self, number: usize, width: usize) -> String {
        let text = format!("{number:>width$}");
        if number == 0 { text } else { self.paint(RED, &text) }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `0.84 s`
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
