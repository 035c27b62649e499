//! Lines for programs: an object of JSON each, in a file or on standard output.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    event,
    site::{Server, end_of, signal, wait},
};

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn a_file_of_json_is_read_by_others() {
    let shaky = Server::up();
    let site = crate::site("", &[]);
    let log = site.path("json");
    let globals = format!("logfile=\"{}\"\nlogformat=json\n", log.display());
    fs::write(site.config(), crate::configuration(&globals, &[&shaky])).unwrap();
    let pid = site.start();
    let wait_for = |word: &str| {
        wait(word, || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            event(&objects(&text), word).cloned().ok_or(text)
        })
    };
    let added = wait_for("server-added");
    let address = shaky.address().to_string();
    for (name, value) in [
        ("level", Value::from("info")),
        (
            "message",
            format!("Added real server: {address} (192.0.2.1:80) (Weight set to 5)").into(),
        ),
        ("configuration", "web.cf".into()),
        ("pid", pid.into()),
        ("service", "tcp 192.0.2.1:80".into()),
        ("server", address.clone().into()),
        ("role", "real".into()),
        ("weight", 5.into()),
        ("forwarding", "masq".into()),
        ("during", "starting".into()),
    ] {
        assert_eq!(added[name], value, "{name} of {added}");
    }
    assert_eq!(added.get("reason"), None, "what is not known is not there");
    drop(shaky);
    let down = wait_for("server-down");
    assert_eq!((&down["reason"], &down["phase"]), (&"refused".into(), &"connect".into()), "{down}");
    assert!(down["took_ms"].as_f64().unwrap() < 1000.0, "{down}");
    fs::write(site.config(), "half a fi").unwrap();
    signal(pid, "HUP");
    let remarks = wait_for("configuration-remarks");
    assert!(remarks["message"].as_str().unwrap().contains('\n'), "{remarks}");
    // Another reader, which also knows the form of a date and that no name may be there twice.
    let script = "
import datetime, json, sys
def once(pairs):
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)
for line in open(sys.argv[1]):
    entry = json.loads(line, object_pairs_hook=once)
    when = datetime.datetime.fromisoformat(entry['time'])
    assert when.utcoffset() == datetime.timedelta(0), line
    assert abs(datetime.datetime.now(datetime.timezone.utc) - when) < datetime.timedelta(minutes=5), line
";
    let read = Command::new("python3").args(["-c", script]).arg(&log).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    // Back to lines, without a new start.
    fs::write(site.config(), crate::configuration(&globals.replace("json\n", "text\n"), &[]))
        .unwrap();
    signal(pid, "HUP");
    wait("lines", || {
        let text = fs::read_to_string(&log).unwrap();
        if text.ends_with("Changed virtual server: 192.0.2.1:80\n") { Ok(()) } else { Err(text) }
    });
    signal(pid, "TERM");
    crate::site::wait_for_end(pid);
}

pub(crate) fn a_container_speaks_json_on_standard_output() {
    let server = Server::up();
    for (word, other) in [("stdout", "stderr"), ("stderr", "stdout")] {
        let globals = format!("logfile=\"{word}\"\nlogformat=json\n");
        let site = crate::site(&globals, &[&server]);
        let mut daemon = site
            .program()
            .args(["--table=memory", "--foreground", "web.cf", "start"])
            .stdout(fs::File::create(site.path("stdout")).unwrap())
            .stderr(fs::File::create(site.path("stderr")).unwrap())
            .spawn()
            .unwrap();
        let added = wait("the server", || {
            let text = fs::read_to_string(site.path(word)).unwrap();
            event(&objects(&text), "server-added").cloned().ok_or(text)
        });
        assert_eq!(added["weight"], 5);
        signal(daemon.id().try_into().unwrap(), "TERM");
        assert_eq!(end_of(&mut daemon), Some(0));
        let text = fs::read_to_string(site.path(word)).unwrap();
        assert_eq!(objects(&text).last().unwrap()["signal"], "TERM", "{text}");
        assert_eq!(fs::read_to_string(site.path(other)).unwrap(), "");
        assert!(!site.path("default.log").exists());
    }
}

/// Nobody would ever see its lines; they go to the default file, and who starts it is told.
pub(crate) fn nobody_reads_a_daemon_in_the_background() {
    let site = crate::site("logfile=\"stdout\"\n", &[]);
    let start = site.ldirectord("start");
    let file = site.path("default.log");
    let told = format!(
        "a daemon in the background has no logfile=\"stdout\", its log goes to {}\n\
         hint: start it with --foreground, or name a file, journal or a facility\n",
        file.display()
    );
    assert_eq!((start.code, start.out.as_str(), start.err.as_str()), (0, "", told.as_str()));
    let log = crate::site::messages(&file);
    assert!(log.contains("Starting Linux Director v1.186-ha as daemon\n"), "{log}");
    assert_eq!(site.run(&["web.cf", "stop"]).code, 0);
}
