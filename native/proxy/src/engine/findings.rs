//! What health checks find, written where workers read it.
//!
//! In: verdicts of the health thread. Out: the standing of places, and notes for operators.

use crate::clock;
use crate::health::{Listener, Verdict};
use crate::mailbox::Message;
use crate::running::Address;
use crate::shared::{ServiceCounts, Shared};
use crate::standing::Standing;
use std::sync::Arc;
use std::time::Duration;

/// A service without requests for so long has no traffic.
const QUIET: Duration = Duration::from_secs(10);

/// Writes what is found.
pub(super) struct Findings {
    shared: Arc<Shared>,
}

impl Findings {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn counts(&self, service: &str) -> Option<Arc<ServiceCounts>> {
        let running = self.shared.applied().running;
        running.service_counts.get(running.service_named(service)?).cloned()
    }

    fn set(&self, service: &str, address: &Address, verdict: Verdict) -> Option<()> {
        let running = self.shared.applied().running;
        let index = running.service_named(service)?;
        let places = running.places.get(index)?;
        let standings = places.list.iter().filter(|place| place.address == *address);
        let mut all = standings.map(|place| &place.standing);
        let standing: &Arc<Standing> = all.next()?;
        let (healthy, why) = match verdict {
            Verdict::Well => (true, ""),
            Verdict::Unwell(why) => (false, why.word()),
        };
        if healthy && !standing.is_healthy() {
            standing.comes_back(clock::now());
        }
        standing.set_health(healthy, why);
        let counts = running.service_counts.get(index)?;
        counts.roster.changed();
        counts.line.each_first_for_a_place(|waits_for, mailbox| {
            mailbox.send(Message::Room { counts: Arc::clone(counts), waits_for });
        });
        Some(())
    }
}

impl Listener for Findings {
    fn checked(&self, _service: &str, _address: &Address, _verdict: Verdict) {}

    fn changed(&self, service: &str, address: &Address, verdict: Verdict) {
        let text = match verdict {
            Verdict::Well => format!("service {service}: {address} is healthy again"),
            Verdict::Unwell(why) => format!("service {service}: {address} is unhealthy: {}", why.word()),
        };
        if self.set(service, address, verdict).is_some() {
            self.shared.note(text);
        }
    }

    fn forgotten(&self, service: &str, address: &Address) {
        let _gone_already = self.set(service, address, Verdict::Well);
    }

    fn has_traffic(&self, service: &str) -> bool {
        let last = self.counts(service).map(|counts| counts.roster.last_traffic());
        last.is_some_and(|last| last.0 > 0 && last.after(QUIET) > clock::now())
    }
}
