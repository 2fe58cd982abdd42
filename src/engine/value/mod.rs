//! Values: what goes into a decision, what comes out of it, and what is remembered in between.
//!
//! They use only each other, and decide nothing.

pub mod action;
mod attempts;
pub mod block;
pub mod condition;
pub mod condition_type;
pub mod consent;
pub mod desired;
pub mod display_name;
pub mod drift;
pub mod failure;
pub mod farewell;
pub mod id;
pub mod limits;
pub mod memory;
pub mod observed;
pub mod outcome;
pub mod page;
pub mod phone;
pub mod picture;
pub mod portfolio;
pub mod reason;
pub mod secret;
pub mod spelling;
pub mod status;
pub mod step;
pub mod time;
pub mod wait;
pub mod word;
