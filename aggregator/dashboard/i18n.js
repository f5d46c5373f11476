// Words, numbers and days in the language of who reads. Each key has its English and its Chinese in one line of `words/`.

import * as store from './store.js';
import figures from './words/figures.js';
import names from './words/names.js';
import pages from './words/pages.js';
import report from './words/report.js';
import wrong from './words/wrong.js';

/** Of each key: the words in each language, in this order. */
const WORDS = { ...pages, ...figures, ...names, ...report, ...wrong };
const LANGUAGES = ['en', 'zh'];
let language = 'en';
let forms = {};
let zone;

/** Takes the language that was chosen, or else that of the browser. */
export function begin() {
  const chosen = store.choice('language');
  set(LANGUAGES.includes(chosen) ? chosen : /^zh\b/i.test(navigator.language) ? 'zh' : 'en');
}

/** Changes it. */
export function set(name) {
  language = name;
  const tag = name === 'zh' ? 'zh-CN' : 'en-GB';
  document.documentElement.lang = tag;
  const number = options => new Intl.NumberFormat(tag, options);
  forms = {
    whole: number({ maximumFractionDigits: 0 }),
    short: number({ notation: 'compact', maximumFractionDigits: 1 }),
    two: number({ minimumFractionDigits: 2, maximumFractionDigits: 2 }),
    one: number({ minimumFractionDigits: 1, maximumFractionDigits: 1 }),
    percent: number({ style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 }),
    fine: number({ style: 'percent', minimumFractionDigits: 2, maximumFractionDigits: 2 }),
    names: new Intl.Collator(tag, { numeric: true }),
    regions: new Intl.DisplayNames(tag, { type: 'region' }),
  };
}

export const now = () => language;

/** All words, for the test that holds them. */
export const words = WORDS;

/** The words of a key, with `{name}` replaced. A key that nobody wrote shows itself. */
export function t(key, values) {
  const text = WORDS[key]?.[LANGUAGES.indexOf(language)] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole)) : text;
}

/** Whether there are words for a key. */
export const has = key => key in WORDS;

/** The words for what the API names `name`; what is new to this page as it is named. */
export const named = (group, name) => (has(`${group}.${name}`) ? t(`${group}.${name}`) : String(name));

const with_ = form => value => (value === null || value === undefined || Number.isNaN(value) ? '–' : forms[form].format(value));
export const whole = with_('whole');
export const short = with_('short');
export const two = with_('two');
export const one = with_('one');
export const percent = with_('percent');
export const fine = with_('fine');

/** By which clock moments are told: a campaign's time zone, or else that of the reader. */
export const inZone = name => { zone = name; };
export const clockZone = () => zone || Intl.DateTimeFormat().resolvedOptions().timeZone;

// Swedish writes days and times as they are written everywhere here.
const told = (at, options) => new Intl.DateTimeFormat('sv-SE', { timeZone: zone, ...options }).format(at);

/** A moment: `2026-11-22 19:57`. */
export const moment = text => (text ? told(new Date(text), { dateStyle: 'short', timeStyle: 'short' }) : '–');

/** A moment of today, to the second. */
export const clock = at => told(at, { timeStyle: 'medium' });

/** The day that it is there, or in another time zone. */
export const today = (timeZone = zone) => told(new Date(), { timeZone, dateStyle: 'short' });
/** What a country is called, by its code of two letters. */
export const regionName = code => forms.regions.of(code);
export const byName = (a, b) => forms.names.compare(a, b);

/** `2026-11-05` as a plot's axis says it. */
export const dayShort = day => (day && day.length === 10 ? day.slice(5) : day);

/** Several days as one or a few ranges: `11-03 – 11-05, 11-09`. */
export function days(list) {
  const runs = [];
  for (const day of list) {
    const run = runs[runs.length - 1];
    if (run && Date.parse(day) - Date.parse(run[1]) === 86400000) run[1] = day;
    else runs.push([day, day]);
  }
  return runs.map(([a, b]) => (a === b ? a : `${a} – ${b}`)).join(language === 'zh' ? '、' : ', ');
}
