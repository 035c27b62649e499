//! 10,000 real servers into the empty table of a kernel: ours against `ipvsadm -R`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, thread};

use ldirectord::ipvs::{Job, Reconciler, Target, Wanted, Wish, netlink::Netlink};
use ldirectord::model::{
    Forwarding, Scheduler, ServerKey, ServiceKey, Settings, Share, Thresholds, Transport, Weight,
};

use crate::process::{self, Running};
use crate::{Problem, head, load, print};

pub(crate) const COUNT: u32 = 10_000;
/// Each is measured as often, and the best is taken: what disturbs a measurement makes it longer.
const ROUNDS: u32 = 3;

const AIM: &str = "0.10";

pub(crate) fn measure(program: &Path) -> Result<(), Problem> {
    load::claim_addresses()?;
    head(&format!(
        "{COUNT} real servers in {} services into an empty kernel table",
        COUNT / load::SERVERS_PER_SERVICE
    ));
    // Loads the modules, and whatever else the first use costs.
    let target = target()?;
    install(&target)?;

    let rules = env::temp_dir().join("rules");
    process::replace(&rules, &rules_of_ipvsadm())?;
    let theirs = best(|| {
        let began = Instant::now();
        let status = Command::new("ipvsadm").arg("-R").stdin(File::open(&rules)?).status()?;
        let took = began.elapsed();
        if status.success() {
            Ok(took)
        } else {
            Err(format!("ipvsadm -R ended with {status}").into())
        }
    })?;
    print("ipvsadm -R", &seconds(theirs), "");

    let ours = best(|| install(&target))?;
    print("the daemon's reconciler: read, plan, write", &seconds(ours), &share(ours, theirs, AIM));

    let configuration = load::configuration(COUNT, "checkinterval=10", &["checktype=on"]);
    let whole = best(|| start(program, &configuration))?;
    print("the daemon, from exec to a whole table", &seconds(whole), &share(whole, theirs, AIM));
    Ok(())
}

/// The shortest of some times, each taken from an empty table to a whole one.
fn best(time: impl Fn() -> Result<Duration, Problem>) -> Result<Duration, Problem> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        process::run(&["ipvsadm", "-C"])?;
        best = best.min(time()?);
        expect_whole()?;
    }
    process::run(&["ipvsadm", "-C"])?;
    Ok(best)
}

pub(crate) fn install(target: &Target) -> Result<Duration, Problem> {
    let job = Job::Everything(target.clone());
    let began = Instant::now();
    let report = Reconciler::new(Box::new(Netlink::default())).run(&job);
    let took = began.elapsed();
    if let Some(error) =
        report.unread.or_else(|| report.done.into_iter().find_map(|(_, result)| result.err()))
    {
        return Err(error.message.into());
    }
    Ok(took)
}

/// From the start of the program until the last server is in the table.
fn start(program: &Path, configuration: &str) -> Result<Duration, Problem> {
    let began = Instant::now();
    let mut running = Running::daemon(program, "kernel", configuration)?;
    wait_until_whole(&mut running)?;
    let took = began.elapsed();
    expect_whole()?;
    drop(running);
    // It takes its services with it; the caller judges the table.
    install(&target()?)?;
    Ok(took)
}

/// Waits until the daemon has put every server into the table.
pub(crate) fn wait_until_whole(running: &mut Running) -> Result<(), Problem> {
    let began = Instant::now();
    while servers()? < COUNT {
        running.expect_alive()?;
        if began.elapsed() > Duration::from_secs(60) {
            return Err(format!("after 60 s there are {} servers in the table", servers()?).into());
        }
        // Reading the table takes as long as writing some of it.
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn expect_whole() -> Result<(), Problem> {
    match servers()? {
        COUNT => Ok(()),
        other => Err(format!("there are {other} servers in the table, not {COUNT}").into()),
    }
}

fn servers() -> Result<u32, Problem> {
    let text = fs::read_to_string("/proc/net/ip_vs")?;
    // One of the lines is in the heading.
    Ok(u32::try_from(text.lines().filter(|line| line.starts_with("  -> ")).count())?
        .saturating_sub(1))
}

fn rules_of_ipvsadm() -> String {
    let rule = |number: u32| {
        let service = load::service(number / load::SERVERS_PER_SERVICE);
        let address = load::address(number);
        let server = format!("-a -t {service} -r {address}:80 -m -w 1\n");
        if number.is_multiple_of(load::SERVERS_PER_SERVICE) {
            format!("-A -t {service} -s wlc\n{server}")
        } else {
            server
        }
    };
    (0..COUNT).map(rule).collect()
}

pub(crate) fn target() -> Result<Target, Problem> {
    let mut services: BTreeMap<ServiceKey, Wish> = BTreeMap::new();
    let weight = Weight::new(1).ok_or("1 is no weight")?;
    let share =
        Share { forwarding: Forwarding::Masquerade, weight, thresholds: Thresholds::default() };
    for number in 0..COUNT {
        let address: SocketAddr = load::service(number / load::SERVERS_PER_SERVICE).parse()?;
        let service = ServiceKey::Address { transport: Transport::Tcp, address };
        let wish = services.entry(service).or_insert_with(|| Wish {
            settings: Settings { scheduler: Scheduler("wlc".to_owned()), ..Settings::default() },
            servers: BTreeMap::new(),
        });
        let address: Ipv4Addr = load::address(number);
        wish.servers.insert(ServerKey(SocketAddr::from((address, 80))), Wanted::Present(share));
    }
    let owned: BTreeSet<ServiceKey> = services.keys().copied().collect();
    Ok(Target { services, owned, ..Target::default() })
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

pub(crate) fn share(ours: Duration, theirs: Duration, aim: &str) -> String {
    format!(
        "{:.2} of ipvsadm's time (aim: {aim})",
        ours.as_secs_f64() / theirs.as_secs_f64().max(1e-9)
    )
}
