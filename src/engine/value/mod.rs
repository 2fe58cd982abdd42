//! Values: what the engine is told, what it keeps in mind and what it says. No decision is made here.

pub mod condition;
pub mod condition_type;
pub mod drift;
pub mod portfolio;
pub mod status;
