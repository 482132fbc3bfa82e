//! The names behind a record's ids: built once per applied snapshot, read by whoever renders.
//!
//! In: a checked snapshot. Out: names by id. Listener, service and policy ids are indices into the snapshot's tables; a
//! rule's id is its position among all rules of all routes, in the snapshot's order.

use std::sync::Arc;
use tulle_snapshot::Checked;
use tulle_snapshot::wire::{EndpointAddress, Mode, Service};

/// Names of one generation.
#[derive(Debug)]
pub struct Names {
    generation: u32,
    listeners: Vec<Arc<str>>,
    routes: Vec<Arc<str>>,
    /// Per rule: index into `routes`, and its position inside the route.
    rules: Vec<(u32, u32)>,
    services: Vec<ServiceNames>,
    policies: Vec<(Arc<str>, Mode)>,
}

#[derive(Debug)]
struct ServiceNames {
    name: Arc<str>,
    endpoints: Vec<Box<str>>,
}

impl Names {
    /// The names of a snapshot. `generation` is written into every [`super::Record`] made under it; each applied
    /// snapshot takes a new one.
    #[must_use]
    pub fn new(snapshot: &Checked, generation: u32) -> Self {
        let rules = snapshot
            .routes
            .iter()
            .zip(0u32..)
            .flat_map(|(route, at)| (0u32..).take(route.rules.len()).map(move |i| (at, i)));
        Self {
            generation,
            listeners: snapshot.listeners.iter().map(|l| l.name.as_str().into()).collect(),
            routes: snapshot.routes.iter().map(|r| r.name.as_str().into()).collect(),
            rules: rules.collect(),
            services: snapshot.services.iter().map(service_names).collect(),
            policies: snapshot.authorization.iter().map(|p| (p.name.as_str().into(), p.mode)).collect(),
        }
    }

    /// Which generation this is.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// A listener's name.
    #[must_use]
    pub fn listener(&self, id: u16) -> Option<&Arc<str>> {
        self.listeners.get(usize::from(id))
    }

    /// The name of a rule's route, and the rule's position in it.
    #[must_use]
    pub fn rule(&self, id: u32) -> Option<(&Arc<str>, u32)> {
        let (route, position) = self.rules.get(id as usize)?;
        Some((self.routes.get(*route as usize)?, *position))
    }

    /// A service's name.
    #[must_use]
    pub fn service(&self, id: u16) -> Option<&Arc<str>> {
        self.services.get(usize::from(id)).map(|service| &service.name)
    }

    /// An endpoint as the configuration writes it: `ip:port`, `unix:/path` or `name:port`.
    #[must_use]
    pub fn endpoint(&self, service: u16, endpoint: u32) -> Option<&str> {
        self.services.get(usize::from(service))?.endpoints.get(endpoint as usize).map(AsRef::as_ref)
    }

    /// A policy's name and mode.
    #[must_use]
    pub fn policy(&self, id: u16) -> Option<(&Arc<str>, Mode)> {
        self.policies.get(usize::from(id)).map(|(name, mode)| (name, *mode))
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = &Arc<str>> {
        self.listeners.iter()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.iter().map(|service| &service.name)
    }
}

fn service_names(service: &Service) -> ServiceNames {
    let endpoints = service.endpoints.iter().map(|endpoint| match &endpoint.address {
        EndpointAddress::Tcp { address } => address.as_str().into(),
        EndpointAddress::Unix { path } => format!("unix:{path}").into(),
        EndpointAddress::Dns { name, port } => format!("{name}:{port}").into(),
    });
    ServiceNames { name: service.name.as_str().into(), endpoints: endpoints.collect() }
}

/// The names of the last few generations: requests end after the snapshot that they began under.
#[derive(Debug, Default, Clone)]
pub(super) struct Generations {
    /// Newest last.
    kept: Vec<Arc<Names>>,
}

impl Generations {
    /// Generations that are kept; older records are rendered without names.
    pub(super) const KEPT: usize = 8;

    pub(super) fn add(&mut self, names: Arc<Names>) {
        self.kept.retain(|old| old.generation != names.generation);
        if self.kept.len() >= Self::KEPT {
            self.kept.remove(0);
        }
        self.kept.push(names);
    }

    pub(super) fn find(&self, generation: u32) -> Option<&Arc<Names>> {
        self.kept.iter().rev().find(|names| names.generation == generation)
    }
}
