//! The controllers of both kinds: watch, trigger, reconcile, portfolio views, shutdown.

mod claim;
mod view;
mod watch;
