//! The command line: one file per command.

pub mod lint;
pub mod schema;
pub mod source;
