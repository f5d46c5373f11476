// The reach curve, the histogram of frequencies, and N+ from 1 to 80.

import * as address from '../address.js';
import { behind, card, exports } from '../cards.js';
import { h } from '../dom.js';
import { dayShort, percent, t, two } from '../i18n.js';
import { estimate, figure, interval, legend } from '../marks.js';
import { plot } from '../plots.js';
import { table } from '../tables.js';

const LEVELS = [10, 20, 40, 80];

const shareOf = row => (row.reach_percent === null || row.reach_percent === undefined ? null : row.reach_percent);

export function reachCurve({ ask, id, range }) {
  return card({
    id: 'reach-curve', title: t('reach.curve'), note: t('reach.curve_note'),
    load: () => ask('reach', { by: 'day' }),
    more: () => exports([{ campaign: id, report: 'reach', query: { ...range, by: 'day' }, label: t('reach.curve') }]),
    show: report => {
      const { rows } = report;
      if (!rows.length) return h('p', { class: 'empty' }, t('nothing.range'));
      const open = new Set(report.provisional_days);
      const days = rows.map(row => row.key);
      const key = { id: 'key', label: t('day'), of: row => row.key, show: row => [row.key, open.has(row.key) && h('span', { class: 'tag provisional' }, t('provisional'))] };
      const columns = [
        key,
        { id: 'reach', label: t('figure.reach'), of: row => row.reach, show: row => estimate(row, row.reach, row.standard_error && row.standard_error[0]), number: true },
        { id: 'cumulative', label: t('figure.cumulative_reach'), of: row => row.cumulative_reach, show: row => figure(row, row.cumulative_reach), number: true },
        { id: 'frequency', label: t('figure.average_frequency'), of: row => row.average_frequency, show: row => figure(row, row.average_frequency, two), number: true },
        { id: 'coverage', label: t('figure.id_coverage'), of: row => row.id_coverage, show: row => figure(row, row.id_coverage, percent), number: true },
      ];
      const daily = isOpen => rows.map(row => (open.has(row.key) === isOpen ? row.reach : null));
      const series = [{ label: t('reach.of_day'), values: daily(false), kind: 'bars', colour: 3 }];
      if (open.size) series.push({ label: `${t('reach.of_day')}, ${t('provisional')}`, values: daily(true), kind: 'bars', colour: 3, striped: true });
      series.push({ label: t('figure.cumulative_reach'), values: rows.map(row => row.cumulative_reach), kind: 'line', colour: 1, spans: true, low: rows.map(row => row.cumulative_low), high: rows.map(row => row.cumulative_high) });
      return [
        plot({ key: t('day'), labels: days.map(dayShort), full: days, series, words: t('reach.curve_words', { from: days[0], to: days[days.length - 1] }) }),
        legend(report, rows),
        behind(table({ caption: t('reach.curve'), columns, rows, sort: 'key', mark: row => (open.has(row.key) ? 'provisional' : null) })),
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
      const label = row => `${row.frequency}${row.or_more ? '+' : ''}`;
      const columns = [
        { id: 'frequency', label: t('frequency.n'), of: row => row.frequency, show: label },
        { id: 'devices', label: t('figure.exactly'), of: row => row.devices, show: row => figure(row, row.devices), number: true },
        { id: 'impressions', label: t('figure.impressions'), of: row => row.impressions, show: row => figure(row, row.impressions), number: true },
      ];
      return [
        plot({ key: t('frequency.n'), height: 320, labels: rows.map(label), labelPixels: 26, series: [{ label: t('figure.devices'), values: rows.map(row => row.devices), kind: 'bars' }], words: t('frequency.words', { n: label(rows[rows.length - 1]) }) }),
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
      const rows = row.n_plus.map((count, at) => ({
        n: at + 1, count, exactly: row.exactly[at], error: row.standard_error && row.standard_error[at], isLast: at === row.n_plus.length - 1, suppressed: row.suppressed,
        low: row.interval_low && row.interval_low[at], high: row.interval_high && row.interval_high[at],
        share: count === null || !row.reach ? null : count / row.reach, universe: count === null || !row.universe ? null : count / row.universe,
      }));
      const columns = [
        { id: 'n', label: t('frequency.n'), of: one => one.n, show: one => `${one.n}+` },
        { id: 'count', label: t('figure.n_plus'), of: one => one.count, show: one => estimate(one, one.count, one.error), number: true },
        { id: 'share', label: t('n_plus.share'), of: one => one.share, show: one => figure(one, one.share, percent), number: true },
        { id: 'exactly', label: t('figure.exactly'), of: one => one.exactly, show: one => [figure(one, one.exactly), one.isLast && one.exactly !== null && h('span', { class: 'soft' }, ` ${t('n_plus.or_more')}`)], number: true },
      ];
      if (row.exact === false) columns.splice(2, 0, { id: 'interval', label: t('interval'), of: one => one.low, show: one => interval(one.low, one.high), number: true });
      if (shareOf(row) !== null) columns.splice(columns.length - 1, 0, { id: 'universe', label: t('figure.reach_percent'), of: one => one.universe, show: one => figure(one, one.universe, percent), number: true });
      return [table({ caption: t('n_plus'), columns, rows }), legend(report, [row]), row.exact === false && h('p', { class: 'legend' }, t('mark.interval')), row.exact && h('p', { class: 'legend' }, t(report.privacy ? 'mark.counted_rounded' : 'mark.counted'))];
    },
  });
}
