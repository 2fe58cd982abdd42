//! A twin of the operator: whole passes against the simulated Meta, in virtual time.
//!
//! The pass, the client and the rules are the operator's own. Only what surrounds them stands in: the clock is that of
//! the simulated Meta, and status and Secrets are kept in memory, with versions as the API server keeps them.

mod cluster;
mod due;

use jiff::Timestamp;

use crate::{meta::port::Clock, sandbox::Sandbox};

pub use cluster::{Cluster, Drawer, Folder, Shelf, Standing, Status};
pub use due::Fleeting;

/// The date of the simulated Meta is the operator's date.
#[derive(Clone, Debug)]
pub struct VirtualClock(pub Sandbox);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}
