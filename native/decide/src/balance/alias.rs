//! Drawing by weight in constant time: the alias method (Walker 1977; built as Vose 1991).

use super::dice::scale;

/// Positions and their weights, made ready to be drawn.
#[derive(Debug)]
pub(super) struct Alias {
    columns: Box<[Column]>,
}

/// One of as many columns as there are positions, each drawn as often.
#[derive(Debug, Clone, Copy)]
struct Column {
    /// How much of it belongs to its own position, of 2^32.
    own: u32,
    /// The position that the rest belongs to.
    other: u32,
}

impl Alias {
    /// From weights, of which at least one is not 0; at most 2^32.
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let mut left: Vec<f64> = weights.map(f64::from).collect();
        #[expect(clippy::cast_precision_loss, reason = "at most 2^20 positions")]
        let scale = left.len() as f64 / left.iter().sum::<f64>();
        for part in &mut left {
            *part *= scale;
        }
        let mut columns: Box<[Column]> =
            (0..).zip(&left).map(|(position, _)| Column { own: u32::MAX, other: position }).collect();
        let (mut light, mut heavy): (Vec<usize>, Vec<usize>) =
            (0..left.len()).partition(|position| left.get(*position).is_some_and(|part| *part < 1.0));
        while let (Some(small), Some(large)) = (light.pop(), heavy.last().copied()) {
            let part = left.get(small).copied().unwrap_or(1.0);
            if let (Some(column), Ok(other)) = (columns.get_mut(small), u32::try_from(large)) {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2^32 - 1")]
                let own = (part * f64::from(u32::MAX)) as u32;
                *column = Column { own, other };
            }
            if let Some(rest) = left.get_mut(large) {
                *rest -= 1.0 - part;
                if *rest < 1.0 {
                    heavy.pop();
                    light.push(large);
                }
            }
        }
        Self { columns }
    }

    /// A position, by chance and weight. `random` is uniform.
    pub(super) fn draw(&self, random: u64) -> usize {
        let column = scale(random, self.columns.len());
        // What choosing the column left over.
        let coin = (random.wrapping_mul(self.columns.len() as u64) >> 32) as u32;
        match self.columns.get(column) {
            Some(Column { own, other }) if coin > *own => *other as usize,
            _ => column,
        }
    }
}
