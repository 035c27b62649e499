use std::{collections::BTreeSet, process::id};

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::*;
use crate::model::Pass;

const LONG: Duration = Duration::from_secs(30);

/// A file for programs.
struct Program {
    perls: Perls,
    file: PathBuf,
    _folder: TempDir,
}

impl Program {
    fn new(text: &str) -> Program {
        let folder = tempfile::tempdir().unwrap();
        let program = Program {
            perls: Perls::default(),
            file: folder.path().join("check.pl"),
            _folder: folder,
        };
        program.write(text);
        program
    }

    /// As an editor does it: the file is another.
    fn write(&self, text: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    async fn within(&self, allowed: Duration) -> Verdict {
        let arguments = ["192.0.2.1", "80", "[2001:db8::1]", "8080"].map(OsString::from);
        self.perls.run(&self.file, &arguments, allowed).await
    }

    async fn run(&self) -> Verdict {
        self.within(LONG).await
    }

    /// What is said of the file, with its name cut short.
    async fn says(&self) -> (bool, String) {
        let verdict = self.run().await;
        let file = self.file.display().to_string();
        match verdict {
            Ok(pass) => (true, pass.detail.replace(&file, "FILE")),
            Err(fault) => {
                assert_eq!(fault.reason, Reason::Command, "{fault}");
                (false, fault.detail.replace(&file, "FILE"))
            }
        }
    }
}

async fn says(text: &str) -> (bool, String) {
    Program::new(text).says().await
}

fn up(detail: &str) -> (bool, String) {
    (true, detail.to_owned())
}

fn down(detail: &str) -> (bool, String) {
    (false, detail.to_owned())
}

#[tokio::test]
async fn the_exit_status_decides() {
    assert_eq!(says("exit 0").await, up(""));
    assert_eq!(says("my $nothing = 1;").await, up(""));
    assert_eq!(says("print 'off '; print STDERR qq(the end\n); 0;").await, up("the end; off"));
    assert_eq!(says("exit 1").await, down("exit status 1"));
    assert_eq!(says("print qq(no\n); exit 255").await, down("exit status 255: no"));
    assert_eq!(says("\ndie 'no'").await, down("exit status 255: no at FILE line 2."));
    assert_eq!(says("kill 9, $$; sleep").await, down("ended by SIGKILL"));
    assert_eq!(says("sub f { exit 7 } f").await, down("exit status 7"));
    assert_eq!(says("END { $? = 3 } exit 0").await, down("exit status 3"));
}

#[tokio::test]
async fn a_program_is_run_as_perl_runs_it() {
    let text = "#!/usr/bin/perl -w\nuse strict;\nmy $kept = 'a';\nsub kept { return $kept++ }\n\
                print join(' ', kept(), kept(), @ARGV, scalar @_, $_[3], $0, __FILE__, __LINE__), \"\\n\";\n\
                print <DATA>, <STDIN>, eof(STDIN);\nrequire Cwd; print ' ', Cwd::getcwd();\n__END__\nlast line\n";
    let program = Program::new(text);
    let expected = up("a b 192.0.2.1 80 [2001:db8::1] 8080 4 8080 FILE FILE 5; last line; 1 /");
    // Of what one check does the next knows nothing.
    for _ in 0..3 {
        assert_eq!(program.says().await, expected);
    }
    let random = Program::new("BEGIN { rand } print rand, ' ', time - $^T < 100");
    assert_ne!(random.run().await, random.run().await);
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_a_failure() {
    let (is_up, detail) = says("use strict;\nmy $x = ;\n").await;
    assert!(!is_up && detail.starts_with("perl ended before"), "{detail}");
    assert!(detail.contains("syntax error at FILE line 2"), "{detail}");
    let (is_up, detail) = says("use No::Such::Module;").await;
    assert!(!is_up && detail.contains("No/Such/Module.pm"), "{detail}");
    assert!(!says("BEGIN { exit 0 }").await.0);

    let program = Program::new("");
    fs::remove_file(&program.file).unwrap();
    assert_eq!(program.says().await, down("cannot run FILE: no such file or directory (ENOENT)"));
    fs::create_dir(&program.file).unwrap();
    assert_eq!(program.says().await, down("cannot run FILE: it is no file"));
}

#[tokio::test]
async fn an_edit_takes_effect_at_the_next_check() {
    let program = Program::new("print 'one'");
    assert_eq!(program.says().await, up("one"));
    program.write("print 'two'; exit 2");
    assert_eq!(program.says().await, down("exit status 2: two"));
    program.write("print 'three");
    assert!(!program.says().await.0);
    program.write("print 'four'");
    assert_eq!(program.says().await, up("four"));
    assert_eq!(program.perls.idle.lock().await.len(), 1);
}

/// Waits until no process has this number, or the test has hung.
async fn gone(pid: &str) {
    for _ in 0..1000 {
        let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("process {pid} lives on");
}

#[tokio::test]
async fn a_perl_that_hangs_is_ended_with_what_it_started() {
    let program = Program::new(
        "$| = 1; $SIG{TERM} = 'IGNORE'; fork; print getppid, qq(\\n), $$, qq(\\n); sleep 1000 while 1",
    );
    let start = Instant::now();
    let fault = program.within(Duration::from_secs(2)).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(fault.reason, Reason::Timeout);
    let (words, pids) = fault.detail.rsplit_once(": ").unwrap();
    assert!(words.ends_with("check.pl did not end within 2s"), "{words}");
    let pids: BTreeSet<&str> = pids.split("; ").collect();
    assert_eq!(pids.len(), 3, "{pids:?}");
    for pid in pids {
        gone(pid).await;
    }
    // While it is compiled too.
    program.write("BEGIN { sleep 1000 while 1 }");
    let fault = program.within(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(fault.reason, Reason::Timeout);
    program.write("print 'well'");
    assert_eq!(program.says().await, up("well"));
}

#[tokio::test]
async fn a_perl_that_dies_is_replaced() {
    let program = Program::new("$| = 1; print $$; kill 9, getppid; sleep 1000 while 1");
    let (is_up, detail) = program.says().await;
    assert!(!is_up && detail.starts_with("perl ended before FILE did (signal: 9"), "{detail}");
    gone(detail.rsplit_once(' ').unwrap().1).await;
    let program = Program::new("print getppid");
    let (_, first) = program.says().await;
    assert_eq!(program.says().await, up(&first));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(first.parse().unwrap()),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    gone(&first).await;
    let (is_up, second) = program.says().await;
    assert!(is_up && second != first);
}

#[tokio::test]
async fn many_checks_start_few_perls() {
    let program = Program::new("print getppid");
    let mut pids = BTreeSet::new();
    for _ in 0..200 {
        pids.insert(program.run().await.unwrap().detail);
    }
    assert_eq!(pids.len(), 1, "{pids:?}");

    let program = Arc::new(Program::new("select undef, undef, undef, 0.02; print getppid"));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let program = Arc::clone(&program);
        running.spawn(async move { program.run().await });
    }
    let pids: BTreeSet<String> =
        running.join_all().await.into_iter().map(|verdict| verdict.unwrap().detail).collect();
    assert!((2..=AT_ONCE).contains(&pids.len()), "{pids:?}");
    assert!(!pids.contains(&id().to_string()));
}

#[tokio::test]
async fn many_programs_keep_few_perls() {
    let folder = tempfile::tempdir().unwrap();
    let perls = Perls::default();
    for number in 0..AT_ONCE + 3 {
        let file = folder.path().join(number.to_string());
        fs::write(&file, format!("print {number}")).unwrap();
        let verdict = perls.run(&file, &[], LONG).await;
        assert_eq!(verdict, Ok(Pass { detail: number.to_string() }));
    }
    assert_eq!(perls.idle.lock().await.len(), AT_ONCE);
}

#[tokio::test]
async fn what_a_check_leaves_behind_is_heard_by_no_other() {
    let program = Program::new("if (!fork) { print 'late'; exit } wait; print 'in time'; exit 1");
    for _ in 0..2 {
        assert_eq!(program.says().await, down("exit status 1: latein time"));
    }
    let endless = Program::new("exit if fork; $| = 1; print 'x' x 8192 while 1");
    for _ in 0..3 {
        endless.run().await.unwrap();
    }
}
