//! Values that hold several fields: `gad_{campaign}_{placement}`. Literals, `{field}` and `{}` for what nobody needs.

use crate::hit::Field;
use crate::outcome::Outcome;

/// What a value is taken apart by.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The value is base64 of what the pattern describes.
    pub(super) is_base64: bool,
    /// What stands before the first placeholder.
    head: Box<[u8]>,
    /// Each placeholder with the literal behind it.
    parts: Box<[Part]>,
}

#[derive(Debug)]
struct Part {
    /// `None` is what nobody needs.
    field: Option<Field>,
    /// The literal that ends it; empty: it takes the rest.
    until: Box<[u8]>,
}

impl Pattern {
    /// Reads a pattern.
    pub(super) fn new(text: &str, is_base64: bool) -> Result<Self, String> {
        let mut pieces = text.split('{');
        let head = pieces.next().unwrap_or_default();
        let mut parts = Vec::new();
        for piece in pieces {
            let (name, until) =
                piece.split_once('}').ok_or_else(|| format!("pattern `{text}`: a `{{` has no `}}`"))?;
            let field = match name {
                "" => None,
                name => Some(
                    Field::from_name(name)
                        .ok_or_else(|| format!("pattern `{text}`: field `{name}` does not exist"))?,
                ),
            };
            parts.push(Part { field, until: until.as_bytes().into() });
        }
        let inner = parts.split_last().map(|(_, inner)| inner).unwrap_or_default();
        if inner.iter().any(|part| part.until.is_empty()) {
            return Err(format!("pattern `{text}`: two placeholders need something between them"));
        }
        if text.contains('}') && parts.is_empty()
            || head.contains('}')
            || parts.iter().any(|part| part.until.contains(&b'}'))
        {
            return Err(format!("pattern `{text}`: a `}}` has no `{{`"));
        }
        if parts.iter().all(|part| part.field.is_none()) {
            return Err(format!("pattern `{text}` fills no field"));
        }
        Ok(Self { is_base64, head: head.as_bytes().into(), parts: parts.into() })
    }

    /// The fields that it fills, in their order.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field> {
        self.parts.iter().filter_map(|part| part.field)
    }

    /// A value with these fields; what nobody needs is a digit.
    pub(super) fn written<'a>(&self, of: impl Fn(Field) -> Option<&'a str>) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        for part in &self.parts {
            text.push_str(part.field.and_then(&of).unwrap_or("1"));
            text.push_str(&String::from_utf8_lossy(&part.until));
        }
        text
    }

    /// Hands out the parts of a value. Each placeholder takes as little as it can; the last takes the rest, if nothing stands behind it.
    pub(super) fn split<'a>(
        &self,
        value: &'a [u8],
        mut fill: impl FnMut(Field, &'a [u8]) -> Result<(), Outcome>,
    ) -> Result<(), Outcome> {
        let mut rest = value.strip_prefix(&*self.head).ok_or(Outcome::Malformed)?;
        for part in &self.parts {
            let (taken, behind) = if part.until.is_empty() {
                (rest, &[][..])
            } else {
                let at = memchr::memmem::find(rest, &part.until).ok_or(Outcome::Malformed)?;
                let (taken, behind) = rest.split_at(at);
                (taken, behind.get(part.until.len()..).unwrap_or_default())
            };
            rest = behind;
            if let Some(field) = part.field {
                fill(field, taken)?;
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Outcome::Malformed) }
    }
}
