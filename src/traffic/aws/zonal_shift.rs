//! ARC zonal shift: AWS moves the traffic of load balancers (and groups, and clusters) away from one zone.
//!
//! A shift always has an end. Firedrill sets it, and moves it on while the drill's process lives: if that dies and nobody
//! restores, AWS itself ends the cut.
//!
//! AWS may take a shift and move nothing ("fails open": with no healthy target elsewhere, with another shift before it).
//! So what counts is the weight that the resource says it has in the zone, and not that there is a shift.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_arczonalshift::Client;
use aws_sdk_arczonalshift::operation::get_managed_resource::GetManagedResourceOutput;
use aws_sdk_arczonalshift::types::{ShiftType, ZonalShiftInResource};
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;

use super::Session;
use super::failed::failed;
use crate::command::quoted;
use crate::model::{
    ControlSpec, ControlState, CutCall, CutOrder, Exchange, PartState, Passage, ZonalShiftSettings,
    ZonalShiftZone,
};
use crate::traffic::all_of;
use crate::traffic::{ControlError, Survivors, TrafficControl};

/// The setting of a part: which shift away from its zone there is.
const SHIFT: &str = "shift";
/// There is none.
const NONE: &str = "none";
/// The comment of our shifts, and how ours are told from others.
const OURS: &str = "firedrill";
/// An API that is asked by few, with a limit on calls.
const PAUSE: Duration = Duration::from_secs(1);

/// Resources of ARC as a traffic control. Its parts are named `ARN/ZONE`.
#[derive(Debug)]
pub struct ZonalShift {
    spec: ControlSpec,
    settings: ZonalShiftSettings,
    session: Session,
    client: OnceCell<Client>,
    renew_every: Duration,
    /// What moves the ends of our shifts on.
    renewals: Mutex<Vec<Renewal>>,
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Renewal(AbortHandle);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ZonalShift {
    /// The resources of `settings`. Nothing is connected yet.
    pub fn new(spec: &ControlSpec, settings: &ZonalShiftSettings) -> ZonalShift {
        ZonalShift {
            spec: spec.clone(),
            settings: settings.clone(),
            session: Session::new(spec, &settings.reach, settings.region()),
            client: OnceCell::new(),
            // Two may fail before the third would come too late.
            renew_every: settings.expires_in / 4,
            renewals: Mutex::default(),
        }
    }

    /// The same, with the ends of shifts moved on as often as this.
    pub fn renewing_every(self, period: Duration) -> ZonalShift {
        ZonalShift { renew_every: period, ..self }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(async || Client::new(self.session.config().await)).await
    }

    async fn resource(&self, arn: &str) -> Result<GetManagedResourceOutput, ControlError> {
        let call = self.client().await.get_managed_resource().resource_identifier(arn);
        call.send().await.map_err(|error| failed("arc-zonal-shift:GetManagedResource", &error))
    }

    /// The same; `None` where it is gone.
    async fn resource_if_there(
        &self,
        arn: &str,
    ) -> Result<Option<GetManagedResourceOutput>, ControlError> {
        let call = self.client().await.get_managed_resource().resource_identifier(arn);
        match call.send().await {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|it| it.is_resource_not_found_exception()) =>
            {
                Ok(None)
            }
            answer => answer
                .map(Some)
                .map_err(|error| failed("arc-zonal-shift:GetManagedResource", &error)),
        }
    }

    /// That it is where the plan says, and that no shift is in the way of ours.
    async fn is_ready(&self, arn: &str) -> Result<(), ControlError> {
        let resource = self.resource(arn).await?;
        for zone in &self.settings.zones {
            if !resource.applied_weights.contains_key(&zone.id) {
                let mut zones: Vec<&str> =
                    resource.applied_weights.keys().map(String::as_str).collect();
                zones.sort_unstable();
                return Err(ControlError {
                    what: format!("{arn} has nothing in {}", zone.id),
                    hint: format!(
                        "it has {}: `zones` takes ids of zones, which are alike in all accounts",
                        zones.join(", ")
                    ),
                });
            }
        }
        match resource.zonal_shifts.first() {
            Some(shift) => Err(ControlError {
                what: format!(
                    "{arn} is shifted away from {} already ({}), and takes one shift at a time",
                    shift.away_from, shift.comment
                ),
                hint: "wait until that is over, or cancel it if it is a left-over".to_owned(),
            }),
            None => Ok(()),
        }
    }

    async fn start(&self, arn: &str, zone: &str) -> Result<(), ControlError> {
        let id = match self.ours(arn, zone).await? {
            Some(id) => id,
            None => self.start_one(arn, zone).await?,
        };
        self.renew(id).await;
        Ok(())
    }

    /// Our shift of a resource away from `zone`: its id.
    async fn ours(&self, arn: &str, zone: &str) -> Result<Option<String>, ControlError> {
        let resource = self.resource(arn).await?;
        let shift = shift_of(&resource, zone).filter(|it| it.comment == OURS);
        Ok(shift.map(|it| it.zonal_shift_id.clone()))
    }

    /// Starts a shift: its id. The call takes no token: where its answer is lost, the SDK makes it again, and what it
    /// conflicts with is the shift that it started itself.
    async fn start_one(&self, arn: &str, zone: &str) -> Result<String, ControlError> {
        let call = self.client().await.start_zonal_shift().resource_identifier(arn);
        let call = call.away_from(zone).expires_in(self.expires_in()).comment(OURS);
        let error = match call.send().await {
            Ok(answer) => return Ok(answer.zonal_shift_id),
            Err(error) => error,
        };
        let refused = failed("arc-zonal-shift:StartZonalShift", &error);
        if !error.as_service_error().is_some_and(|it| it.is_conflict_exception()) {
            return Err(refused);
        }
        self.ours(arn, zone).await.ok().flatten().ok_or(refused)
    }

    /// Moves the end of a shift on, again and again.
    async fn renew(&self, id: String) {
        let (client, every) = (self.client().await.clone(), self.renew_every);
        let expires_in = self.expires_in();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let call = client.update_zonal_shift().zonal_shift_id(&id);
                // One that fails is noted, and the next one may not. A shift that is over is seen when it is read.
                let _ = call.expires_in(&expires_in).send().await;
            }
        });
        self.renewals().push(Renewal(task.abort_handle()));
    }

    fn renewals(&self) -> std::sync::MutexGuard<'_, Vec<Renewal>> {
        self.renewals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn end(&self, arn: &str, zone: &str) -> Result<(), ControlError> {
        let resource = self.resource(arn).await?;
        let Some(shift) = shift_of(&resource, zone) else { return Ok(()) };
        let call = self.client().await.cancel_zonal_shift().zonal_shift_id(&shift.zonal_shift_id);
        match call.send().await {
            // It ended by itself meanwhile.
            Err(error) if error.as_service_error().is_some_and(|it| it.is_conflict_exception()) => {
                Ok(())
            }
            answer => {
                answer.map(drop).map_err(|error| failed("arc-zonal-shift:CancelZonalShift", &error))
            }
        }
    }

    /// `30m`: AWS takes whole minutes or hours.
    fn expires_in(&self) -> String {
        format!("{}m", self.settings.expires_in.as_secs().div_ceil(60).max(1))
    }

    /// The resource and the zone that a part is named after.
    fn of<'p>(&self, part: &'p str) -> Result<(&'p str, &'p str), ControlError> {
        part.rsplit_once('/')
            .filter(|(arn, _)| self.settings.resources.iter().any(|it| it == arn))
            .ok_or_else(|| ControlError {
                what: format!("`{part}` is none of the parts of this control"),
                hint: "see whether the journal was changed by hand".to_owned(),
            })
    }
}

fn part(resource: &GetManagedResourceOutput, zone: &ZonalShiftZone) -> Option<PartState> {
    let weight = resource.applied_weights.get(&zone.id)?;
    let shift = shift_of(resource, &zone.id).map_or(NONE, |shift| shift.comment.as_str());
    Some(PartState {
        datacenter: zone.datacenter,
        passage: if *weight > 0.0 { Passage::Open } else { Passage::Closed },
        settings: [(SHIFT.to_owned(), shift.to_owned())].into(),
    })
}

/// The shift away from `zone` that people start and cancel; practice runs and autoshifts are AWS's own.
fn shift_of<'r>(
    resource: &'r GetManagedResourceOutput,
    zone: &str,
) -> Option<&'r ZonalShiftInResource> {
    let by_hand = |shift: &&ZonalShiftInResource| {
        shift.shift_type.as_ref().is_none_or(|kind| *kind == ShiftType::ZonalShift)
    };
    resource.zonal_shifts.iter().filter(by_hand).find(|shift| shift.away_from == zone)
}

fn open(state: &ControlState) -> impl Iterator<Item = &String> {
    let open = state.parts.iter().filter(|(_, part)| part.passage != Passage::Closed);
    open.map(|(name, _)| name)
}

#[async_trait]
impl TrafficControl for ZonalShift {
    fn spec(&self) -> &ControlSpec {
        &self.spec
    }

    async fn preflight(&self) -> Result<(), ControlError> {
        let mut failures = Vec::new();
        for arn in &self.settings.resources {
            failures.extend(self.is_ready(arn).await.err());
        }
        all_of("ARC zonal shift", failures)
    }

    async fn inspect(&self) -> Result<ControlState, ControlError> {
        let mut parts = BTreeMap::new();
        for arn in &self.settings.resources {
            let Some(resource) = self.resource_if_there(arn).await? else { continue };
            let named =
                self.settings.zones.iter().filter_map(|zone| {
                    Some((format!("{arn}/{}", zone.id), part(&resource, zone)?))
                });
            parts.extend(named);
        }
        // Another hand takes one away. All of them at once: that is the way to AWS.
        if parts.is_empty() {
            return Err(ControlError {
                what: "ARC knows none of the resources that the plan names, in none of its zones"
                    .to_owned(),
                hint: "see whether these are credentials of the right account, and `resources` and `zones` in the plan"
                    .to_owned(),
            });
        }
        Ok(ControlState { parts })
    }

    async fn survivors(&self, order: &CutOrder) -> Result<Vec<Survivors>, ControlError> {
        let cut = |id: &str| {
            let zone = self.settings.zones.iter().find(|zone| zone.id == id);
            zone.is_some_and(|zone| order.datacenters.contains(&zone.datacenter))
        };
        let mut judged = Vec::new();
        for arn in &self.settings.resources {
            let weights = self.resource(arn).await?.applied_weights;
            let left = weights.iter().filter(|(id, weight)| !cut(id) && **weight > 0.0).count();
            judged.push(Survivors { group: format!("resource {arn}"), left });
        }
        Ok(judged)
    }

    async fn cut(&self, order: &CutOrder, snapshot: &ControlState) -> Result<(), ControlError> {
        if order.datacenters.len() > 1 {
            return Err(ControlError {
                what: "ARC shifts a resource away from one zone at a time".to_owned(),
                hint: "cut one datacenter, or steer the other by another control".to_owned(),
            });
        }
        self.renewals().clear();
        let mut failures = Vec::new();
        for name in open(&snapshot.cuttable(order)) {
            let (arn, zone) = self.of(name)?;
            failures.extend(self.start(arn, zone).await.err());
        }
        all_of("not cut", failures)
    }

    fn calls(&self, order: &CutOrder, snapshot: &ControlState) -> Vec<CutCall> {
        let ours = snapshot.cuttable(order);
        let calls = open(&ours).map(|name| CutCall {
            call: format!("StartZonalShift {name}, expires in {}", self.expires_in()),
            undone_by: Some(format!("CancelZonalShift {name}")),
        });
        calls.collect()
    }

    fn cut_state(&self, order: &CutOrder, snapshot: &ControlState) -> ControlState {
        let mut state = snapshot.cuttable(order);
        for part in state.parts.values_mut() {
            part.passage = Passage::Closed;
            part.settings.insert(SHIFT.to_owned(), OURS.to_owned());
        }
        state
    }

    /// Goes on after a refusal, so that one resource that is gone keeps no other cut.
    async fn restore(&self, snapshot: &ControlState) -> Result<(), ControlError> {
        self.renewals().clear();
        let mut failures = Vec::new();
        for name in open(snapshot) {
            failures.extend(match self.of(name) {
                Ok((arn, zone)) => self.end(arn, zone).await.err(),
                Err(failure) => Some(failure),
            });
        }
        all_of("not put back", failures)
    }

    fn by_hand(&self, snapshot: &ControlState) -> Vec<String> {
        let region = quoted(self.settings.region());
        let lines = open(snapshot).filter_map(|name| self.of(name).ok()).flat_map(|(arn, zone)| {
            let list =
                format!("list-zonal-shifts --status ACTIVE --resource-identifier {}", quoted(arn));
            let list = self.session.command("arc-zonal-shift", &list);
            let cancel =
                self.session.command("arc-zonal-shift", "cancel-zonal-shift --zonal-shift-id ID");
            [
                format!("{list} --region {region}"),
                format!("{cancel} --region {region}   # ID: the one away from {zone}"),
            ]
        });
        lines.collect()
    }

    fn pause(&self) -> Duration {
        PAUSE
    }

    fn exchanges(&self) -> Vec<Exchange> {
        self.session.exchanges()
    }
}
