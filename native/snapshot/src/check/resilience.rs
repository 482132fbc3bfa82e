//! Bounds of what keeps a service serving: balancing, health, ejection, limits, retries, faults.

use super::{Carries, Error, backend_of, bounds, invalid};
use crate::wire::{
    Backend, BalancingPolicy, Fault, HealthCheck, HealthProbe, OutlierDetection, Rule, Service, Snapshot,
};

/// Parts per million.
const WHOLE: u32 = 1_000_000;
/// The longest duration that is waited: an hour.
const HOUR_MS: u32 = 3_600_000;
/// The longest name of a gRPC service.
const SERVICE_BYTES: usize = 1024;

pub(super) fn service(at: &str, service: &Service) -> Result<(), Error> {
    let balancing = &service.load_balancing;
    let hashes = matches!(balancing.policy, BalancingPolicy::RingHash | BalancingPolicy::Maglev);
    if hashes != balancing.key.is_some() {
        return Err(invalid(
            format!("{at}.loadBalancing.key"),
            "ring-hash and maglev need one, others have none",
        ));
    }
    bounds(&format!("{at}.loadBalancing.slowStartMs"), balancing.slow_start_ms, 0, HOUR_MS)?;
    let circuit = &service.circuit;
    let limits = [
        ("requests", circuit.requests, 1),
        ("retries", circuit.retries, 0),
        ("endpointConnections", circuit.endpoint_connections, 1),
        ("endpointRequests", circuit.endpoint_requests, 1),
    ];
    for (key, limit, low) in limits {
        if let Some(limit) = limit {
            bounds(&format!("{at}.circuit.{key}"), limit, low, 1 << 24)?;
        }
    }
    if let Some(adaptive) = circuit.adaptive {
        bounds(&format!("{at}.circuit.adaptive.max"), adaptive.max, 1, 1 << 24)?;
        bounds(&format!("{at}.circuit.adaptive.min"), adaptive.min, 1, adaptive.max)?;
    }
    service.health_check.as_ref().map_or(Ok(()), |check| health(&format!("{at}.healthCheck"), check))?;
    service
        .outlier_detection
        .as_ref()
        .map_or(Ok(()), |outlier| ejection(&format!("{at}.outlierDetection"), outlier))
}

fn health(at: &str, check: &HealthCheck) -> Result<(), Error> {
    bounds(&format!("{at}.intervalMs"), check.interval_ms, 10, 24 * HOUR_MS)?;
    bounds(&format!("{at}.idleIntervalMs"), check.idle_interval_ms, check.interval_ms, 24 * HOUR_MS)?;
    bounds(&format!("{at}.timeoutMs"), check.timeout_ms, 1, HOUR_MS)?;
    bounds(&format!("{at}.unhealthyAfter"), check.unhealthy_after, 1, 1000)?;
    bounds(&format!("{at}.healthyAfter"), check.healthy_after, 1, 1000)?;
    probe(&format!("{at}.probe"), &check.probe)
}

/// What a probe sends goes out as it is written here.
fn probe(at: &str, probe: &HealthProbe) -> Result<(), Error> {
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    match probe {
        HealthProbe::Http { path, .. } if !visible(path) || !path.starts_with('/') => {
            Err(invalid(format!("{at}.path"), format!("{path:?} is not a path")))
        }
        HealthProbe::Http { host: Some(host), .. } if !visible(host) => {
            Err(invalid(format!("{at}.host"), format!("{host:?} is not a host")))
        }
        HealthProbe::Grpc { service } if service.len() > SERVICE_BYTES => {
            Err(invalid(format!("{at}.service"), format!("is longer than {SERVICE_BYTES} bytes")))
        }
        HealthProbe::Http { .. } | HealthProbe::Grpc { .. } | HealthProbe::Tcp => Ok(()),
    }
}

fn ejection(at: &str, outlier: &OutlierDetection) -> Result<(), Error> {
    bounds(&format!("{at}.consecutiveErrors"), outlier.consecutive_errors, 0, 1_000_000)?;
    if let Some(rate) = outlier.success_rate {
        bounds(&format!("{at}.successRate.percent"), rate.percent, 1, 100)?;
        bounds(&format!("{at}.successRate.windowMs"), rate.window_ms, 100, HOUR_MS)?;
        bounds(&format!("{at}.successRate.minRequests"), rate.min_requests, 1, 1_000_000)?;
    }
    bounds(&format!("{at}.maxEjectionMs"), outlier.max_ejection_ms, 1, 24 * HOUR_MS)?;
    bounds(&format!("{at}.baseEjectionMs"), outlier.base_ejection_ms, 1, outlier.max_ejection_ms)?;
    bounds(&format!("{at}.maxEjectedPercent"), outlier.max_ejected_percent, 0, 100)
}

pub(super) fn rule(at: &str, rule: &Rule, snapshot: &Snapshot) -> Result<(), Error> {
    let retry = &rule.retry;
    bounds(&format!("{at}.retry.attempts"), retry.attempts, 0, 10)?;
    for (i, status) in retry.statuses.iter().enumerate() {
        bounds(&format!("{at}.retry.statuses[{i}]"), u32::from(*status), 400, 599)?;
    }
    bounds(&format!("{at}.retry.backoffMaxMs"), retry.backoff_max_ms, 0, HOUR_MS)?;
    bounds(&format!("{at}.retry.backoffBaseMs"), retry.backoff_base_ms, 0, retry.backoff_max_ms)?;
    bounds(&format!("{at}.retry.budget.percent"), retry.budget.percent, 0, 100)?;
    bounds(&format!("{at}.retry.budget.minPerSecond"), retry.budget.min_per_second, 0, WHOLE)?;
    if let Some(hedge) = retry.hedge {
        bounds(&format!("{at}.retry.hedge.percentile"), hedge.percentile, 50, 99)?;
        bounds(&format!("{at}.retry.hedge.maxPercent"), hedge.max_percent, 1, 100)?;
    }
    if let Some(limit) = &rule.rate_limit {
        bounds(&format!("{at}.rateLimit.requestsPerSecond"), limit.requests_per_second, 1, WHOLE)?;
        bounds(&format!("{at}.rateLimit.burst"), limit.burst, 1, WHOLE)?;
        bounds(&format!("{at}.rateLimit.keys"), limit.keys, 1, 1 << 24)?;
    }
    rule.fault.as_ref().map_or(Ok(()), |wire| fault(&format!("{at}.fault"), wire))?;
    let Some(mirror) = rule.mirror else { return Ok(()) };
    bounds(&format!("{at}.mirror.perMillion"), mirror.per_million, 0, WHOLE)?;
    let copy = Backend { service: mirror.service, subset: mirror.subset, weight: 1, fallback: false };
    backend_of(&format!("{at}.mirror"), &copy, Carries::Requests, snapshot)
}

fn fault(at: &str, fault: &Fault) -> Result<(), Error> {
    if let Some(delay) = fault.delay {
        bounds(&format!("{at}.delay.perMillion"), delay.per_million, 0, WHOLE)?;
        bounds(&format!("{at}.delay.durationMs"), delay.duration_ms, 1, HOUR_MS)?;
    }
    if let Some(abort) = fault.abort {
        bounds(&format!("{at}.abort.perMillion"), abort.per_million, 0, WHOLE)?;
        bounds(&format!("{at}.abort.status"), u32::from(abort.status), 400, 599)?;
        if let Some(status) = abort.grpc_status {
            bounds(&format!("{at}.abort.grpcStatus"), u32::from(status), 1, 16)?;
        }
    }
    if let Some(bandwidth) = fault.bandwidth {
        bounds(&format!("{at}.bandwidth.perMillion"), bandwidth.per_million, 0, WHOLE)?;
        bounds(&format!("{at}.bandwidth.bytesPerSecond"), bandwidth.bytes_per_second, 1, u32::MAX)?;
    }
    Ok(())
}
