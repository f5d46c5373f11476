// The reach curve, the histogram of frequencies, and N+ from 1 to 80.

import * as address from '../address.js';
import { behind, card, exports } from '../cards.js';
import { h } from '../dom.js';
import { percent, t, two } from '../i18n.js';
import { change, estimate, figure, interval, legend, whereRowStands } from '../marks.js';
import { plot } from '../plots.js';
import { table } from '../tables.js';
import { calendar, dayColumn, dayMark } from './days.js';
import { known, sinceTag } from './delivery.js';

const LEVELS = [10, 20, 40, 80];

/** Ends of the interval of an entry of N+, from 0. */
export const at = (row, index) => [row.interval_low?.[index], row.interval_high?.[index]];

const part = hundredths => (hundredths ?? null) === null ? null : hundredths / 100;

/** Figures of a reach report that several cards show: each with what it may be off by. */
export const reachOf = {
  reach: row => [estimate(row, row.reach, at(row, 0)), change(row, 'reach')],
  frequency: row => estimate(row, row.average_frequency, [row.frequency_low, row.frequency_high], two),
  coverage: row => estimate(row, row.id_coverage, [row.id_coverage_low, row.id_coverage_high], percent),
  percent: row => estimate(row, part(row.reach_percent), [part(row.reach_percent_low), part(row.reach_percent_high)], percent),
  grp: row => whereRowStands(row, row.grp, two),
};

export function reachCurve({ ask, id, range }) {
  return card({
    id: 'reach-curve', title: t('reach.curve'), note: t('reach.curve_note'),
    load: () => ask('reach', { by: 'day' }),
    more: () => exports([{ campaign: id, report: 'reach', query: { ...range, by: 'day' }, label: t('reach.curve') }]),
    show: report => {
      const { rows } = report;
      if (!rows.length) return h('p', { class: 'empty' }, t('nothing.range'));
      const { full, labels, open, of, leftOut } = calendar(report);
      const key = dayColumn(open);
      const columns = [
        { ...key, show: row => [key.show(row), sinceTag(row)] },
        { id: 'reach', label: t('figure.reach'), of: row => row.reach, show: reachOf.reach, number: true },
        { id: 'cumulative', label: t('figure.cumulative_reach'), of: row => row.cumulative_reach, show: row => [estimate(row, row.cumulative_reach, [row.cumulative_low, row.cumulative_high]), change(row, 'cumulative_reach')], number: true },
        { id: 'frequency', label: t('figure.average_frequency'), of: row => row.average_frequency, show: reachOf.frequency, number: true },
        { id: 'coverage', label: t('figure.id_coverage'), of: row => row.id_coverage, show: reachOf.coverage, number: true },
      ];
      const daily = isOpen => of((row, day) => (open.has(day) === isOpen ? row.reach : null));
      const series = [{ label: t('reach.of_day'), values: daily(false), kind: 'bars', colour: 3 }];
      if (open.size) series.push({ label: `${t('reach.of_day')}, ${t('provisional')}`, values: daily(true), kind: 'bars', colour: 3, striped: true });
      series.push({ label: t('figure.cumulative_reach'), values: of(row => row.cumulative_reach), kind: 'line', colour: 1, spans: true, low: of(row => row.cumulative_low), high: of(row => row.cumulative_high) });
      return [
        plot({ key: t('day'), labels, full, series, leftOut: leftOut(row => row.reach), words: t('reach.curve_words', { from: full[0], to: full[full.length - 1] }) }),
        legend(report, rows),
        behind(table({ caption: t('reach.curve'), columns, rows, sort: 'key', mark: dayMark(open) })),
      ];
    },
  });
}

/** How many frequencies stand one by one: in the address. */
function levelsChoice(levels) {
  const select = h('select', { id: 'levels', 'aria-label': t('levels'), on: { change: () => address.change({ levels: select.value === '10' ? '' : select.value }) } },
    LEVELS.map(value => h('option', { value, selected: String(value) === levels }, t('levels.up_to', { n: value }))));
  return select;
}

export function frequencyCard({ ask, id, range, levels }) {
  return card({
    id: 'frequency', title: t('frequency'), note: t('frequency.note'),
    load: () => ask('frequency', { levels }),
    more: () => exports([{ campaign: id, report: 'frequency', query: { ...range, levels }, label: t('frequency') }]),
    show: report => {
      const { rows } = report;
      if (!rows.length) return h('p', { class: 'empty' }, t('nothing.range'));
      const isOpen = report.provisional_days.length > 0;
      const label = row => `${row.frequency}${row.or_more ? '+' : ''}`;
      const columns = [
        { id: 'frequency', label: t('frequency.n'), of: row => row.frequency, show: label },
        { id: 'devices', label: t('figure.exactly'), of: row => row.devices, show: row => [estimate(row, row.devices, [row.devices_low, row.devices_high]), change(row, 'devices')], number: true },
        { id: 'n_plus', label: t('figure.n_plus'), of: row => row.n_plus, show: row => [estimate(row, row.n_plus, [row.interval_low, row.interval_high]), change(row, 'n_plus')], number: true },
        { id: 'impressions', label: t('figure.impressions'), of: row => row.impressions, show: row => [estimate(row, row.impressions), change(row, 'impressions')], number: true },
      ];
      return [
        plot({
          key: t('frequency.n'), height: 320, labels: rows.map(label), labelPixels: 26, series: [{ label: isOpen ? `${t('figure.devices')}, ${t('provisional')}` : t('figure.devices'), values: rows.map(row => row.devices), kind: 'bars', striped: isOpen }],
          leftOut: rows.map(row => row.suppressed && row.devices === null), words: t('frequency.words', { n: label(rows[rows.length - 1]) }),
        }),
        legend(report, rows),
        behind(table({ caption: t('frequency'), columns, rows })),
      ];
    },
  });
}

export function levelsCard({ ask, id, range, levels }) {
  return card({
    id: 'levels', title: t('n_plus'), note: t('n_plus.note'), tools: levelsChoice(levels),
    load: () => ask('reach', { levels }),
    more: () => exports([{ campaign: id, report: 'reach', query: { ...range, levels }, label: t('n_plus') }]),
    show: report => {
      const row = report.rows[0];
      if (!row) return h('p', { class: 'empty' }, t('nothing.range'));
      const last = row.n_plus.length - 1;
      const rows = row.n_plus.map((count, index) => ({
        n: index + 1, count, exactly: row.exactly[index], exactlyEnds: [row.exactly_low?.[index], row.exactly_high?.[index]], isLast: index === last, ends: at(row, index), suppressed: row.suppressed, exact: row.exact,
        share: count === null || !row.reach ? null : count / row.reach, universe: count === null || !row.universe ? null : count / row.universe,
      }));
      const columns = [
        { id: 'n', label: t('frequency.n'), of: one => one.n, show: one => `${one.n}+` },
        { id: 'count', label: t('figure.n_plus'), of: one => one.count, show: one => estimate(one, one.count, one.ends), number: true },
        { id: 'share', label: t('n_plus.share'), of: one => one.share, show: one => (one.n === 1 ? figure(one, one.share, percent) : estimate(one, one.share, [], percent)), number: true },
        ...known(rows, [{ id: 'universe', label: t('figure.reach_percent'), of: one => one.universe, show: one => estimate(one, one.universe, one.ends.map(end => ((end ?? null) === null ? null : end / row.universe)), percent), number: true }]),
        { id: 'exactly', label: t('figure.exactly'), of: one => one.exactly, show: one => [estimate(one, one.exactly, one.exactlyEnds), one.isLast && one.exactly !== null && h('span', { class: 'soft', title: t('n_plus.or_more', { n: one.n }) }, ` (${one.n}+)`)], number: true },
      ];
      if (row.exact === false) columns.splice(2, 0, { id: 'interval', label: t('interval'), of: one => one.ends[0], show: one => interval(...one.ends), number: true });
      return [table({ caption: t('n_plus'), columns, rows }), legend(report, [{ ...row, adjustment: null }]), row.exact && h('p', { class: 'legend' }, t(report.privacy ? 'mark.counted_rounded' : 'mark.counted'))];
    },
  });
}
