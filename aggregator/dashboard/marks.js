// What figures are: provisional, closed, sampled, rounded, left out. Each has one mark and one word, everywhere the same.

import { h, heard, icon } from './dom.js';
import { days, moment, percent, t, whole } from './i18n.js';

/** In place of a figure that is left out. */
export const leftOut = () => h('span', { class: 'left-out', title: t('mark.left_out') }, heard(t('mark.left_out')));

const isAbsent = value => value === null || value === undefined;

/** A figure of a row that may be left out by itself: its text, or the mark where the row says that something is left out. */
export function figure(row, value, form = whole) {
  if (isAbsent(value)) return row && row.suppressed ? leftOut() : '–';
  return form(value);
}

/** A figure that is left out with its whole row only: where the row stands, there is none. */
export const whereRowStands = (row, value, form = whole) => figure(row && isAbsent(row.impressions) ? row : null, value, form);

/** A difference, with its sign. */
export const signed = value => (isAbsent(value) ? '–' : value === 0 ? '0' : `${value > 0 ? '+' : '−'}${whole(Math.abs(value))}`);

/** The two ends of an interval, where it is one. */
export const interval = (low, high, form = whole) => (isAbsent(low) || isAbsent(high) || low === high ? '–' : `${form(low)} – ${form(high)}`);

/**
 * A figure of devices. Of an estimate with half of its 95 % interval (`[low, high]`), or, where no interval is stated, with the sign that it is one.
 */
export function estimate(row, value, [low, high] = [], form = whole) {
  if (isAbsent(value) || !row || row.exact !== false) return figure(row, value, form);
  if (isAbsent(low) || isAbsent(high) || low === high) return h('span', { title: t('mark.about') }, '≈ ', form(value));
  return [form(value), h('span', { class: 'error', title: t('mark.interval_of', { low: form(low), high: form(high) }) }, ` ± ${form((high - low) / 2)}`)];
}

/** What became of a figure since its period was closed, to stand beside it. */
export function change(row, name) {
  const value = row && row.adjustment ? row.adjustment[name] : null;
  return value ? h('span', { class: 'change', title: t('closed.change') }, heard(`${t('figure.adjustment')}: `), signed(value)) : null;
}

/** Whether a row came after its period was closed: it has no closed figures. */
export const cameSince = row => Boolean(row && row.adjustment && isAbsent(row.impressions) && !row.suppressed);

/** Says of a row that its placement is not in the catalog. */
export const unregistered = row => row && row.unresolved > 0 && h('span', { class: 'tag bad' }, t('breakdown.unresolved', { hits: whole(row.unresolved) }));

const chip = (kind, picture, text, title) => h('li', { class: `chip ${kind}`, title }, picture && icon(picture), h('span', {}, text));

/** How the figures of a report stand, as a list of marks. */
export function standing(report) {
  const marks = [];
  if (report.closed) {
    const words = { version: report.closed.version, at: moment(report.closed.closed_at) };
    marks.push(chip('closed', 'lock', t('mark.closed', words), report.closed.note || undefined));
  }
  if (report.closed === null) marks.push(chip('provisional', 'lock', t('mark.not_of_closing')));
  if (report.settled_until) marks.push(chip('settled', 'done', t('mark.settled_until', { day: report.settled_until })));
  const open = report.provisional_days || [];
  if (open.length) marks.push(chip('provisional', 'clock', t('mark.provisional', { days: days(open) }), t('mark.provisional_why')));
  if (!report.settled_until && !open.length && report.from) marks.push(chip('provisional', 'clock', t('mark.nothing_settled')));
  if (report.privacy) {
    marks.push(chip('rounded', null, t('mark.rounded', { step: whole(report.privacy.device_step) })));
    marks.push(chip('rounded', 'eye', t('mark.limits', { k: whole(report.privacy.k) })));
  }
  return marks;
}

/** The mark of a report that counted a sample of the devices. */
export const sampled = report => (report.sample ? chip('sampled', null, t('mark.sampled', { share: percent(report.sample) }), t('mark.interval')) : null);

/** Below a table or a plot: what its marks mean, where it has such marks. */
export function legend(report, rows) {
  const lines = [];
  const line = (...words) => lines.push(h('p', { class: 'legend' }, words));
  if (report.closed === null) line(icon('lock'), ' ', t('mark.not_of_closing_why'));
  if (rows.some(row => row.suppressed)) line(leftOut(), ' ', t('mark.left_out_why', { k: whole(report.privacy ? report.privacy.k : 50) }));
  const open = new Set(report.provisional_days || []);
  if (report.by === 'day' && rows.some(row => open.has(row.key))) line(h('span', { class: 'swatch striped' }), ' ', t('mark.provisional_why'));
  // By hour, each bar says how much of it is.
  if (open.size && !['day', 'hour'].includes(report.by)) {
    const isPlot = report.report === 'frequency';
    line(h('span', { class: isPlot ? 'swatch striped' : 'tag provisional' }, !isPlot && t('provisional')), ' ', t('mark.provisional_part', { days: days([...open]) }));
  }
  if (rows.some(row => row.exact === false)) line(report.sample ? t('mark.sampled_words', { share: percent(report.sample) }) : '', t('mark.interval'), t('mark.about_too'));
  if (rows.some(row => row.adjustment && Object.values(row.adjustment).some(Boolean))) line(h('span', { class: 'change inline' }, '+n'), ' ', t('closed.change'));
  if (report.key_changes && report.key_changes.length) line(t('mark.key_changes'));
  if (report.region_libraries) {
    const names = report.region_libraries.map(one => `${one.name} (${one.built}, ${one.version})`).join(', ');
    line(names ? t('mark.regions', { names }) : t('mark.no_regions'));
  }
  return lines;
}

/** Figures by which they were made, for the foot of a page. */
export const versions = ({ versions: by }) => t(by.catalog ? 'mark.versions' : 'mark.versions_shaped', by);
