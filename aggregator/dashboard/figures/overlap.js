// Which devices media share: each medium's reach and what only it reached, each pair's shared devices, and what each adds when media are stacked.

import { behind, card, exports } from '../cards.js';
import { h } from '../dom.js';
import { percent, t, whole } from '../i18n.js';
import { estimate, figure, leftOut, legend } from '../marks.js';
import { plot } from '../plots.js';
import { table } from '../tables.js';

const SHADES = 5;

export function overlap({ maybe, id, range }) {
  return card({
    id: 'overlap', title: t('overlap'), note: t('overlap.note'), wide: true,
    load: () => maybe('overlap', { by: 'medium' }),
    more: data => data && exports([{ campaign: id, report: 'overlap', query: { ...range, by: 'medium' }, label: t('overlap') }]),
    show: report => {
      const members = report.rows.filter(row => row.kind === 'member');
      if (!members.length) return h('p', { class: 'empty' }, t('nothing.range'));
      const all = report.rows.find(row => row.kind === 'all');
      return [
        h('div', { class: 'halves' },
          h('div', {}, h('h3', {}, t('overlap.stack')), stack(members, all)),
          h('div', {}, h('h3', {}, t('overlap.pairs')), matrix(members, report.rows.filter(row => row.kind === 'pair')))),
        legend(report, report.rows),
      ];
    },
  });
}

/** Media in the order in which they add most. */
function stack(members, all) {
  const order = [...members].sort((a, b) => (a.stack_position ?? 99) - (b.stack_position ?? 99));
  const before = order.map(row => (row.stacked_reach === null || row.incremental_reach === null ? null : row.stacked_reach));
  const columns = [
    { id: 'at', label: '#', of: row => row.stack_position },
    { id: 'medium', label: t('by.medium'), of: row => row.key },
    { id: 'reach', label: t('figure.reach'), of: row => row.reach, show: row => estimate(row, row.reach, row.standard_error), number: true },
    { id: 'unique', label: t('overlap.unique'), of: row => row.unique, show: row => figure(row, row.unique), number: true },
    { id: 'incremental', label: t('overlap.incremental'), of: row => row.incremental_reach, show: row => figure(row, row.incremental_reach), number: true },
    { id: 'stacked', label: t('overlap.stacked'), of: row => row.stacked_reach, show: row => figure(row, row.stacked_reach), number: true },
  ];
  return [
    plot({
      key: t('by.medium'), labels: order.map(row => cut(row.key)), full: order.map(row => row.key), labelPixels: 90, height: 200,
      series: [
        { label: t('overlap.incremental'), values: order.map(row => row.incremental_reach), kind: 'bars', colour: 3 },
        { label: t('overlap.stacked'), values: before, kind: 'line', colour: 1, spans: true },
      ],
      words: t('overlap.words', { count: order.length }),
    }),
    behind(table({ caption: t('overlap.stack'), columns, rows: order }), true),
    all && all.reach !== null && h('p', { class: 'legend' }, t('overlap.all', { reach: whole(all.reach) })),
  ];
}

const cut = name => (name.length > 12 ? `${name.slice(0, 11)}…` : name);

/** Of the devices of the row's medium, how many the column's reached too. */
function matrix(members, pairs) {
  const key = (a, b) => JSON.stringify([a, b].sort());
  const of = new Map(pairs.map(pair => [key(...pair.members), pair]));
  const cell = (row, column) => {
    if (row === column) return h('td', { class: 'self' }, '');
    const pair = of.get(key(row.key, column.key));
    if (!pair || pair.shared === null || pair.shared === undefined) return h('td', { class: 'number' }, pair && pair.suppressed ? leftOut() : '–');
    const share = row.reach ? pair.shared / row.reach : 0;
    return h('td', { class: `number shade-${Math.min(SHADES, Math.ceil(share * SHADES))}`, title: t('overlap.cell', { share: percent(share), row: row.key, column: column.key }) }, whole(pair.shared), h('span', { class: 'soft' }, ` ${percent(share)}`));
  };
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': t('overlap.pairs') }, h('table', { class: 'matrix' },
    h('caption', { class: 'heard' }, t('overlap.pairs')),
    h('thead', {}, h('tr', {}, h('td', {}), members.map(one => h('th', { scope: 'col', class: 'number', title: one.key }, cut(one.key))))),
    h('tbody', {}, members.map(row => h('tr', {}, h('th', { scope: 'row' }, row.key), members.map(column => cell(row, column)))))));
}
