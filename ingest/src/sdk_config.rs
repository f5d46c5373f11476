//! The MMA China SDK's configuration with our `<company>`: an app that has that SDK measures with Sightline once this is in its
//! `sdkconfig.xml`, or where it fetches that file from.
//!
//! It is made from the dialect table that reads the SDK's hits, so that it cannot ask for a parameter that is not understood. It must never
//! ask for what nobody uses: no Wi-Fi name or address, no position, no name of app or device, no raw IMEI, no list of apps, no
//! trajectory of the ad on the screen, no signature (made of device data, checked by nobody).
//!
//! The form is that of the SDK's own file (Android 2.2.5, iOS 2.2.1), as both of their parsers read it; what they do with it:
//!
//! * The company is found by the end of the URL's host, without its port: `<domain><url>` is the whole host.
//! * Each argument of `<arguments>` is taken out of a URL and appended anew, in this order (iOS: in any), before the redirect, which is
//!   cut off first: `REDIRECTURL` stands last. Android drops a value silently if there is no `<encrypt>`.
//! * An argument that `<viewabilityarguments>` does not name is not sent. `va`, `vb`, `vh`, `vi`, `vj` are read *from* the URL: how much of the
//!   ad for how long, how long the video is, at which quarters to report (`vb=15&vj=1111`).
//! * iOS divides nothing and trims; Android turns numbers as they stand into numbers, so no blank may stand around one.

use std::fmt::Write as _;

use event::dialect::{Dialects, LinkFor, Scratch, Table};
use event::hit::Field;
use event::identifier::IdField;
use event::stage::Stage;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};

use crate::answer::{self, Answer};

/// Where it is served.
pub(crate) const PATH: &str = "/sdkconfig.xml";
/// The dialect that the SDK is told to speak.
const DIALECT: &str = "miaozhen";
/// Longest that the SDK keeps a hit that could not be sent, seconds: as long as we take it ([`event::time::LATE_MS_MAX`]).
const OFFLINE_SECONDS: i64 = event::time::LATE_MS_MAX / 1000;
/// Seconds between two attempts of the SDK to send what could not be sent.
const RETRY_SECONDS: u32 = 60;
/// Seconds after which the SDK takes a request for failed (iOS; Android keeps its own).
const TIMEOUT_SECONDS: u32 = 30;
/// Percent of an ad's pixels that make it viewable (MRC; DOMAIN §5).
const VIEWABLE_PERCENT: u32 = 50;
/// Seconds for which they have to be on the screen, for an image and for a video (MRC; DOMAIN §5).
const VIEWABLE_SECONDS: u32 = 1;
const VIEWABLE_VIDEO_SECONDS: u32 = 2;
/// How often the SDK looks, milliseconds, and for how long at most, seconds: the SDK's own values.
const LOOK_MILLISECONDS: u32 = 100;
const LOOK_SECONDS_MAX: u32 = 120;

/// What the SDK calls a value, and the field that we read it into. A value that is hashed by the SDK has the field of its MD5.
const ARGUMENTS: [(&str, Field); 10] = [
    ("OS", Field::Os),
    ("TS", Field::Time),
    ("OAID", Field::Id(IdField::Oaid)),
    ("IMEI", Field::Id(IdField::ImeiMd5)),
    ("ANDROIDID", Field::Id(IdField::AndroidIdMd5)),
    ("AAID", Field::Id(IdField::Aaid)),
    ("MAC", Field::Id(IdField::MacMd5)),
    ("IDFA", Field::Id(IdField::Idfa)),
    ("IDFV", Field::Id(IdField::Idfv)),
    ("REDIRECTURL", Field::LandingUrl),
];

/// Which values the SDK hashes before it sends them. (It hashes the AAID unasked.)
const HASHED: [&str; 3] = ["MAC", "IMEI", "ANDROIDID"];

/// Marks of the stage: what the SDK calls one, a value that it sends, and the stage which that value alone has to say.
const MARKS: [(&str, &str, Stage); 3] = [
    ("ImpressionType", "0", Stage::Tracked),
    ("AdviewabilityResult", "4", Stage::NotViewable),
    ("AdviewabilityVideoProgress", "25", Stage::FirstQuartile),
];

/// What the SDK reads from the URL or says of how it looked: known to the dialect, and dropped.
const CONDITIONS: [(&str, &str); 7] = [
    ("AdviewabilityRecord", "va"),
    ("AdviewabilityConfigArea", "vh"),
    ("AdviewabilityConfigThreshold", "vi"),
    ("AdviewabilityVideoDuration", "vb"),
    ("AdviewabilityVideoProgressPoint", "vj"),
    ("AdviewabilityVideoPlayType", "vg"),
    ("AdviewabilityStrongInteract", "vk"),
];

/// What the SDK finds out about the device's integrity, and the members of the parameter that says it.
const INTEGRITY: [(&str, &str); 4] =
    [("isRoot", "l1"), ("isSimulator", "l2"), ("isHook", "l3"), ("isAdb", "l4")];

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdkConfigError {
    /// The SDK finds a company by the name of the host.
    #[error(
        "{0:?} is no address that the SDK can recognise: https://HOST is, with a name or an IPv4 address"
    )]
    Host(String),
    /// The dialect's table was replaced by one that cannot read the SDK.
    #[error("the dialect {DIALECT} has no parameter for {0}, which the SDK sends: mend its table")]
    Table(&'static str),
}

/// The whole configuration, for apps that measure with us alone or fetch it from us.
///
/// # Errors
/// See [`SdkConfigError`].
pub fn sdk_config(base: &str, dialects: &Dialects) -> Result<String, SdkConfigError> {
    let company = company(base, dialects)?;
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<config>\n");
    let mut section = |name: &str, values: &[(&str, u32)]| {
        let _ = writeln!(xml, "  <{name}>");
        for (key, value) in values {
            let _ = writeln!(xml, "    <{key}>{value}</{key}>");
        }
        let _ = writeln!(xml, "  </{name}>");
    };
    section(
        "offlineCache",
        &[("length", 0), ("queueExpirationSecs", RETRY_SECONDS), ("timeout", TIMEOUT_SECONDS)],
    );
    section(
        "viewability",
        &[
            ("intervalTime", LOOK_MILLISECONDS),
            ("viewabilityFrame", VIEWABLE_PERCENT),
            ("viewabilityTime", VIEWABLE_SECONDS),
            ("viewabilityVideoTime", VIEWABLE_VIDEO_SECONDS),
            ("maxExpirationSecs", LOOK_SECONDS_MAX),
            ("maxAmount", 1),
        ],
    );
    let _ = write!(xml, "  <companies>\n{company}  </companies>\n</config>\n");
    Ok(xml)
}

/// Our `<company>` alone, to be put among the `<companies>` of an app's own file.
///
/// # Errors
/// See [`SdkConfigError`].
pub fn company(base: &str, dialects: &Dialects) -> Result<String, SdkConfigError> {
    let host = host(base).ok_or_else(|| SdkConfigError::Host(base.to_owned()))?;
    let table = dialects.get(DIALECT).ok_or(SdkConfigError::Table("anything"))?;
    let [separator, equalizer] = table.signs();
    let mut xml = String::new();
    let _ = write!(
        xml,
        "    <company>\n      <name>sightline</name>\n      <jsurl></jsurl>\n      <jsname></jsname>\n      \
         <domain>\n        <url>{host}</url>\n      </domain>\n      <switch>\n        \
         <isTrackLocation>false</isTrackLocation>\n        \
         <offlineCacheExpiration>{OFFLINE_SECONDS}</offlineCacheExpiration>\n        \
         <viewabilityTrackPolicy>1</viewabilityTrackPolicy>\n        <encrypt>\n"
    );
    for key in HASHED {
        let _ = writeln!(xml, "          <{key}>md5</{key}>");
    }
    let _ = write!(xml, "        </encrypt>\n      </switch>\n      <config>\n");
    let mut arguments = Vec::new();
    for (key, field) in ARGUMENTS {
        arguments.push((key, name_of(table, field).ok_or(SdkConfigError::Table(key))?));
    }
    list(&mut xml, "arguments", &arguments, true);
    let placement = name_of(table, Field::Placement).ok_or(SdkConfigError::Table("Adplacement"))?;
    list(&mut xml, "Adplacement", &[("Adplacement", placement)], false);
    list(&mut xml, "viewabilityarguments", &viewability(table, dialects)?, true);
    list(&mut xml, "sensorarguments", &INTEGRITY, true);
    let integrity = name_of(table, Field::DeviceRisk).ok_or(SdkConfigError::Table("antidevice"))?;
    let _ = write!(
        xml,
        "      </config>\n      <separator>{}</separator>\n      <equalizer>{}</equalizer>\n      \
         <antidevice>{integrity}</antidevice>\n      <timeStampUseSecond>true</timeStampUseSecond>\n    </company>\n",
        escaped(&separator),
        escaped(&equalizer)
    );
    Ok(xml)
}

/// Answers `GET /sdkconfig.xml` for the host that was asked.
pub(crate) fn serve(headers: HeaderMap, dialects: &Dialects) -> Answer {
    const XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let mut headers = headers;
    headers.clear();
    match sdk_config(&host, dialects) {
        Ok(xml) => {
            let mut answer = answer::text(StatusCode::OK, headers, xml);
            answer.headers_mut().insert(CONTENT_TYPE, XML);
            answer
        }
        Err(error) => answer::text(StatusCode::NOT_FOUND, headers, format!("{error}\n")),
    }
}

fn viewability<'t>(
    table: &'t Table,
    dialects: &Dialects,
) -> Result<Vec<(&'static str, &'t str)>, SdkConfigError> {
    let group = name_of(table, Field::GroupId).ok_or(SdkConfigError::Table("ImpressionID"))?;
    let mut arguments = vec![("ImpressionID", group)];
    for (key, value, stage) in MARKS {
        arguments.push((key, mark(table, dialects, value, stage).ok_or(SdkConfigError::Table(key))?));
    }
    for (key, name) in CONDITIONS {
        let known = table.dropped_names().iter().find(|known| ***known == *name);
        arguments.push((key, known.ok_or(SdkConfigError::Table(key))?));
    }
    Ok(arguments)
}

/// The dialect's parameter for a field.
fn name_of(table: &Table, field: Field) -> Option<&str> {
    table.parameters().find(|parameter| parameter.field == Some(field)).map(|parameter| parameter.name)
}

/// The mark that says a stage by this value alone: asked of the dialect itself.
fn mark<'t>(table: &'t Table, dialects: &Dialects, value: &str, stage: Stage) -> Option<&'t str> {
    let wanted = LinkFor { stage: Stage::Impression, campaign: "c", placement: "p", landing_url: None };
    let bare = table.link(wanted, |_, _| None)?;
    // Before what takes the rest.
    let landing = name_of(table, Field::LandingUrl).unwrap_or_default();
    let [separator, equalizer] = table.signs();
    let bare = bare.trim_end_matches(&format!("{separator}{landing}{equalizer}"));
    table.mark_names().find(|mark| {
        let target = format!("{bare}{separator}{mark}{equalizer}{value}");
        let (path, query) =
            target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
        let mut scratch = Scratch::new();
        dialects.route(path, query).is_some_and(|entry| entry.read(&mut scratch).hit.stage == Some(stage))
    })
}

fn list(xml: &mut String, name: &str, arguments: &[(&str, &str)], is_required: bool) {
    let _ = writeln!(xml, "        <{name}>");
    for (key, value) in arguments {
        let _ = write!(
            xml,
            "          <argument>\n            <key>{key}</key>\n            <value>{}</value>\n            \
             <urlEncode>true</urlEncode>\n            <isRequired>{is_required}</isRequired>\n          </argument>\n",
            escaped(value)
        );
    }
    let _ = writeln!(xml, "        </{name}>");
}

/// The host of an address or of a `Host` header, lower case: what the SDK's pattern takes for one.
fn host(base: &str) -> Option<String> {
    let rest = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")).unwrap_or(base);
    let authority = rest.split('/').next()?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { authority }
    });
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    (host.len() <= 253 && host.split('.').all(is_label)).then(|| host.to_ascii_lowercase())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> String {
        sdk_config("https://t.example.com", Dialects::built_in()).expect("is made")
    }

    #[test]
    fn it_asks_for_what_is_read_and_for_nothing_else() {
        let xml = made();
        for (key, value) in [
            ("OS", "mo"),
            ("TS", "mt"),
            ("OAID", "m11"),
            ("IMEI", "m2"),
            ("ANDROIDID", "m1a"),
            ("AAID", "m4"),
            ("MAC", "m6a"),
            ("IDFA", "m5"),
            ("IDFV", "m5a"),
            ("REDIRECTURL", "o"),
            ("Adplacement", "p"),
            ("ImpressionID", "vf"),
            ("ImpressionType", "br"),
            ("AdviewabilityResult", "vx"),
            ("AdviewabilityVideoProgress", "vc"),
        ] {
            let argument = format!("<key>{key}</key>\n            <value>{value}</value>");
            assert!(xml.contains(&argument), "{key}={value}\n{xml}");
        }
        for key in [
            "WIFISSID",
            "WIFIBSSID",
            "LBS",
            "RAWIMEI",
            "AKEY",
            "ANAME",
            "TERM",
            "SCWH",
            "ADID",
            "OPENUDID",
            "OAID1",
            "deviveName",
            "AdviewabilityEvents",
            "applist",
            "signature",
            "adidurl",
        ] {
            assert!(!xml.contains(key), "{key} is not needed");
        }
        assert!(xml.contains("<separator>&amp;</separator>") && xml.contains("<equalizer>=</equalizer>"));
        assert!(xml.contains("<offlineCacheExpiration>604800</offlineCacheExpiration>"));
        let last = xml.find("REDIRECTURL").expect("is there");
        assert!(
            ARGUMENTS
                .iter()
                .all(|(key, _)| xml.find(&format!("<key>{key}</key>")).is_some_and(|at| at <= last))
        );
    }

    #[test]
    fn every_element_is_closed_and_no_number_has_blanks_around_it() {
        let xml = made();
        let mut open = Vec::new();
        for piece in xml.split('<').skip(2) {
            let (tag, text) = piece.split_once('>').expect("a tag ends");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else {
                open.push(tag);
                assert!(text.trim().is_empty() || text.trim() == text, "{tag}: {text:?}");
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn the_company_is_the_whole_host() {
        for (base, expected) in [
            ("https://T.example.com", Some("t.example.com")),
            ("https://t.example.com/", Some("t.example.com")),
            ("http://127.0.0.1:8080", Some("127.0.0.1")),
            ("t.example.com:443", Some("t.example.com")),
            ("localhost:8080", Some("localhost")),
            ("", None),
            ("https://", None),
            ("https://[::1]:8080", None),
            ("https://a b", None),
            ("https://a<b", None),
            ("https://a..b", None),
            ("https://user@host", None),
        ] {
            assert_eq!(host(base).as_deref(), expected, "{base}");
        }
        assert!(matches!(company("https://[::1]", Dialects::built_in()), Err(SdkConfigError::Host(_))));
    }
}
