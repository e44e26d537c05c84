//! JSON, an object a line, as docs/inspect.schema.json describes it.

use lens::{FlowReport, Totals};
use miette::miette;
use serde_json::{Value, json};

/// A flow.
pub(super) fn flow(capture: &str, report: &FlowReport) -> miette::Result<String> {
    let mut object = serde_json::to_value(report).map_err(|error| miette!("{error}"))?;
    object["kind"] = "flow".into();
    object["capture"] = capture.into();
    object["remarkable"] = report.is_remarkable().into();
    if let Some(wars) = object["wars"].as_array_mut() {
        for (object, war) in wars.iter_mut().zip(&report.wars) {
            object["rate"] = json!(war.rate());
        }
    }
    Ok(line(&object))
}

/// The end of a capture.
pub(super) fn totals(capture: &str, totals: &Totals, complete: bool) -> String {
    line(&json!({ "kind": "totals", "capture": capture, "complete": complete, "totals": totals }))
}

fn line(object: &Value) -> String {
    format!("{object}\n")
}
