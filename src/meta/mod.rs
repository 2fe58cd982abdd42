//! Meta's Graph API: the port, the client, shared reads, budgets and the table of errors.
//!
//! ```text
//! port        the calls that the engine's steps need, as a trait
//!   graph     the port over the client: what each call sends, what is shared
//!   upload    a file in pieces
//!   read      lists, fields that Meta refuses
//!   client    one call within the budget: counted, classified, perhaps read twice
//!     transport, settings   HTTPS
//!     call    one request as data, and how it failed
//!     budget, account, listing, app, refused, counter   what is remembered between calls
//!   envelope  an error as Meta words it
//!     error   the table of codes; `reference` prints it
//!   wire      facts as Meta words them
//!   edge      the table of calls
//!   json, redact, bounded   values, texts, maps
//! ```

pub mod account;
mod app;
mod bounded;
pub mod budget;
mod call;
pub mod client;
pub mod counter;
pub mod edge;
pub mod envelope;
pub mod error;
mod graph;
mod json;
mod listing;
pub mod port;
mod read;
pub mod redact;
pub mod reference;
mod refused;
pub mod settings;
pub mod transport;
mod upload;
pub mod wire;

#[cfg(test)]
mod fixture;
