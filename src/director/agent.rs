//! The agent of one server in one service: what it has told us, and what the server gets because of that.
//!
//! Who speaks of a server beside its check can lower its weight, drain it, and take it out of service; only the same
//! agent undoes that. An agent that cannot be asked changes nothing. Of one that has not been asked yet nobody knows
//! what it wants, so that its server stays as the kernel has it until then: a restart of the director neither gives
//! connections to a server that is being drained nor breaks those that it has.

use crate::model::{Admission, AgentReport, AgentWeight, Operation, Weight};

/// What the agent of a server has told us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Agent {
    /// Whether an attempt to ask it has ended, well or not; of a server without an agent it is so from the start.
    asked: bool,
    /// The weight that the server had in the kernel when we began to direct it, if it was there.
    found: Option<Weight>,
    weight: Option<AgentWeight>,
    admission: Admission,
    /// Whether it has said that the server does not work.
    is_down: bool,
    /// Whether it could not be asked, or understood, the last time.
    is_odd: bool,
}

/// What the agent of a server lets it have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grant {
    /// New connections, by this weight.
    Serves(Weight),
    /// No new connections; those that it has go on.
    Drains,
    /// Nothing.
    Out,
}

impl Grant {
    /// The weight that it comes to.
    pub(super) fn weight(self) -> Weight {
        match self {
            Grant::Serves(weight) => weight,
            Grant::Drains | Grant::Out => Weight::ZERO,
        }
    }
}

impl Agent {
    /// Of a server that has no agent: it is never asked, and grants everything.
    pub(super) const NONE: Agent = Agent {
        asked: true,
        found: None,
        weight: None,
        admission: Admission::Ready,
        is_down: false,
        is_odd: false,
    };

    /// It has not been asked yet; the kernel has its server with this weight, if it does.
    pub(super) fn unasked(found: Option<Weight>) -> Agent {
        Agent { asked: false, found, ..Agent::NONE }
    }

    /// Whether it has not been asked yet.
    pub(super) fn is_unasked(&self) -> bool {
        !self.asked
    }

    /// Whether it has said that the server does not work.
    pub(super) fn is_down(&self) -> bool {
        self.is_down
    }

    /// Whether the kernel had the server with weight 0 when we began to direct it.
    pub(super) fn found_idle(&self) -> bool {
        self.found == Some(Weight::ZERO)
    }

    /// What the kernel had when we began is no longer to be kept.
    pub(super) fn forget_found(&mut self) {
        self.found = None;
    }

    /// What the server gets that has this weight in the file.
    pub(super) fn grant(&self, configured: Weight) -> Grant {
        if !self.asked {
            return match self.found {
                Some(Weight::ZERO) => Grant::Drains,
                // That operators drain with 0 in the file holds at once.
                Some(_) if configured == Weight::ZERO => Grant::Serves(configured),
                Some(found) => Grant::Serves(found),
                None => Grant::Out,
            };
        }
        if self.is_down || self.admission == Admission::Maintenance {
            return Grant::Out;
        }
        let weight = self.weight.map_or(configured, |asked| weighed(configured, asked));
        let is_drained = weight == Weight::ZERO && configured != Weight::ZERO;
        match self.admission {
            Admission::Drain => Grant::Drains,
            _ if is_drained => Grant::Drains,
            _ => Grant::Serves(weight),
        }
    }

    /// It could not be asked; whether that is news.
    pub(super) fn miss(&mut self) -> bool {
        self.asked = true;
        !std::mem::replace(&mut self.is_odd, true)
    }

    /// It has said this; what is news of it.
    pub(super) fn hear(&mut self, report: &AgentReport) -> Heard {
        let before = *self;
        self.asked = true;
        self.weight = report.weight.or(self.weight);
        self.admission = report.admission.unwrap_or(self.admission);
        self.is_odd = report.unknown.is_some();
        if let Some(operation) = &report.operation {
            self.is_down = matches!(operation, Operation::Down(_));
        }
        let went_down = self.is_down && !before.is_down;
        let changed = AgentReport {
            weight: self.weight.filter(|_| self.weight != before.weight),
            admission: Some(self.admission).filter(|admission| *admission != before.admission),
            operation: (before.is_down && !self.is_down).then_some(Operation::Up),
            unknown: None,
        };
        Heard {
            changed,
            went_down: report.operation.clone().filter(|_| went_down),
            became_odd: report.unknown.clone().filter(|_| !before.is_odd),
            came_back: before.is_odd && !self.is_odd,
        }
    }
}

/// What is news of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Heard {
    /// What it says otherwise than before, but for that the server does not work.
    pub(super) changed: AgentReport,
    /// That the server does not work.
    pub(super) went_down: Option<Operation>,
    /// A word that is not understood, where everything was before.
    pub(super) became_odd: Option<String>,
    /// Whether it is understood again, or can be asked again.
    pub(super) came_back: bool,
}

/// The weight that an agent asks for, of the one in the file: never 0 where both are above.
fn weighed(configured: Weight, asked: AgentWeight) -> Weight {
    let number = match asked {
        AgentWeight::Percent(percent) => {
            let hundredths = u64::from(configured.get()).saturating_mul(u64::from(percent));
            (hundredths / 100).max(u64::from(hundredths > 0))
        }
        AgentWeight::Absolute(_) if configured == Weight::ZERO => 0,
        AgentWeight::Absolute(weight) => u64::from(weight),
    };
    u32::try_from(number).ok().and_then(Weight::new).unwrap_or(Weight::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(weight: u32) -> Weight {
        Weight::new(weight).unwrap()
    }

    /// What a server of weight 40 gets after these answers.
    fn after(reports: &[AgentReport]) -> Grant {
        let mut agent = Agent::unasked(None);
        for report in reports {
            agent.hear(report);
        }
        agent.grant(weight(40))
    }

    fn percent(percent: u32) -> AgentReport {
        let weight = Some(AgentWeight::Percent(percent));
        AgentReport { weight, ..AgentReport::default() }
    }

    fn admission(admission: Admission) -> AgentReport {
        AgentReport { admission: Some(admission), ..AgentReport::default() }
    }

    fn operation(up: bool) -> AgentReport {
        let down = Operation::Down("stopped".to_owned());
        let operation = Some(if up { Operation::Up } else { down });
        AgentReport { operation, ..AgentReport::default() }
    }

    #[test]
    fn a_percentage_above_0_never_makes_a_weight_0() {
        let weighed =
            |configured, percent| weighed(weight(configured), AgentWeight::Percent(percent)).get();
        assert_eq!(weighed(100, 75), 75);
        assert_eq!(weighed(3, 50), 1);
        assert_eq!(weighed(1, 1), 1);
        assert_eq!(weighed(1, 100), 1);
        assert_eq!(weighed(1, 0), 0);
        assert_eq!(weighed(0, 100), 0);
        assert_eq!(weighed(10, 150), 15);
        assert_eq!(weighed(Weight::MAX.get(), 25_600), Weight::MAX.get());
    }

    #[test]
    fn a_weight_of_its_own_is_followed_but_for_0_in_the_file() {
        let absolute = |configured, asked| weighed(configured, AgentWeight::Absolute(asked)).get();
        assert_eq!(absolute(weight(100), 30), 30);
        assert_eq!(absolute(weight(100), 0), 0);
        assert_eq!(absolute(Weight::ZERO, 30), 0);
    }

    #[test]
    fn what_is_not_mentioned_stays() {
        use Admission::{Drain, Maintenance, Ready};
        let serves = |number| Grant::Serves(weight(number));
        assert_eq!(after(&[AgentReport::default()]), serves(40));
        assert_eq!(after(&[percent(50), AgentReport::default()]), serves(20));
        assert_eq!(after(&[percent(50), admission(Drain)]), Grant::Drains);
        assert_eq!(after(&[percent(50), admission(Drain), admission(Ready)]), serves(20));
        assert_eq!(after(&[admission(Drain), percent(50)]), Grant::Drains);
        assert_eq!(after(&[admission(Drain), admission(Maintenance)]), Grant::Out);
        assert_eq!(after(&[admission(Maintenance), operation(true)]), Grant::Out);
        assert_eq!(after(&[admission(Maintenance), admission(Drain)]), Grant::Drains);
        assert_eq!(after(&[percent(0)]), Grant::Drains);
        assert_eq!(after(&[percent(0), admission(Ready)]), Grant::Drains);
        assert_eq!(after(&[operation(false), admission(Ready), percent(100)]), Grant::Out);
        assert_eq!(after(&[operation(false), operation(true)]), serves(40));
    }

    #[test]
    fn until_it_is_asked_the_server_is_as_the_kernel_has_it() {
        let found = |weight: Option<u32>| Agent::unasked(weight.and_then(Weight::new));
        assert_eq!(found(None).grant(weight(40)), Grant::Out);
        assert_eq!(found(Some(0)).grant(weight(40)), Grant::Drains);
        assert_eq!(found(Some(7)).grant(weight(40)), Grant::Serves(weight(7)));
        assert_eq!(found(Some(7)).grant(Weight::ZERO), Grant::Serves(Weight::ZERO));
        let mut agent = found(Some(7));
        agent.miss();
        assert_eq!(agent.grant(weight(40)), Grant::Serves(weight(40)));
        assert_eq!(Agent::NONE.grant(weight(40)), Grant::Serves(weight(40)));
    }

    #[test]
    fn what_was_said_before_is_no_news() {
        let mut agent = Agent::unasked(None);
        let nothing = Heard {
            changed: AgentReport::default(),
            went_down: None,
            became_odd: None,
            came_back: false,
        };
        assert_eq!(agent.hear(&admission(Admission::Ready)), nothing);
        let heard = agent.hear(&percent(50));
        assert_eq!(heard, Heard { changed: percent(50), ..nothing.clone() });
        assert_eq!(agent.hear(&percent(50)), nothing);

        let down = operation(false).operation;
        assert_eq!(agent.hear(&operation(false)), Heard { went_down: down, ..nothing.clone() });
        assert_eq!(agent.hear(&operation(false)), nothing);
        let up = operation(true);
        assert_eq!(agent.hear(&up), Heard { changed: up.clone(), ..nothing.clone() });
        assert_eq!(agent.hear(&up), nothing);

        let hello = || Some("hello".to_owned());
        let odd = AgentReport { unknown: hello(), ..AgentReport::default() };
        assert_eq!(agent.hear(&odd), Heard { became_odd: hello(), ..nothing.clone() });
        assert_eq!(agent.hear(&odd), nothing);
        assert!(!agent.miss(), "that it is odd was told");
        assert_eq!(agent.hear(&up), Heard { came_back: true, ..nothing });
        assert!(agent.miss() && !agent.miss());
    }
}
