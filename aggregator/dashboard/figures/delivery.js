// Delivery by day and by hour, and what was removed from gross.

import { behind, card, exports } from '../cards.js';
import { h } from '../dom.js';
import { fine, percent, t } from '../i18n.js';
import { cameSince, change, figure, legend, whereRowStands } from '../marks.js';
import { plot } from '../plots.js';
import { table } from '../tables.js';
import { calendar, dayColumn, dayMark, openFrom } from './days.js';

const REASONS = ['duplicate', 'robot', 'non_browser', 'data_center', 'double_click'];

/** Columns that are there only where some row has such a figure. */
export const known = (rows, list) => list.filter(column => rows.some(row => column.of(row) !== null && column.of(row) !== undefined));

/** A row that its closing does not have says so. */
export const sinceTag = row => cameSince(row) && h('span', { class: 'tag' }, t('closed.came_since'));

const count = (id, of = row => row[id]) => ({ id, label: t(`figure.${id}`), of, show: row => [figure(row, of(row)), change(row, id)], number: true });
const rate = (id, of = row => row[id], form = percent) => ({ id, label: t(`figure.${id}`), of, show: row => whereRowStands(row, of(row), form), number: true });

/** Columns of a delivery report by something whose label stands in front. */
function columns(first) {
  return [
    { ...first, show: row => [first.show(row), sinceTag(row)] }, count('impressions'), count('gross_impressions'),
    rate('removed_share', row => (row.gross_impressions ? (row.gross_impressions - row.net_impressions) / row.gross_impressions : null), fine),
    count('clicks'), rate('click_rate', row => (row.impressions ? row.clicks / row.impressions : null), fine),
    { ...rate('id_coverage'), show: row => figure(row, row.id_coverage, percent) }, rate('measured_rate'), rate('viewable_rate'),
  ];
}

/** Ours that the medium's number is held against: less than the row's where it said nothing of some placement or day. `of(row)` is the delivery row. */
const ours = of => row => { const one = of(row); return one && one.reported_impressions !== null && one.reported_impressions !== undefined; };

/** Plan, the medium's own number, what of ours it is compared with, and the gap. `part(row)` is the delivery row. */
export function planColumns(part = row => row) {
  const value = name => row => part(row)?.[name] ?? null;
  const plain = (id, form) => ({ id, label: t(`figure.${id}`), of: value(id), show: row => whereRowStands(part(row), value(id)(row), form), number: true });
  const hasSaid = ours(part);
  const compared = (id, form) => ({ id, label: t(`figure.${id}`), hint: t(`hint.${id}`), of: value(id), show: row => (hasSaid(row) ? figure(part(row), value(id)(row), form) : '–'), number: true });
  return [plain('planned'), plain('fulfilment', percent), plain('reported_impressions'), compared('compared_impressions'), compared('gap', percent)];
}

export function deliveryByDay({ ask, id, range }) {
  return card({
    id: 'delivery-day', title: t('delivery.day'), wide: true, lines: 8,
    load: () => ask('delivery', { by: 'day' }),
    more: () => exports([{ campaign: id, report: 'delivery', query: { ...range, by: 'day' }, label: t('delivery.day') }]),
    show: report => {
      const { rows } = report;
      if (!rows.length) return h('p', { class: 'empty' }, t('nothing.range'));
      const { full, labels, open, of, leftOut } = calendar(report);
      const part = isOpen => of((row, day) => (open.has(day) === isOpen ? row.impressions : null));
      const series = [{ label: t('settled'), values: part(false), kind: 'bars' }];
      if (open.size) series.push({ label: t('provisional'), values: part(true), kind: 'bars', striped: true });
      if (rows.some(row => row.planned)) series.push({ label: t('figure.planned'), values: of(row => row.planned ?? null), kind: 'line', colour: 2, dashed: true });
      const all = columns(dayColumn(open));
      all.splice(2, 0, ...known(rows, planColumns()));
      return [
        plot({ key: t('day'), labels, full, series, leftOut: leftOut(row => row.impressions), height: 250, words: t('delivery.day_words', { days: full.length, from: full[0], to: full[full.length - 1] }) }),
        legend(report, rows),
        behind(table({ caption: t('delivery.day'), columns: all, rows, sort: 'key', mark: dayMark(open) }), rows.length <= 3),
      ];
    },
  });
}

const HOURS = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, '0'));

/** By hour, and what of it is of days that may still change, where these are the last ones of the range. */
async function byHour(ask) {
  const report = await ask('delivery', { by: 'hour' });
  const from = openFrom(report);
  if (!from || from <= report.from) return { report, open: from ? report : null };
  return { report, open: await ask('delivery', { by: 'hour', from, to: report.to }) };
}

export function deliveryByHour({ ask, id, range }) {
  return card({
    id: 'delivery-hour', title: t('delivery.hour'), note: t('delivery.hour_note'),
    load: () => byHour(ask),
    more: () => exports([{ campaign: id, report: 'delivery', query: { ...range, by: 'hour' }, label: t('delivery.hour') }]),
    show: ({ report, open }) => {
      const { rows } = report;
      if (!rows.length) return h('p', { class: 'empty' }, t('nothing.range'));
      const by = all => new Map(all.map(row => [Number(row.key), row]));
      const [of, later] = [by(rows), by(open ? open.rows : [])];
      const at = (map, hour) => map.get(hour)?.impressions ?? 0;
      const all = HOURS.map((_, hour) => at(of, hour));
      const unsure = HOURS.map((_, hour) => at(later, hour));
      const sure = all.map((value, hour) => Math.max(0, value - unsure[hour]));
      // The striped bars stand behind the full ones, so that they look out above them.
      const series = open
        ? [{ label: t('provisional'), values: all, said: unsure, kind: 'bars', striped: true }, { label: t('settled'), values: sure, kind: 'bars' }]
        : [{ label: t('figure.impressions'), values: all, kind: 'bars' }];
      const leftOut = HOURS.map((_, hour) => Boolean(of.get(hour)?.suppressed) && of.get(hour).impressions === null);
      const key = { id: 'key', label: t('hour'), of: row => row.key, show: row => String(row.key).padStart(2, '0') };
      return [
        plot({ key: t('hour'), labels: HOURS, full: HOURS.map(hour => `${hour}:00 – ${hour}:59`), labelPixels: 30, series, leftOut, words: t('delivery.hour_words') }),
        legend(report, rows),
        report.provisional_days.length > 0 && h('p', { class: 'legend' }, open && h('span', { class: 'swatch striped' }), open && ' ', t('delivery.hour_open')),
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
      if (!row || row.gross_impressions === null) return h('p', { class: 'empty' }, row && row.suppressed ? legend(report, [row]) : t('nothing.range'));
      const line = (label, [impressions, clicks], [ofImpressions, ofClicks], kind) => h('tr', { class: kind },
        h('th', { scope: 'row' }, label), h('td', { class: 'number' }, figure(row, impressions), change(row, ofImpressions)), h('td', { class: 'number' }, row.gross_impressions ? fine(impressions / row.gross_impressions) : '–'),
        h('td', { class: 'number' }, figure(row, clicks), change(row, ofClicks)));
      const head = text => h('th', { scope: 'col', class: 'number' }, text);
      return [h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': t('removed') }, h('table', { class: 'sum' },
        h('caption', { class: 'heard' }, t('removed')),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('removed.reason')), head(t('figure.impressions')), head(t('removed.share')), head(t('figure.clicks')))),
        h('tbody', {},
          line(t('filter.gross'), [row.gross_impressions, row.gross_clicks], ['gross_impressions', 'gross_clicks'], 'strong'),
          REASONS.map(name => line(['− ', t(`removed.${name}`)], [row.removed_impressions[name], row.removed_clicks[name]], [`removed_impressions_${name}`, `removed_clicks_${name}`])),
          line(['= ', t('filter.net')], [row.net_impressions, row.net_clicks], ['net_impressions', 'net_clicks'], 'strong')))),
      legend(report, [row]),
      h('dl', { class: 'facts' },
        [['macros_unreplaced', row.macros_unreplaced], ['bad_id_impressions', row.bad_id_impressions], ['conflicts', row.conflicts]].map(([name, value]) => [h('dt', {}, t(`figure.${name}`)), h('dd', {}, figure(row, value))]))];
    },
  });
}
