//! Meta's Graph API: the port, the client, shared reads, budgets and the table of errors.

pub mod port;
