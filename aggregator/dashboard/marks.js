// What figures are: provisional, closed, sampled, rounded, left out. Each has one mark and one word, everywhere the same.

import { h, heard, icon } from './dom.js';
import { days, fine, moment, percent, t, two, whole } from './i18n.js';

/** In place of a figure that is left out. */
export const leftOut = () => h('span', { class: 'left-out', title: t('mark.left_out') }, heard(t('mark.left_out')));

/** A figure of a row: its text, or the mark where the row says that something is left out. */
export function figure(row, value, form = whole) {
  if (value === null || value === undefined) return row && row.suppressed ? leftOut() : '–';
  return form(value);
}

/** A difference, with its sign. */
export const signed = value => (value === null || value === undefined ? '–' : value === 0 ? '0' : `${value > 0 ? '+' : '−'}${whole(Math.abs(value))}`);

/** The two ends of an interval, where it is one. */
export const interval = (low, high, form = whole) => (low === null || low === undefined || high === null || high === undefined || low === high ? '–' : `${form(low)} – ${form(high)}`);

/** A count with the half width of its 95 % interval, where it is an estimate. */
export function estimate(row, value, error, form = whole) {
  if (value === null || value === undefined || !error) return figure(row, value, form);
  return [form(value), h('span', { class: 'error', title: t('mark.interval') }, ` ± ${form(1.96 * error)}`)];
}

const chip = (kind, picture, text, title) => h('li', { class: `chip ${kind}`, title }, picture && icon(picture), h('span', {}, text));

/** How the figures of a report stand, as a list of marks. */
export function standing(report) {
  const marks = [];
  if (report.closed) {
    const words = { version: report.closed.version, at: moment(report.closed.closed_at) };
    marks.push(chip('closed', 'lock', t('mark.closed', words), report.closed.note || undefined));
  }
  if (report.settled_until) marks.push(chip('settled', 'done', t('mark.settled_until', { day: report.settled_until })));
  const open = report.provisional_days || [];
  if (open.length) marks.push(chip('provisional', 'clock', t('mark.provisional', { days: days(open) }), t('mark.provisional_why')));
  if (!report.settled_until && !open.length && report.from) marks.push(chip('provisional', 'clock', t('mark.nothing_settled')));
  if (report.sample) marks.push(chip('sampled', null, t('mark.sampled', { share: percent(report.sample) }), t('mark.interval')));
  if (report.privacy) {
    marks.push(chip('rounded', null, t('mark.rounded', { step: report.privacy.device_step })));
    marks.push(chip('rounded', 'eye', t('mark.limits', { k: report.privacy.k })));
  }
  return marks;
}

/** Below a table: what its marks mean, where it has such marks. */
export function legend(report, rows) {
  const lines = [];
  if (rows.some(row => row.suppressed)) lines.push(h('p', { class: 'legend' }, leftOut(), ' ', t('mark.left_out_why', { k: report.privacy ? report.privacy.k : 50 })));
  const open = new Set(report.provisional_days || []);
  if (report.by === 'day' && rows.some(row => open.has(row.key))) lines.push(h('p', { class: 'legend' }, h('span', { class: 'swatch striped' }), ' ', t('mark.provisional_why')));
  if (report.key_changes && report.key_changes.length) lines.push(h('p', { class: 'legend' }, t('mark.key_changes')));
  if (report.region_libraries) {
    const names = report.region_libraries.map(one => `${one.name} (${one.built}, ${one.version})`).join(', ');
    lines.push(h('p', { class: 'legend' }, names ? t('mark.regions', { names }) : t('mark.no_regions')));
  }
  return lines;
}

/** Figures by which they were made, for the foot of a page. */
export const versions = report => t('mark.versions', { program: report.versions.program, catalog: report.versions.catalog ?? '–', rules: report.versions.rules });

export const rates = { percent, fine, two, whole };
