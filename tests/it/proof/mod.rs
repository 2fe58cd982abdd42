//! The proof: whole passes of the operator against the whole simulated Meta.
//!
//! `run::pass` with the real client talks over a socket to the sandbox in this process;
//! what stands in for the API server keeps status with versions and conflicts as the
//! real one does. Time is virtual. What counts is what happened **at Meta**, not what
//! the operator believes.

mod api_server;
mod attempts;
mod away;
mod badge;
mod coexistence;
mod crash;
mod crash_repair;
mod drift;
mod far;
mod faults;
mod levers;
mod onboarding;
mod partners;
mod picture;
mod properties;
mod rename;
mod rest;
mod rollback;
mod spelling;
mod squatter;
mod switches;
mod trouble;
mod whole;
mod world;
