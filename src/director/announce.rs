//! From what was done to the kernel's table to what people are told of it.

use super::{Director, News, Phase, service::Service};
use crate::{
    ipvs::{Op, Report, SyncOp},
    model::{Quiesce, ServerKey, ServiceKey, Share},
};

impl Director {
    /// What there is to tell of a report, in the order in which it was done.
    pub(super) fn news_of(&self, report: &Report) -> Vec<News> {
        let mut news: Vec<News> = (report.found.iter())
            .filter_map(|key| {
                let service = self.service(*key)?;
                Some(News::ServiceChanged(*key, service.config().settings.clone()))
            })
            .collect();
        let done = report.done.iter().filter(|(_, result)| result.is_ok());
        news.extend(done.flat_map(|(op, _)| self.news_of_op(op, report)));
        let done = report.sync.done.iter().filter(|(_, result)| result.is_ok());
        news.extend(done.map(|(op, _)| match op {
            SyncOp::Start(role, daemon) => News::SyncStarted(*role, daemon.clone()),
            SyncOp::Stop(role) => News::SyncStopped(*role),
        }));
        news
    }

    fn news_of_op(&self, op: &Op, report: &Report) -> Vec<News> {
        match op {
            Op::AddService(key, settings) => vec![News::ServiceAdded(*key, settings.clone())],
            Op::SetService(key, _) if report.found.contains(key) => Vec::new(),
            Op::SetService(key, settings) => vec![News::ServiceChanged(*key, settings.clone())],
            Op::DelService(key) => self.news_of_purge(*key),
            Op::AddServer(key, server, share) => self.news_of_server(*key, *server, *share, true),
            Op::SetServer(key, server, share) => self.news_of_server(*key, *server, *share, false),
            Op::DelServer(key, server) => {
                vec![match self.service(*key).and_then(|service| service.place_of(*server)) {
                    Some(place) => News::ServerDeleted(place),
                    None => News::ServerPurged(*key, server.0),
                }]
            }
        }
    }

    /// With a service that goes at the end, its working servers are told of one by one, as ldirectord does.
    fn news_of_purge(&self, key: ServiceKey) -> Vec<News> {
        let service = self.service(key).filter(|_| self.phase == Phase::Stopping);
        (service.into_iter().flat_map(Service::working))
            .map(|server| News::ServerPurged(key, server.written))
            .chain([News::ServicePurged(key)])
            .collect()
    }

    fn news_of_server(
        &self,
        key: ServiceKey,
        server: ServerKey,
        share: Share,
        added: bool,
    ) -> Vec<News> {
        let Some(service) = self.service(key) else { return Vec::new() };
        let Some(place) = service.place_of(server) else { return Vec::new() };
        let quiesced = share.weight.get() == 0 && service.has_weight(server);
        let again = service.config().quiesce == Quiesce::ZeroWeight;
        vec![match (quiesced, added) {
            (true, true) if again => News::ServerQuiescedAnew(place),
            (true, _) => News::ServerQuiesced(place),
            (false, true) => News::ServerAdded(place, share),
            (false, false) if service.is_reweighted(server) => News::ServerReweighted(place, share),
            (false, false) => News::ServerRestored(place, share),
        }]
    }
}
