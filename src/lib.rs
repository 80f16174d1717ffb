//! firedrill: disaster-recovery drills with a verdict that can be trusted, and traffic that always
//! comes back.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod clock;
pub mod lab;
pub mod model;
pub mod proxy;
pub mod traffic;
