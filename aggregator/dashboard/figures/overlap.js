// Which devices media (or placements, or kinds of id) share: each one's reach and what only it reached, each pair's shared devices, and what each adds
// when they are stacked. Of whom, and with whom the stack begins, is in the address.

import * as address from '../address.js';
import { behind, card, exports, menu } from '../cards.js';
import { button, h } from '../dom.js';
import { byName, percent, t } from '../i18n.js';
import { change, estimate, figure, leftOut, legend } from '../marks.js';
import { plot } from '../plots.js';
import { table } from '../tables.js';

const SHADES = 5;
const BY = ['medium', 'placement', 'id_kind'];
const MEMBERS_MAX = 20;
const SIDE_BY_SIDE_MAX = 6; // members, up to which the two tables stand beside each other

/** Whom an overlap can be of: known of media and placements. */
function candidates({ names }, by) {
  const all = by === 'medium' ? [...names.placements.values()].map(one => one.medium) : by === 'placement' ? [...names.placements.keys()] : [];
  return [...new Set(all)].filter(Boolean).sort(byName);
}

export function overlap(context) {
  const { maybe, id, range, query } = context;
  const by = BY.includes(query.get('overlap')) ? query.get('overlap') : 'medium';
  const chosen = { by, members: query.get('members'), stack: query.get('stack') };
  const all = candidates(context, by);
  const select = h('select', { id: 'overlap-by', 'aria-label': t('by'), on: { change: () => address.change({ overlap: select.value === 'medium' ? '' : select.value, members: '', stack: '' }) } },
    BY.map(name => h('option', { value: name, selected: name === by }, t(`by.${name}`))));
  const title = { medium: 'overlap', placement: 'overlap.of_placements', id_kind: 'overlap.of_id_kinds' }[by];
  return card({
    id: 'overlap', title: t(title), note: t('overlap.note'), wide: true, tools: select,
    load: () => maybe('overlap', chosen),
    more: report => [
      all.length > 2 && choice(context, { by, all, members: report.rows.filter(row => row.kind === 'member').map(row => row.key) }),
      exports([{ campaign: id, report: 'overlap', query: { ...range, ...chosen }, label: t(title) }]),
    ],
    show: report => {
      const members = report.rows.filter(row => row.kind === 'member');
      const again = chosen.members || chosen.stack ? button(t('overlap.largest'), () => address.change({ members: '', stack: '' }), { class: 'quiet' }) : null;
      if (!members.length) return h('p', { class: 'empty' }, report.rows.some(row => row.suppressed) ? legend(report, report.rows) : t('nothing.range'), again);
      if (members.length < 2) return h('p', { class: 'empty' }, t('overlap.one'), again);
      const told = members.filter(row => row.reach !== null);
      if (!told.length) return [h('p', { class: 'empty' }, t('overlap.thin'), again), legend(report, report.rows)];
      const called = key => context.names.of(by, key);
      return [
        all.length > members.length && !chosen.members && h('p', { class: 'legend' }, t('overlap.some', { shown: members.length, all: all.length })),
        h('div', { class: members.length > SIDE_BY_SIDE_MAX ? 'halves apart' : 'halves' },
          h('div', {}, h('h3', {}, t('overlap.stack')), stack(report, { members, by, called })),
          h('div', {}, h('h3', {}, t('overlap.pairs')), matrix(members, report.rows.filter(row => row.kind === 'pair'), called))),
        legend(report, report.rows),
        told.length < members.length && h('p', { class: 'legend' }, t('overlap.left_out')),
        report.privacy && h('p', { class: 'legend' }, t('overlap.shaped')),
      ];
    },
  });
}

/** Who takes part, and with whom the stack begins. */
function choice({ names, query }, { by, all, members }) {
  const boxes = all.map(key => {
    const box = h('input', { type: 'checkbox', value: key, checked: members.includes(key) });
    return h('label', { class: 'check' }, box, names.of(by, key));
  });
  const first = h('select', { 'aria-label': t('overlap.begins') }, h('option', { value: '' }, t('overlap.by_size')), all.map(key => h('option', { value: key, selected: query.get('stack') === key }, names.of(by, key))));
  const problem = h('p', { class: 'problem', role: 'alert' });
  const apply = () => {
    const wanted = boxes.map(label => label.querySelector('input')).filter(box => box.checked).map(box => box.value);
    if (first.value && !wanted.includes(first.value)) wanted.push(first.value);
    if (wanted.length < 2 || wanted.length > MEMBERS_MAX) { problem.textContent = t('overlap.how_many', { most: MEMBERS_MAX }); return; }
    address.change({ members: wanted.join(','), stack: first.value });
  };
  return menu(t('overlap.choose'), null, [
    h('fieldset', { class: 'choice' }, h('legend', {}, t('overlap.members')), boxes),
    h('label', { class: 'choice-first' }, t('overlap.begins'), first), problem,
    button(t('overlap.apply'), apply, { class: 'main', id: 'overlap-apply' }),
  ]);
}

const end = (row, name) => [row.interval_low?.[name], row.interval_high?.[name]];

/** Members in the order in which they stand, the largest addition first unless asked otherwise. */
function stack(report, { members, by, called }) {
  const order = [...members].sort((a, b) => (a.stack_position ?? 99) - (b.stack_position ?? 99));
  const all = report.rows.find(row => row.kind === 'all');
  const column = (id, label, name) => ({ id, label, of: row => row[name], show: row => [estimate(row, row[name], end(row, name)), change(row, name)], number: true });
  const columns = [
    { id: 'at', label: '#', of: row => row.stack_position },
    { id: 'member', label: t(`by.${by}`), of: row => called(row.key), class: 'name' },
    column('reach', t('figure.reach'), 'reach'), column('unique', t('overlap.unique'), 'unique'),
    column('incremental', t('overlap.incremental'), 'incremental_reach'), column('stacked', t('overlap.stacked'), 'stacked_reach'),
  ];
  return [
    plot({
      key: t(`by.${by}`), labels: order.map(row => cut(called(row.key))), full: order.map(row => called(row.key)), labelPixels: 90, height: 200, leftOut: order.map(row => row.suppressed && row.incremental_reach === null),
      series: [
        { label: t('overlap.incremental'), values: order.map(row => row.incremental_reach), kind: 'bars', colour: 3 },
        { label: t('overlap.stacked'), values: order.map(row => row.stacked_reach), kind: 'line', colour: 1, spans: true, low: order.map(row => row.interval_low?.stacked_reach), high: order.map(row => row.interval_high?.stacked_reach) },
      ],
      words: t('overlap.words', { count: order.length }),
    }),
    behind(table({ caption: t('overlap.stack'), columns, rows: order }), true),
    all && all.reach !== null && h('p', { class: 'legend' }, t(report.privacy ? 'overlap.together_least' : 'overlap.together'), ' ', h('b', {}, estimate(all, all.reach, end(all, 'reach')))),
  ];
}

const cut = name => (name.length > 12 ? `${name.slice(0, 11)}…` : name);

/** Of the devices of the row's member, how many the column's reached too. */
function matrix(members, pairs, called) {
  const key = (a, b) => JSON.stringify([a, b].sort());
  const of = new Map(pairs.map(pair => [key(...pair.members), pair]));
  const cell = (row, column) => {
    if (row === column) return h('td', { class: 'self' }, '');
    const pair = of.get(key(row.key, column.key));
    if (!pair || pair.shared === null || pair.shared === undefined) return h('td', { class: 'number' }, pair && pair.suppressed ? leftOut() : '–');
    const shared = [estimate(pair, pair.shared, end(pair, 'shared')), change(pair, 'shared')];
    // Of a reach that is left out there is no share.
    if (!row.reach) return h('td', { class: 'number' }, shared);
    const share = Math.min(1, pair.shared / row.reach);
    return h('td', { class: `number shade-${Math.ceil(share * SHADES)}`, title: t('overlap.cell', { share: percent(share), row: called(row.key), column: called(column.key) }) }, shared, h('span', { class: 'soft block' }, figure(row, share, percent)));
  };
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': t('overlap.pairs') }, h('table', { class: 'matrix' },
    h('caption', { class: 'heard' }, t('overlap.pairs')),
    h('thead', {}, h('tr', {}, h('td', {}), members.map(one => h('th', { scope: 'col', class: 'number', title: called(one.key) }, cut(called(one.key)))))),
    h('tbody', {}, members.map(row => h('tr', {}, h('th', { scope: 'row' }, called(row.key)), members.map(column => cell(row, column)))))));
}
