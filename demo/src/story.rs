//! The story, step by step. Every step is verified: the first that does not hold ends the story.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::machines::{self, DIRECTOR, SERVICES, WEBS, Web};
use crate::page::{Page, seconds};
use crate::table::{Table, Window};
use crate::tally::{self, Count, Moments, Outage};
use crate::traffic::{self, RATE, Request, Traffic};

/// Why the story ends early.
pub(crate) type Problem = Box<dyn Error + Send + Sync>;

/// How often the table is read while a change is awaited.
const GLANCE: Duration = Duration::from_millis(10);
/// A director that takes longer than this for anything has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where the director logs when its configuration does not say.
const LOG: &str = "/var/log/ldirectord.log";

/// Step 1, before there is a client to be: the machines.
pub(crate) fn lay_out(page: &mut Page, folder: &Path) -> Result<(), Problem> {
    page.title("A director at work: three web servers behind it, of which two fail under load.");
    page.line(&format!("The kernel is {}.", kernel()));
    page.step(
        "Five machines are laid out, each a network namespace, with cables to one switch.",
        &[],
    );
    page.line(
        "
     client --------- switch -------- director 192.0.2.1   virtual addresses:
     198.51.100.10      |                                  192.0.2.101 by NAT
                        +-- web1 192.0.2.11                192.0.2.102 by direct routing
                        +-- web2 192.0.2.12                192.0.2.103 through a tunnel
                        +-- web3 192.0.2.13
",
    );
    let began = Instant::now();
    let layout = folder.join("layout");
    machines::run(&["bash", &layout.to_string_lossy()])?;
    page.seen(&format!(
        "laid out in {}; the commands are in demo/layout",
        seconds(began.elapsed())
    ));
    Ok(())
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    match env::var("LDIRECTORD_LAB_KERNEL").as_deref() {
        Ok("uml") => format!("User-Mode Linux {}: this machine's own has no IPVS", release.trim()),
        _ => format!("this machine's own, {}", release.trim()),
    }
}

/// The other steps, told from the client.
pub(crate) fn tell(page: &mut Page, folder: &Path, ldirectord: &Path) -> Result<(), Problem> {
    page.continue_after(1);
    let mut scene = Scene {
        page,
        window: Window::open()?,
        ldirectord: ldirectord.to_string_lossy().into_owned(),
        configuration: folder.join("ldirectord.cf").to_string_lossy().into_owned(),
        began: Instant::now(),
        requests: Vec::new(),
        outages: Vec::new(),
    };
    let told = scene.tell();
    if let Err(problem) = &told {
        scene.page.wrong(&problem.to_string());
        scene.show_evidence();
        return Err("the demo's story did not hold: see above".into());
    }
    told
}

/// Everything that takes part.
struct Scene<'p> {
    page: &'p mut Page,
    window: Window,
    ldirectord: String,
    configuration: String,
    began: Instant,
    requests: Vec<Request>,
    outages: Vec<Outage>,
}

impl Scene<'_> {
    fn tell(&mut self) -> Result<(), Problem> {
        self.start()?;
        for service in &SERVICES {
            traffic::try_once(service)?;
        }
        let traffic = Traffic::start()?;
        let [_, web2, web3] = &WEBS;
        self.send_requests(&traffic)?;
        self.take_down(
            &traffic,
            web2,
            "web2 killed",
            "Under this load, the web server on web2 is killed: the machine refuses connections.",
            machines::kill_web_server,
        )?;
        self.bring_back(&traffic, "The web server on web2 is started again.", |web| {
            machines::start_web_server(web)
        })?;
        self.take_down(
            &traffic,
            web3,
            "web3 unplugged",
            "The cable of web3 is pulled: not even a refusal comes back.",
            |web| machines::set_cable(web, false),
        )?;
        self.bring_back(&traffic, "The cable of web3 is put back.", |web| {
            machines::set_cable(web, true)
        })?;
        self.requests.extend(traffic.finish());
        self.stop()?;
        self.conclude()
    }

    // === The steps ===

    fn start(&mut self) -> Result<(), Problem> {
        self.page.step(
            "The director starts: `ldirectord ldirectord.cf start`.",
            &[
                "It asks each web server for a page every second, and puts those that answer into",
                "the kernel's IPVS table with weight 1. From there the kernel itself directs packets.",
            ],
        );
        let began = Instant::now();
        machines::run_on(DIRECTOR, &[&self.ldirectord, &self.configuration, "start"])?;
        let up = self
            .wait_for("all three servers at weight 1 in all three services", |table, service| {
                WEBS.iter().all(|web| table.weight(service, web.address) == Some(1))
            })?;
        self.page.quote("$ ipvsadm -Ln", &machines::run_on(DIRECTOR, &["ipvsadm", "-Ln"])?);
        let took = tally::last(&up).map_or(Duration::ZERO, |at| at - began);
        self.page.seen(&format!(
            "{} after the start all servers have weight 1 in all services",
            seconds(took)
        ));
        Ok(())
    }

    fn send_requests(&mut self, traffic: &Traffic) -> Result<(), Problem> {
        self.page.step(
            &format!("The client sends {RATE} HTTP requests a second to each virtual address."),
            &["Each is a new connection, and the kernel gives connections to the servers in turn (rr)."],
        );
        self.watch_traffic(traffic, Duration::from_secs(3));
        let count = Count::since(&self.requests, traffic.began);
        self.page.answers(&count);
        self.no_loss(&count)?;
        for web in &WEBS {
            everywhere(&count, web)?;
        }
        self.page.seen(
            "every request was answered, and every server answers by every way of forwarding",
        );
        Ok(())
    }

    fn take_down(
        &mut self,
        traffic: &Traffic,
        web: &'static Web,
        what: &'static str,
        sentence: &str,
        fault: impl Fn(&Web) -> io::Result<()>,
    ) -> Result<(), Problem> {
        self.page.step(
            sentence,
            &[
                "Requests that the kernel gives to it are lost, until the director's next check fails",
                "and it sets the weight to 0: no new connections. The entry stays, for the old ones.",
            ],
        );
        let log = log_length();
        let broken = Instant::now();
        fault(web)?;
        let weight_zero = self.wait_for(
            &format!("{} at weight 0 in all three services", web.name),
            |table, service| table.weight(service, web.address) == Some(0),
        )?;
        let table = self.window.look()?;
        self.page.weights(&table);
        if let Some(line) = logged_since(log, web) {
            self.page.line("     in its log:");
            self.page.wrapped(&line);
            self.page.line("");
        }
        if let Some(at) = tally::last(&weight_zero) {
            self.page.seen(&format!(
                "{} after the fault the weight is 0 in every service",
                seconds(at - broken)
            ));
        }
        self.others_serve(web)?;
        // Longer than a request may take, so that what was lost is known.
        self.watch_traffic(traffic, Duration::from_secs(3));
        let count = Count::during(&self.requests, &weight_zero);
        self.no_loss(&count)?;
        if count.answered_by(web) > 0 {
            return Err(
                format!("{} answered though it is broken and has weight 0", web.name).into()
            );
        }
        self.page.seen(&format!(
            "{} requests since then: none lost, none given to {}",
            count.total(),
            web.name
        ));
        let nobody = [None; SERVICES.len()];
        self.outages.push(Outage {
            web,
            what,
            broken,
            weight_zero,
            repaired: Instant::now(),
            weight_full: nobody,
        });
        Ok(())
    }

    fn bring_back(
        &mut self,
        traffic: &Traffic,
        sentence: &str,
        repair: impl Fn(&Web) -> io::Result<()>,
    ) -> Result<(), Problem> {
        self.page.step(
            sentence,
            &["The director's next check passes, and it sets the weight to what it was."],
        );
        let Some(web) = self.outages.last().map(|outage| outage.web) else {
            return Err("nothing is broken".into());
        };
        let repaired = Instant::now();
        repair(web)?;
        let weight_full = self.wait_for(
            &format!("{} at weight 1 in all three services", web.name),
            |table, service| table.weight(service, web.address) == Some(1),
        )?;
        self.page.weights(&self.window.look()?);
        if let Some(outage) = self.outages.last_mut() {
            outage.repaired = repaired;
            outage.weight_full = weight_full;
            self.page.seen(&format!(
                "{} after the repair the weight is 1 in every service",
                seconds(outage.time_to_full())
            ));
        }
        let began = Instant::now();
        self.watch_traffic(traffic, Duration::from_secs(2));
        let count = Count::since(&self.requests, began);
        self.no_loss(&count)?;
        everywhere(&count, web)?;
        let (answers, all) = (count.answered_by(web), count.total());
        self.page.seen(&format!(
            "{} answers again: {answers} of {all} requests since then, none lost",
            web.name
        ));
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Problem> {
        self.page.step(
            "The director stops: `ldirectord ldirectord.cf stop`.",
            &["It takes what it put there out of the kernel's table (cleanstop=no would leave it at work)."],
        );
        machines::run_on(DIRECTOR, &[&self.ldirectord, &self.configuration, "stop"])?;
        self.wait_for("the table empty", |table, service| !table.services.contains(&service))?;
        let table = self.window.look()?;
        self.page.quote("$ ipvsadm -Ln", &machines::run_on(DIRECTOR, &["ipvsadm", "-Ln"])?);
        if table != Table::default() {
            return Err("something is left in the table".into());
        }
        self.page.seen("the table is empty");
        Ok(())
    }

    fn conclude(&mut self) -> Result<(), Problem> {
        let Some(beginning) = self.requests.iter().map(|request| request.sent).min() else {
            return Err("no request was sent".into());
        };
        let all = Count::since(&self.requests, beginning);
        let (explained, unexplained) = tally::losses(&self.requests, &self.outages);
        let each = |number: &dyn Fn(&machines::Service) -> usize| {
            SERVICES.iter().map(number).collect::<Vec<_>>()
        };

        self.page.line("");
        let methods: Vec<_> = SERVICES.iter().map(|service| service.method).collect();
        self.page.figures_heading("Figures: requests", &methods);
        self.page.figures("sent", &each(&|service| all.sent(service)));
        self.page.figures("answered", &each(&|service| all.sent(service) - all.lost(service)));
        self.page.figures("lost", &each(&|service| all.lost(service)));
        for (outage, count) in self.outages.iter().zip(&explained) {
            let name = format!("  {}, weight not yet 0", outage.what);
            self.page.figures(&name, &each(&|service| count.lost(service)));
        }
        self.page.figures("  at any other time", &each(&|service| unexplained.lost(service)));
        self.page.line("");
        let whats: Vec<_> = self.outages.iter().map(|outage| outage.what).collect();
        let times =
            |time: fn(&Outage) -> Duration| self.outages.iter().map(time).collect::<Vec<_>>();
        self.page.heading("Figures: time", &whats);
        self.page.times("from the fault to weight 0", &times(Outage::time_to_zero));
        self.page.times("from the repair to full weight", &times(Outage::time_to_full));
        self.page.line("");
        self.page.line("   Lost is a request without a whole answer after 2 s. Times end when the kernel's table,");
        self.page.line("   read every 10 ms, shows the weight in all three services. A check is made every second");
        self.page.line("   and may take 2 s, so a refusal is found within about 1 s and silence within about 3 s.");
        self.page.line("");

        self.no_loss(&unexplained)?;
        let strays = tally::sent_to_the_dead(&self.requests, &self.outages);
        if strays > 0 {
            return Err(
                format!("{strays} requests were given to a server that had weight 0").into()
            );
        }
        self.page.line("The story held. To do the same with your own servers: demo/own-machine.md");
        Ok(())
    }

    // === What the steps are made of ===

    /// Reads the table until every service is as awaited; when each first was, is the result.
    fn wait_for(
        &self,
        what: &str,
        held: impl Fn(&Table, std::net::Ipv4Addr) -> bool,
    ) -> Result<Moments, Problem> {
        let began = Instant::now();
        let mut moments: Moments = [None; SERVICES.len()];
        loop {
            let table = self.window.look()?;
            let now = Instant::now();
            for (service, moment) in SERVICES.iter().zip(&mut moments) {
                if moment.is_none() && held(&table, service.address) {
                    *moment = Some(now);
                }
            }
            if moments.iter().all(Option::is_some) {
                return Ok(moments);
            }
            if now - began > PATIENCE {
                return Err(format!("waited {} in vain for {what}", seconds(PATIENCE)).into());
            }
            thread::sleep(GLANCE);
        }
    }

    /// Lets the client go on for a while.
    fn watch_traffic(&mut self, traffic: &Traffic, time: Duration) {
        thread::sleep(time);
        self.requests.extend(traffic.ended());
    }

    fn no_loss(&self, count: &Count<'_>) -> Result<(), Problem> {
        let lost = count.list_lost(self.began);
        if lost.is_empty() {
            return Ok(());
        }
        let first: Vec<_> = lost.iter().take(10).map(|line| format!("\n     {line}")).collect();
        Err(format!(
            "{} requests were lost that should not have been:{}",
            lost.len(),
            first.concat()
        )
        .into())
    }

    fn others_serve(&self, broken: &Web) -> Result<(), Problem> {
        let table = self.window.look()?;
        for service in &SERVICES {
            for web in WEBS.iter().filter(|web| *web != broken) {
                if table.weight(service.address, web.address) != Some(1) {
                    return Err(format!(
                        "{} lost its weight too, for {}",
                        web.name, service.address
                    )
                    .into());
                }
            }
        }
        Ok(())
    }

    fn show_evidence(&self) {
        for outage in &self.outages {
            let after = |at: Instant| seconds(at.saturating_duration_since(self.began));
            let moments = |moments: &Moments| {
                moments.iter().flatten().map(|at| after(*at)).collect::<Vec<_>>().join(", ")
            };
            self.page.line(&format!(
                "     {} at {}, weight 0 at {}; repaired at {}, full weight at {}",
                outage.what,
                after(outage.broken),
                moments(&outage.weight_zero),
                after(outage.repaired),
                moments(&outage.weight_full)
            ));
        }
        match machines::run_on(DIRECTOR, &["ipvsadm", "-Ln"]) {
            Ok(text) => self.page.quote("$ ipvsadm -Ln", &text),
            Err(error) => self.page.line(&error.to_string()),
        }
        let log = fs::read(LOG).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().rev().take(20).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        self.page.quote(&format!("the end of {LOG}"), &lines.join("\n"));
    }
}

/// A server must have answered through every service.
fn everywhere(count: &Count<'_>, web: &Web) -> Result<(), Problem> {
    match SERVICES.iter().find(|service| count.answered(service, web) == 0) {
        None => Ok(()),
        Some(service) => Err(format!(
            "{} answered no request to {}:80 ({})",
            web.name, service.address, service.method
        )
        .into()),
    }
}

fn log_length() -> usize {
    fs::read(LOG).map_or(0, |log| log.len())
}

/// The first line about a server that the director logged after the first `length` bytes.
fn logged_since(length: usize, web: &Web) -> Option<String> {
    let log = fs::read(LOG).ok()?;
    let new = String::from_utf8_lossy(log.get(length..)?).into_owned();
    let address = web.address.to_string();
    let line = new.lines().find(|line| line.contains(&address))?;
    // Without the date, which is in brackets.
    Some(line.split_once("] ").map_or(line, |(_, text)| text).to_owned())
}
