//! What checks, certificates and agents say, taken for each server that they speak for.

use jiff::Timestamp;

use super::{
    Attempt, Director, News,
    health::{Outcome, Pace},
    index,
};
use crate::{
    model::{
        AgentAnswer, AgentReport, CertificateEnd, CheckId, Failure, Operation, Reason, Verdict,
    },
    time::Moment,
};

impl Director {
    pub(super) fn take_verdict(&mut self, attempt: Attempt, verdict: &Verdict, now: Moment) {
        let Some(check) = self.schedule.finish(attempt, verdict.is_ok()) else { return };
        self.conclude(check, now, |director, service, server| {
            director.judge(service, server, verdict);
            director.observe((service, server), Some(verdict));
        });
    }

    pub(super) fn take_answer(&mut self, attempt: Attempt, answer: &AgentAnswer, now: Moment) {
        let Some(check) = self.schedule.finish(attempt, answer.is_ok()) else { return };
        self.conclude(check, now, |director, service, server| {
            director.hear(service, server, answer);
            director.observe((service, server), None);
        });
    }

    /// Has what a check found taken for each server that it speaks for, and plans its next attempt.
    fn conclude(
        &mut self,
        check: CheckId,
        now: Moment,
        take: impl Fn(&mut Director, usize, usize),
    ) {
        let mut pace = Pace::Down;
        for (service, server) in self.users_of(check) {
            take(self, service, server);
            pace = pace.max(self.pace(check, service, server));
        }
        self.schedule.plan_next(check, pace, now);
    }

    /// The servers that a check speaks for: places of services, and of servers in them.
    pub(super) fn users_of(&self, check: CheckId) -> Vec<(usize, usize)> {
        let first = self.users.partition_point(|(user, ..)| *user < check);
        let users = self.users.get(first..).unwrap_or_default();
        let users = users.iter().take_while(|(user, ..)| *user == check);
        users.map(|(_, service, server)| (index(*service), index(*server))).collect()
    }

    pub(super) fn see_certificate(
        &mut self,
        attempt: Attempt,
        end: CertificateEnd,
        now: Timestamp,
    ) {
        let Some(check) = self.schedule.in_flight(attempt) else { return };
        let Some(server) = self.schedule.spec(check).map(|check| check.target) else { return };
        let Some(&(service, place)) = self.users_of(check).first() else { return };
        let Some(place) = self.services.get(service).and_then(|service| service.place(place))
        else {
            return;
        };
        if self.certificates.show(server, end, now) {
            self.publish(News::CertificateEnds { place, end, left_s: end.left_s(now) });
        }
    }

    /// How often a server is to be checked by this check of it; its agent is always asked as often.
    pub(super) fn pace(&self, check: CheckId, service: usize, server: usize) -> Pace {
        let service = self.services.get(service);
        (service.filter(|service| service.is_checked_by(server, check)))
            .and_then(|service| service.pace(server))
            .unwrap_or(Pace::Usual)
    }

    /// Takes a verdict on one server of one service.
    fn judge(&mut self, service_place: usize, server_place: usize, verdict: &Verdict) {
        let Some(service) = self.services.get_mut(service_place) else { return };
        if service.is_in_maintenance(server_place) {
            return self.tell_maintenance(service_place, server_place);
        }
        let outcome = service.judge(server_place, verdict);
        let Some(place) = service.place(server_place) else { return };
        let is_down_by_agent = service.is_down_by_agent(server_place);
        let has_agent = service.has_agent(server_place);
        let failure_count = service.config().failure_count.get();
        let rise_count = service.config().rise_count.get();
        if service.config().monitor_file.is_some() {
            self.publish(News::Checked(place, verdict.clone()));
        }
        match (outcome, verdict) {
            (Outcome::SoftFailure(count), _) => {
                self.publish(News::SoftFailure { place, count, of: failure_count });
            }
            (Outcome::FailuresForgotten, _) => self.publish(News::FailuresForgotten(place)),
            (Outcome::SoftPass(count), _) => {
                self.publish(News::SoftPass { place, count, of: rise_count });
            }
            (Outcome::PassesForgotten, _) => self.publish(News::PassesForgotten(place)),
            (Outcome::CameUp, _) => {
                self.publish(match is_down_by_agent {
                    true => News::DownByAgent(place),
                    false => News::Up(place),
                });
                self.note_transition(service_place, place);
            }
            (Outcome::WentDown, Err(failure)) => {
                self.publish(News::Down(place, failure.clone()));
                self.note_transition(service_place, place);
            }
            (Outcome::StaysDown, Err(failure)) => {
                self.publish(News::Down(place, failure.clone()));
                self.tell_inaccessible(service_place, place);
                if has_agent {
                    // It may have stayed in the kernel until this was known.
                    self.note_transition(service_place, place);
                }
            }
            _ => {}
        }
    }

    /// Takes the answer of the agent of one server of one service.
    fn hear(&mut self, service_place: usize, server_place: usize, answer: &AgentAnswer) {
        let Some(service) = self.services.get_mut(service_place) else { return };
        let Some(told) = service.hear(server_place, answer) else { return };
        let Some(place) = service.place(server_place) else { return };
        if let (Err(failure), true) = (answer, told.missed) {
            self.publish(News::AgentLost(place, failure.clone()));
        }
        if let Some(heard) = told.heard {
            if heard.came_back {
                self.publish(News::AgentBack(place));
            }
            if let Some(word) = heard.became_odd {
                self.publish(News::AgentOdd(place, word));
            }
            let (from, to) = told.weights;
            let AgentReport { admission, operation, .. } = &heard.changed;
            let is_news = admission.is_some() || operation.is_some();
            if is_news || (from != to && heard.changed.weight.is_some()) {
                self.publish(News::AgentSays { place, changed: heard.changed, from, to });
            }
            if let Some(Operation::Down(words)) = heard.went_down {
                let detail = format!("the agent says {words}");
                self.publish(News::Down(place, Failure { reason: Reason::Command, detail }));
            }
        }
        if told.came_up {
            self.publish(News::Up(place));
        }
        if told.is_transition {
            self.note_transition(service_place, place);
        }
    }
}
