//! An empty sheet to begin with: the header in English or Chinese; as a workbook with what each column holds on a second sheet.

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use super::columns::{Column, KNOWN, Known, allowed};
use crate::form::Language;

/// The template as CSV, with the mark by which Excel knows UTF-8.
pub(crate) fn csv(language: Language) -> Vec<u8> {
    let names: Vec<&str> = KNOWN.iter().map(|known| name(known, language)).collect();
    format!("\u{feff}{}\r\n", names.join(",")).into_bytes()
}

/// The template as a workbook.
///
/// # Errors
/// The library's; there is no reason for any.
pub(crate) fn xlsx(language: Language) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    let bold = Format::new().set_bold();
    let (as_text, as_day, as_number) = (
        Format::new().set_num_format("@"),
        Format::new().set_num_format("yyyy-mm-dd"),
        Format::new().set_num_format("#,##0"),
    );
    let (title, note_title) = match language {
        Language::English => ("Placements", "Columns"),
        Language::Chinese => ("点位", "说明"),
    };
    let sheet = book.add_worksheet().set_name(title)?;
    sheet.set_freeze_panes(1, 0)?;
    for (at, known) in (0..).zip(KNOWN) {
        sheet.write_with_format(0, at, name(known, language), &bold)?;
        let format = match known.column {
            Column::From | Column::To => &as_day,
            Column::Impressions | Column::Cost => &as_number,
            // So that an id such as 00123 keeps its zeros.
            _ => &as_text,
        };
        sheet.set_column_format(at, format)?;
        sheet.set_column_width(at, 18)?;
    }
    let notes = book.add_worksheet().set_name(note_title)?;
    for (row, known) in (0..).zip(KNOWN) {
        notes.write_with_format(row, 0, name(known, language), &bold)?;
        notes.write(row, 1, note(known, language))?;
    }
    notes.set_column_width(0, 22)?;
    notes.set_column_width(1, 110)?;
    book.save_to_buffer()
}

fn name(known: &Known, language: Language) -> &'static str {
    let names = match language {
        Language::English => known.english,
        Language::Chinese => known.chinese,
    };
    names.first().copied().unwrap_or(known.key)
}

fn note(known: &Known, language: Language) -> String {
    let (english, chinese) = match known.column {
        Column::Id => (
            "Needed. 1 to 64 of A-Z a-z 0-9 . _ - as it stands in tracking URLs. A placement may take several rows, one for each range of its plan.",
            "必填。监测链接中的点位编号，1 至 64 个字符：字母、数字、. _ -。一个点位可占多行，每行一段排期。",
        ),
        Column::Name => ("Needed.", "必填。"),
        Column::Medium => ("Needed. Who sells it.", "必填。媒体名称。"),
        Column::Source => (
            "How beacons reach us: c2s (default), s2s, ssai.",
            "上报方式：客户端 c2s（默认）、服务端 s2s、ssai。",
        ),
        Column::State => (
            "live (default), or trial: hits are shown and not counted.",
            "正式 live（默认）或测试 trial：测试数据只展示，不计入报表。",
        ),
        Column::LandingPage => (
            "Where a click goes that asks for nothing; its host has to be registered.",
            "点击默认跳转地址，域名须已登记。",
        ),
        Column::LandingHosts => (
            "Hosts that clicks may land on besides the campaign's, with blanks or commas between them.",
            "除活动域名外允许跳转的域名，以空格或逗号分隔。",
        ),
        Column::Profile => {
            ("What the medium puts into its macros, such as kuaishou.", "媒体宏模板名称，如 kuaishou。")
        }
        Column::Dialect => {
            ("Grammar of the links that are handed out, such as miaozhen.", "下发链接的格式，如 miaozhen。")
        }
        Column::SignedLinks => ("yes: only links that we signed are measured.", "是：只统计带签名的链接。"),
        Column::VastTag => ("The ad's own VAST tag.", "广告自身的 VAST 地址。"),
        Column::Cost => ("Of this placement, in the campaign's currency.", "本点位费用，币种与活动一致。"),
        Column::From => (
            "First day of a range of the plan. Instead of these three columns there may be one for each day, with the day in its header.",
            "排期开始日期。也可不用这三列，改为每天一列，表头写日期。",
        ),
        Column::To => ("Last day of the range.", "排期结束日期。"),
        Column::Impressions => {
            ("Planned impressions of each day of the range.", "该段排期内每天的计划曝光量。")
        }
    };
    match language {
        Language::English => match allowed(known.column).words.strip_prefix("allowed is ") {
            None | Some("text") => english.to_owned(),
            Some(allowed) => format!("{english} Allowed: {allowed}"),
        },
        Language::Chinese => chinese.to_owned(),
    }
}
