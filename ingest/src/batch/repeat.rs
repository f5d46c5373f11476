//! What an item is called that names no view of its own, so that a batch which comes again repeats nothing that counts.
//!
//! ```text
//! Idempotency-Key given         <server>/<key>/<index>
//! none, but the batch is signed <server>/<signature>/<index>
//! neither                       no view: nothing is a repeat of it
//! ```
//!
//! The name goes the way of a request id: repeats are found by stage and view where figures are made. So no node keeps a list of keys, none has to ask
//! another, and a restart forgets nothing. The server's name keeps the keys of different servers apart; it is empty without one.
//!
//! It owns the key's form and the names. It must never name an item that says a view itself: a retry in another batch must still meet it.

use std::fmt::Write as _;

use event::hit::Hit;
use event::key::signature::IDEMPOTENCY_HEADER;
use event::record::view_hash;
use hyper::header::HeaderMap;

use crate::batch::body::Refusal;
use crate::senders::Known;

/// Longest `Idempotency-Key`, bytes.
const KEY_BYTES_MAX: usize = 128;

/// The `Idempotency-Key` of a batch.
///
/// # Errors
/// When it is not 1 to 128 visible ASCII characters, or there twice.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let is_key = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_key || values.next().is_some() {
        return Err(Refusal::Broken(format!(
            "Idempotency-Key must be one of 1 to {KEY_BYTES_MAX} visible ASCII characters"
        )));
    }
    Ok(Some(key))
}

/// What the views of a batch's items are called.
pub(crate) struct Repeat {
    /// All but the index; empty where nothing tells a repeat.
    name: String,
    prefix_bytes: usize,
}

impl Repeat {
    pub(crate) fn of(known: &Known<'_>, idempotency_key: Option<&str>) -> Self {
        let signature = known.signature.as_ref().and_then(|signature| std::str::from_utf8(signature).ok());
        let name = match idempotency_key.or(signature) {
            Some(key) => format!("{}/{key}/", known.name),
            None => String::new(),
        };
        Self { prefix_bytes: name.len(), name }
    }

    /// The view of the item at this index; 0 where it has none but its own.
    pub(crate) fn view(&mut self, index: usize, hit: &Hit<'_>) -> u64 {
        if self.prefix_bytes == 0 || hit.request_id.is_some() || hit.group_id.is_some() {
            return 0;
        }
        self.name.truncate(self.prefix_bytes);
        // A string takes everything.
        let _ = write!(self.name, "{index}");
        view_hash(self.name.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::senders::{Rights, Sender};

    fn known(name: &str, signature: Option<[u8; 64]>) -> Known<'_> {
        Known { sender: Sender::Server(Rights::default()), name, signature }
    }

    #[test]
    fn an_item_is_called_by_server_key_and_index() {
        let hit = Hit::default();
        let mut repeat = Repeat::of(&known("s", None), Some("k"));
        assert_eq!(repeat.view(0, &hit), view_hash(b"s/k/0"));
        assert_eq!(repeat.view(4999, &hit), view_hash(b"s/k/4999"));
        assert_eq!(repeat.view(7, &hit), view_hash(b"s/k/7"));
        let mut signed = Repeat::of(&known("s", Some([b'a'; 64])), None);
        assert_eq!(signed.view(1, &hit), view_hash(format!("s/{}/1", "a".repeat(64)).as_bytes()));
        let mut both = Repeat::of(&known("s", Some([b'a'; 64])), Some("k"));
        assert_eq!(both.view(0, &hit), view_hash(b"s/k/0"), "a retry may be signed anew");
        assert_eq!(Repeat::of(&known("", None), Some("k")).view(0, &hit), view_hash(b"/k/0"));
        assert_eq!(Repeat::of(&known("s", None), None).view(0, &hit), 0);
    }

    #[test]
    fn what_names_its_view_keeps_it() {
        let mut repeat = Repeat::of(&known("s", None), Some("k"));
        assert_eq!(repeat.view(0, &Hit { request_id: Some(b"r"), ..Hit::default() }), 0);
        assert_eq!(repeat.view(0, &Hit { group_id: Some(b"g"), ..Hit::default() }), 0);
    }

    #[test]
    fn a_key_is_short_and_visible_and_there_once() {
        let longest = "k".repeat(128);
        let with = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_HEADER, HeaderValue::from_bytes(value).expect("a header value"));
            }
            idempotency_key(&headers).map(|key| key.map(str::to_owned)).map_err(|_| ())
        };
        assert_eq!(with(&[]), Ok(None));
        for good in ["k", "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"", &longest] {
            assert_eq!(with(&[good.as_bytes()]), Ok(Some(good.to_owned())));
        }
        let too_long = "k".repeat(129);
        for bad in [&b""[..], b"two words", b"\xc3\xa9", b"a\tb", too_long.as_bytes()] {
            assert_eq!(with(&[bad]), Err(()));
        }
        assert_eq!(with(&[b"a", b"a"]), Err(()));
    }
}
