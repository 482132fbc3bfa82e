//! By chance and weight.

use super::dice::Dice;
use super::{Ask, Balancer, Loads, View};

/// By chance and weight. It keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Balancer for Random {
    fn pick(&mut self, view: &View, loads: &Loads, ask: &Ask<'_>) -> Option<u32> {
        let mut dice = Dice::new(ask.random);
        let pool = view.pool(loads, ask, &mut dice);
        view.slot(view.fresh(pool, ask, &mut dice, None)?).map(|slot| slot.endpoint)
    }
}
