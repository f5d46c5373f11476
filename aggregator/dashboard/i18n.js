// Words, numbers and days in the language of who reads. Each key has its English and its Chinese in one line of `words/`.

import * as store from './store.js';
import figures from './words/figures.js';
import names from './words/names.js';
import pages from './words/pages.js';

/** Of each key: the words in each language, in this order. */
const WORDS = { ...pages, ...figures, ...names };
const LANGUAGES = ['en', 'zh'];
let language = 'en';
let forms = {};

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
    clock: new Intl.DateTimeFormat(tag, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }),
    names: new Intl.Collator(tag, { numeric: true }),
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

/** A moment on the reader's clock, written as days are everywhere here: `2026-11-22 19:57`. */
export function moment(text) {
  if (!text) return '–';
  const at = new Date(text);
  const two_ = number => String(number).padStart(2, '0');
  return `${at.getFullYear()}-${two_(at.getMonth() + 1)}-${two_(at.getDate())} ${two_(at.getHours())}:${two_(at.getMinutes())}`;
}

export const clock = at => forms.clock.format(at);
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
