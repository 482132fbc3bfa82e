//! What one worker counts of its attempts for ejection by rates, until it hands it over.
//!
//! In: how each attempt ended. Out: sums by place, ten times a second at most. Before: outcome. After: the standing of the
//! endpoints, which all workers share.

use super::HAND_OVER;

/// Successes and errors of each place since they were last handed over.
#[derive(Debug, Default)]
pub(in super::super) struct Tallies {
    list: Vec<(u32, u32)>,
    touched: Vec<u32>,
    handed_over: u64,
}

impl Tallies {
    /// Counts one, and gives what is to be handed over: places, each with successes and errors.
    pub(in super::super) fn count(&mut self, place: u32, is_error: bool, now: u64) -> Vec<(u32, u32, u32)> {
        let index = place as usize;
        if self.list.len() <= index {
            self.list.resize(index + 1, (0, 0));
        }
        if let Some(tally) = self.list.get_mut(index) {
            if *tally == (0, 0) {
                self.touched.push(place);
            }
            if is_error {
                tally.1 += 1;
            } else {
                tally.0 += 1;
            }
        }
        if now.saturating_sub(self.handed_over) < HAND_OVER {
            return Vec::new();
        }
        self.handed_over = now;
        let list = &mut self.list;
        let take = |place: u32| {
            let (successes, errors) = list.get_mut(place as usize).map(std::mem::take).unwrap_or_default();
            (place, successes, errors)
        };
        self.touched.drain(..).map(take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_is_handed_over_once_and_ten_times_a_second() {
        let mut tallies = Tallies { handed_over: 1_000, ..Tallies::default() };
        for now in [1_000, 1_500, HAND_OVER] {
            assert_eq!(tallies.count(7, false, now), []);
        }
        assert_eq!(tallies.count(7, true, HAND_OVER), []);
        assert_eq!(tallies.count(2, true, 999 + HAND_OVER), []);
        let all = tallies.count(0, false, 1_000 + HAND_OVER);
        assert_eq!(all, [(7, 3, 1), (2, 0, 1), (0, 1, 0)]);
        assert_eq!(tallies.count(7, false, 1_000 + HAND_OVER), [], "not for as long again");
        assert_eq!(tallies.count(2, false, 1_000 + 2 * HAND_OVER), [(7, 1, 0), (2, 1, 0)]);
    }
}
