//! The table: whether it can be used, how it is made, and how it is left.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::super::Writer;
use super::words::{MISSING_TABLE, has_code, in_words};
use crate::model::{PostgresTable, printable};

/// Its columns and their types, in the order of the alphabet.
const COLUMNS: &str =
    "probe text, run text, seq bigint, service text, written_at timestamp with time zone";

/// The table of a writer.
pub(super) struct Table {
    name: PostgresTable,
    pub(super) quoted: String,
    writer: Writer,
    create: bool,
    keep: bool,
    insert: String,
}

/// What the server said of a row that it was given.
pub(super) struct Inserted {
    /// How many rows came of it.
    pub(super) rows: u64,
    /// The server's own address, if it was asked for and is known.
    pub(super) by: Option<IpAddr>,
}

/// Why a table cannot be used.
pub(super) enum Unusable {
    /// The server said so.
    Said(Error),
    /// It is not what it has to be.
    Is(String),
}

impl From<Error> for Unusable {
    fn from(error: Error) -> Self {
        Unusable::Said(error)
    }
}

impl Table {
    /// The table of `writer`. With `asks_who` each row comes back with the address of the server that took it: a pooler
    /// in between may lead one connection to another server meanwhile.
    pub(super) fn new(
        name: &PostgresTable,
        writer: Writer,
        (create, keep): (bool, bool),
        asks_who: bool,
    ) -> Table {
        let quoted = name.quoted();
        let who = if asks_who { " RETURNING host(inet_server_addr())" } else { "" };
        let insert =
            format!("INSERT INTO {quoted} (run, service, probe, seq) VALUES ($1, $2, $3, $4){who}");
        Table { name: name.clone(), quoted, writer, create, keep, insert }
    }

    /// Writes a row. `Ok`: the server said that it is committed, not only that it was executed.
    pub(super) async fn insert(&self, client: &Client, number: i64) -> Result<Inserted, Error> {
        let Writer { run, service, probe } = &self.writer;
        let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
            (run, Type::TEXT),
            (&service.as_str(), Type::TEXT),
            (&probe.as_str(), Type::TEXT),
            (&number, Type::INT8),
        ];
        let rows = client.query_typed_raw(&self.insert, parameters).await?;
        let mut rows = std::pin::pin!(rows);
        let mut by = None;
        while let Some(row) = rows.try_next().await? {
            let said: Option<String> = row.try_get(0)?;
            by = said.and_then(|said| said.parse().ok());
        }
        Ok(Inserted { rows: rows.rows_affected().unwrap_or(0), by })
    }

    /// What tells our rows from all others.
    pub(super) fn key(&self) -> [(String, Type); 3] {
        let Writer { run, service, probe } = &self.writer;
        [run.clone(), service.to_string(), probe.to_string()].map(|text| (text, Type::TEXT))
    }

    /// What a table that we made says of itself.
    fn mark(&self) -> String {
        format!("made by firedrill for run {}", self.writer.run)
    }

    /// Sees to it that rows can be written, read and removed. True: the table was made just now.
    pub(super) async fn make_ready(&self, client: &Client) -> Result<bool, Unusable> {
        if self.is_usable(client).await? {
            return self.try_out(client).await.map(|()| false);
        }
        if !self.create {
            return Err(Unusable::Is(format!(
                "table `{}` does not exist: write `create: true`, or make it: {}",
                self.name,
                self.making()
            )));
        }
        // Ledgers of one drill begin side by side.
        client
            .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(hashtext('firedrill ledger'))")
            .await?;
        if self.exists(client).await? {
            client.batch_execute("COMMIT").await?;
            self.is_usable(client).await?;
            return self.try_out(client).await.map(|()| true);
        }
        let mark = self.mark().replace('\'', "''");
        let quoted = &self.quoted;
        let making = self.making();
        client
            .batch_execute(&format!("{making}; COMMENT ON TABLE {quoted} IS '{mark}'; COMMIT"))
            .await?;
        self.is_usable(client).await?;
        self.try_out(client).await.map(|()| true)
    }

    /// Writes a row and takes it back. Whatever else the table has that would refuse records or put them elsewhere shows
    /// now: constraints, columns that must be filled, triggers, rules, partitions.
    async fn try_out(&self, client: &Client) -> Result<(), Unusable> {
        client.batch_execute("BEGIN; SET CONSTRAINTS ALL IMMEDIATE").await?;
        let inserted = self.insert(client, -1).await?;
        let asked = format!(
            "SELECT count(*) FROM {} WHERE run = $1 AND service = $2 AND probe = $3 AND seq = -1",
            self.quoted
        );
        let key = self.key();
        let key = key.each_ref().map(|(text, kind)| (text as _, kind.clone()));
        let there: i64 = client.query_typed_one(&asked, &key).await?.try_get(0)?;
        client.batch_execute("ROLLBACK").await?;
        match (inserted.rows, there) {
            (1, 1) => Ok(()),
            _ => Err(Unusable::Is(format!(
                "table `{}` does not keep what is written to it: it has a rule or a trigger, so name a table of its own",
                self.name
            ))),
        }
    }

    /// The statements that make it.
    fn making(&self) -> String {
        let quoted = &self.quoted;
        format!(
            "CREATE TABLE {quoted} (run text NOT NULL, service text NOT NULL, probe text NOT NULL, \
             seq bigint NOT NULL, written_at timestamptz NOT NULL DEFAULT now()); CREATE INDEX ON {quoted} (run)"
        )
    }

    async fn exists(&self, client: &Client) -> Result<bool, Error> {
        let asked = "SELECT to_regclass($1) IS NOT NULL";
        let row = client.query_typed_one(asked, &[(&self.quoted, Type::TEXT)]).await?;
        row.try_get(0)
    }

    /// Whether it is there; if it is, and cannot be used, why.
    async fn is_usable(&self, client: &Client) -> Result<bool, Unusable> {
        const ASKED: &str = "SELECT current_setting('transaction_read_only') = 'on', c.oid IS NOT NULL, \
             c.relkind::text, c.relpersistence::text, \
             (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attname) \
              FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
             EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique), \
             row_security_active(c.oid), has_table_privilege(c.oid, 'SELECT'), \
             has_table_privilege(c.oid, 'INSERT'), has_table_privilege(c.oid, 'DELETE') \
             FROM (SELECT to_regclass($1)::oid AS oid) named LEFT JOIN pg_class c ON c.oid = named.oid";
        let row = client.query_typed_one(ASKED, &[(&self.quoted, Type::TEXT)]).await?;
        let name = &self.name;
        let refuse = |why: String| Err(Unusable::Is(why));
        if row.try_get(0)? {
            return refuse(
                "the server at the write address is read-only, a replica perhaps: give the address of the primary"
                    .to_owned(),
            );
        }
        if !row.try_get::<_, bool>(1)? {
            return Ok(false);
        }
        let text = |place| row.try_get::<_, Option<String>>(place).map(Option::unwrap_or_default);
        let flag = |place| row.try_get::<_, Option<bool>>(place).map(Option::unwrap_or_default);
        if !["r", "p"].contains(&text(2)?.as_str()) {
            return refuse(format!("`{name}` is no table: name one of its own"));
        }
        if text(3)? != "p" {
            return refuse(format!(
                "table `{name}` is unlogged or temporary: a crash would empty it"
            ));
        }
        let columns = text(4)?;
        if columns != COLUMNS {
            let columns = printable(&columns);
            return refuse(format!(
                "table `{name}` has other columns than a ledger ({columns}): name a table of its own; \
                 with `create: true` it is made"
            ));
        }
        if flag(5)? {
            return refuse(format!(
                "table `{name}` has a unique index, so that no duplicate can be seen: drop it"
            ));
        }
        if flag(6)? {
            return refuse(format!(
                "row level security hides rows of table `{name}`: let this role see all of them"
            ));
        }
        let needed = [("SELECT", 7), ("INSERT", 8), ("DELETE", 9)];
        let mut missing = Vec::new();
        for (right, place) in needed {
            let needless = right == "DELETE" && self.keep;
            if !needless && !flag(place)? {
                missing.push(right);
            }
        }
        match missing.is_empty() {
            true => Ok(true),
            false => {
                let rights = missing.join(", ");
                refuse(format!("this role lacks rights: GRANT {rights} ON {} TO it", self.quoted))
            }
        }
    }

    /// Removes our rows; and the table, if this run made it and nobody else has rows in it.
    pub(super) async fn clean(&self, client: &Client) -> Result<(), Error> {
        let quoted = &self.quoted;
        let ours = "run = $1 AND service = $2 AND probe = $3";
        let remove = format!("DELETE FROM {quoted} WHERE {ours}");
        let key = self.key();
        let key = key.each_ref().map(|(text, kind)| (text as _, kind.clone()));
        if !self.create || !self.is_made_by_us(client).await? {
            client.execute_typed(&remove, &key).await?;
            return Ok(());
        }
        client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL lock_timeout = '5s'; LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE"
            ))
            .await?;
        let others = format!("SELECT EXISTS (SELECT 1 FROM {quoted} WHERE ({ours}) IS NOT TRUE)");
        let others: bool = client.query_typed_one(&others, &key).await?.try_get(0)?;
        if others {
            client.execute_typed(&remove, &key).await?;
        } else {
            client.batch_execute(&format!("DROP TABLE {quoted}")).await?;
        }
        client.batch_execute("COMMIT").await
    }

    async fn is_made_by_us(&self, client: &Client) -> Result<bool, Error> {
        let asked = "SELECT obj_description(to_regclass($1)::oid, 'pg_class')";
        let row = client.query_typed_one(asked, &[(&self.quoted, Type::TEXT)]).await?;
        let said: Option<String> = row.try_get(0)?;
        Ok(said.is_some_and(|said| said == self.mark()))
    }

    pub(super) fn in_words(&self, unusable: &Unusable, hidden: &[String]) -> String {
        match unusable {
            Unusable::Said(error) => in_words(error, Some(&self.name), hidden),
            Unusable::Is(why) => why.clone(),
        }
    }

    /// Why records could not be read or removed.
    pub(super) fn cannot(&self, error: &Error, hidden: &[String]) -> String {
        match has_code(error, MISSING_TABLE) {
            true => format!("table `{}` is not there", self.name),
            false => in_words(error, Some(&self.name), hidden),
        }
    }
}
