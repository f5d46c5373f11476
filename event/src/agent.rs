//! What a user agent says about the platform, and how much of it is kept.

use crate::record::{AGENT_BYTES_MAX, Platform};

/// The platform by the `os` parameter, else by the agent.
///
/// `os` is a number of the MMA grammar (0 Android, 1 iOS, 2 Windows Phone; 3 *other* says nothing) or a name of any case. An agent is
/// judged by the words in it; where several occur, the more particular one decides: a television's agent also says `Android`, that of
/// a Windows Phone also `Android` and `iPhone`. An iPad that asks for desktop pages says `Macintosh` and cannot be told from one.
pub fn platform(os: Option<&[u8]>, agent: &[u8]) -> Platform {
    os.and_then(by_parameter).unwrap_or_else(|| by_agent(agent))
}

/// The part of an agent that is kept: without blanks around it, at most [`AGENT_BYTES_MAX`] bytes, cut before the first byte that is
/// not UTF-8 or the character that would not fit whole.
pub fn cut(agent: &[u8]) -> &str {
    let agent = agent.trim_ascii();
    let fitting = agent.get(..AGENT_BYTES_MAX).unwrap_or(agent);
    match std::str::from_utf8(fitting) {
        Ok(text) => text,
        Err(error) => fitting
            .get(..error.valid_up_to())
            .and_then(|valid| std::str::from_utf8(valid).ok())
            .unwrap_or_default(),
    }
}

/// Names of systems as parameters give them, lower case. A name may be followed by a version.
const SYSTEMS: &[(&[u8], Platform)] = &[
    (b"android tv", Platform::Tv),
    (b"androidtv", Platform::Tv),
    (b"android", Platform::Android),
    (b"iphone", Platform::Ios),
    (b"ipados", Platform::Ios),
    (b"ipad", Platform::Ios),
    (b"ios", Platform::Ios),
    (b"windows phone", Platform::OtherMobile),
    (b"windowsphone", Platform::OtherMobile),
    (b"wp", Platform::OtherMobile),
    (b"harmony", Platform::OtherMobile),
    (b"openharmony", Platform::OtherMobile),
    (b"kaios", Platform::OtherMobile),
    (b"windows", Platform::Pc),
    (b"win", Platform::Pc),
    (b"macos", Platform::Pc),
    (b"mac os", Platform::Pc),
    (b"mac", Platform::Pc),
    (b"linux", Platform::Pc),
    (b"chrome os", Platform::Pc),
    (b"chromeos", Platform::Pc),
    (b"pc", Platform::Pc),
    (b"tvos", Platform::Tv),
    (b"tizen", Platform::Tv),
    (b"webos", Platform::Tv),
    (b"roku", Platform::Tv),
    (b"tv", Platform::Tv),
];

fn by_parameter(os: &[u8]) -> Option<Platform> {
    match os.trim_ascii() {
        b"0" => Some(Platform::Android),
        b"1" => Some(Platform::Ios),
        b"2" => Some(Platform::OtherMobile),
        os => {
            let begins = |name: &[u8]| {
                let rest = os.get(name.len()..).filter(|_| starts_with(os, name));
                rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphabetic))
                    || os.eq_ignore_ascii_case(b"harmonyos") && name == b"harmony"
            };
            SYSTEMS.iter().find(|(name, _)| begins(name)).map(|(_, platform)| *platform)
        }
    }
}

/// A word of an agent with its rank: the highest decides.
type Word = (u8, &'static [u8], Platform);

/// The words that begin with a letter, in this case: television 5, other mobile systems 4, phones 3, desktops 2, libraries 1.
#[rustfmt::skip]
fn words(first: u8) -> &'static [Word] {
    match first {
        b'A' => &[(5, b"AppleTV", Platform::Tv), (5, b"Apple TV", Platform::Tv), (5, b"AndroidTV", Platform::Tv), (5, b"Android TV", Platform::Tv), (5, b"AFT", Platform::Tv), (3, b"Android", Platform::Android)],
        b'B' => &[(5, b"BRAVIA", Platform::Tv), (4, b"BlackBerry", Platform::OtherMobile), (4, b"BB10", Platform::OtherMobile)],
        b'C' => &[(5, b"CrKey", Platform::Tv), (2, b"CrOS", Platform::Pc), (1, b"CFNetwork", Platform::Ios)],
        b'D' => &[(3, b"Dalvik", Platform::Android)],
        b'G' => &[(5, b"GoogleTV", Platform::Tv), (5, b"Google TV", Platform::Tv)],
        b'H' => &[(5, b"HbbTV", Platform::Tv)],
        b'K' => &[(4, b"KAIOS", Platform::OtherMobile)],
        b'M' => &[(5, b"MiTV", Platform::Tv), (5, b"MiBOX", Platform::Tv), (5, b"MIBOX", Platform::Tv), (2, b"Macintosh", Platform::Pc)],
        b'N' => &[(5, b"NetCast", Platform::Tv)],
        b'O' => &[(4, b"OpenHarmony", Platform::OtherMobile)],
        b'R' => &[(5, b"Roku", Platform::Tv)],
        b'S' => &[(5, b"SmartTV", Platform::Tv), (5, b"Smart-TV", Platform::Tv), (5, b"SMART-TV", Platform::Tv), (5, b"SmartHub", Platform::Tv), (4, b"Symbian", Platform::OtherMobile), (4, b"SymbOS", Platform::OtherMobile)],
        b'T' => &[(5, b"TV;", Platform::Tv), (5, b"TV)", Platform::Tv), (5, b"TV ", Platform::Tv), (4, b"Tizen", Platform::OtherMobile)],
        b'W' => &[(5, b"Web0S", Platform::Tv), (4, b"Windows Phone", Platform::OtherMobile), (2, b"Windows", Platform::Pc)],
        b'X' => &[(2, b"X11", Platform::Pc)],
        b'i' => &[(3, b"iPhone", Platform::Ios), (3, b"iPad", Platform::Ios), (3, b"iPod", Platform::Ios), (3, b"iOS", Platform::Ios)],
        b'o' => &[(1, b"okhttp", Platform::Android)],
        _ => &[],
    }
}

fn by_agent(agent: &[u8]) -> Platform {
    let agent = agent.get(..AGENT_BYTES_MAX).unwrap_or(agent);
    let (mut best, mut found) = (0, Platform::Unknown);
    let mut before = b' ';
    for (at, byte) in agent.iter().enumerate() {
        let begins_word = !before.is_ascii_alphanumeric();
        before = *byte;
        if !begins_word {
            continue;
        }
        for (rank, word, platform) in words(*byte) {
            if *rank > best && agent.get(at..).is_some_and(|rest| rest.starts_with(word)) {
                (best, found) = (*rank, *platform);
            }
        }
    }
    found
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_decides() {
        for (os, platform) in [
            ("0", Platform::Android),
            ("1", Platform::Ios),
            ("2", Platform::OtherMobile),
            ("android", Platform::Android),
            ("Android 14", Platform::Android),
            ("iOS", Platform::Ios),
            ("iOS17.5", Platform::Ios),
            ("iPadOS", Platform::Ios),
            ("Windows Phone 8", Platform::OtherMobile),
            ("HarmonyOS", Platform::OtherMobile),
            ("harmony", Platform::OtherMobile),
            ("Windows", Platform::Pc),
            ("macOS", Platform::Pc),
            ("tvOS", Platform::Tv),
        ] {
            assert_eq!(super::platform(Some(os.as_bytes()), b"Mozilla/5.0 (X11; Linux)"), platform, "{os}");
        }
        for says_nothing in ["3", "", "9", "iosification", "other"] {
            assert_eq!(platform(Some(says_nothing.as_bytes()), b"Dalvik/2.1.0"), Platform::Android);
        }
    }

    #[test]
    fn the_more_particular_word_of_an_agent_decides() {
        for (agent, platform) in [
            ("", Platform::Unknown),
            ("curl/8.5.0", Platform::Unknown),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36", Platform::Pc),
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows 98)", Platform::Pc),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", Platform::Pc),
            ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)", Platform::Pc),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", Platform::Pc),
            ("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36", Platform::Android),
            ("Dalvik/2.1.0 (Linux; U; Android 9; MI 8 MIUI/20.2.27)", Platform::Android),
            ("okhttp/4.9.1", Platform::Android),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)", Platform::Ios),
            ("Mozilla/5.0 (iPad; CPU OS 9_3 like Mac OS X)", Platform::Ios),
            ("App/1 CFNetwork/1410.0.3 Darwin/22.6.0", Platform::Ios),
            (
                "Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; ARM; Trident/7.0) like iPhone OS 7_0_3 Mac OS X",
                Platform::OtherMobile,
            ),
            ("Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36", Platform::OtherMobile),
            ("Mozilla/5.0 (Linux; Android 9; BRAVIA 4K VH2 Build/PTT1)", Platform::Tv),
            ("Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0)", Platform::Tv),
            ("Mozilla/5.0 (Web0S; Linux/SmartTV)", Platform::Tv),
            ("Mozilla/5.0 (Linux; Android 7.1.2; AFTMM) AppleWebKit", Platform::Tv),
            ("AppleTV11,1/11.1", Platform::Tv),
            ("Mozilla/5.0 (AppleAndroidX)", Platform::Unknown),
        ] {
            assert_eq!(super::platform(None, agent.as_bytes()), platform, "{agent}");
        }
    }

    #[test]
    fn an_agent_is_cut_between_characters() {
        assert_eq!(cut(b" Mozilla/5.0 "), "Mozilla/5.0");
        assert_eq!(cut(b"Mozilla/\xff5.0"), "Mozilla/");
        let long = "广".repeat(200);
        assert_eq!(cut(long.as_bytes()), "广".repeat(170), "512 = 170 × 3 + 2");
        assert_eq!(cut("a".repeat(600).as_bytes()).len(), AGENT_BYTES_MAX);
        assert_eq!(cut(b""), "");
    }
}
