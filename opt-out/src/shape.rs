//! What is wrong with a body of JSON: which field, and what belongs there. The library that reads bodies tells only a place in the text, and its own words
//! may quote what was sent.
//!
//! It must never repeat anything of the body: paths are made of the names that a call has, and of places in lists.

use std::fmt::Write as _;

use serde_json::Value;

/// What belongs somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A list, each of whose entries has this shape.
    List(&'static Shape),
    /// An object with these fields and no others.
    Object(&'static [Field]),
}

/// A field of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) is_needed: bool,
}

/// A body that a call takes.
pub(crate) trait Shaped {
    const SHAPE: Shape;
}

/// What is wrong with a body, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// As `ids[2].value`; empty for the body itself.
    pub(crate) field: String,
    /// What belongs there, as the rest of a sentence that begins with the field.
    pub(crate) what: String,
}

impl Field {
    pub(crate) const fn needed(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, is_needed: true }
    }

    pub(crate) const fn may_be(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, is_needed: false }
    }
}

/// The first thing that is wrong with a body of this shape; `None` if it is no JSON at all, or nothing is found.
pub(crate) fn fault(body: &[u8], shape: Shape) -> Option<Fault> {
    look(&serde_json::from_slice(body).ok()?, shape, &mut String::new())
}

fn look(value: &Value, shape: Shape, path: &mut String) -> Option<Fault> {
    let wrong = |what: String, path: &str| Some(Fault { field: path.to_owned(), what });
    match (shape, value) {
        (Shape::Text, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => None,
        (Shape::Text, _) => wrong("has to be a text".to_owned(), path),
        (Shape::Flag, _) => wrong("has to be true or false".to_owned(), path),
        (Shape::List(of), Value::Array(list)) => list.iter().enumerate().find_map(|(place, entry)| {
            let length = path.len();
            let _ = write!(path, "[{place}]");
            let found = look(entry, *of, path);
            path.truncate(length);
            found
        }),
        (Shape::List(_), _) => wrong("has to be a list".to_owned(), path),
        (Shape::Object(fields), Value::Object(map)) => {
            if map.keys().any(|name| !fields.iter().any(|field| field.name == name)) {
                // The name itself may be an identifier.
                let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
                return wrong(format!("has a field that is none of {}", names.join(", ")), path);
            }
            fields.iter().find_map(|field| {
                let length = path.len();
                path.push_str(if length == 0 { "" } else { "." });
                path.push_str(field.name);
                let found = match map.get(field.name) {
                    None if field.is_needed => wrong("is missing".to_owned(), path),
                    Some(value) if field.is_needed || !value.is_null() => look(value, field.shape, path),
                    None | Some(_) => None,
                };
                path.truncate(length);
                found
            })
        }
        (Shape::Object(_), _) => wrong("has to be an object".to_owned(), path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Shape = Shape::Object(&[
        Field::needed("kind", Shape::Text),
        Field::needed("value", Shape::Text),
        Field::may_be("version", Shape::Text),
    ]);
    const BODY: Shape =
        Shape::Object(&[Field::needed("ids", Shape::List(&ID)), Field::may_be("opt_out", Shape::Flag)]);

    #[test]
    fn the_field_is_named_and_nothing_of_the_body_is_repeated() {
        for (body, field, what) in [
            ("[]", "", "has to be an object"),
            ("{}", "ids", "is missing"),
            (r#"{"ids":{}}"#, "ids", "has to be a list"),
            (r#"{"ids":["868049039501257"]}"#, "ids[0]", "has to be an object"),
            (
                r#"{"ids":[{"kind":"imei","value":"1"},{"kind":"imei","value":868049039501257}]}"#,
                "ids[1].value",
                "has to be a text",
            ),
            (r#"{"ids":[{"kind":"imei"}]}"#, "ids[0].value", "is missing"),
            (
                r#"{"ids":[{"kind":"imei","868049039501257":"1"}]}"#,
                "ids[0]",
                "has a field that is none of kind, value, version",
            ),
            (r#"{"ids":[],"opt_out":"yes"}"#, "opt_out", "has to be true or false"),
        ] {
            let found = fault(body.as_bytes(), BODY).expect(body);
            assert_eq!((found.field.as_str(), found.what.as_str()), (field, what), "{body}");
        }
        for right in [r#"{"ids":[{"kind":"a","value":"b","version":null}],"opt_out":true}"#, "{", ""] {
            assert_eq!(fault(right.as_bytes(), BODY), None, "{right}");
        }
    }
}
