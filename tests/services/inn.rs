//! INN: nntp.

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service =
    Service { name: "inn2", start, trials: &[Trial::up("nntp", 119, &["service=nntp"])] };

/// What is otherwise than in Debian's file.
const SETTINGS: &str = "
domain: example.net
pathhost: lab.example.net
pathrun: @/run
bindaddress: 127.0.0.1
bindaddress6: \"::1\"
";

fn start(server: &Server) {
    server.folder_of("news", "run");
    let settings = server.write("settings", SETTINGS);
    // A setting may be there once.
    let merge = format!(
        "cd /etc/news && sed -E '/^(domain|pathhost|pathrun|bindaddress6?):/d' inn.conf.dpkg-dist | \
         cat - {settings} >inn.conf"
    );
    server.run("sh", &["-c", &merge]);
    let as_news = ["--reuid=news", "--regid=news", "--init-groups"];
    server.run("setpriv", &[&as_news[..], &["/usr/lib/news/bin/makehistory"]].concat());
    server.spawn("setpriv", &[&as_news[..], &["/usr/lib/news/bin/innd", "-d"]].concat());
    server.wait_for_ports(&[119]);
}
