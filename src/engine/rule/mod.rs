//! Rules: answers to one question each, from values alone. The plan and the assessment ask them.

pub(super) mod waiting;
