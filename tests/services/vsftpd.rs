//! vsftpd: ftp.

use ldirectord::model::Reason;

use crate::service::{Otherwise, Server, Service, State, Theirs, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "vsftpd",
    start,
    trials: &[
        Trial { theirs: WITHOUT_RECEIVE, ..Trial::up("ftp", 21, &["service=ftp"]) },
        Trial {
            theirs: WITHOUT_RECEIVE,
            ..Trial::up("ftp of a file", 21, &["service=ftp", "request=\"welcome.txt\""])
        },
        Trial::up(
            "ftp with everything",
            21,
            &["service=ftp", "request=\"welcome.txt\"", "receive=\"^It works\""],
        ),
        Trial::up(
            "ftp with login",
            21,
            &[
                "service=ftp",
                "login=\"monitor\"",
                "passwd=\"s3cret\"",
                "request=\"srv/file.txt\"",
                "receive=\"of the user\"",
            ],
        ),
        Trial::late(
            "ftp, a late login",
            2121,
            &["service=ftp", "request=\"welcome.txt\"", "receive=\"^It works\""],
        ),
        Trial::down(
            "ftp, wrong answer",
            21,
            Reason::Mismatch,
            &["service=ftp", "request=\"welcome.txt\"", "receive=\"nothing of the kind\""],
        ),
        Trial::down(
            "ftp, no such file",
            21,
            Reason::Protocol,
            &["service=ftp", "request=\"none.txt\"", "receive=\"It works\""],
        ),
        Trial::down(
            "ftp, wrong password",
            21,
            Reason::Denied,
            &[
                "service=ftp",
                "login=\"monitor\"",
                "passwd=\"other\"",
                "request=\"srv/file.txt\"",
                "receive=\"of the user\"",
            ],
        ),
    ],
};

const WITHOUT_RECEIVE: Theirs =
    Theirs::Differs("always up there without receive", |state, _| match state {
        State::Works => Otherwise::No,
        State::TooLate | State::Absent | State::Stopped => Otherwise::Opposite,
    });

const CONFIGURATION: &str = "
background=NO
anonymous_enable=YES
anon_root=@/anonymous
local_enable=YES
pam_service_name=vsftpd
secure_chroot_dir=@/empty
seccomp_sandbox=NO
vsftpd_log_file=@/vsftpd.log
xferlog_enable=YES
dual_log_enable=YES
";

fn start(server: &Server) {
    server.write("anonymous/welcome.txt", "It works for everybody\n");
    server.folder_of("root", "empty");
    server.run("useradd", &["--shell", "/bin/sh", "--home-dir", "/srv", "monitor"]);
    server.run("sh", &["-c", "echo monitor:s3cret | chpasswd"]);
    std::fs::write("/srv/file.txt", "the file of the user\n").unwrap();
    for (name, listen) in [
        ("four", "listen=YES\nlisten_address=127.0.0.1\n"),
        ("six", "listen=NO\nlisten_ipv6=YES\nlisten_address6=::1\n"),
    ] {
        for (port, delay) in [(21, 0), (2121, 2)] {
            let more = format!("listen_port={port}\ndelay_successful_login={delay}\n");
            let text = format!("{CONFIGURATION}{listen}{more}");
            let configuration = server.write(&format!("{name}-{port}.conf"), &text);
            server.spawn("vsftpd", &[&configuration]);
        }
    }
    server.wait_for_ports(&[21, 2121]);
}
