//! What a worker knows of the load of a service's endpoints.
//!
//! In: attempts that begin, are answered and end. Out: requests under way, and the latency to expect. Before: upstream.
//! After: balance. Peaks count at once and fade slowly, as in Finagle's peak-EWMA; a request that is still waited for
//! counts as long as it has waited, so that an endpoint which answers nothing does not look fast.

use super::members::{Members, Zone};

/// What a failure counts as.
const FAILURE: u64 = 5_000_000_000;
/// The longest that an answer or a Retry-After counts as.
const LONGEST: u64 = 60_000_000_000;
/// What is known of an endpoint fades by 1/e in this time. Ten seconds, as is often seen, kept an endpoint that had been
/// slow for 11 s and one that had failed for 17 s out of its share after it was well again; and with ten times as many
/// peaks remembered, equal endpoints got unequal shares. A second costs a slow endpoint's worth of latency every 4 s.
const FADES: f32 = 1e9;
/// What is usual fades slowly: it is what endpoints are compared with.
const USUAL_FADES: f32 = 10e9;
/// What is expected, before anything is known.
const FIRST_GUESS: f32 = 10e6;
/// A new latency counts for at least this much of a mean.
const MEAN_PART: f32 = 1.0 / 64.0;
/// So many times what is usual is an outlier.
const OUTLYING: f32 = 4.0;
/// Differences below this are nothing to leave a zone for.
const ZONE_SLACK: f32 = 1e6;
/// The own zone keeps everything until it is this much slower than the others.
const ZONE_SLOWER: f32 = 2.0;
/// It always keeps this much, so that it is noticed when it is well again.
const ZONE_KEEPS: f32 = 0.1;

/// How an attempt was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well, or by the client's own fault.
    Success,
    /// No answer, or one that says that the endpoint fails; counts as 5 s.
    Failure,
    /// Not now, but after so many nanoseconds; counts as that long, at most a minute.
    RetryAfter(u64),
}

/// What is known of one endpoint. Times are monotonic nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Load {
    /// When it last answered.
    answered: u64,
    /// While requests wait: since when none was answered.
    waits: u64,
    /// The latency to expect, as of `answered`, in nanoseconds; 0: not known.
    latency: f32,
    /// Attempts under way.
    in_flight: u32,
    /// Those of them that are not answered yet.
    waiting: u32,
    own_zone: bool,
}

impl Load {
    /// Attempts under way.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// What is known, without what is under way: that is told to where it began.
    #[must_use]
    pub fn at_rest(self) -> Self {
        Self { in_flight: 0, waiting: 0, ..self }
    }

    /// The latency to expect; while somebody waits, nothing is forgiven.
    fn latency(&self, now: u64, usual: f32) -> f32 {
        if self.waiting == 0 {
            return self.faded(now, usual);
        }
        self.faded(self.waits, usual).max(since(self.waits, now))
    }

    /// What is known fades towards what is usual, so that who was slow is asked again, and who is rarely asked has no
    /// advantage.
    fn faded(&self, until: u64, usual: f32) -> f32 {
        if self.latency <= 0.0 {
            return usual;
        }
        usual + (self.latency - usual) * fading(since(self.answered, until), FADES)
    }

    /// An answer. A peak counts at once.
    fn learn(&mut self, latency: f32, now: u64, usual: f32) {
        let keep = fading(since(self.answered, now), FADES);
        let learned = self.latency * keep + latency * (1.0 - keep);
        let is_peak = self.latency <= 0.0 || latency > self.faded(now, usual);
        self.latency = if is_peak { latency } else { learned }.max(1.0);
        self.waiting = self.waiting.saturating_sub(1);
        (self.answered, self.waits) = (now, now);
    }
}

/// What a worker knows of all endpoints of a service. It does not grow: endpoints beyond those that it was made for are
/// not known.
#[derive(Debug, Default)]
pub struct Loads {
    list: Box<[Load]>,
    /// Geometric means, which few outliers do not move; nanoseconds. Of what is known of endpoints:
    usual: Mean,
    /// Of latency, by zone:
    own: Mean,
    other: Mean,
    /// The share that the own zone keeps.
    own_keeps: Option<f32>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    ln: f32,
    stamp: u64,
    value: Option<f32>,
}

impl Loads {
    /// Of a service of these members, all of it; nothing is known yet.
    #[must_use]
    pub fn new(members: &Members) -> Self {
        let mut list = vec![Load::default(); members.bound()];
        for (member, site) in members.as_slice() {
            if let Some(load) = list.get_mut(member.endpoint as usize) {
                load.own_zone = site.zone == Zone::Own;
            }
        }
        Self { list: list.into_boxed_slice(), ..Self::default() }
    }

    /// What is known of an endpoint, to be carried over to another configuration.
    #[must_use]
    pub fn get(&self, endpoint: u32) -> Load {
        self.list.get(endpoint as usize).copied().unwrap_or_default()
    }

    /// Carries over what was known.
    pub fn set(&mut self, endpoint: u32, load: Load) {
        if let Some(entry) = self.list.get_mut(endpoint as usize) {
            *entry = Load { own_zone: entry.own_zone, ..load };
        }
    }

    /// Carries over the means of the service: what latency is usual, in the own zone and in others.
    pub fn set_means(&mut self, from: &Self) {
        let Self { list: _, usual, own, other, own_keeps } = from;
        (self.usual, self.own, self.other, self.own_keeps) = (*usual, *own, *other, *own_keeps);
    }

    /// An attempt begins.
    pub fn started(&mut self, endpoint: u32, now: u64) {
        if let Some(load) = self.list.get_mut(endpoint as usize) {
            if load.waiting == 0 {
                load.waits = now;
            }
            load.in_flight = load.in_flight.saturating_add(1);
            load.waiting = load.waiting.saturating_add(1);
        }
    }

    /// An attempt is answered, `latency` nanoseconds after it began, and still under way: [`Loads::ended`] follows.
    #[expect(clippy::cast_precision_loss, reason = "a latency")]
    pub fn answered(&mut self, endpoint: u32, now: u64, latency: u64, outcome: Outcome) {
        let latency = match outcome {
            Outcome::Success => latency,
            Outcome::Failure => latency.max(FAILURE),
            Outcome::RetryAfter(after) => latency.max(after),
        };
        let latency = latency.min(LONGEST) as f32;
        let Some(load) = self.list.get_mut(endpoint as usize) else {
            return;
        };
        load.learn(latency, now, self.usual.value.unwrap_or(FIRST_GUESS));
        self.usual.learn(load.latency, now);
        let zone = if load.own_zone { &mut self.own } else { &mut self.other };
        zone.learn(latency + ZONE_SLACK, now);
        if let (Some(own), Some(other)) = (self.own.value, self.other.value) {
            self.own_keeps = Some((ZONE_SLOWER * other / own).clamp(ZONE_KEEPS, 1.0));
        }
    }

    /// An attempt that was answered is over.
    pub fn ended(&mut self, endpoint: u32) {
        if let Some(load) = self.list.get_mut(endpoint as usize) {
            load.in_flight = load.in_flight.saturating_sub(1);
        }
    }

    /// An attempt is answered and over: [`Loads::answered`] and [`Loads::ended`].
    pub fn finished(&mut self, endpoint: u32, now: u64, latency: u64, outcome: Outcome) {
        self.answered(endpoint, now, latency, outcome);
        self.ended(endpoint);
    }

    /// An attempt is over without an answer, and that says nothing of the endpoint: the client left.
    pub fn abandoned(&mut self, endpoint: u32) {
        if let Some(load) = self.list.get_mut(endpoint as usize) {
            load.in_flight = load.in_flight.saturating_sub(1);
            load.waiting = load.waiting.saturating_sub(1);
        }
    }

    /// Attempts under way at an endpoint.
    #[must_use]
    pub fn in_flight(&self, endpoint: u32) -> u32 {
        self.list.get(endpoint as usize).map_or(0, |load| load.in_flight)
    }

    /// The latency to expect of an endpoint, in nanoseconds; of one that is not known, what is usual for the service.
    #[must_use]
    pub fn latency(&self, endpoint: u32, now: u64) -> f32 {
        self.expected(endpoint, now).0
    }

    /// The same, and the attempts under way there.
    pub(super) fn expected(&self, endpoint: u32, now: u64) -> (f32, u32) {
        let usual = self.usual.value.unwrap_or(FIRST_GUESS);
        let known = self.list.get(endpoint as usize);
        known.map_or((usual, 0), |load| (load.latency(now, usual), load.in_flight))
    }

    /// Whether a latency, in nanoseconds, is far from what is usual for the service: more than four times as long.
    #[must_use]
    pub fn is_outlying(&self, latency: f32) -> bool {
        self.usual.value.is_some_and(|usual| latency > usual * OUTLYING)
    }

    /// The share of requests that the own zone keeps, 0.1 to 1: less, the more its latency exceeds twice that of the
    /// others.
    #[must_use]
    pub fn own_keeps(&self) -> f32 {
        self.own_keeps.unwrap_or(1.0)
    }
}

impl Mean {
    fn learn(&mut self, latency: f32, now: u64) {
        let part = match self.value {
            None => 1.0,
            Some(_) => (1.0 - fading(since(self.stamp, now), USUAL_FADES)).max(MEAN_PART),
        };
        self.ln += (latency.max(1.0).ln() - self.ln) * part;
        self.stamp = now;
        self.value = Some(self.ln.exp());
    }
}

#[expect(clippy::cast_precision_loss, reason = "a time that passed")]
fn since(stamp: u64, now: u64) -> f32 {
    now.saturating_sub(stamp) as f32
}

fn fading(time: f32, fades: f32) -> f32 {
    (-time / fades).exp()
}
