//! Kubernetes as the operator uses it: a client whose every call has a deadline, Secrets
//! by name, attempts in ConfigMaps, one Lease, status writes that carry what they were computed from,
//! events.
//!
//! It knows nothing of Meta and decides nothing.

pub mod attempts;
mod call;
pub mod event;
pub mod finalizer;
pub mod lease;
mod picture;
pub mod read;
pub mod secret;
pub mod selector;
mod sieve;
pub mod status;

pub use call::{DEADLINE, Failed, MANAGER, bounded, causes, client, connect, not_served, refusal, schemas};
