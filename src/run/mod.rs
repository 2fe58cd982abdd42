//! The imperative middle, shared by the controller and the command line.

pub mod observe;
