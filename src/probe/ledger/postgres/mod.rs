//! A ledger in a table of PostgreSQL: a row for each record, each in a transaction of its own.

mod frames;
mod permits;
mod pool;
mod servers;
mod table;
mod url;
mod words;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;

use self::pool::Pool;
use self::servers::{Servers, Use};
use self::table::Table;
use self::words::{MISSING_TABLE, has_code};
use super::{Found, Store, Writer};
use crate::clock::Clock;
use crate::model::{
    Connection, Outcome, Phase, PostgresLedger, ProbeKind, ProbeSpec, Reason, ServedBySource,
};
use crate::probe::PrepareError;
use crate::probe::connector::Connector;
use crate::probe::sample::Progress;

/// A table that was just made is looked for again where records are read back, this often.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Rows of others are counted up to here: the table of a busy team must not be read through at each attempt.
const MOST_FOREIGN: i64 = 1_000_000;

/// A table made ready.
pub(super) struct PostgresStore {
    writers: Arc<Pool>,
    /// Each reading has a connection of its own, which sees what a client would that comes now.
    readers: Arc<Pool>,
    reads_elsewhere: bool,
    table: Table,
}

impl PostgresStore {
    /// Checks everything that can be checked before the first connection.
    pub(super) fn prepare(
        postgres: &PostgresLedger,
        writer: Writer,
        spec: &ProbeSpec,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, PrepareError> {
        let ca = postgres.ca.as_deref();
        let writes = Servers::prepare(&postgres.servers, ca, spec, Use::Write, connector.clone())?;
        let reads = match &postgres.read {
            Some(read) => Servers::prepare(read, ca, spec, Use::Read, connector)?,
            None => writes.clone(),
        };
        let keeps = spec.connection == Connection::KeepAlive;
        let permits = match &spec.kind {
            ProbeKind::Ledger(ledger) => (ledger.create, ledger.keep),
            _ => (false, false),
        };
        let asks_who = matches!(spec.served_by, Some(ServedBySource::Peer(_)));
        Ok(PostgresStore {
            writers: Pool::new(writes, postgres.connections, keeps),
            readers: Pool::new(reads, 1, false),
            reads_elsewhere: postgres.read.is_some(),
            table: Table::new(&postgres.table, writer, permits, asks_who),
        })
    }

    /// Reads our rows and counts those of others, in one snapshot.
    async fn read_all(
        &self,
        client: &tokio_postgres::Client,
        found: &mut Found,
    ) -> Result<(), tokio_postgres::Error> {
        let quoted = &self.table.quoted;
        // Rows that a policy hides are an error, and not lost.
        const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; \
             SET LOCAL row_security = off";
        client.batch_execute(BEGIN).await?;
        let ours =
            format!("SELECT seq FROM {quoted} WHERE run = $1 AND service = $2 AND probe = $3");
        let rows = client.query_typed_raw(&ours, self.table.key()).await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await? {
            let seq: Option<i64> = row.try_get(0)?;
            match seq.and_then(|seq| u64::try_from(seq).ok()) {
                Some(seq) => found.number(seq),
                None => found.garbled(),
            }
        }
        let others = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {quoted} WHERE (run = $1 AND service = $2 AND probe = $3) \
             IS NOT TRUE LIMIT {MOST_FOREIGN}) others"
        );
        let rows = client.query_typed_raw(&others, self.table.key()).await?;
        let rows: Vec<_> = rows.try_collect().await?;
        for row in rows {
            let count: i64 = row.try_get(0)?;
            found.foreign(u64::try_from(count).unwrap_or(0));
        }
        client.batch_execute("COMMIT").await
    }
}

async fn is_replica(client: &tokio_postgres::Client) -> Result<bool, tokio_postgres::Error> {
    client.query_typed_one("SELECT pg_is_in_recovery()", &[]).await?.try_get(0)
}

#[async_trait]
impl Store for PostgresStore {
    async fn begin(&self) -> Result<(), String> {
        let lent = self.writers.take().await.map_err(|failed| failed.words)?;
        let made = self.table.make_ready(lent.client()).await;
        let made = made.map_err(|error| self.table.in_words(&error, lent.hidden()))?;
        lent.give_back();
        loop {
            let lent = self.readers.take().await.map_err(|failed| failed.words)?;
            let read = self.read_all(lent.client(), &mut Found::default()).await;
            match read {
                Ok(()) => {
                    lent.give_back();
                    return Ok(());
                }
                // What was made a moment ago has to come to the copies first.
                Err(error) if made && self.reads_elsewhere && has_code(&error, MISSING_TABLE) => {
                    lent.give_back();
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                Err(error) => return Err(self.table.cannot(&error, lent.hidden())),
            }
        }
    }

    async fn write(&self, seq: u64, _: &Clock, progress: &mut Progress) -> Result<(), Outcome> {
        // Nothing was sent that could be stored, however long it takes to log in.
        progress.phase = Phase::Connect;
        let lent = self.writers.take().await.map_err(|failed| failed.outcome)?;
        progress.phase = Phase::Answer;
        let number = i64::try_from(seq).unwrap_or(i64::MAX);
        let done = self.table.insert(lent.client(), number).await;
        progress.served_by = lent.served_by(done.as_ref().ok().and_then(|inserted| inserted.by));
        match done {
            Ok(inserted) if inserted.rows == 1 => {
                lent.give_back();
                Ok(())
            }
            // A rule that came meanwhile, or a proxy of its own kind: it is not known what it did.
            Ok(_) => Err(Outcome::Bad(Reason::Body)),
            Err(error) => {
                let outcome = words::of_write(&error);
                // A server that takes no writes any more is left, so that the next write looks for one that does.
                if outcome == Outcome::Bad(Reason::Rejected) && !has_code(&error, words::READ_ONLY)
                {
                    lent.give_back();
                }
                Err(outcome)
            }
        }
    }

    async fn read(&self, found: &mut Found) -> Result<(), String> {
        let lent = self.readers.take().await.map_err(|failed| failed.words)?;
        let cannot = |error| self.table.cannot(&error, lent.hidden());
        if !self.reads_elsewhere && is_replica(lent.client()).await.map_err(cannot)? {
            lent.give_back();
            return Err("the address that writes go to leads to a replica now: it may be behind the primary, or have what that \
                        lost"
                .to_owned());
        }
        self.read_all(lent.client(), found).await.map_err(cannot)?;
        lent.give_back();
        Ok(())
    }

    async fn clean(&self) -> Result<(), String> {
        // The writing is over: nothing that it left open may hold up what is removed.
        self.writers.forget();
        let lent = self.writers.take().await.map_err(|failed| failed.words)?;
        match self.table.clean(lent.client()).await {
            Ok(()) => {
                lent.give_back();
                Ok(())
            }
            // What held the records is gone, and they with it.
            Err(error) if has_code(&error, MISSING_TABLE) => Ok(()),
            Err(error) => Err(self.table.cannot(&error, lent.hidden())),
        }
    }
}
