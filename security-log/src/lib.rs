//! The security log: that a request came, from where, to which route, and how it was answered. Kept because the Cybersecurity Law asks for network
//! logs of at least six months; apart from everything else, so that nobody measures with it.
//!
//! # What it holds
//!
//! Time to the second, the address in full, the *name* of the route, method, status, bytes of the answer. **Never** a path, a query, a header, an
//! agent, a cookie or what became of a beacon: a hit of somebody who opted out is a line like any other. No figure is made from it, no other store is
//! joined with it, the report API cannot read it. A connection that ended without an answer of ours is a line too, with how it ended in place of a
//! route and the status 0.
//!
//! # Who can read it
//!
//! Not the process that writes it. It knows a public key; each file is sealed under a key agreed on with it (X25519), and only the private key opens
//! it: `sightline security-log read --key FILE`. The first start draws the pair into the keys folder; whoever is in charge of security takes the
//! private half away.
//!
//! # The file
//!
//! ```text
//! DATA/security/security-<unix seconds>-<8 hex>.log      0600; a new one each day and at each start
//!
//! file  = head frame… end
//! head  = "SLSECLOG" version(1) ephemeral public key(32)      version 2; files of version 1 have no end
//! frame = length(u32) sealed                            all numbers little-endian
//! sealed = ChaCha20-Poly1305(key of the file, nonce = number of the frame, head as associated data) of
//!          count(u32) zstd(records, column by column: all first bytes, then all second bytes, …)
//! end    = a frame of count(u32) = 2³² - 1 and nothing else: a file without it was cut, or its process was killed, or still writes it
//! record = time(u32, Unix seconds) address(16, IPv4 mapped, 0 if unknown) route(u8) method(u8) status(u16) bytes(u32)
//! key of the file = HMAC-SHA-256(shared secret, "sightline security log 1" ephemeral public key, public key)
//! ```
//!
//! # What it costs
//!
//! A lane writes 28 bytes into a buffer of its own; one thread takes all buffers once a second, packs, seals and writes them. A full buffer drops
//! records, which is counted; no request ever waits. So `kill -9` loses up to a second of this log, and nothing of any other.

mod error;
pub mod metrics;
mod read;
mod record;
mod seal;
mod settings;
mod write;

pub use error::Error;
pub use read::{Entry, Summary, read};
pub use record::{Hit, Method, Role, Route};
pub use seal::{PrivateKey, PublicKey};
pub use settings::{Settings, SettingsError};
pub use write::{Parts, Recorder, SecurityLog};
