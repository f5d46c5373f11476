//! General invalid traffic by agent (GIVT): which agents are robots and which are programs that are no browsers, by the lists in `rules/`.
//!
//! It owns the lists and what a name in them matches. The aggregator applies them when a day is settled, in SQL made from the same names, so that a
//! new list changes past days too; [`automated`] says the same of one agent, for whoever integrates. It must never decide whether a hit is
//! stored.

/// Names of robots, one a line; `#` begins a comment. How a name matches stands at the head of the file.
pub const ROBOTS: &str = include_str!("../rules/robots.txt");
/// Names of programs and libraries that fetch URLs, likewise.
pub const NON_BROWSERS: &str = include_str!("../rules/non_browsers.txt");

/// Endings of names that say what they are (`FooBot/1.0`), besides [`ROBOTS`].
pub const ROBOT_ENDINGS: [&str; 3] = ["bot", "spider", "crawler"];
/// Letters ahead of such an ending, at the least. Two are not enough: CUBOT and Abbot are phones.
pub const ROBOT_LETTERS_MIN: usize = 3;
/// What may follow such an ending, if anything does.
const ROBOT_CLOSERS: &[u8] = b"/;)+";

/// Why the agent's hits are no ad views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Automated {
    /// It names itself a crawler, a monitor, a preview or an automated browser.
    Robot,
    /// A program or library that fetches URLs.
    NonBrowser,
}

/// The names of a list.
pub fn names(list: &str) -> impl Iterator<Item = &str> {
    list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// What the lists say of an agent as it is kept ([`crate::agent::cut`]); `None` for a viewer's. Goes through both lists: not for the beacon path.
pub fn automated(agent: &[u8]) -> Option<Automated> {
    let agent = crate::agent::cut(agent).to_ascii_lowercase();
    if is_of_app(&agent) {
        return None;
    }
    let has = |list| names(list).any(|name| matches(name, &agent));
    if has(ROBOTS) || has_robot_ending(&agent) {
        Some(Automated::Robot)
    } else {
        has(NON_BROWSERS).then_some(Automated::NonBrowser)
    }
}

/// Agents that an app's network stack makes from the app's name, which may be called anything (`Spider Solitaire`): no list is asked.
fn is_of_app(agent: &str) -> bool {
    agent.starts_with("dalvik/") || agent.contains("cfnetwork/")
}

/// Whether a name of a list stands in an agent in lower case, bounded by anything but letters and digits.
fn matches(name: &str, agent: &str) -> bool {
    let (is_tied, name) = name.strip_prefix('^').map_or((false, name), |name| (true, name));
    let (is_whole, name) = name.strip_suffix('$').map_or((false, name), |name| (true, name));
    let name = name.to_ascii_lowercase();
    let is_bounded = name.ends_with(|last: char| last.is_ascii_alphanumeric());
    agent.match_indices(&name).any(|(at, found)| {
        let (before, after) =
            (agent.get(..at).unwrap_or_default(), agent.get(at + found.len()..).unwrap_or_default());
        let begins = if is_tied { before.is_empty() } else { !before.ends_with(is_word) };
        let ends = if is_whole { after.is_empty() } else { !is_bounded || !after.starts_with(is_word) };
        begins && ends
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

fn has_robot_ending(agent: &str) -> bool {
    ROBOT_ENDINGS.iter().any(|ending| {
        agent.match_indices(ending).any(|(at, found)| {
            let letters = agent.as_bytes().iter().take(at).rev().take_while(|byte| byte.is_ascii_lowercase());
            let next = agent.as_bytes().get(at + found.len());
            letters.count() >= ROBOT_LETTERS_MIN && next.is_none_or(|next| ROBOT_CLOSERS.contains(next))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn robots_and_programs_are_told_from_viewers() {
        for (agent, expected) in [
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                Some(Automated::Robot),
            ),
            ("Mozilla/5.0 (compatible; ExampleSpider)", Some(Automated::Robot)),
            ("SOME-BOT/1.0", Some(Automated::Robot)),
            ("curl/8.5.0", Some(Automated::NonBrowser)),
            ("Ruby", Some(Automated::NonBrowser)),
            ("Python/3.11 aiohttp/3.9.1", Some(Automated::NonBrowser)),
            ("", None),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", None),
            ("Mozilla/5.0 (Linux; Android 9; CUBOT) AppleWebKit/537.36", None),
            ("Mozilla/5.0 (Linux; U; Android 4.0; JavaScript Abbot) AppleWebKit/534.30", None),
            ("Spider%20Solitaire/4.5.1 CFNetwork/1474 Darwin/23.0.0", None),
            ("libcurl-agent/1.0", None),
            ("Rusty/2.0 okhttp/4.12.0", None),
            ("myruby", None),
            ("ruby 3", None),
        ] {
            assert_eq!(automated(agent.as_bytes()), expected, "{agent}");
        }
        assert_eq!(automated(b"\xffcurl/8"), None, "what is kept of it is nothing");
    }

    #[test]
    fn the_lists_have_names() {
        assert!(names(ROBOTS).count() > 50 && names(NON_BROWSERS).count() > 40);
        assert_eq!(names("# a\n\nx\n").collect::<Vec<_>>(), ["x"]);
    }
}
