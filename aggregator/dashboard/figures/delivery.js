// Delivery by day and by hour, and what was removed from gross.

import { behind, card, exports } from '../cards.js';
import { h } from '../dom.js';
import { dayShort, fine, percent, t, whole } from '../i18n.js';
import { figure, legend, signed } from '../marks.js';
import { plot } from '../plots.js';
import { table } from '../tables.js';

const REASONS = ['duplicate', 'robot', 'non_browser', 'data_center', 'double_click'];

const share = (part, of) => (of ? part / of : null);

/** Columns of a delivery report by something whose label stands in front. */
export function columns(first) {
  const count = (id, of = row => row[id]) => ({ id, label: t(`figure.${id}`), of, show: row => figure(row, of(row)), number: true });
  const rate = (id, of = row => row[id], form = percent) => ({ id, label: t(`figure.${id}`), of, show: row => figure(row, of(row), form), number: true });
  return [
    first, count('impressions'), count('gross_impressions'),
    rate('removed_share', row => (row.gross_impressions ? share(row.gross_impressions - row.net_impressions, row.gross_impressions) : null), fine),
    count('clicks'), rate('click_rate', row => share(row.clicks, row.impressions), fine), rate('id_coverage'), rate('measured_rate'), rate('viewable_rate'),
  ];
}

/** Columns that are there only where some row has such a figure. */
export const known = (rows, list) => list.filter(column => rows.some(row => column.of(row) !== null && column.of(row) !== undefined));

const planColumns = () => [
  { id: 'adjustment', label: t('figure.adjustment'), of: row => row.adjustment && row.adjustment.impressions, show: row => signed(row.adjustment && row.adjustment.impressions), number: true },
  { id: 'planned', label: t('figure.planned'), of: row => row.planned, show: row => figure(row, row.planned), number: true },
  { id: 'fulfilment', label: t('figure.fulfilment'), of: row => row.fulfilment, show: row => figure(row, row.fulfilment, percent), number: true },
  { id: 'reported_impressions', label: t('figure.reported_impressions'), of: row => row.reported_impressions, show: row => figure(row, row.reported_impressions), number: true },
  { id: 'gap', label: t('figure.gap'), of: row => row.gap, show: row => figure(row, row.gap, percent), number: true },
];

export { planColumns };

export function deliveryByDay({ ask, id, range }) {
  return card({
    id: 'delivery-day', title: t('delivery.day'), wide: true, lines: 8,
    load: () => ask('delivery', { by: 'day' }),
    more: () => exports([{ campaign: id, report: 'delivery', query: { ...range, by: 'day' }, label: t('delivery.day') }]),
    show: report => {
      const { rows } = report;
      if (!rows.length) return h('p', { class: 'empty' }, t('nothing.range'));
      const open = new Set(report.provisional_days);
      const part = isOpen => rows.map(row => (open.has(row.key) === isOpen ? row.impressions : null));
      const hasPlan = rows.some(row => row.planned);
      const series = [{ label: t('settled'), values: part(false), kind: 'bars' }];
      if (open.size) series.push({ label: t('provisional'), values: part(true), kind: 'bars', striped: true });
      if (hasPlan) series.push({ label: t('figure.planned'), values: rows.map(row => row.planned ?? null), kind: 'line', colour: 2, dashed: true });
      const days = rows.map(row => row.key);
      const key = { id: 'key', label: t('day'), of: row => row.key, show: row => [row.key, open.has(row.key) && h('span', { class: 'tag provisional' }, t('provisional'))] };
      const all = columns(key);
      all.splice(2, 0, ...known(rows, planColumns()));
      return [
        plot({ key: t('day'), labels: days.map(dayShort), full: days, series, height: 250, words: t('delivery.day_words', { days: rows.length, from: days[0], to: days[days.length - 1] }) }),
        legend(report, rows),
        behind(table({ caption: t('delivery.day'), columns: all, rows, sort: 'key', mark: row => (open.has(row.key) ? 'provisional' : null) }), rows.length <= 3),
      ];
    },
  });
}

export function deliveryByHour({ ask, id, range }) {
  return card({
    id: 'delivery-hour', title: t('delivery.hour'), note: t('delivery.hour_note'),
    load: () => ask('delivery', { by: 'hour' }),
    more: () => exports([{ campaign: id, report: 'delivery', query: { ...range, by: 'hour' }, label: t('delivery.hour') }]),
    show: report => {
      const { rows } = report;
      if (!rows.length) return h('p', { class: 'empty' }, t('nothing.range'));
      const of = new Map(rows.map(row => [Number(row.key), row]));
      const hours = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, '0'));
      const values = hours.map((_, hour) => { const row = of.get(hour); return row ? row.impressions : 0; });
      const key = { id: 'key', label: t('hour'), of: row => row.key, show: row => String(row.key).padStart(2, '0') };
      return [
        plot({ key: t('hour'), labels: hours, full: hours.map(hour => `${hour}:00 – ${hour}:59`), labelPixels: 30, series: [{ label: t('figure.impressions'), values, kind: 'bars' }], words: t('delivery.hour_words') }),
        legend(report, rows),
        behind(table({ caption: t('delivery.hour'), columns: columns(key), rows, sort: 'key' })),
      ];
    },
  });
}

/** Gross, each reason, net: the sum stands below. */
export function removedCard({ ask, id, range }) {
  return card({
    id: 'removed', title: t('removed'), note: t('removed.note'),
    load: () => ask('delivery'),
    more: () => exports([{ campaign: id, report: 'delivery', query: range, label: t('removed') }]),
    show: report => {
      const row = report.rows[0];
      if (!row || row.gross_impressions === null) return h('p', { class: 'empty' }, t('nothing.range'));
      const line = (label, impressions, clicks, kind) => h('tr', { class: kind },
        h('th', { scope: 'row' }, label), h('td', { class: 'number' }, figure(row, impressions)), h('td', { class: 'number' }, row.gross_impressions ? fine(impressions / row.gross_impressions) : '–'),
        h('td', { class: 'number' }, figure(row, clicks)));
      const head = text => h('th', { scope: 'col', class: 'number' }, text);
      return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': t('removed') }, h('table', { class: 'sum' },
        h('caption', { class: 'heard' }, t('removed')),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('removed.reason')), head(t('figure.impressions')), head(t('removed.share')), head(t('figure.clicks')))),
        h('tbody', {},
          line(t('filter.gross'), row.gross_impressions, row.gross_clicks, 'strong'),
          REASONS.map(name => line(['− ', t(`removed.${name}`)], row.removed_impressions[name], row.removed_clicks[name])),
          line(['= ', t('filter.net')], row.net_impressions, row.net_clicks, 'strong'))),
      h('dl', { class: 'facts' },
        [['macros_unreplaced', row.macros_unreplaced], ['bad_id_impressions', row.bad_id_impressions], ['conflicts', row.conflicts]].map(([name, value]) => [h('dt', {}, t(`figure.${name}`)), h('dd', {}, value === null ? '–' : whole(value))])));
    },
  });
}
