//! whatsapp-operator: brings WhatsApp Business phone numbers to their declared state.
//!
//! - [`engine`]: the decisions; pure, without I/O, clock or Kubernetes
//! - [`api`]: the kinds as users write them, and their lowering into the engine's values
//! - [`meta`]: the Graph API behind a port
//! - [`run`]: one pass, over ports
//! - [`cluster`]: Kubernetes as the operator uses it
//! - [`controller`]: watches and reconciling
//! - [`cli`]: one file per command
//! - [`escape`]: what no terminal and no log takes as it is
//! - [`fetch`]: downloads one file from the public Internet, and reaches nothing inside
//! - `repeat`: one line of the log for one cause in a minute
//! - [`sandbox`]: a simulated Graph API that shares no code with the rest
//! - [`telemetry`]: logs, metrics, health
//! - [`twin`]: whole passes against the simulated Graph API, in virtual time
//!
//! `ARCHITECTURE.md` tells who may use whom, and why.

// One place prints, and it writes out what a terminal would obey: `cli::render`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod api;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod engine;
pub mod escape;
pub mod fetch;
pub mod meta;
mod repeat;
pub mod run;
pub mod sandbox;
pub mod telemetry;
pub mod twin;
