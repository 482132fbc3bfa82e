//! The local rate limiter: bursts, rates, headers, the bound of its keys, memory, changes of limits.

use crate::counting;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use tulle_decide::chance::again;
use tulle_decide::rate_limit::{Limiter, LocalLimiter, Verdict, write_fields};
use tulle_snapshot::wire::{RateLimit, RequestKey};

const SECOND: u64 = 1_000_000_000;

fn limit(requests_per_second: u32, burst: u32, keys: u32) -> RateLimit {
    RateLimit { requests_per_second, burst, key: Some(RequestKey::Source), keys }
}

fn passes(limiter: &LocalLimiter, key: Option<u64>, now: u64) -> bool {
    matches!(limiter.decide(key, now), Verdict::Pass { .. })
}

/// How many of `tries` pass at once.
fn burst(limiter: &LocalLimiter, key: Option<u64>, now: u64, tries: usize) -> usize {
    (0..tries).filter(|_| passes(limiter, key, now)).count()
}

#[test]
fn the_sixth_at_once_is_refused_and_told_when_to_come_back() {
    let limiter = LocalLimiter::new(&limit(10, 5, 100));
    let now = 77 * SECOND;
    let tenth = SECOND / 10;
    for done in 1..=5 {
        let expected = Verdict::Pass { limit: 5, remaining: 5 - done, reset_ns: u64::from(done) * tenth };
        assert_eq!(limiter.decide(Some(1), now), expected);
    }
    let refused = Verdict::Refuse { limit: 5, reset_ns: 5 * tenth, retry_after_ns: tenth };
    assert_eq!(limiter.decide(Some(1), now), refused);
    assert_eq!(limiter.decide(Some(1), now), refused, "a refusal costs nothing");
    // Another key, and requests without one, have buckets of their own.
    assert_eq!(burst(&limiter, Some(2), now, 9), 5);
    assert_eq!(burst(&limiter, None, now, 9), 5);
    // Who waits as long as told passes, once; a nanosecond less is too early.
    assert!(!passes(&limiter, Some(1), now + tenth - 1));
    assert_eq!(burst(&limiter, Some(1), now + tenth, 9), 1);
    // From rest, it is a burst again.
    assert_eq!(burst(&limiter, Some(1), now + 60 * SECOND, 9), 5);
}

#[test]
fn clients_are_told_in_whole_seconds_rounded_up() {
    let cases = [
        (
            Verdict::Pass { limit: 5, remaining: 4, reset_ns: 100_000_000 },
            "RateLimit-Limit: 5\r\nRateLimit-Remaining: 4\r\nRateLimit-Reset: 1\r\n",
        ),
        (
            Verdict::Pass { limit: 1, remaining: 0, reset_ns: SECOND },
            "RateLimit-Limit: 1\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 1\r\n",
        ),
        (
            Verdict::Refuse { limit: 5, reset_ns: 2 * SECOND + 1, retry_after_ns: 1 },
            "RateLimit-Limit: 5\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 3\r\nRetry-After: 1\r\n",
        ),
    ];
    for (verdict, expected) in cases {
        let mut out = Vec::new();
        write_fields(&mut out, &verdict);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    let longest = Verdict::Refuse { limit: u32::MAX, reset_ns: u64::MAX, retry_after_ns: u64::MAX };
    let mut out = Vec::with_capacity(128);
    write_fields(&mut out, &longest);
    assert!(out.len() <= 128, "{}", out.len());
}

/// Greedy clients at each rate get exactly it: rates whose interval is no whole number of nanoseconds, too.
#[test]
fn rates_do_not_drift() {
    for (rate, tenths) in [(1, 1000), (3, 1000), (1000, 100), (700_000, 1), (999_980, 1), (1_000_000, 1)] {
        let limiter = LocalLimiter::new(&limit(rate, 10, 100));
        let begin = 123_456_789;
        let end = begin + tenths * SECOND / 10;
        let (mut now, mut passed) = (begin, 0_u64);
        while now < end {
            match limiter.decide(Some(7), now) {
                Verdict::Pass { .. } => passed += 1,
                Verdict::Refuse { retry_after_ns, .. } => now += retry_after_ns,
            }
        }
        let exact = u64::from(rate) * tenths / 10 + 10;
        assert!(passed.abs_diff(exact) <= 1, "{rate} per second: {passed} for {exact}");
    }
}

#[test]
fn beyond_the_bound_new_keys_share_the_bucket_of_requests_without_one() {
    let limiter = LocalLimiter::new(&limit(1, 2, 10));
    let now = 5 * SECOND;
    for key in 0..10 {
        assert_eq!(burst(&limiter, Some(again(key)), now, 5), 2);
    }
    // Two of all further keys together, and none without a key any more.
    let further: usize = (100..200).map(|key| burst(&limiter, Some(again(key)), now, 5)).sum();
    assert_eq!(further, 2);
    assert!(!passes(&limiter, None, now));
    // Keys at rest give up their places.
    let later = now + 10 * SECOND;
    for key in 300..310 {
        assert_eq!(burst(&limiter, Some(again(key)), later, 5), 2, "{key}");
    }
    let further: usize = (400..500).map(|key| burst(&limiter, Some(again(key)), later, 5)).sum();
    assert_eq!(further, 2);
}

#[test]
fn small_and_odd_hashes_are_keys_like_others() {
    let limiter = LocalLimiter::new(&limit(1, 1, 1000));
    for key in [0, 2, 3, u64::MAX, u64::MAX - 1, 1 << 63] {
        assert_eq!(burst(&limiter, Some(key), SECOND, 5), 1, "{key}");
    }
    assert_eq!(burst(&limiter, None, SECOND, 5), 1);
}

/// A table of two levels has 32 slots for keys that all belong in one place; keys beyond them share.
#[test]
fn a_full_place_goes_on_in_the_next_level() {
    let limiter = LocalLimiter::new(&limit(1, 2, 1000));
    let passed: Vec<usize> = (1..=40).map(|key| burst(&limiter, Some(key), SECOND, 5)).collect();
    let (own, further) = passed.split_at(32);
    assert_eq!(own, [2; 32]);
    assert_eq!(further.iter().sum::<usize>(), 2, "{further:?}");
    // All 32 are still there, and their slots are given on once they are at rest.
    assert!((1..=32).all(|key| !passes(&limiter, Some(key), SECOND)));
    assert!((101..=132).all(|key| burst(&limiter, Some(key), 5 * SECOND, 5) == 2));
}

#[test]
fn memory_follows_the_keys() {
    let limiter = LocalLimiter::new(&limit(1, 1, 20_000));
    assert!(limiter.memory() < 512, "{}", limiter.memory());
    let (mut own, mut entered) = (0_u32, 0);
    let mut upto = |count: u64| {
        while entered < count {
            own += u32::from(passes(&limiter, Some(again(entered)), SECOND));
            entered += 1;
        }
        (limiter.memory(), own)
    };
    assert!(upto(10).0 < 5 * 1024);
    assert!(upto(1000).0 < 64 * 1024);
    let (bytes, own) = upto(20_000);
    assert!(bytes / 20_000 <= 40, "{bytes}");
    assert!(own > 19_980, "{own} of 20,000 keys have a bucket of their own");
    // A million clients later, it is as large.
    let later = 100 * SECOND;
    let own =
        (0..40_000).filter(|i| passes(&limiter, Some(again(1_000_000 + i)), later + i * 500_000)).count();
    assert!(own > 39_960, "{own}");
    assert!(limiter.memory() / 20_000 <= 40);
}

#[test]
fn limits_change_and_what_was_used_stays_so() {
    let (narrow, wide, patient) = (limit(10, 5, 100), limit(100, 50, 100), limit(1, 100, 100));
    let limiter = LocalLimiter::new(&narrow);
    assert_eq!(burst(&limiter, Some(1), SECOND, 100), 5);
    let wider = limiter.with_limits(&narrow, &wide);
    // Half a second ahead is all that the wider limit allows as well.
    assert_eq!(burst(&wider, Some(1), SECOND, 100), 0);
    assert_eq!(burst(&wider, Some(1), SECOND + SECOND / 10, 100), 10);
    assert_eq!(burst(&wider, Some(2), SECOND, 100), 50);
    // A hundred seconds ahead, and then nobody waits longer than the new limit says.
    let slow = wider.with_limits(&wide, &patient);
    assert_eq!(burst(&slow, Some(3), 2 * SECOND, 200), 100);
    let fast = slow.with_limits(&patient, &narrow);
    assert!(!passes(&fast, Some(3), 2 * SECOND));
    assert_eq!(burst(&fast, Some(3), 2 * SECOND + SECOND / 10, 100), 1);
    assert_eq!(burst(&fast, Some(3), 10 * SECOND, 100), 5);
    // Another number of keys begins anew.
    let other = fast.with_limits(&narrow, &limit(10, 5, 50));
    assert_eq!(burst(&other, Some(3), 10 * SECOND, 100), 5);
}

#[test]
fn decisions_allocate_nothing() {
    let limiter = LocalLimiter::new(&limit(1000, 10, 100));
    for key in 0..100 {
        limiter.decide(Some(again(key)), SECOND);
    }
    let before = counting::allocations();
    for round in 0..100 {
        for key in 0..120 {
            limiter.decide(Some(again(key)), SECOND + round);
            limiter.decide(None, SECOND + round);
        }
    }
    assert_eq!(counting::allocations(), before);
}

/// Workers that meet on one key let pass what one would: for keys that are new to all, and for one that is not.
#[test]
fn workers_together_are_exact() {
    const WORKERS: usize = 4;
    let wire = limit(1, 5, 4096);
    let limiter = LocalLimiter::new(&wire);
    // Nothing passes by way of the shared bucket.
    assert_eq!(burst(&limiter, None, SECOND, 9), 5);
    let passed: Vec<AtomicU32> = (0..500).map(|_| AtomicU32::new(0)).collect();
    let gate = std::sync::Barrier::new(WORKERS);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                gate.wait();
                for (key, passed) in (0..).zip(&passed) {
                    for _ in 0..20 {
                        passed.fetch_add(
                            u32::from(passes(&limiter, Some(again(key)), SECOND)),
                            Ordering::Relaxed,
                        );
                    }
                }
            });
        }
    });
    let wrong: Vec<u32> = passed.iter().map(|p| p.load(Ordering::Relaxed)).filter(|p| *p != 5).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Many keys for few slots, while time goes on: slots change hands all the time, and no slot gets more than its rate.
#[test]
fn slots_that_change_hands_let_no_more_pass_than_their_rate() {
    slots_change_hands(again);
    // All in one place.
    slots_change_hands(|key| key + 1);
}

fn slots_change_hands(hash: fn(u64) -> u64) {
    const KEYS: usize = 64;
    let wire = limit(1000, 2, 24);
    let limiter = LocalLimiter::new(&wire);
    let clock = AtomicU64::new(SECOND);
    let passed: Vec<AtomicU32> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
    std::thread::scope(|scope| {
        for worker in 0..3_u64 {
            let (limiter, clock, passed) = (&limiter, &clock, &passed);
            scope.spawn(move || {
                let mut random = worker;
                for _ in 0..40_000 {
                    random = again(random);
                    let now = clock.fetch_add(2_000, Ordering::SeqCst);
                    let key = random % KEYS as u64;
                    if passes(limiter, Some(hash(key)), now) {
                        passed[usize::try_from(key).unwrap()].fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let elapsed = clock.load(Ordering::SeqCst) - SECOND;
    let all: u32 = passed.iter().map(|p| p.load(Ordering::Relaxed)).sum();
    // At any time, 24 own buckets and the shared one, each at its rate.
    let most = 25 * (elapsed / 1_000_000 + 2 + 1);
    assert!(u64::from(all) <= most + 64, "{all} of {most}");
    assert!(all > 1000, "{all}");
}
