//! The requests of a measurement: `GET /i?…` of the native grammar with about 200 bytes of URL and three identifiers of one device, or
//! `GET /x/…` as a medium's template and the MMA China SDK make it, with about 530 bytes and six; and the headers of a phone. A template is written once; each request overwrites the parts that differ.
//!
//! Devices come from a fixed population, so that some are seen again; request ids never repeat within a run. Everything follows
//! from the seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// Devices in the population.
pub const DEVICES: u64 = 10_000_000;

/// Length of an identifier or request id: 32 hexadecimal digits.
const ID_BYTES: usize = 32;

/// Length of a Unix time in seconds, until the year 2286.
const TIME_BYTES: usize = 10;

/// How the impressions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Grammar {
    /// `/i?c=…&p=…`, three identifiers.
    Native,
    /// `/x/k=…&p=…`, the template of a medium with its macros and what the SDK appends, six identifiers.
    Miaozhen,
}

/// Whose impressions are sent.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Campaign id, as in the catalog.
    pub campaign: String,
    /// Placement id, as in the catalog.
    pub placement: String,
}

/// Writes requests, one after the other, into its own buffer.
#[derive(Debug)]
pub struct Beacons {
    request: Vec<u8>,
    time_at: usize,
    request_id_at: usize,
    device_at: Vec<usize>,
    seed: u64,
    sent: u64,
}

impl Beacons {
    /// Impressions of `campaign` in the native grammar, sent to `host`. The same seed gives the same requests.
    pub fn new(host: &str, campaign: &Campaign, seed: u64) -> Self {
        Self::written(Grammar::Native, host, campaign, seed)
    }

    /// The same in the grammar that is asked for.
    pub fn written(grammar: Grammar, host: &str, campaign: &Campaign, seed: u64) -> Self {
        let mut request = Vec::with_capacity(1024);
        let mut part = |text: &str, blank: usize| {
            request.extend_from_slice(text.as_bytes());
            let at = request.len();
            request.resize(at + blank, b'0');
            at
        };
        let Campaign { campaign, placement } = campaign;
        let mut device_at = Vec::new();
        let (time_at, request_id_at) = match grammar {
            Grammar::Native => {
                let time_at =
                    part(&format!("GET /i?c={campaign}&p={placement}&cr=a1&os=android&t="), TIME_BYTES);
                let request_id_at = part("&rid=", ID_BYTES);
                for name in ["oaid_md5", "imei_md5", "android_id_md5"] {
                    device_at.push(part(&format!("&{name}="), ID_BYTES));
                }
                (time_at, request_id_at)
            }
            Grammar::Miaozhen => {
                part(
                    &format!(
                        "GET /x/k={campaign}&p={placement}&dx=__IPDX__&rt=2&pro=s&ns=__IP__&ni=__IESID__&v=__LOC__&xa=__ADPLATFORM__\
                         &tr=__REQUESTID__&mo=0&m0=__OPENUDID__&m0a=__DUID__&m1=__ANDROIDID1__"
                    ),
                    0,
                );
                for name in ["m1a", "m2", "m4", "m6", "m6a"] {
                    device_at.push(part(&format!("&{name}="), ID_BYTES));
                }
                device_at.push(part("&m5=__IDFA__&m11=__OAID__&m11a=", ID_BYTES));
                let time_at =
                    part("&mn=News&mp=com.example.news&md=V2309A&me=14&mw=1&mv=a2.2.5&mt=", TIME_BYTES);
                let request_id_at = part("&br=1&vx=0&vf=", ID_BYTES);
                part("&o=", 0);
                (time_at, request_id_at)
            }
        };
        let headers = format!(
            " HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (Linux; Android 14; V2309A) AppleWebKit/537.36 (KHTML, like \
             Gecko) Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36\r\nAccept: image/avif,image/webp,image/*,*/*;q=0.8\r\n\
             Accept-Encoding: gzip, deflate\r\nAccept-Language: zh-CN,zh;q=0.9\r\nReferer: https://www.example.com/\r\n\r\n"
        );
        part(&headers, 0);
        let mut beacons = Self { request, time_at, request_id_at, device_at, seed, sent: 0 };
        beacons.set_time();
        beacons
    }

    /// The next request.
    pub fn next_request(&mut self) -> &[u8] {
        self.sent += 1;
        // The clock is asked now and then only: the tracker takes times within days, and the driver must be cheap.
        if self.sent.is_multiple_of(1024) {
            self.set_time();
        }
        let draw = mix(self.seed ^ mix(self.sent));
        self.write_id(self.request_id_at, draw, self.sent);
        let device = draw % DEVICES;
        for kind in 0..self.device_at.len() {
            let id = mix(device << 3 | kind as u64);
            self.write_id(self.device_at.get(kind).copied().unwrap_or_default(), id, mix(id));
        }
        &self.request
    }

    /// The next request's query and its user agent, as the tracker would take them from it.
    pub fn next_query(&mut self) -> (&[u8], &[u8]) {
        let request = self.next_request();
        let part = |after: &[u8], before: &[u8]| {
            let start = memchr::memmem::find(request, after).map_or(0, |at| at + after.len());
            let rest = request.get(start..).unwrap_or_default();
            let end = memchr::memmem::find(rest, before).unwrap_or_default();
            rest.get(..end).unwrap_or_default()
        };
        (part(b"/i?", b" HTTP/1.1"), part(b"User-Agent: ", b"\r\n"))
    }

    /// Length of the request's target, bytes.
    pub fn url_bytes(&self) -> usize {
        let end = memchr::memmem::find(&self.request, b" HTTP/1.1").unwrap_or_default();
        end - b"GET ".len()
    }

    fn set_time(&mut self) {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if let Some(place) = self.request.get_mut(self.time_at..self.time_at + TIME_BYTES) {
            place.copy_from_slice(format!("{seconds:0TIME_BYTES$}").as_bytes());
        }
    }

    fn write_id(&mut self, at: usize, high: u64, low: u64) {
        if let Some(place) = self.request.get_mut(at..at + ID_BYTES) {
            let (left, right) = place.split_at_mut(ID_BYTES / 2);
            left.copy_from_slice(&hex(high));
            right.copy_from_slice(&hex(low));
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a bijection on 64 bits that looks random.
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn hex(value: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (index, digit) in digits.iter_mut().enumerate() {
        let nibble = (value >> (60 - 4 * index)) as u8 & 15;
        *digit = nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacons(seed: u64) -> Beacons {
        let campaign = Campaign { campaign: "bench".to_owned(), placement: "p1".to_owned() };
        Beacons::new("127.0.0.1:8080", &campaign, seed)
    }

    #[test]
    fn hexadecimal_digits_are_the_value() {
        for value in [0, 1, u64::MAX, mix(7)] {
            assert_eq!(hex(value).as_slice(), format!("{value:016x}").as_bytes());
        }
    }

    #[test]
    fn requests_are_whole_differ_and_follow_from_the_seed() {
        let (mut one, mut two, mut other) = (beacons(1), beacons(1), beacons(2));
        let first = one.next_request().to_vec();
        assert_eq!(first, two.next_request());
        assert_ne!(first, other.next_request());
        assert_ne!(first, one.next_request());
        let (query, agent) = two.next_query();
        assert!(
            query.starts_with(b"c=bench&")
                && !query.contains(&b' ')
                && agent.starts_with(b"Mozilla/5.0 (Linux")
        );
        let text = String::from_utf8(first).unwrap();
        assert!(
            text.starts_with("GET /i?c=bench&p=p1&cr=a1&os=android&t=") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
        assert!((180..=220).contains(&one.url_bytes()), "{}", one.url_bytes());
        let campaign = Campaign { campaign: "bench".to_owned(), placement: "p1".to_owned() };
        let mut sdk = Beacons::written(Grammar::Miaozhen, "127.0.0.1:8080", &campaign, 1);
        let text = String::from_utf8(sdk.next_request().to_vec()).unwrap();
        assert!(
            text.starts_with("GET /x/k=bench&p=p1&dx=__IPDX__&") && text.contains("&o= HTTP/1.1\r\n"),
            "{text}"
        );
        assert!((500..=560).contains(&sdk.url_bytes()), "{}", sdk.url_bytes());
    }
}
