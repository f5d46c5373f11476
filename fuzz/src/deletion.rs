//! Signed deletion requests of strangers: any bytes where a token belongs.
//!
//! * no bytes are a registered party's request: nobody here has its key;
//! * what is refused is refused alike the second time, and as nobody's;
//! * what is read as a token has three parts, and one more dot or a sign of padding makes it none.

use std::sync::LazyLock;

use opt_out::dsr::{Parties, PublicKeys, TOKEN_BYTES_MAX, Terms, Token, judge};
use opt_out::{DsrParty, PartyRight};

/// RFC 7515, A.3: a key whose private half is known to everybody, but no seed is signed with it for this party.
const KEY: &str = r#"{"kty":"EC","crv":"P-256","kid":"one","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

static PARTIES: LazyLock<Parties> = LazyLock::new(|| {
    let party = DsrParty {
        domain: "publisher.example".to_owned(),
        key_files: Vec::new(),
        rights: vec![PartyRight::OptOut, PartyRight::Erasure],
        require_audience: false,
    };
    Parties::one(&party, PublicKeys::from_text(KEY.as_bytes()).expect("a key"))
});

/// A token, or the text of a file of keys.
pub fn run(input: &[u8]) {
    // Whatever it says, a file of keys is read or refused.
    drop(PublicKeys::from_text(input));
    let Ok(text) = std::str::from_utf8(input) else { return };
    let terms = Terms { domain: "measurement.example", now_seconds: 1_795_255_200, age_seconds_max: 86_400 };
    let refused = judge(text, &PARTIES, terms).err().expect("nobody has the party's key");
    assert_eq!(Some(refused), judge(text, &PARTIES, terms).err());
    assert_eq!(refused.party, None, "no signature, nobody's");
    if Token::read(text).is_some() {
        assert!(text.len() <= TOKEN_BYTES_MAX && text.matches('.').count() == 2);
        for other in [format!("{text}="), format!("{text}."), format!(".{text}"), format!("{text}\n")] {
            assert!(Token::read(&other).is_none());
        }
    }
}
