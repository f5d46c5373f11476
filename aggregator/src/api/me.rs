//! `GET /v1/me`: whose token it is, what it may do, and how figures are shown to it. What a page has to know before it shows anything.
//!
//! Must never: say more of a token than whoever has it was told when it was made.

use hyper::StatusCode;
use serde_json::json;

use super::{Answer, Api, json_answer};
use crate::tokens::Who;

impl Api {
    pub(super) fn me(&self, who: &Who) -> Answer {
        let limits = self.reporter.limits;
        let answer = json!({
            "role": who.view.role().name(),
            "name": who.name,
            "exact": who.view.is_of_the_house(),
            "may_change": who.view.may_change(),
            "k": limits.k(),
            "device_step": limits.step(),
        });
        json_answer(StatusCode::OK, &answer)
    }
}
