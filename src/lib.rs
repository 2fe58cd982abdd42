//! whatsapp-operator: brings WhatsApp Business phone numbers to their declared state.

pub mod api;
pub mod cli;
pub mod engine;
pub mod meta;
pub mod run;
