//! Meta's Graph API: the port, the client, shared reads, budgets and the table of errors.

pub mod account;
pub mod budget;
pub mod client;
pub mod error;
pub mod port;
pub mod wire;
