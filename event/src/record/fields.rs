//! The stored fields as a table: what each is in plain words, what for, how sensitive, how long it stays. The privacy page is made from it.
//!
//! A field of [`Event`] that has no line here does not compile, nor a line without its field. It must never say more than is done: whoever
//! changes what a field holds changes its line.

use super::Event;

/// How much a field says about a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// Says nothing about a person.
    None,
    /// Personal data that does not single a person out by itself.
    Personal,
    /// Stands for a device or a view; linkable for whoever holds the events, not reversible without the key.
    Pseudonym,
}

/// How long a field stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// With its event: the store's rows go by their age since receipt (`reports.retention_days`), unresolved ones after 7 days.
    Event,
    /// The same, and no longer than until an erasure blanks it.
    EventOrErased,
}

/// A text in the languages of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// English.
    pub en: &'static str,
    /// Chinese.
    pub zh: &'static str,
}

impl Retention {
    /// Its rule, without the number of days that an operator has set.
    pub fn described(self) -> Words {
        match self {
            Self::Event => Words {
                en: "as long as its hit: a number of days from receipt that the opt-out page tells; 7 days while its placement is unknown",
                zh: "与所属记录相同：自收到起的天数见退出页面；广告位未知时为 7 天",
            },
            Self::EventOrErased => Words {
                en: "as long as its hit, or until erased on request: a number of days from receipt that the opt-out page tells; 7 days while its \
                     placement is unknown",
                zh: "与所属记录相同，或直至应要求删除：自收到起的天数见退出页面；广告位未知时为 7 天",
            },
        }
    }
}

/// What the privacy page says about one stored field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldNote {
    /// Name of the field in [`Event`].
    pub name: &'static str,
    /// What it is.
    pub what: Words,
    /// What it is kept for.
    pub purpose: Words,
    /// How much it says about a person.
    pub sensitivity: Sensitivity,
    /// How long it stays.
    pub retention: Retention,
}

macro_rules! fields {
    ($($name:ident: $sensitivity:ident, $retention:ident,
        en $what_en:literal $purpose_en:literal,
        zh $what_zh:literal $purpose_zh:literal;)*) => {
        /// Every field of [`Event`], in its order.
        pub const FIELDS: &[FieldNote] = &[$(FieldNote {
            name: stringify!($name),
            what: Words { en: $what_en, zh: $what_zh },
            purpose: Words { en: $purpose_en, zh: $purpose_zh },
            sensitivity: Sensitivity::$sensitivity,
            retention: Retention::$retention,
        }),*];

        /// A field without a line does not compile here.
        const _: fn(&Event<'_>) = |event| {
            let Event { $($name: _),* } = event;
        };
    };
}

fields! {
    received_ms: None, Event,
        en "When the request reached us" "To keep requests in order, to delete them in time, to notice a wrong clock",
        zh "请求到达我们的时间" "排列先后、按时删除、发现时钟错误";
    time_ms: None, Event,
        en "When it happened: the device's own time if it is plausible" "To count it on its day and in its hour",
        zh "发生的时间：设备自身的时间（可信时）" "计入所属的日期和小时";
    client_time_ms: None, Event,
        en "The time as the device sent it" "To recognise a request that comes twice, to notice wrong clocks",
        zh "设备发送的时间" "识别重复的请求，发现时钟错误";
    day: None, Event,
        en "The day on the campaign's calendar" "Figures by day",
        zh "广告活动所在时区的日期" "按日统计";
    hour: None, Event,
        en "The hour of that day" "Figures by hour",
        zh "当日的小时" "按小时统计";
    stage: None, Event,
        en "What happened: the advertisement was shown, seen, played to its end or clicked" "It is what is counted",
        zh "发生了什么：广告被展示、被看见、播放完毕或被点击" "这是统计的对象";
    source: None, Event,
        en "Whether the device sent it or a server on its behalf" "Different checks against fraud apply",
        zh "由设备还是由代其发送的服务器发出" "适用不同的反作弊检查";
    platform: None, Event,
        en "The kind of device: Android, iOS, computer, television" "Figures by kind of device, and which identifier counts",
        zh "设备类型：安卓、iOS、电脑、电视" "按设备类型统计，并确定采用哪种标识符";
    flags: Personal, Event,
        en "Marks: what makes the request doubtful, and which privacy wishes came with it (limit ad tracking, Global Privacy Control, no consent, child)"
            "To leave robots out, and to prove that a wish was respected",
        zh "标记：请求有何可疑之处，以及随之而来的隐私意愿（限制广告跟踪、全球隐私控制、未同意、儿童）"
            "排除机器流量，并证明隐私意愿得到尊重";
    campaign: None, Event,
        en "The advertising campaign" "It is what is counted",
        zh "广告活动" "这是统计的对象";
    placement: None, Event,
        en "The place in the medium where the advertisement was booked" "It is what is counted",
        zh "媒体上的广告位" "这是统计的对象";
    creative: None, Event,
        en "Which version of the advertisement" "Figures by version",
        zh "广告的哪个版本" "按版本统计";
    region: Personal, Event,
        en "The region, looked up from the address: no finer than a city" "Figures by region",
        zh "由地址查得的地区，最细到城市" "按地区统计";
    catalog_version: None, Event,
        en "The version of the campaign list in force" "To check later how it was counted",
        zh "当时生效的活动列表版本" "供日后核查统计方式";
    device: Pseudonym, EventOrErased,
        en "A keyed hash of one identifier of the device (such as OAID, IDFA, IMEI or a cookie), never the identifier itself; for the first weeks \
            of a new key also the hash under the old one"
            "To count each device once, and how often it saw the advertisement",
        zh "设备某一标识符（如 OAID、IDFA、IMEI 或 Cookie）的带密钥散列值，绝非标识符本身；更换密钥后的最初几周内还包括旧密钥下的散列值"
            "使每台设备只计一次，并统计其看到广告的次数";
    view: Pseudonym, Event,
        en "A keyed hash of the number that the medium gave to this one display" "To drop repeats, and to tie a click to its display",
        zh "媒体为这一次展示所编号码的带密钥散列值" "去除重复，并把点击与展示对应起来";
    network: Personal, EventOrErased,
        en "The network address with its end cut off (/24, or /48 of IPv6)" "To leave out data centres and robots that become known later",
        zh "截去末段的网络地址（/24，IPv6 为 /48）" "排除日后才得知的数据中心和机器流量";
    agent: Personal, EventOrErased,
        en "What the browser or app calls itself (user agent)" "To leave out robots that become known later",
        zh "浏览器或应用的自我标识（User-Agent）" "排除日后才得知的机器流量";
    site: None, Event,
        en "The name of the website, without page or path" "To see on which sites an advertisement ran",
        zh "网站域名，不含页面和路径" "了解广告投放在哪些网站";
}
