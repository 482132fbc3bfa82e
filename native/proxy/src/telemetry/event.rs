//! What happens to a service beside its requests: events that are counted, one counter per worker, service and event.
//!
//! In: whoever decides. Out: `tulle_service_events_total`, by service and event.

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        /// Something that happened to a service.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ServiceEvent {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ServiceEvent {
            /// Every event, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name in metrics.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

events! {
    /// A copy of a request was sent to it.
    CopySent = "copy_sent";
    /// A copy was left out: too many under way, or the request could not be sent twice.
    CopyDropped = "copy_dropped";
    /// A retry was not made: the budget was spent.
    RetryBudgetSpent = "retry_budget_spent";
    /// A retry was not made: as many were under way as may be.
    RetriesLimited = "retries_limited";
    /// A second attempt was made beside a slow first one.
    Hedged = "hedged";
    /// The second attempt answered first.
    HedgeWon = "hedge_won";
    /// An endpoint was ejected.
    Ejected = "ejected";
    /// A request was sent to an ejected endpoint, to see how it does.
    Probed = "probed";
    /// An endpoint came back from ejection.
    Readmitted = "readmitted";
    /// Too many endpoints would have been ejected: they are used again.
    PanicBegan = "panic_began";
    /// Few enough are ejected again.
    PanicEnded = "panic_ended";
    /// A request was turned away because the service is at its adaptive limit, or its queue or our memory is nearly full.
    Shed = "shed";
    /// A client's cookie named an endpoint that it cannot have.
    AffinityLost = "affinity_lost";
}

impl ServiceEvent {
    /// Where its counter is in a table of [`ServiceEvent::ALL`].
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::ServiceEvent;

    #[test]
    fn each_event_has_its_own_place_and_name() {
        for (i, event) in ServiceEvent::ALL.iter().enumerate() {
            assert_eq!(event.index(), i);
            let same = ServiceEvent::ALL.iter().filter(|other| other.code() == event.code()).count();
            assert_eq!(same, 1, "{}", event.code());
        }
    }
}
