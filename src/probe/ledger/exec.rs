//! A ledger kept by a command.

use std::time::Duration;

use async_trait::async_trait;

use super::{Found, Store, Writer};
use crate::clock::Clock;
use crate::model::{ExecLedger, Outcome};
use crate::probe::PrepareError;
use crate::probe::sample::Progress;

/// A command made ready.
pub(super) struct ExecStore {
    writer: Writer,
}

impl ExecStore {
    /// Checks everything that can be checked before it is started.
    pub(super) fn prepare(
        _exec: &ExecLedger,
        writer: Writer,
        _timeout: Duration,
    ) -> Result<Self, PrepareError> {
        Ok(ExecStore { writer })
    }
}

#[async_trait]
impl Store for ExecStore {
    async fn begin(&self) -> Result<(), String> {
        todo!()
    }

    async fn write(
        &self,
        _seq: u64,
        _clock: &Clock,
        _progress: &mut Progress,
    ) -> Result<(), Outcome> {
        todo!("{}", self.writer.key(0))
    }

    async fn read(&self, _found: &mut Found) -> Result<(), String> {
        todo!()
    }

    async fn clean(&self) -> Result<(), String> {
        todo!()
    }
}
