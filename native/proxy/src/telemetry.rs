//! What is observed of a request, and who reads it.
//!
//! In: one [`Record`] per request, filled by each step. Out: metrics, the access log, the admin pages. Nothing else
//! observes requests; nothing here is on the way of one: workers count and hand over, other threads render.

mod address;
pub mod admin;
mod attempts;
mod counter;
mod event;
mod exposition;
mod flags;
mod fold;
mod histogram;
mod identities;
mod log;
mod metrics;
mod names;
mod process;
mod reason;
mod record;
mod series;
mod stats;
mod text;
mod worker;

pub use address::Address;
pub use attempts::{Attempt, Attempts, KEPT_ATTEMPTS};
pub use event::ServiceEvent;
pub use exposition::{FAMILIES, Family, METRICS_CONTENT_TYPE};
pub use flags::Flags;
pub use identities::{IDENTITY_BOUND, Identities};
pub use log::{AccessLog, LOG_BOUND, LogHandle, LogSetup};
pub use metrics::Metrics;
pub use names::Names;
pub use process::{
    CertificateExpiry, CertificateOwner, EndpointFacts, EndpointState, ProcessFacts, ServiceFacts, Usage,
};
pub use reason::{Reason, ReasonFacts, Side, UnknownReason};
pub use record::{
    METHOD_BYTES, NONE_8, NONE_16, NONE_32, PATH_BYTES, REQUEST_ID_BYTES, Record, RequestId, Stamps,
};
pub use series::{ListenerCounters, ServiceCounters};
pub use text::Text;
pub use worker::{SERIES_BOUND, WorkerCounters, WorkerMetrics};
