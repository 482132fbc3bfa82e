//! Overload: who is turned away early, so that the others are served in time.
//!
//! In: a request's priority, how full memory and the service's queue are, and the service's adaptive limit. Out: let in, or
//! 503 with `Retry-After`. What is decided is in `overload` of native/decide. Before: route. After: balance.

use super::Worker;
use super::service::WorkerService;
use crate::engine;
use crate::slab::Id;
use crate::telemetry::{Reason, ServiceEvent};
use tulle_decide::overload::{Outcome, Pressure, admits};
use tulle_snapshot::wire::Priority;

impl Worker {
    /// Whether a request may begin, or why not; asked once. One that is let in under an adaptive limit counts until it
    /// ends.
    pub(super) fn let_in(&mut self, exchange: Id, service: &WorkerService) -> Result<(), Reason> {
        let memory = match self.pressure {
            engine::Pressure::Calm => Pressure::None,
            engine::Pressure::Tight => Pressure::Tight,
            engine::Pressure::Full => Pressure::Full,
        };
        let waiting = service.counts.waiting.0.now();
        let queue = match waiting {
            0 => Pressure::None,
            // The queue has a bound of its own, which is the last word for all but the lowest.
            _ => Pressure::of(waiting.into(), service.pool.pending.into()).min(Pressure::Tight),
        };
        let pressure = memory.max(queue);
        let Some(x) = self.exchanges.get_mut(exchange) else { return Err(Reason::Internal) };
        if x.detached || x.gated || x.is_tunnel() || x.is_connection() {
            return Ok(());
        }
        if service.circuit.adaptive.is_none() && pressure == Pressure::None {
            return Ok(());
        }
        let rule = x.rule.and_then(|rule| x.config.rule(rule));
        let priority = rule.map_or(Priority::Normal, |rule| rule.priority);
        let open = match service.gate() {
            Some(gate) => {
                // Where those above have left this class nothing and are gone, nothing ends that would tell so.
                x.gated = gate.enter(priority, pressure)
                    || service.hand_load_over(self.now) && gate.enter(priority, pressure);
                x.gated
            }
            None => admits(priority, pressure, 0, u32::MAX),
        };
        if open {
            return Ok(());
        }
        // Nobody comes before others where nobody may wait.
        if waiting >= service.pool.pending && waiting > 0 {
            return Err(Reason::PendingFull);
        }
        service.counters.happened(ServiceEvent::Shed);
        Err(Reason::Shed)
    }

    /// A request that counted under an adaptive limit has ended.
    pub(super) fn let_out(&self, service: &WorkerService, seen: Option<(u64, Outcome)>) {
        let Some(gate) = service.gate() else { return };
        let in_flight = gate.leave();
        let (latency, outcome) = seen.unwrap_or((0, Outcome::Other));
        service.count_load(latency, in_flight, outcome, self.now);
    }
}
