//! The metrics of a process: all workers' counters, folded only when someone asks.
//!
//! In: each worker's [`WorkerMetrics`]. Out: Prometheus text and JSON, made on the asker's thread.

use super::fold::Totals;
use super::names::Names;
use super::process::ProcessFacts;
use super::worker::{SERIES_BOUND, SeriesBounds, WorkerCounters, WorkerMetrics};
use super::{exposition, stats};
use std::sync::Arc;

/// Reads what the workers count.
#[derive(Debug, Clone)]
pub struct Metrics {
    workers: Arc<[Arc<WorkerCounters>]>,
}

impl Metrics {
    /// Metrics for `workers` threads; each takes one of the writing halves.
    #[must_use]
    pub fn new(names: &Arc<Names>, workers: usize) -> (Self, Vec<WorkerMetrics>) {
        Self::bounded(names, workers, SERIES_BOUND)
    }

    /// As [`Metrics::new`], with another bound than [`SERIES_BOUND`].
    #[must_use]
    pub fn bounded(names: &Arc<Names>, workers: usize, series: usize) -> (Self, Vec<WorkerMetrics>) {
        let bounds = SeriesBounds::new(series);
        let counters: Arc<[_]> = (0..workers).map(|_| Arc::new(WorkerCounters::default())).collect();
        let halves =
            counters.iter().map(|c| WorkerMetrics::new(Arc::clone(c), Arc::clone(names), &bounds)).collect();
        (Self { workers: counters }, halves)
    }

    pub(super) fn workers(&self) -> &[Arc<WorkerCounters>] {
        &self.workers
    }

    /// Appends everything as Prometheus text, exposition format 0.0.4.
    pub fn render(&self, out: &mut String, process: &ProcessFacts) {
        exposition::render(out, &Totals::fold(&self.workers), process);
    }

    /// Everything as JSON, for `proxy.stats()`.
    #[must_use]
    pub fn stats_json(&self, process: &ProcessFacts) -> String {
        stats::json(&Totals::fold(&self.workers), process)
    }
}
