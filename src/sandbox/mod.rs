//! A simulation of the part of Meta's Graph API that the operator uses.
//!
//! It is written from Meta's documentation, never from what a client happens to send,
//! and shares no type with the client: only so can it contradict one. What the
//! documentation leaves open is a switch. Time is virtual and chance is seeded, so two
//! runs with one seed are identical, byte for byte.
//!
//! ```text
//! server    request -> Call, faults, handshake, answer; sockets
//!   call    parameters and version of one request
//!   graph   who calls, budget, scopes, dispatch
//!     node  reads: fields, lists, what shows late
//!     write adding, codes, registration, names, profiles, subscriptions
//!     badge usernames, official business accounts
//!       state            everything that is remembered, and what a call is about
//!       number, review   the life of one number
//!   envelope, budget, fault, webhook, clock, random, record, options, part, spelling
//! control   the API behind the scenes
//! simulation   the same behind the scenes, as functions
//! world     portfolios, accounts, numbers, apps, tokens, as values
//! ```
//!
//! This module knows nothing of the rest of the crate. What it simulates, and what it
//! does not, is in `docs/sandbox.md`.

mod answer;
mod badge;
mod budget;
mod call;
mod clock;
mod control;
mod envelope;
mod fault;
mod field;
mod graph;
mod node;
mod number;
mod options;
mod part;
mod random;
mod record;
mod review;
mod rival;
mod server;
mod simulation;
mod spelling;
mod state;
mod switch;
mod upload;
mod webhook;
mod world;
mod write;

#[cfg(test)]
mod tests;

pub use clock::Pace;
pub use fault::{Fault, FaultKind, Match};
pub use number::{Attempts, Code, Number, Review, Verdict};
pub use options::{Hold, Lag, Options};
pub use part::{Late, Official, Override, Profile, Username};
pub use record::{CallRecord, Effect, What};
pub use review::ReviewPolicy;
pub use rival::Rival;
pub use server::{LOST_HEADER, Lost};
pub use simulation::Sandbox;
pub use switch::{
    AlreadyVerified, CodeRefusal, EndpointAnswer, HeldUsername, InitialStatus, MissingObject, NoChange,
    NotRegistered, NumberElsewhere, NumberLimit, NumberSpelling, OnPhoneAtAdd, PinMismatch, RegisteredPin,
    Switches, WrongCode,
};
pub use world::{Account, App, DEMO_APP_SECRET, DEMO_TOKEN, Phone, Portfolio, Reference, Token, World};
