//! Health checks by properties: jitter stays in its bounds, thresholds are as simple as they sound, and no bytes do harm.

use crate::health_fixture::{check, dialogue, grpc, grpc_answer, hear, http};
use proptest::prelude::*;
use tulle_decide::health::{Pace, Standing, Traffic, Verdict, Why, serving_status};
use tulle_snapshot::wire::{HealthCheck, HealthProbe, ServiceProtocol};

const MS: u64 = 1_000_000;

proptest! {
    #[test]
    fn jitter_is_15_percent(interval_ms in 10_u32..86_400_000, more in 1_u32..10, began in 0..u64::MAX / 4, random: u64) {
        let idle_interval_ms = interval_ms.saturating_mul(more);
        let pace = Pace::new(&HealthCheck { interval_ms, idle_interval_ms, ..check(HealthProbe::Tcp) });
        for (traffic, interval) in [(Traffic::Busy, interval_ms), (Traffic::Idle, idle_interval_ms)] {
            let (wait, whole) = (pace.next(began, began, traffic, random) - began, u64::from(interval) * MS);
            prop_assert!(wait >= whole / 100 * 85 && wait <= whole / 100 * 115 + 100, "{wait} of {whole}");
        }
        let soon = pace.soon(began, random) - began;
        prop_assert!(soon <= (u64::from(interval_ms) * MS).min(10_000 * MS) / 100 * 115 + 100);
    }

    #[test]
    fn a_check_never_begins_before_the_last_one_has_ended(took in 0_u64..100_000 * MS, random: u64) {
        let pace = Pace::new(&check(HealthProbe::Tcp));
        prop_assert!(pace.next(7, 7 + took, Traffic::Busy, random) >= 7 + took);
    }

    /// Against the last answers, looked at as a list.
    #[test]
    fn thresholds(answers in prop::collection::vec(any::<bool>(), 0..200), down in 1_u32..6, up in 1_u32..6) {
        let settings = HealthCheck { unhealthy_after: down, healthy_after: up, ..check(HealthProbe::Tcp) };
        let pace = Pace::new(&settings);
        let (mut standing, mut healthy, mut since) = (Standing::default(), true, 0);
        for (index, well) in answers.iter().enumerate() {
            let verdict = if *well { Verdict::Well } else { Verdict::Unwell(Why::Status) };
            let changed = standing.checked(&pace, verdict);
            let needed = if healthy { down } else { up } as usize;
            let last = &answers[since..=index];
            let turns = last.len() >= needed && last[last.len() - needed..].iter().all(|well| *well != healthy);
            prop_assert_eq!(changed, turns);
            if turns {
                (healthy, since) = (!healthy, index + 1);
            }
            prop_assert_eq!(standing.is_healthy(), healthy);
        }
    }

    #[test]
    fn no_message_does_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _any = serving_status(&bytes);
        // A message in front of which fields stand that nobody knows says the same.
        if let Some(status) = serving_status(&bytes) {
            let more = [b"\x7a\x02hi".as_slice(), &bytes].concat();
            prop_assert_eq!(serving_status(&more), Some(status));
        }
    }

    #[test]
    fn no_answer_does_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), chunk in 1_usize..40) {
        for (probe, protocol) in [
            (http(None), ServiceProtocol::Http),
            (http(None), ServiceProtocol::Http2),
            (grpc(""), ServiceProtocol::Grpc),
        ] {
            let [whole, parts] = [1000, chunk].map(|chunk| hear(&mut dialogue(probe.clone(), protocol), &bytes, chunk));
            prop_assert_eq!(whole, parts);
            prop_assert!(whole != Some(Verdict::Well));
        }
    }

    /// However it is cut.
    #[test]
    fn a_changed_byte_means_one_thing(at in 0_usize..100, byte: u8, chunk in 1_usize..40) {
        let mut answer = grpc_answer(b"\0\0\0\0\x02\x08\x01", &[("grpc-status", "0")]);
        let len = answer.len();
        answer[at % len] = byte;
        let [whole, parts] =
            [1000, chunk].map(|chunk| hear(&mut dialogue(grpc(""), ServiceProtocol::Grpc), &answer, chunk));
        prop_assert_eq!(whole, parts);
    }
}
