//! What the model of the contract has against a transcript, but for what is known of this host.

use vtick_contract::model::{self, Objection, Tolerance};
use vtick_contract::{Program, Transcript, expected};
use vtick_core::Host;

/// The objections that nobody expects.
pub(super) fn judge(program: &Program, transcript: &Transcript, host: &Host) -> Vec<Objection> {
    let tolerance = Tolerance::of(host);
    let mut objections = model::judge(program, transcript, &tolerance);
    objections.retain(|objection| expected(objection.rule, host).is_none());
    objections
}
