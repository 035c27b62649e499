//! A check of any protocol, made by the configuration, so that a new protocol is tested and measured like the others.

use std::net::SocketAddr;

use ldirectord::{
    checks::catalogue,
    config::{self, File, World},
    model::{CheckSpec, ProtocolInfo},
};

use super::world;

/// What the configuration makes of a check of this protocol. A new protocol is checked like the others.
pub(crate) fn check(info: &ProtocolInfo, transport: &str, target: SocketAddr) -> CheckSpec {
    let request = match info.name {
        "http_proxy" => format!("http://{target}/"),
        "http" | "https" => "index.html".to_owned(),
        _ => "select 1".to_owned(),
    };
    let (name, port) = (info.name, target.port());
    let text = format!(
        "negotiatetimeout=1\nchecktimeout=1\nvirtual=192.0.2.1:{port}\n\treal=127.0.0.1:{port} masq\n\tprotocol={transport}\n\t\
         service={name}\n\tchecktype=negotiate\n\trequest=\"{request}\"\n\treceive=\"never said\"\n\tlogin=\"somebody\"\n\t\
         passwd=\"something\"\n\tsecret=\"hidden\"\n"
    );
    let (names, protocols) = (world::FewNames::default(), catalogue());
    let world = World { protocols: &protocols, ..world::world(&names) };
    let loaded = config::load(File::new("hostile.cf", text), &world);
    let remarks = config::render(&loaded.sources, 0, &loaded.diagnostics);
    let desired = loaded.desired.unwrap_or_else(|| panic!("{remarks}"));
    CheckSpec::clone(&desired.checks[0])
}
