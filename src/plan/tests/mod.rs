//! Whole plans, good and bad.
