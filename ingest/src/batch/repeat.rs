//! What an item is called that names no view of its own, so that a batch which comes again repeats nothing that counts.
//!
//! ```text
//! Idempotency-Key given         server, key, index         (KeyRing::batch_item_hash)
//! none, but the batch is signed server, signature, index   (KeyRing::signed_item_hash)
//! neither                       no view: nothing is a repeat of it
//! ```
//!
//! Both are hashed apart from request ids, under keys of their own, so nobody can say an id that meets them. Repeats are found by stage and view where figures are made: so no node
//! keeps a list of keys, none has to ask another, and a restart forgets nothing. The server's name keeps the keys of different servers apart. Whoever is
//! no registered server has none, and could only share one with all others like it: its key is refused.
//!
//! It owns the key's form and the names. It must never name an item that says a view itself: a retry in another batch must still meet it.

use event::hit::Hit;
use event::key::KeyRing;
use event::key::signature::IDEMPOTENCY_HEADER;
use hyper::header::HeaderMap;

use crate::batch::body::Refusal;
use crate::beacon::is_named;
use crate::senders::Known;

/// Longest `Idempotency-Key`, bytes.
const KEY_BYTES_MAX: usize = 128;

/// The `Idempotency-Key` of a batch.
///
/// # Errors
/// When it is not 1 to 128 visible ASCII characters, or there twice, or the sender is no registered server.
pub(crate) fn idempotency_key(headers: &HeaderMap, is_of_a_server: bool) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if !is_of_a_server {
        return Err(Refusal::Broken(
            "Idempotency-Key is taken from registered servers only: send the server's key, sign the request, or leave the header out and give \
             each item a rid"
                .to_owned(),
        ));
    }
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
pub(crate) enum Repeat<'a> {
    Key {
        server: &'a str,
        key: &'a str,
    },
    Signature {
        server: &'a str,
        signature: [u8; 64],
    },
    /// Nothing tells a repeat.
    Unknown,
}

impl<'a> Repeat<'a> {
    pub(crate) fn of(known: &Known<'a>, idempotency_key: Option<&'a str>) -> Self {
        let server = known.name;
        match (idempotency_key, known.signature) {
            (Some(key), _) => Self::Key { server, key },
            (None, Some(signature)) => Self::Signature { server, signature },
            (None, None) => Self::Unknown,
        }
    }

    /// The view of the item at this index; 0 where it has none but its own.
    pub(crate) fn view(&self, keys: &KeyRing, index: usize, hit: &Hit<'_>) -> u64 {
        if is_named(hit.request_id) || is_named(hit.group_id) {
            return 0;
        }
        match self {
            Self::Key { server, key } => keys.batch_item_hash(server, key.as_bytes(), index),
            Self::Signature { server, signature } => keys.signed_item_hash(server, signature, index),
            Self::Unknown => 0,
        }
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

    fn keys() -> KeyRing {
        let mut seed = 0_u8;
        KeyRing::generate(|bytes| {
            bytes.fill_with(|| {
                seed = seed.wrapping_mul(31).wrapping_add(7);
                seed
            });
        })
    }

    #[test]
    fn an_item_is_called_by_server_key_and_index() {
        let (keys, hit) = (keys(), Hit::default());
        let repeat = Repeat::of(&known("s", None), Some("k"));
        for index in [0, 4999, 7] {
            assert_eq!(repeat.view(&keys, index, &hit), keys.batch_item_hash("s", b"k", index));
        }
        let signed = Repeat::of(&known("s", Some([b'a'; 64])), None);
        assert_eq!(signed.view(&keys, 1, &hit), keys.signed_item_hash("s", &[b'a'; 64], 1));
        let both = Repeat::of(&known("s", Some([b'a'; 64])), Some("k"));
        assert_eq!(
            both.view(&keys, 0, &hit),
            keys.batch_item_hash("s", b"k", 0),
            "a retry may be signed anew"
        );
        assert_eq!(Repeat::of(&known("s", None), None).view(&keys, 0, &hit), 0);
    }

    #[test]
    fn what_names_its_view_keeps_it() {
        let keys = keys();
        let repeat = Repeat::of(&known("s", None), Some("k"));
        assert_eq!(repeat.view(&keys, 0, &Hit { request_id: Some(b"r"), ..Hit::default() }), 0);
        assert_eq!(repeat.view(&keys, 0, &Hit { group_id: Some(b"g"), ..Hit::default() }), 0);
    }

    #[test]
    fn a_key_is_short_and_visible_and_there_once() {
        let longest = "k".repeat(128);
        let taken = |values: &[&[u8]], is_of_a_server| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_HEADER, HeaderValue::from_bytes(value).expect("a header value"));
            }
            idempotency_key(&headers, is_of_a_server).map(|key| key.map(str::to_owned)).map_err(|_| ())
        };
        let with = |values: &[&[u8]]| taken(values, true);
        assert_eq!(with(&[]), Ok(None));
        for good in ["k", "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"", &longest] {
            assert_eq!(with(&[good.as_bytes()]), Ok(Some(good.to_owned())));
        }
        let too_long = "k".repeat(129);
        for bad in [&b""[..], b"two words", b"\xc3\xa9", b"a\tb", too_long.as_bytes()] {
            assert_eq!(with(&[bad]), Err(()));
        }
        assert_eq!(with(&[b"a", b"a"]), Err(()));
        assert_eq!(
            (taken(&[], false), taken(&[b"k"], false)),
            (Ok(None), Err(())),
            "of registered servers only"
        );
    }
}
