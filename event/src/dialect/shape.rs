//! What a value looks like whose name is glued to it. A name of one letter begins many an item of others (`type2` is no time, `zone4` no IDFA): what
//! does not look like the field is another item, and nothing of it is kept.

use super::{hex_digit, is_unreplaced_macro};
use crate::hit::Field;
use crate::identifier::{IdField, stands_for_nothing};

/// What a glued value has to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// Digits.
    Number,
    /// A number, or a date and time in text.
    Time,
    /// An address of either version.
    Address,
    /// Hexadecimal digits with the signs that stand between those of a UUID or a MAC.
    Hex,
}

impl Shape {
    /// That of a field.
    pub(super) fn of(field: Field, is_number: bool) -> Self {
        match field {
            _ if is_number => Self::Number,
            Field::Time => Self::Time,
            Field::Ip => Self::Address,
            // An OAID and a cookie's id may be any text, a CAID a list.
            Field::Id(
                IdField::Oaid
                | IdField::OaidMd5
                | IdField::Caid
                | IdField::CaidMd5
                | IdField::Cookie
                | IdField::Ifa,
            ) => Self::Any,
            Field::Id(_) => Self::Hex,
            _ => Self::Any,
        }
    }

    /// Whether a value, as it stands in the URL, looks like that; or is empty, or a macro, or (where no number is asked for) a word for nothing.
    pub(super) fn fits(self, value: &[u8]) -> bool {
        let value = value.strip_prefix(b"=").unwrap_or(value).trim_ascii();
        let is_of = |fits: fn(u8) -> bool| {
            let (mut has_digit, mut rest) = (false, value);
            while let Some((byte, tail)) = unescaped(rest) {
                if !fits(byte) {
                    return false;
                }
                has_digit |= byte.is_ascii_digit();
                rest = tail;
            }
            has_digit
        };
        let looks = match self {
            Self::Any => return true,
            Self::Number => is_of(|byte| byte.is_ascii_digit()),
            Self::Time => is_of(|byte| byte.is_ascii_digit() || b"-:.TtZz+ ".contains(&byte)),
            Self::Address => is_of(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')),
            Self::Hex => is_of(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b':' | b' ')),
        };
        looks
            || value.is_empty()
            || is_unreplaced_macro(value)
            || (self != Self::Number && stands_for_nothing(value))
    }
}

/// The first byte of a text, its escape undone, and what stands behind it.
fn unescaped(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [b'%', high, low, tail @ ..] if hex_digit(*high).is_some() && hex_digit(*low).is_some() => {
            Some((hex_digit(*high)? << 4 | hex_digit(*low)?, tail))
        }
        [byte, tail @ ..] => Some((*byte, tail)),
        [] => None,
    }
}
