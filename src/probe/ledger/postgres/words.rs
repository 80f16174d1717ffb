//! What PostgreSQL's errors mean for a write, and in words. `docs/ledgers.md` has the table.

use std::error::Error as _;
use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use super::servers::refused;
use crate::model::{Outcome, Phase, PostgresTable, Reason, printable};
use crate::probe::failure;

pub(super) const MISSING_TABLE: &str = "42P01";
pub(super) const READ_ONLY: &str = "25006";

pub(super) fn has_code(error: &Error, code: &str) -> bool {
    error.code().is_some_and(|it| it.code() == code)
}

/// How a write ended that failed with `error` after it was sent.
pub(super) fn of_write(error: &Error) -> Outcome {
    match (error.as_db_error(), io_of(error)) {
        (Some(said), _) if !is_fatal(said) && certainly_not_done(said.code().code()) => {
            Outcome::Bad(Reason::Rejected)
        }
        // The connection is given up with it.
        (Some(_), _) => Outcome::Bad(Reason::Reset),
        (None, Some(io)) => failure::of_stream(io, Phase::Answer),
        (None, None) => Outcome::Bad(Reason::Reset),
    }
}

/// How a connection ended that failed before any statement was sent: whatever it is, nothing was written.
pub(super) fn of_login(error: &Error) -> Outcome {
    match (error.code(), io_of(error)) {
        (Some(_), _) => Outcome::Bad(Reason::Rejected),
        // A balancer without a server behind it takes connections and closes them.
        (None, Some(io)) => refused(failure::of_stream(io, Phase::Connect)),
        // Credentials that make no sense end here too.
        (None, None) => Outcome::Bad(Reason::Refused),
    }
}

fn io_of(error: &Error) -> Option<&io::Error> {
    error.source().and_then(|source| source.downcast_ref())
}

/// Whether it is the session that ended. That may come after the commit and in place of its acknowledgement, as the limit
/// of a transaction's time (25P04) does whose commit waited for a copy.
fn is_fatal(said: &DbError) -> bool {
    match said.parsed_severity() {
        Some(severity) => severity != Severity::Error,
        // Poolers leave the one out that is in no language.
        None => said.severity() != "ERROR",
    }
}

/// Whether a statement that ends so, in a transaction of its own, has certainly left nothing behind.
///
/// Connections that fail (08), a server that goes down (57P01 to 57P03), transactions that are rolled back (40: among them
/// "completion unknown"), failures of the system (58) and of the server itself (XX) are not among them.
fn certainly_not_done(code: &str) -> bool {
    let class = code.get(..2).unwrap_or_default();
    match class {
        // Data, constraints, state, credentials, names, rights, limits: all are found before the commit.
        "0A" | "22" | "23" | "25" | "28" | "3D" | "3F" | "42" | "53" | "54" | "55" => true,
        // Cancelled, by the server's own time limit or by hand. One that waits for its copies is not cancelled but
        // acknowledged.
        _ => code == "57014",
    }
}

/// What went wrong and what to do, without what is in `hidden`.
pub(super) fn in_words(error: &Error, table: Option<&PostgresTable>, hidden: &[String]) -> String {
    let Some(said) = error.as_db_error() else {
        let source = io_of(error).map(|io| format!(": {io}")).unwrap_or_default();
        let text = format!("the connection to PostgreSQL failed: {error}{source}");
        return printable(&scrubbed(&text, hidden));
    };
    let code = said.code().code();
    let table = table.map_or("the table".to_owned(), |table| format!("table `{table}`"));
    let words = match code {
        "28P01" | "28000" => {
            "the server refused the credentials: mend user and password, or its pg_hba.conf, which may ask for TLS \
             (`sslmode`)"
                .to_owned()
        }
        "3D000" => "there is no such database on the server: mend the database's name".to_owned(),
        "53300" => {
            "the server has no connection left: lower `connections`, or raise its max_connections"
                .to_owned()
        }
        "57P01" | "57P02" => "the server shut the connection down".to_owned(),
        "57P03" => "the server takes no connections now: it starts, stops or recovers".to_owned(),
        "57014" => {
            "the server called it off: its statement_timeout is too short for this, so raise it for this role".to_owned()
        }
        READ_ONLY => {
            "the server is read-only, a replica perhaps: give the address of the primary".to_owned()
        }
        MISSING_TABLE => format!("{table} does not exist: make it, or write `create: true`"),
        "3F000" => format!("the schema of {table} does not exist: make it"),
        "42501" => format!(
            "{table} may not be used so: GRANT SELECT, INSERT, DELETE on it, USAGE on its schema, and CREATE there for `create: true`; \
             no row level security may hide rows of it"
        ),
        _ => {
            let message = scrubbed(said.message(), hidden);
            return printable(&format!("the server said: {message} (SQLSTATE {code})"));
        }
    };
    printable(&format!("{words} (SQLSTATE {code})"))
}

/// The text without secrets.
fn scrubbed(text: &str, hidden: &[String]) -> String {
    let hidden = hidden.iter().filter(|secret| !secret.is_empty());
    hidden.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_before_the_commit_is_certainly_not_done() {
        for code in
            ["25006", "42P01", "42501", "23505", "22P02", "53300", "53100", "57014", "28P01"]
        {
            assert!(certainly_not_done(code), "{code}");
        }
        for code in [
            "08006", "57P01", "57P02", "57P03", "40001", "40003", "40P01", "58030", "XX000", "",
            "P0001",
        ] {
            assert!(!certainly_not_done(code), "{code}");
        }
    }

    #[test]
    fn secrets_are_taken_out_of_what_a_server_says() {
        let hidden = ["hunter2".to_owned(), String::new()];
        assert_eq!(scrubbed("no hunter2 here", &hidden), "no *** here");
    }
}
