//! `GET /v1/profiles`: the profiles that a placement may name for how its medium fills macros, and which of them goes by a medium's name (`medium`).

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::problem::Problem;
use super::{Answer, Api, bad, json_answer, only};

impl Api {
    pub(super) fn profiles(&self, method: &Method, query: &[(String, String)]) -> Result<Answer, Problem> {
        only(method, &Method::GET)?;
        let medium = match query {
            [] => None,
            [(name, medium)] if name == "medium" => Some(medium),
            _ => return Err(bad("the only parameter is medium")),
        };
        let profiles = &self.links.profiles;
        let shown: Vec<Value> = profiles
            .iter()
            .map(|profile| {
                let (title, media) = (profile.title(), profile.media().collect::<Vec<_>>());
                json!({ "name": profile.name(), "title": { "en": title.en, "zh": title.zh }, "media": media })
            })
            .collect();
        let proposed = medium.and_then(|medium| profiles.proposed(medium)).map(|profile| profile.name());
        Ok(json_answer(StatusCode::OK, &json!({ "profiles": shown, "proposed": proposed })))
    }
}
