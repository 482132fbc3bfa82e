//! Canary shares over many requests stay within binomial bounds, drawn and sticky, down to 0.01 %.

use crate::fixture::{backend, route, rule, snapshot};
use tulle_decide::chance::again;
use tulle_decide::mirror::Mirror;
use tulle_decide::request_key::{Seed, hash_bytes};
use tulle_decide::route::{Plan, RuleAction, RuleId, Split};
use tulle_snapshot::wire::{self, Rule};

/// Standard deviations that a count may be off: one in two million runs of a right share is further off, and seeds are
/// fixed.
const DEVIATIONS: f64 = 5.0;

fn within(hits: u32, trials: u32, share: f64) -> bool {
    let expected = f64::from(trials) * share;
    let deviation = (expected * (1.0 - share)).sqrt();
    (f64::from(hits) - expected).abs() <= DEVIATIONS * deviation
}

fn canary(stable: u32, canary: u32, look: impl Fn(&Split)) {
    let backends = vec![backend(0, stable), backend(0, canary)];
    let routes = vec![route("r", &[], vec![Rule { backends, ..rule(vec![]) }])];
    let plan = Plan::new(&snapshot(routes, Vec::new())).unwrap();
    match &plan.get(RuleId(0)).unwrap().action {
        RuleAction::Forward(split) => look(split),
        RuleAction::Redirect(_) => panic!("forwards"),
    }
}

fn shares(trials: u32) {
    for (stable, weight) in [(95, 5), (99, 1), (999, 1), (9999, 1), (999_999, 100), (1, 1)] {
        let share = f64::from(weight) / f64::from(stable + weight);
        canary(stable, weight, |split| {
            let second = split.backends().nth(1).unwrap();
            let (mut drawn, mut sticky) = (0, 0);
            let mut random = 42;
            for user in 0..trials {
                random = again(random);
                drawn += u32::from(std::ptr::eq(split.pick(random), second));
                let key = hash_bytes(&user.to_le_bytes(), Seed::SHARED);
                sticky += u32::from(std::ptr::eq(split.pick_sticky(key), second));
            }
            assert!(within(drawn, trials, share), "{weight} of {stable}: {drawn} of {trials} drawn");
            assert!(within(sticky, trials, share), "{weight} of {stable}: {sticky} of {trials} sticky");
        });
    }
}

#[test]
fn shares_are_within_binomial_bounds() {
    shares(200_000);
}

#[test]
#[cfg(feature = "long")]
fn shares_are_within_binomial_bounds_over_ten_million() {
    shares(10_000_000);
}

#[test]
fn mirrors_copy_their_share() {
    for per_million in [100, 10_000, 500_000] {
        let mirror = Mirror::new(&wire::Mirror { service: 0, subset: None, per_million });
        let mut random = 7;
        let copied = (0..500_000).map(|_| {
            random = again(random);
            u32::from(mirror.draws(random))
        });
        let copied = copied.sum();
        assert!(within(copied, 500_000, f64::from(per_million) / 1e6), "{per_million}: {copied}");
    }
}
