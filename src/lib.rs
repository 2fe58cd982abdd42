//! whatsapp-operator: brings WhatsApp Business phone numbers to their declared state.

pub mod api;
pub mod cli;
pub mod cluster;
pub mod controller;
pub mod engine;
pub mod meta;
pub mod run;
pub mod sandbox;
pub mod telemetry;
