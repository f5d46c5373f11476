// The days of a range, one after the other, whether anything came on them or not.

import { h } from '../dom.js';
import { dayShort, t } from '../i18n.js';

const DAY_MS = 86400000;
const DAYS_MAX = 1000; // that are filled in; a longer range shows the days that there are

/** A number of days later. */
export const shift = (day, days) => new Date(Date.parse(day) + days * DAY_MS).toISOString().slice(0, 10);

/** How many days a range has. */
export const between = (from, to) => Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS) + 1;

/** All days of a report by day: `labels` and `full` for a plot, `of(value)` a figure of each, `open` those that may still change. */
export function calendar(report) {
  const rows = new Map(report.rows.map(row => [row.key, row]));
  const length = report.from && report.to ? between(report.from, report.to) : 0;
  const full = length > 0 && length <= DAYS_MAX ? Array.from({ length }, (_, at) => shift(report.from, at)) : [...rows.keys()];
  const open = new Set(report.provisional_days);
  return {
    full, open, labels: full.map(dayShort),
    of: value => full.map(day => (rows.has(day) ? value(rows.get(day), day) : null)),
    leftOut: value => full.map(day => Boolean(rows.get(day)?.suppressed) && value(rows.get(day)) === null),
  };
}

/** The column of the days, with the mark of those that may still change. */
export const dayColumn = open => ({
  id: 'key', label: t('day'), of: row => row.key,
  show: row => [row.key, open.has(row.key) && h('span', { class: 'tag provisional' }, t('provisional'))],
});

/** The class of their rows. */
export const dayMark = open => row => (open.has(row.key) ? 'provisional' : null);

/** From when on every day of the range may still change; null where such days lie between settled ones, or there are none. */
export function openFrom({ provisional_days: open, to }) {
  if (!open || !open.length || !to) return null;
  return between(open[0], to) === open.length ? open[0] : null;
}
