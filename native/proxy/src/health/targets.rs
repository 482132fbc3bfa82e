//! Whom to check: what a configuration says of services and their endpoints, against what is known from the last one.
//!
//! In: configurations. Out: targets, each with its standing. After: `thread`, which has them checked when they are due.

use super::Listener;
use crate::certificates::Client;
use crate::random::Random;
use crate::running::{Address, Place, Running};
use crate::slab::{Id, Slab};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tulle_decide::health::{Pace, Question, Schedule, Standing, Traffic};
use tulle_snapshot::wire::{ProxyVersion, Service as Wire, ServiceProtocol, ServiceTls};

/// What is the same for all endpoints of a service.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) pace: Pace,
    pub(super) timeout: Duration,
    pub(super) asked: Asked,
    /// What handshakes run on.
    pub(super) tls: Option<Arc<Client>>,
    /// Its endpoints wait at the slower pace.
    pub(super) idle: Cell<bool>,
}

/// What checks find out. As long as it is the same, what they found holds.
#[derive(PartialEq)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) protocol: ServiceProtocol,
    /// The header in front of a connection, which says that it is our own.
    pub(super) header: Option<ProxyVersion>,
    tls: Option<ServiceTls>,
}

/// One endpoint.
pub(super) struct Target {
    pub(super) service: Rc<Service>,
    pub(super) address: Address,
    pub(super) host: Option<Box<str>>,
    pub(super) standing: Standing,
    pub(super) phase: Phase,
}

/// What a target waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// Its next check, which is due then.
    Waiting(u64),
    /// The answer, in this conversation.
    Asked(Id),
}

/// All of them, and when each is due.
pub(super) struct Targets {
    pub(super) all: Slab<Target>,
    pub(super) schedule: Schedule<Id>,
    services: Vec<Rc<Service>>,
}

impl Service {
    fn new(wire: &Wire, tls: Option<Arc<Client>>, idle: bool) -> Option<Rc<Self>> {
        let check = wire.health_check.as_ref()?;
        let asked = Asked {
            question: Question::new(wire)?,
            protocol: wire.protocol,
            // As for traffic, only what is forwarded unread is announced.
            header: wire.send_proxy_protocol.filter(|_| wire.protocol == ServiceProtocol::Tcp),
            tls: wire.tls.clone(),
        };
        Some(Rc::new(Self {
            name: wire.name.clone(),
            pace: Pace::new(check),
            timeout: Duration::from_millis(check.timeout_ms.into()),
            asked,
            tls,
            idle: Cell::new(idle),
        }))
    }

    /// Whether endpoints see a certificate of ours, which they may refuse.
    pub(super) fn shows_certificate(&self) -> bool {
        match &self.asked.tls {
            None => false,
            Some(ServiceTls::Simple { identity, .. }) => identity.is_some(),
            Some(ServiceTls::Mutual { .. }) => true,
        }
    }

    /// Whether the service has traffic, which its endpoints' pace depends on.
    pub(super) fn traffic(&self, listener: &dyn Listener) -> Traffic {
        let busy = !self.pace.slows_down() || listener.has_traffic(&self.name);
        self.idle.set(!busy);
        if busy { Traffic::Busy } else { Traffic::Idle }
    }
}

impl Target {
    /// Whether a place of the new configuration is this one, asked the same.
    fn is_same(&self, service: &Service, place: &Place) -> bool {
        self.service.asked == service.asked && self.host == place.host
    }
}

impl Targets {
    pub(super) fn new() -> Self {
        Self { all: Slab::new(), schedule: Schedule::new(), services: Vec::new() }
    }

    /// Goes over to another configuration. Conversations with endpoints that are gone are handed to `cut`.
    pub(super) fn apply(
        &mut self,
        running: &Running,
        (now, random): (u64, &mut Random),
        listener: &dyn Listener,
        mut cut: impl FnMut(Id),
    ) {
        let idle: Vec<_> = self.services.drain(..).filter(|s| s.idle.get()).map(|s| s.name.clone()).collect();
        let mut before = self.known();
        let tables = running.core.snapshot.services.iter().zip(&running.tls.client).zip(&running.places);
        for ((wire, tls), places) in tables {
            let Some(service) = Service::new(wire, tls.clone(), idle.contains(&wire.name)) else { continue };
            let mut known = before.remove(&wire.name).unwrap_or_default();
            let mut named: HashSet<&Address> = HashSet::new();
            for place in &places.list {
                // Two names of one address are one endpoint: what is known of it is known by its address.
                if !named.insert(&place.address) {
                    continue;
                }
                let id = known.remove(&place.address);
                let is_same =
                    |id: &Id| self.all.get(*id).is_some_and(|target| target.is_same(&service, place));
                if let Some(same) = id.filter(is_same) {
                    self.keep(same, &service, (now, random.next()));
                    continue;
                }
                if let Some(other) = id {
                    self.forget(other, listener, &mut cut);
                }
                self.add(&service, place, service.pace.soon(now, random.next()));
            }
            for id in known.into_values() {
                self.forget(id, listener, &mut cut);
            }
            self.services.push(service);
        }
        for id in before.into_values().flat_map(HashMap::into_values) {
            self.forget(id, listener, &mut cut);
        }
    }

    /// By service and address.
    fn known(&self) -> HashMap<String, HashMap<Address, Id>> {
        let mut known: HashMap<String, HashMap<Address, Id>> = HashMap::new();
        for id in self.all.ids() {
            let Some(target) = self.all.get(id) else { continue };
            known.entry(target.service.name.clone()).or_default().insert(target.address.clone(), id);
        }
        known
    }

    fn add(&mut self, service: &Rc<Service>, place: &Place, due: u64) {
        let target = Target {
            service: Rc::clone(service),
            address: place.address.clone(),
            host: place.host.clone(),
            standing: Standing::default(),
            phase: Phase::Waiting(due),
        };
        let id = self.all.insert(Box::new(target));
        self.schedule.put(due, id);
    }

    fn keep(&mut self, id: Id, service: &Rc<Service>, (now, random): (u64, u64)) {
        let Some(target) = self.all.get_mut(id) else { return };
        let paced = target.service.pace == service.pace;
        target.service = Rc::clone(service);
        if !paced {
            self.bring_forward(id, service.pace.soon(now, random));
        }
    }

    fn forget(&mut self, id: Id, listener: &dyn Listener, cut: &mut impl FnMut(Id)) {
        let Some(target) = self.all.remove(id) else { return };
        match target.phase {
            Phase::Waiting(due) => self.schedule.remove(due, id),
            Phase::Asked(conversation) => cut(conversation),
        }
        listener.forgotten(&target.service.name, &target.address);
    }

    /// Has a target be due no later than this.
    fn bring_forward(&mut self, id: Id, due: u64) {
        let Some(target) = self.all.get_mut(id) else { return };
        if let Phase::Waiting(before) = target.phase
            && due < before
        {
            target.phase = Phase::Waiting(due);
            self.schedule.remove(before, id);
            self.schedule.put(due, id);
        }
    }

    /// Whether some service has no traffic and would be checked more often if it had.
    pub(super) fn any_idle(&self) -> bool {
        self.services.iter().any(|service| service.idle.get())
    }

    /// Has endpoints checked at the usual pace again whose services have traffic now.
    pub(super) fn look(&mut self, listener: &dyn Listener, now: u64, random: &mut Random) {
        for service in self.services.clone() {
            if !service.idle.get() || service.traffic(listener) == Traffic::Idle {
                continue;
            }
            for id in self.all.ids() {
                if self.all.get(id).is_some_and(|target| Rc::ptr_eq(&target.service, &service)) {
                    self.bring_forward(id, service.pace.soon(now, random.next()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_waits_is_small() {
        assert!(size_of::<Target>() <= 88, "{} bytes", size_of::<Target>());
    }
}
