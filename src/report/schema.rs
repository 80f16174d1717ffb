//! The form of the run record, for programs that read it.

use schemars::generate::SchemaSettings;

use crate::model::RunRecord;

/// The JSON Schema of the run record, from its types, with a line break at its end. Kept as `docs/record.schema.json`.
pub fn record_schema() -> String {
    let schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<RunRecord>();
    format!("{:#}\n", schema.as_value())
}
