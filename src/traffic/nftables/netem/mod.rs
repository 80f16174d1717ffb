//! Marked packets delayed and thinned by a netem of our own: what is done to a host beside its table.

mod numbers;
mod pieces;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) use self::numbers::Numbers;
pub(super) use self::pieces::{fit, removal};
use self::seen::Filter;
pub(super) use self::seen::Seen;
use super::host::Host;
use super::table::Table;
use crate::traffic::ControlError;

/// What changes while it is read is read so often.
const READINGS: u32 = 3;
/// Of more devices than this, for each of which the kernel lists all queues, only those are read that the plan names or where
/// we made something.
const MOST_READ: usize = 1000;
/// As long as this, at most, packets that are on their way are let out before a device of ours is deleted.
const LET_OUT: Duration = Duration::from_secs(1);

impl Host {
    /// What there is for a degraded path to hang at, and what of it is there.
    pub async fn seen(&self) -> Result<Seen, ControlError> {
        for _ in 0..READINGS {
            if let Some(seen) = self.glanced().await? {
                return Ok(seen);
            }
        }
        Err(ControlError {
            what: format!("network devices of {} come and go while they are read", self.name),
            hint: "see what makes them: `ip monitor link`".to_owned(),
        })
    }

    /// The same; nothing if it changed meanwhile.
    async fn glanced(&self) -> Result<Option<Seen>, ControlError> {
        let links = self.read(&["ip", "-j", "-d", "link", "show"], seen::links, |all| {
            let ours = all
                .iter()
                .filter(|(name, link)| pieces::is_ours(link) || self.devices().contains(name));
            format!("{} devices, of them {:?}", all.len(), ours.collect::<Vec<_>>())
        });
        let queues = self.read(&["tc", "-j", "qdisc", "show"], seen::queues, |all| {
            let told =
                all.iter().filter(|it| it.netem.is_some() || self.devices().contains(&it.device));
            format!("{} queues, of them {:?}", all.len(), told.collect::<Vec<_>>())
        });
        let (links, queues) = tokio::try_join!(links, queues)?;
        let made = pieces::with_our_clsact(&links);
        let mut devices: Vec<&str> = seen::with_clsact(&queues).collect();
        if devices.len() > MOST_READ {
            let named = |it: &str| self.devices().iter().any(|device| device == it);
            devices.retain(|it| made.contains(it) || named(it));
        }
        let egress = self.filters(&devices, "egress", &made).await?;
        Ok(egress.map(|egress| Seen { links, queues, egress }))
    }

    /// The filters at each of `devices`, or of those that are not `whole` the ones at our place; nothing if one of them has no
    /// `clsact` any more. All in one command: over `ssh` each is a log-in.
    async fn filters(
        &self,
        devices: &[&str],
        side: &str,
        whole: &BTreeSet<&str>,
    ) -> Result<Option<BTreeMap<String, Vec<Filter>>>, ControlError> {
        if devices.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        match self.tool(&["tc", "-batch", "-"], &seen::asked(devices, side, whole)).await {
            Ok(said) => Ok(seen::filters(&said, devices)),
            Err(error) if error.what.contains("Cannot find device") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes what packets of `tables` go through once they are marked.
    pub async fn make(&self, tables: &[&Table], numbers: Numbers) -> Result<(), ControlError> {
        let seen = self.seen().await?;
        self.has_room(&seen, tables)?;
        let script = pieces::made(&seen, tables, numbers, self.devices());
        self.tool(&["ip", "-batch", "-"], &script.ip).await?;
        self.tool(&["tc", "-batch", "-"], &script.tc).await.map(drop)
    }

    /// Deletes it again. No packets of `tables` may be marked any more.
    pub async fn unmake(&self, tables: &[&Table]) -> Result<(), ControlError> {
        if self.devices().is_empty() {
            return Ok(());
        }
        let (seen, emptied) = self.emptied(tables).await?;
        let emptied: Vec<&str> = emptied.iter().map(String::as_str).collect();
        let script = pieces::deleted(&seen, tables, &emptied);
        self.delete("tc", &script.tc, tables).await?;
        // Our device last: it knows where a `clsact` is ours, and a filter that leads nowhere would swallow packets.
        if !script.ip.is_empty() {
            tokio::time::sleep(pieces::on_the_way(&seen, tables).min(LET_OUT)).await;
        }
        self.delete("ip", &script.ip, tables).await
    }

    /// What is there, and the devices of which the `clsact` shall go with what is deleted of `tables`.
    async fn emptied(&self, tables: &[&Table]) -> Result<(Seen, Vec<String>), ControlError> {
        for _ in 1..READINGS {
            let seen = self.seen().await?;
            let mut emptied = pieces::emptied(&seen, tables);
            let whole = emptied.iter().copied().collect();
            let Some(ingress) = self.filters(&emptied, "ingress", &whole).await? else { continue };
            emptied.retain(|device| ingress.get(*device).is_some_and(Vec::is_empty));
            let emptied = emptied.into_iter().map(str::to_owned).collect();
            return Ok((seen, emptied));
        }
        // Empty ones may stay.
        Ok((self.seen().await?, Vec::new()))
    }

    /// Has `program` carry out all of `script` that it can. What is gone already need not be deleted.
    async fn delete(
        &self,
        program: &str,
        script: &str,
        tables: &[&Table],
    ) -> Result<(), ControlError> {
        if script.is_empty() {
            return Ok(());
        }
        let Err(error) = self.tool(&[program, "-force", "-batch", "-"], script).await else {
            return Ok(());
        };
        let left = pieces::deleted(&self.seen().await?, tables, &[]);
        let left = if program == "tc" { left.tc } else { left.ip };
        if left.is_empty() { Ok(()) } else { Err(error) }
    }

    /// That this host can delay and thin packets: its devices are there, and its kernel makes all that it takes, at a device that is
    /// deleted again.
    pub async fn can_degrade(
        &self,
        tables: &[&Table],
        numbers: Numbers,
    ) -> Result<(), ControlError> {
        let seen = self.seen().await?;
        self.has_room(&seen, tables)?;
        let Some(table) = tables.first() else { return Ok(()) };
        let delete = format!("link del dev {}\n", table.device("ft"));
        if seen.links.get(&table.device("ft")).is_some_and(pieces::is_ours) {
            self.tool(&["ip", "-batch", "-"], &delete).await?;
        }
        let script = pieces::trial(table, numbers);
        self.tool(&["ip", "-batch", "-"], &script.ip).await?;
        let made = match self.tool(&["tc", "-batch", "-"], &script.tc).await {
            Ok(_) => self.is_known_again(table, numbers).await,
            Err(error) => Err(error),
        };
        let deleted = self.tool(&["ip", "-batch", "-"], &delete).await;
        made.and(deleted.map(drop))
    }

    /// That what was made for a trial reads as made: by such words a reading knows whether a cut is in force.
    async fn is_known_again(&self, table: &Table, numbers: Numbers) -> Result<(), ControlError> {
        let device = table.device("ft");
        let filters =
            self.filters(&[&device], "egress", &BTreeSet::new()).await?.unwrap_or_default();
        let filters = filters.get(&device).map_or(&[][..], Vec::as_slice);
        let told = |all: &Vec<seen::Queue>| format!("{} queues", all.len());
        let queues = self.read(&["tc", "-j", "qdisc", "show"], seen::queues, told).await?;
        pieces::is_known(filters, &queues, table, numbers).map_err(|how| ControlError {
            what: format!(
                "`tc` on {} says it in words that firedrill does not know: {how}",
                self.name
            ),
            hint: "see its version: `tc -V`; firedrill was made with that of iproute2 6.1"
                .to_owned(),
        })
    }

    /// That the devices of the plan are there, and that those of ours are nobody else's.
    fn has_room(&self, seen: &Seen, tables: &[&Table]) -> Result<(), ControlError> {
        if let Some(device) = self.devices().iter().find(|it| !seen.links.contains_key(*it)) {
            return Err(ControlError {
                what: format!("{} has no network device {device}", self.name),
                hint: "`ip link` shows those that are there".to_owned(),
            });
        }
        let ingress =
            |it: &&seen::Queue| it.kind == "ingress" && self.devices().contains(&it.device);
        if let Some(queue) = seen.queues.iter().find(ingress) {
            return Err(ControlError {
                what: format!(
                    "{} has a qdisc `ingress` at {}, where `degrade` needs a `clsact`",
                    self.name, queue.device
                ),
                hint: "see whose it is; a `clsact` takes the same filters".to_owned(),
            });
        }
        let ours = tables.iter().map(|table| table.device("fd"));
        let others = |name: &String| seen.links.get(name).is_some_and(|it| !pieces::is_ours(it));
        match { ours }.find(others) {
            Some(name) => Err(ControlError {
                what: format!(
                    "{} has a network device {name} that is not of our making",
                    self.name
                ),
                hint: format!(
                    "see whose it is: `{}`",
                    self.by_hand(&["ip", "-d", "link", "show", &name])
                ),
            }),
            None => Ok(()),
        }
    }
}
