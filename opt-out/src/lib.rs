//! Who must not be measured: the list that every beacon is held against, the registry behind it, and the page and API where people opt out.
//!
//! # The path of an opt-out
//!
//! 1. [`mod@service`] takes the connection; `http` finds the route and holds the request to its limits.
//! 2. `form` (the page) or `api` (JSON) reads the fields; `origin` says whether a browser's request comes from our own page.
//!    `apps` says whether a call is signed by a registered app, whose user it then is who opts out.
//! 3. `desk` turns identifiers into every hash under which they may arrive ([`event::identifier::lodge`]); a bad one ends the request, and the raw
//!    values are gone with its body.
//! 4. [`registry`] writes the [`record`] to its log, waits until it is durable, and changes the [`list`]. The log is a journal on one machine, a
//!    Kafka topic in a cluster, where every node reads it.
//! 5. The answer hands out the [`receipt`]. From the next request on, [`List::contains`] says yes.
//!
//! # The path of a beacon
//!
//! First [`Standing::may_measure`]: a node of a cluster that cannot know every opt-out measures nobody. Then [`List::contains`] or a thread's own
//! [`Reader`]: overlay, then [`filter`], then [`exact`] set. No lock, no allocation.
//!
//! # The path of a request for erasure or a copy
//!
//! `rights` reads it and what proves it: the browser's id cookie, an app's signature, or nothing. [`requests`] keeps it, and says to whoever does
//! the work what is to be done. Its state is for the holder of its secret.
//!
//! # The path of another company's deletion request
//!
//! [`dsr`]: a token that a registered party signed. It ends as an opt-out, a request for erasure, and an acknowledgement that we sign.
//!
//! # Promises
//!
//! * Opted out means durable and in force before it is said. It survives restarts, and rotations of the device key: the opt-out key is another.
//! * In a cluster it is in force on every node that hears the registry within a second, and a node that does not hear it stops measuring within
//!   [`Settings::lease_seconds`].
//! * Nobody else is hit: the filter only spares the exact set work.
//! * A registry that cannot be read whole, or belongs to another key, is not served: the start fails rather than measuring somebody who opted out.
//! * No identifier in a log, an error, an answer, a metric or a file. No answer tells whether an identifier is lodged.

pub mod address;
mod api;
mod apps;
mod cookies;
mod desk;
pub mod dsr;
pub mod exact;
pub mod filter;
mod form;
mod heartbeat;
mod http;
pub mod import;
pub mod key_file;
mod lease;
pub mod list;
mod metrics;
mod origin;
mod page;
mod pages;
mod problem;
mod rate;
pub mod receipt;
pub mod record;
pub mod registry;
pub mod requests;
mod rights;
pub mod service;
pub mod settings;
mod shape;
pub mod standing;
#[cfg(test)]
mod tests;
mod used;

pub use dsr::{Dsr, DsrError};
pub use key_file::KeyFileError;
pub use list::{List, ListError, ListStats, Reader};
pub use registry::{FollowParts, FollowState, Following, Registry, RegistryError, follow};
pub use requests::{RequestError, Requests};
pub use service::{Handle, Kept, Parts, ServiceError, service, start};
pub use settings::{
    App, AppRight, DsrParty, DsrSettings, Limits, ListSettings, Operator, PartyRight, Policy,
    RegistrySettings, RequestSettings, Settings, SettingsError,
};
pub use standing::{Grant, Standing};

/// Name of the browser's opt-out cookie. The tracker measures no hit that carries it with any value but an empty one.
pub const COOKIE_NAME: &str = "sightline_opt_out";
