//! INN: nntp.

use ldirectord::model::Reason;

use crate::service::{Server, Service, Trial};

pub(crate) const SERVICE: Service = Service {
    name: "inn2",
    start,
    trials: &[
        Trial::up("nntp", 119, &["service=nntp"]),
        Trial::down("nntp that wants nobody", 1190, Reason::Protocol, &["service=nntp"]),
    ],
};

/// What is otherwise than in Debian's file.
const SETTINGS: &str = "
domain: example.net
pathhost: lab.example.net
pathrun: @/run
bindaddress: 127.0.0.1
bindaddress6: \"::1\"
";

const READERS: &str = "
auth others {
    hosts: \"192.0.2.0/24\"
    default: \"reader\"
}
access others {
    users: \"reader\"
    newsgroups: \"*\"
}
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
    // Its own server for readers, who are to come from elsewhere.
    let readers = server.write("readers.conf", READERS);
    let words = ["/usr/lib/news/bin/nnrpd", "-D", "-f", "-p", "1190", "-c", &readers];
    for listen in [["-4", "127.0.0.1"], ["-6", "::1"]] {
        server.spawn("setpriv", &[&as_news[..], &words, &listen].concat());
    }
    server.wait_for_ports(&[119, 1190]);
}
