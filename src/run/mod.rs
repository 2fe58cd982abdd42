//! The imperative middle, shared by the controller and the command line.
//!
//! It knows the engine and the port to Meta, and nothing of Kubernetes: where status
//! is kept and where Secrets come from are traits, so a cluster, a file or a test can
//! hold them.

pub mod act;
pub mod attempts;
pub mod late;
pub mod may_work;
pub mod observe;
pub mod pass;
pub mod picture;
pub mod rested;
pub mod secret;
pub mod unkept;
pub mod unwritten;
