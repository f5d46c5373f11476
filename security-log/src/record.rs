//! One request as it is kept: its bytes, and the names of routes and methods.

use std::net::{IpAddr, Ipv6Addr};

use event::clock::UnixMs;

/// Bytes of a record.
pub(crate) const RECORD_BYTES: usize = 28;

/// In place of a frame's number of records: the file ends here.
pub(crate) const END: u32 = u32::MAX;

/// Which of our services was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The tracker.
    Tracker,
    /// The opt-out page and its API.
    Page,
    /// The report API.
    Reports,
    /// The admin port.
    Admin,
}

impl Role {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tracker => "tracker",
            Self::Page => "opt_out",
            Self::Reports => "reports",
            Self::Admin => "admin",
        }
    }
}

/// Every route that a record can name. Files hold its place in this list: new ones stand at the end, and none is ever taken out.
const ROUTES: &[(Role, &str)] = &[
    (Role::Tracker, "unknown"),
    (Role::Tracker, "pixel"),
    (Role::Tracker, "click"),
    (Role::Tracker, "batch"),
    (Role::Tracker, "tag"),
    (Role::Tracker, "sdk_config"),
    (Role::Tracker, "description"),
    (Role::Tracker, "vast"),
    (Role::Page, "unknown"),
    (Role::Page, "page"),
    (Role::Page, "style"),
    (Role::Page, "form"),
    (Role::Page, "opt_outs"),
    (Role::Page, "opt_ins"),
    (Role::Page, "status"),
    (Role::Page, "erasures"),
    (Role::Page, "copies"),
    (Role::Page, "request"),
    (Role::Page, "request_copy"),
    (Role::Page, "heartbeat"),
    (Role::Page, "description"),
    (Role::Reports, "unknown"),
    (Role::Reports, "campaigns"),
    (Role::Reports, "report"),
    (Role::Reports, "links"),
    (Role::Reports, "hits"),
    (Role::Reports, "set_aside"),
    (Role::Reports, "books"),
    (Role::Reports, "settle"),
    (Role::Page, "script"),
    (Role::Page, "dsr"),
    (Role::Page, "import"),
    (Role::Page, "policy"),
    (Role::Reports, "dashboard"),
    (Role::Page, "asset"),
    (Role::Page, "dsr_file"),
    // Connections that ended without an answer of ours: no HTTP or over a limit of its head, broken off, one too many, no TLS.
    (Role::Tracker, "bad_http"),
    (Role::Tracker, "broken"),
    (Role::Tracker, "refused"),
    (Role::Tracker, "no_handshake"),
    (Role::Page, "bad_http"),
    (Role::Page, "broken"),
    (Role::Page, "no_handshake"),
    (Role::Reports, "bad_http"),
    (Role::Reports, "broken"),
    (Role::Reports, "no_handshake"),
    (Role::Admin, "unknown"),
    (Role::Admin, "probe"),
    (Role::Admin, "requests"),
    (Role::Admin, "import"),
    (Role::Admin, "rights"),
    (Role::Admin, "acts"),
    (Role::Reports, "description"),
    (Role::Reports, "tokens"),
    (Role::Reports, "media_numbers"),
    (Role::Reports, "me"),
    (Role::Reports, "campaign"),
    (Role::Reports, "placements"),
    (Role::Reports, "placement"),
    (Role::Reports, "placements_import"),
    (Role::Reports, "placements_template"),
    (Role::Reports, "alerts"),
    (Role::Reports, "closings"),
];

/// A route, by its name and never by a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route(u8);

impl Route {
    /// The route of this name; `unknown` of its role where the list has none.
    pub fn named(role: Role, name: &str) -> Self {
        let place = |name: &str| ROUTES.iter().position(|route| *route == (role, name));
        Self(place(name).or_else(|| place("unknown")).unwrap_or(0) as u8)
    }

    pub(crate) fn of_byte(byte: u8) -> (Role, &'static str) {
        ROUTES.get(usize::from(byte)).copied().unwrap_or((Role::Tracker, "unknown"))
    }
}

/// A request's method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method(u8);

impl Method {
    /// Files hold the place in this list: it only grows at its end.
    const NAMES: [&'static str; 8] = ["OTHER", "GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"];

    /// The method of this name; `OTHER` for what is not in HTTP's own list.
    pub fn named(name: &str) -> Self {
        // Nearly every request is one.
        if name == "GET" {
            return Self(1);
        }
        Self(Self::NAMES.iter().position(|known| *known == name).unwrap_or(0) as u8)
    }

    pub(crate) fn of_byte(byte: u8) -> &'static str {
        Self::NAMES.get(usize::from(byte)).copied().unwrap_or("OTHER")
    }
}

/// A request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When. Purpose: security. Sensitivity: personal with the address. Kept to the second.
    pub time_ms: UnixMs,
    /// Where from; `None` where a proxy of ours does not know. Purpose: security. Sensitivity: personal.
    pub address: Option<IpAddr>,
    /// To what.
    pub route: Route,
    /// By which method.
    pub method: Method,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
}

impl Hit {
    /// A connection from there that ended without an answer of ours, and how, as the list of routes names it. Its status is 0.
    pub fn unanswered(role: Role, how: &str, address: IpAddr, time_ms: UnixMs) -> Self {
        let (route, method) = (Route::named(role, how), Method(0));
        Self { time_ms, address: Some(address), route, method, status: 0, bytes: 0 }
    }

    #[inline]
    pub(crate) fn encode(&self) -> [u8; RECORD_BYTES] {
        let address = match self.address {
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
            Some(IpAddr::V6(address)) => address.octets(),
            None => [0; 16],
        };
        let mut record = [0; RECORD_BYTES];
        let (time, rest) = record.split_at_mut(4);
        time.copy_from_slice(&((self.time_ms / 1000) as u32).to_le_bytes());
        let (to, rest) = rest.split_at_mut(16);
        to.copy_from_slice(&address);
        let (kinds, rest) = rest.split_at_mut(2);
        kinds.copy_from_slice(&[self.route.0, self.method.0]);
        let (status, bytes) = rest.split_at_mut(2);
        status.copy_from_slice(&self.status.to_le_bytes());
        bytes.copy_from_slice(&u32::try_from(self.bytes).unwrap_or(u32::MAX).to_le_bytes());
        record
    }
}

/// What stands in a record.
pub(crate) struct Decoded {
    pub(crate) time_seconds: u32,
    pub(crate) address: Option<IpAddr>,
    pub(crate) route: u8,
    pub(crate) method: u8,
    pub(crate) status: u16,
    pub(crate) bytes: u32,
}

pub(crate) fn decode(record: &[u8; RECORD_BYTES]) -> Option<Decoded> {
    let (time, rest) = record.split_first_chunk::<4>()?;
    let (address, rest) = rest.split_first_chunk::<16>()?;
    let ([route, method], rest) = rest.split_first_chunk::<2>()?;
    let (status, rest) = rest.split_first_chunk::<2>()?;
    let address = Ipv6Addr::from(*address);
    Some(Decoded {
        time_seconds: u32::from_le_bytes(*time),
        address: (!address.is_unspecified()).then(|| address.to_canonical()),
        route: *route,
        method: *method,
        status: u16::from_le_bytes(*status),
        bytes: u32::from_le_bytes(*rest.first_chunk()?),
    })
}

/// The records column by column: bytes that are alike stand together, which packs to a third.
pub(crate) fn columns(records: &[u8]) -> Vec<u8> {
    let rows = records.as_chunks::<RECORD_BYTES>().0;
    (0..RECORD_BYTES).flat_map(|column| rows.iter().filter_map(move |row| row.get(column).copied())).collect()
}

/// The records again.
pub(crate) fn rows(columns: &[u8]) -> Vec<[u8; RECORD_BYTES]> {
    let count = columns.len() / RECORD_BYTES;
    let mut rows = vec![[0; RECORD_BYTES]; count];
    for (index, column) in columns.chunks_exact(count.max(1)).enumerate() {
        for (row, byte) in rows.iter_mut().zip(column) {
            if let Some(to) = row.get_mut(index) {
                *to = *byte;
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_in_the_lists_never_change() {
        for (role, name, place) in [
            (Role::Tracker, "pixel", 1),
            (Role::Tracker, "vast", 7),
            (Role::Page, "opt_outs", 12),
            (Role::Reports, "settle", 28),
            (Role::Reports, "dashboard", 33),
            (Role::Tracker, "bad_http", 36),
            (Role::Admin, "acts", 51),
            (Role::Page, "no such route", 8),
        ] {
            assert_eq!(Route::named(role, name), Route(place), "{name}");
        }
        assert_eq!(Method::named("DELETE"), Method(6));
        assert_eq!(Method::named("BREW"), Method(0));
    }

    #[test]
    fn columns_and_rows_are_the_same_records() {
        let hit = |n: u8| Hit {
            time_ms: 1_795_348_800_000 + i64::from(n) * 1000,
            address: (n != 3).then(|| IpAddr::from([10, 0, 0, n])),
            route: Route(n),
            method: Method(1),
            status: 200,
            bytes: u64::from(n) << 32,
        };
        let records: Vec<u8> = (0..9).flat_map(|n| hit(n).encode()).collect();
        let back = rows(&columns(&records));
        assert_eq!(back.concat(), records);
        assert!(rows(&[]).is_empty());
        let third = decode(&back[3]).expect("a record");
        assert_eq!((third.address, third.bytes, third.time_seconds), (None, u32::MAX, 1_795_348_803));
        assert_eq!(decode(&back[5]).expect("a record").address, Some(IpAddr::from([10, 0, 0, 5])));
    }
}
