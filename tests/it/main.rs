//! Everything that needs more than the library: one binary, so the graph of crates is linked once.

mod bad_input;
mod chart;
mod control_plane;
mod generated;
mod house;
mod manifest;
mod operator;
mod plane;
mod policy;
mod proof;
mod rig;
