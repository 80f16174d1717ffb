//! Ledgers: which acknowledged writes are lost, by what their writers know and what is read back.

mod account;
mod book;
mod reading;

pub use book::Book;
pub use reading::Ledger;
