//! The table: whether it can be used, how it is made, and how it is left.

use tokio_postgres::types::Type;
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
    pub(super) writer: Writer,
    create: bool,
    keep: bool,
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
    pub(super) fn new(name: &PostgresTable, writer: Writer, create: bool, keep: bool) -> Table {
        Table { name: name.clone(), quoted: name.quoted(), writer, create, keep }
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
            return Ok(false);
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
            return Ok(true);
        }
        let mark = self.mark().replace('\'', "''");
        let quoted = &self.quoted;
        let making = self.making();
        client
            .batch_execute(&format!("{making}; COMMENT ON TABLE {quoted} IS '{mark}'; COMMIT"))
            .await?;
        self.is_usable(client).await?;
        Ok(true)
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
