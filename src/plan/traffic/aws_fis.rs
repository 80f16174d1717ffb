//! `aws-fis`: which experiment template takes which datacenter down, and how that looks.

use std::time::Duration;

use super::aws::{is_region, once, plain, reach};
use super::exec::modes;
use crate::model::{FisSettings, FisTemplate, ModeKind};
use crate::plan::draft::Datacenters;
use crate::plan::finding::quote;
use crate::plan::read::{Label, Reader, Value};

/// Reads the settings of an `aws-fis`.
pub(super) fn fis(
    reader: &mut Reader,
    value: Value,
    datacenters: &Datacenters,
) -> Option<FisSettings> {
    const KEYS: &[&str] =
        &["region", "templates", "modes", "profile", "credentials", "endpoint", "timeout"];
    let fields = reader.fields(value, Label("", "aws-fis"), KEYS)?;
    let region = fields.need(reader, "region", "eu-west-1");
    let region = region.and_then(|value| region_of(reader, value));
    let templates = fields.need(reader, "templates", "{ east: EXT1a2b3c4d5e6f7 }");
    let templates = templates.map(|value| templates_of(reader, value, datacenters));
    let modes = fields.need(reader, "modes", "[blackhole]").map(|value| modes_of(reader, value));
    Some(FisSettings {
        region: region?,
        templates: templates?,
        modes: modes?,
        // The plan's `timing` says it.
        at_most: Duration::ZERO,
        reach: reach(reader, fields),
    })
}

fn region_of(reader: &mut Reader, value: Value) -> Option<String> {
    let text = reader.shown(value, "a region of AWS")?;
    if is_region(&text) {
        return Some(text.into_owned());
    }
    let what = format!("{} is no region of AWS", quote(&text));
    reader.findings.error("bad-value", value.span(), what, "write it as `eu-west-1`");
    None
}

fn templates_of(reader: &mut Reader, value: Value, datacenters: &Datacenters) -> Vec<FisTemplate> {
    let (mut templates, mut ids) = (Vec::new(), Vec::new());
    for (datacenter, value) in datacenters.map(reader, value, "`DATACENTER: TEMPLATE`") {
        let wanted = "the id of an experiment template";
        let Some(id) = plain(reader, value, wanted, "EXT1a2b3c4d5e6f7") else { continue };
        once(reader, value, &ids, &id);
        ids.push(id.clone());
        templates.push(FisTemplate { datacenter, id });
    }
    templates
}

/// What the templates do is written in them, so that no plan can say how much of it.
fn modes_of(reader: &mut Reader, value: Value) -> Vec<ModeKind> {
    let modes = modes(reader, value);
    if modes.contains(&ModeKind::Degrade) {
        let what = "an experiment's latency and loss stand in its template, not in the plan";
        let hint = "leave `degrade` out: an experiment is a cut only where nothing passes";
        reader.findings.error("impossible", value.span(), what, hint);
    }
    modes
}
