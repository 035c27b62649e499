//! Files and folders that are not as they should be.

use std::{fs, io::Write as _, os::unix::fs::symlink, path::Path, process::Command};

use crate::site::{Server, Site, command_line, signal, wait, wait_for_end};

/// A virtual service whose server is checked every second.
pub(crate) fn service(server: &Server) -> String {
    format!(
        "checkinterval=1\nchecktimeout=1\nvirtual=192.0.2.1:80\n\treal={} masq\n\tchecktype=connect\n\tprotocol=tcp\n",
        server.address()
    )
}

fn run(program: &str, words: &[&str]) {
    let done = Command::new(program).args(words).output().unwrap();
    assert!(
        done.status.success(),
        "{program} {words:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Mounts a file system of this many KiB.
fn mount(folder: &Path, kib: u32) {
    fs::create_dir(folder).unwrap();
    let options = format!("size={kib}k");
    run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", folder.to_str().unwrap()]);
}

/// Leaves no room where this file is written.
fn fill(file: &Path) {
    let full = fs::write(file, vec![b'.'; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
}

pub(crate) fn a_pid_file_that_is_none() {
    let site = Site::with("virtual=192.0.2.1:80\n\tprotocol=tcp\n");
    let make: [fn(&Path); 3] = [
        |path| fs::create_dir(path).unwrap(),
        |path| symlink(path, path).unwrap(),
        |path| run("mkfifo", &[path.to_str().unwrap()]),
    ];
    let remove: [fn(&Path) -> std::io::Result<()>; 3] =
        [|path| fs::remove_dir(path), |path| fs::remove_file(path), |path| fs::remove_file(path)];
    for (make, remove) in make.into_iter().zip(remove) {
        make(&site.pid_file());
        let start = site.ldirectord("start");
        let message = format!("Can not open {}\nhint: ", site.pid_file().display());
        assert_eq!(start.code, 1, "{start:?}");
        assert!(start.err.starts_with(&message), "{start:?}");
        assert!(site.log().contains(&format!("Can not open {}: ", site.pid_file().display())));
        assert_eq!(site.ldirectord("status").code, 3);
        assert_eq!(site.ldirectord("stop").code, 0);
        remove(&site.pid_file()).unwrap();
    }
    site.start();
    assert_eq!(site.ldirectord("stop").code, 0);
}

pub(crate) fn a_full_run_directory() {
    let site = Site::with("virtual=192.0.2.1:80\n\tprotocol=tcp\n");
    let run = site.path("run");
    mount(&run, 4);
    fill(&run.join("rest"));
    let start = || {
        let mut program = site.program();
        program.args(["--table=memory", "web.cf", "start"]).env("LDIRECTORD_RUN_DIR", &run);
        program.output().unwrap()
    };
    let refused = start();
    let said = String::from_utf8(refused.stderr).unwrap();
    let message = format!(
        "Can not open {}/ldirectord.web.cf.pid\nhint: No space left on device (os error 28)\n",
        run.display()
    );
    assert_eq!((refused.status.code(), said), (Some(1), message));
    fs::remove_file(run.join("rest")).unwrap();
    assert_eq!(start().status.code(), Some(0));
    let pid =
        fs::read_to_string(run.join("ldirectord.web.cf.pid")).unwrap().trim().parse().unwrap();
    signal(pid, "TERM");
    wait_for_end(pid);
}

pub(crate) fn a_full_log_directory() {
    let begins = |folder: &Path| {
        // The last page of the log has room, too.
        let mut log = fs::OpenOptions::new().append(true).open(folder.join("log")).unwrap();
        let room = 4096 - log.metadata().unwrap().len() % 4096;
        let room = usize::try_from(if room < 10 { room + 4096 } else { room }).unwrap();
        let line = format!("[{}||] \n", ".".repeat(room - 6));
        log.write_all(line.as_bytes()).unwrap();
        fill(&folder.join("rest"));
    };
    a_log_that_cannot_be_written(begins, |folder| fs::remove_file(folder.join("rest")).unwrap());
}

pub(crate) fn a_read_only_log_directory() {
    let remount = |folder: &Path, how| run("mount", &["-o", how, folder.to_str().unwrap()]);
    let ends = |folder: &Path| remount(folder, "remount,rw");
    a_log_that_cannot_be_written(|folder| remount(folder, "remount,ro"), ends);
}

fn a_log_that_cannot_be_written(begins: impl Fn(&Path), ends: impl Fn(&Path)) {
    let server = Server::up();
    let site = Site::new();
    let (folder, monitor) = (site.path("logs"), site.path("monitor"));
    mount(&folder, 64);
    let log = folder.join("log");
    let config = format!(
        "logfile=\"{}\"\n{}\tmonitorfile={}\n",
        log.display(),
        service(&server),
        monitor.display()
    );
    fs::write(site.config(), config).unwrap();
    let pid = site.start();
    let has = |line: &str| {
        let text = crate::site::messages(&log);
        if text.lines().any(|found| found == line) { Ok(()) } else { Err(text) }
    };
    wait("the server", || {
        has(&format!("Added real server: {} (192.0.2.1:80) (Weight set to 1)", server.address()))
    });
    begins(&folder);
    let before = fs::read(&log).unwrap();
    let state = |word: &str| {
        wait(word, || {
            let text = fs::read_to_string(&monitor).unwrap();
            if text.lines().last().unwrap().contains(word) { Ok(()) } else { Err(text) }
        });
    };
    let at = server.address();
    drop(server);
    state("[down]");
    let server = Server::up_again(at);
    state("[up]");
    let status = site.ldirectord("status");
    assert_eq!(status.code, 0);
    assert!(
        status.err.contains("Invoking ldirectord invoked as"),
        "its line is not lost: {status:?}"
    );
    let written = fs::read(&log).unwrap();
    assert!(written.len() < before.len() + 200 && written.starts_with(&before));
    ends(&folder);
    for line in [
        format!("Deleted real server: {at} (192.0.2.1:80)"),
        format!("Check passed, server is up: {at} (tcp:192.0.2.1:80)"),
    ] {
        wait(&line, || has(&line));
    }
    let text = crate::site::messages(&log);
    assert_eq!(text.matches("Check failed, server is down").count(), 1, "{text}");
    assert!(!text.contains("dropped"), "{text}");
    // Nor is it in the way of the end.
    begins(&folder);
    assert_eq!(site.ldirectord("stop").code, 0);
    assert_eq!(command_line(pid), "");
    drop(server);
    run("umount", &[folder.to_str().unwrap()]);
}

pub(crate) fn a_deleted_configuration() {
    let server = Server::up();
    let site = Site::with(&service(&server));
    let (pid, config) = (site.start(), site.config().display().to_string());
    site.wait_for_line(
        &format!("Added real server: {} (192.0.2.1:80) (Weight set to 1)", server.address()),
        1,
    );
    fs::remove_file(site.config()).unwrap();
    site.wait_for_line(&format!("Warning [{pid}]: can not open file {config} for checking"), 1);
    signal(pid, "HUP");
    site.wait_for_line("hint: No such file or directory (os error 2)", 1);
    site.wait_for_line(&format!("{config} is not followed, the configuration in force stays"), 1);
    let at = server.address();
    drop(server);
    site.wait_for_line(&format!("Deleted real server: {at} (192.0.2.1:80)"), 1);
    for (command, runs) in [("status", true), ("reload", true), ("stop", false)] {
        let done = site.ldirectord(command);
        let running = match command {
            "status" => format!("ldirectord for {config} is running with pid: {pid}\n"),
            _ => String::new(),
        };
        let said = format!("Config file {config} not found\n{running}");
        assert_eq!((done.code, done.err), (1, said), "{command}");
        assert_eq!(command_line(pid).is_empty(), !runs, "{command}");
    }
    site.wait_for_line("Purged virtual server (stop): 192.0.2.1:80", 1);
    assert!(!site.pid_file().exists());
}
