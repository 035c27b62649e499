//! Real clusters of Pacemaker and Corosync: a virtual address and the director behind it, in a group.

use std::{
    cell::RefCell,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;

use crate::{
    Agent,
    node::{ADDRESS, Directing, Node},
    support::lab::{self, Namespace},
};

/// Each behind a real server of the node itself.
const PORTS: [u16; 2] = [8080, 8081];
const CONFIG: &str = "/etc/ha.d/ldirectord.cf";
/// Clusters think in seconds, on one processor with all that runs beside it.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn single() -> Trial {
    lab::trial("a cluster of one node keeps the director running", one_node)
}

pub(crate) fn pair() -> Trial {
    lab::trial("a cluster of two nodes moves the director", two_nodes)
}

fn one_node(namespace: &Namespace) {
    let cluster = Cluster::start(namespace, 1);
    let group = cluster.direct(Agent::Stock);
    let [node] = cluster.nodes.as_slice() else { panic!() };
    cluster.recover(node);
    cluster.stop(&group);
}

fn two_nodes(namespace: &Namespace) {
    let cluster = Cluster::start(namespace, 2);
    let [one, two] = cluster.nodes.as_slice() else { panic!() };
    for agent in [Agent::Stock, Agent::Ours] {
        let group = cluster.direct(agent);
        if agent == Agent::Ours {
            cluster.looks_deeper(one);
        }
        cluster.recover(one);
        one.expect("crm_attribute -N node1 -n standby -v on -l forever");
        cluster.directs(two);
        if agent == Agent::Ours {
            cluster.attribute(two, 100);
        }
        cluster.stop(&group);
        one.expect("crm_attribute -N node1 -n standby -D -l forever");
    }
}

struct Cluster {
    nodes: Vec<Node>,
    /// What came to be so far, and how long it took.
    progress: RefCell<String>,
}

impl Cluster {
    fn start(namespace: &Namespace, count: usize) -> Cluster {
        let names: Vec<String> = (1..=count).map(|number| format!("node{number}")).collect();
        let addresses: Vec<String> =
            (1..=count).map(|number| format!("10.77.0.{number}")).collect();
        let nodes: Vec<Node> = names.iter().map(|name| Node::boot(name)).collect();
        match nodes.as_slice() {
            [one] => namespace.ip(&[
                "link",
                "add",
                "eth0",
                "netns",
                &one.init.to_string(),
                "type",
                "dummy",
            ]),
            [one, two] => {
                let [one, two] = [one, two].map(|node| node.init.to_string());
                let peer = ["type", "veth", "peer", "name", "eth0", "netns", &two];
                namespace.ip(&[&["link", "add", "eth0", "netns", &one][..], &peer].concat())
            }
            _ => panic!("a cord has two ends"),
        };
        let members: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(addresses.iter().map(String::as_str)).collect();
        let text: String = PORTS
            .iter()
            .map(|port| format!("virtual = {ADDRESS}:{port}\n\treal = 127.0.0.1:{port} masq\n\tchecktype = connect\n"))
            .collect();
        for (node, address) in nodes.iter().zip(&addresses) {
            node.expect(&format!("ip address add {address}/24 dev eth0"));
            node.expect("ip link set eth0 up");
            node.write(CONFIG, &format!("checkinterval = 1\ndrift = off\n{text}"), 0o644);
            PORTS.iter().for_each(|port| node.serve(*port));
            node.join(&members);
        }
        let cluster = Cluster { nodes, progress: RefCell::default() };
        let online = format!("Online: [ {} ]", names.join(" "));
        cluster.wait("all nodes to be online", || {
            let said = cluster.nodes[0].run("crm_mon -1").output;
            if said.contains(&online) { Ok(()) } else { Err(said) }
        });
        cluster
    }

    /// Waits, and tells everything when it was in vain.
    #[track_caller]
    fn wait<T>(&self, what: &str, attempt: impl Fn() -> Result<T, String>) -> T {
        let begin = Instant::now();
        loop {
            match attempt() {
                Ok(found) => {
                    let line = format!("{:5.1} s for {what}\n", begin.elapsed().as_secs_f64());
                    self.progress.borrow_mut().push_str(&line);
                    return found;
                }
                Err(refusal) if begin.elapsed() > PATIENCE => {
                    panic!("waited in vain for {what}: {refusal}\n{}", self.tell())
                }
                Err(_) => thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    /// The state of the cluster, and what its nodes complain of.
    fn tell(&self) -> String {
        let state = self.nodes[0].run("crm_mon -1 -r -A -f").output;
        let logs = self.nodes.iter().map(|node| {
            let log = node.read("/var/log/pacemaker/pacemaker.log");
            let told = |line: &&str| {
                ["\twarning:", "\terror:", "\tnotice:"].iter().any(|word| line.contains(word))
            };
            let lines: Vec<&str> = log.lines().filter(told).collect();
            let last = lines.split_at(lines.len().saturating_sub(60)).1.join("\n");
            format!("--- {}: {:?}\n{last}\n", node.name, node.directing())
        });
        format!("{}{state}{}", self.progress.borrow(), logs.collect::<String>())
    }

    /// Configures a group of the address and the director; it prefers the first node.
    fn direct(&self, agent: Agent) -> String {
        let kind = agent.name();
        let group = format!("web-{kind}");
        // Each look includes what the shallower ones look at.
        let depth = match agent {
            Agent::Stock => String::new(),
            Agent::Ours => format!(
                r#"<instance_attributes id="{kind}-depth"><nvpair id="{kind}-level" name="OCF_CHECK_LEVEL" value="20"/></instance_attributes>"#
            ),
        };
        let resources = format!(
            r#"<group id="{group}">
            <primitive id="{kind}-address" class="ocf" provider="heartbeat" type="IPaddr2">
              <instance_attributes id="{kind}-address-attributes">
                <nvpair id="{kind}-address-ip" name="ip" value="{ADDRESS}"/>
                <nvpair id="{kind}-address-mask" name="cidr_netmask" value="24"/>
                <nvpair id="{kind}-address-nic" name="nic" value="eth0"/>
              </instance_attributes>
            </primitive>
            <primitive id="{kind}-director" class="ocf" provider="heartbeat" type="{kind}">
              <instance_attributes id="{kind}-director-attributes">
                <nvpair id="{kind}-director-file" name="configfile" value="{CONFIG}"/>
              </instance_attributes>
              <operations>
                <op id="{kind}-start" name="start" interval="0" timeout="60s"/>
                <op id="{kind}-stop" name="stop" interval="0" timeout="60s"/>
                <op id="{kind}-monitor" name="monitor" interval="3s" timeout="60s">{depth}</op>
              </operations>
            </primitive></group>"#
        );
        self.configure("resources", &resources);
        let prefers = format!(
            r#"<rsc_location id="{group}-prefers" rsc="{group}" node="node1" score="50"/>"#
        );
        self.configure("constraints", &prefers);
        self.directs(&self.nodes[0]);
        group
    }

    fn configure(&self, scope: &str, text: &str) {
        let words = ["--create", "--scope", scope, "--xml-text", text].map(str::to_owned);
        let ended = self.nodes[0].call("cibadmin", &words);
        assert_eq!(ended.code, Some(0), "{}", ended.output);
    }

    /// Waits until this node directs, and no other: everything here, nothing there.
    #[track_caller]
    fn directs(&self, node: &Node) -> Directing {
        self.wait(&format!("{} to direct", node.name), || {
            for other in self.nodes.iter().filter(|other| other.name != node.name) {
                has_nothing(other)?;
            }
            has_everything(node)
        })
    }

    /// The daemon dies, and the cluster brings it back.
    fn recover(&self, node: &Node) {
        let before = self.directs(node).processes;
        node.expect(&format!("kill -KILL {}", before[0]));
        self.wait("another daemon", || {
            let now = has_everything(node)?;
            if now.processes == before { Err(format!("{now:?}")) } else { Ok(()) }
        });
    }

    fn stop(&self, group: &str) {
        let stop = format!(
            "crm_resource --resource {group} --meta --set-parameter target-role --parameter-value Stopped"
        );
        self.nodes[0].expect(&stop);
        self.wait("nothing to be left", || self.nodes.iter().try_for_each(has_nothing));
    }

    /// Our agent: how many services have a server that works, and whether all are in the kernel.
    fn looks_deeper(&self, node: &Node) {
        self.attribute(node, 100);
        node.serve_no_more();
        node.serve(PORTS[0]);
        self.attribute(node, 50);
        node.serve(PORTS[1]);
        self.attribute(node, 100);
        let before = self.directs(node).processes;
        node.expect(&format!("ipvsadm -D -t {ADDRESS}:{}", PORTS[0]));
        self.wait("another daemon, for the table", || {
            let now = has_everything(node)?;
            if now.processes == before { Err(format!("{now:?}")) } else { Ok(()) }
        });
    }

    fn attribute(&self, node: &Node, value: u32) {
        let line = format!("ldirectord-working : {value}");
        self.wait(&format!("{value} % of the services to have a server"), || {
            let said = node.run("crm_mon -1 -A").output;
            let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
            if words.contains(&line) { Ok(()) } else { Err(said) }
        });
    }
}

fn has_nothing(node: &Node) -> Result<(), String> {
    let found = node.directing();
    let nothing =
        Directing { services: 0, processes: Vec::new(), pid_files: 0, has_address: false };
    if found == nothing { Ok(()) } else { Err(format!("{}: {found:?}", node.name)) }
}

fn has_everything(node: &Node) -> Result<Directing, String> {
    match node.directing() {
        found @ Directing { services: 2, pid_files: 1, has_address: true, .. }
            if found.processes.len() == 1 =>
        {
            Ok(found)
        }
        found => Err(format!("{}: {found:?}", node.name)),
    }
}
