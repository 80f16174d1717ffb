//! Ledgers: which acknowledged writes are lost, by what their writers know and what is read back.

mod account;
mod book;
mod judge;
mod reading;
mod window;

pub use book::Book;
pub(super) use judge::judge;
pub use reading::Ledger;
