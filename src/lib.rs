//! whatsapp-operator.

pub mod sandbox;
