//! Everything that needs more than the library: one binary, so the graph of crates is linked once.

// What helps a test may unwrap as the test may.
#![allow(clippy::unwrap_used)]

mod api_server_away;
mod bad_input;
mod bad_server;
mod chart;
mod cli;
mod consents;
mod control_plane;
mod day_two;
mod deletion;
mod docs;
mod doctor;
mod edges;
mod fat;
mod fleet;
mod forecast;
mod generated;
mod gitops;
mod golden;
mod health;
mod help_desk;
mod house;
mod house_class;
mod image;
mod import;
mod kept;
mod krew;
mod lead;
mod live;
mod logs;
mod manifest;
mod monitoring;
mod operator;
mod others;
mod outside;
mod people;
mod picture;
mod plan;
mod plane;
mod policy;
mod proof;
mod readme;
mod remedies;
mod rig;
mod rights;
mod sandbox;
mod shards;
mod start;
mod stored;
mod tenants;
mod terms;
mod told;
mod upgrade;
mod way;
