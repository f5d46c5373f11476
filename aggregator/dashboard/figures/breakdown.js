// The campaign by one dimension: media, placements, creatives, regions, platforms, kinds of id. Which one is in the address.

import * as address from '../address.js';
import { card, exports, failure } from '../cards.js';
import { h } from '../dom.js';
import { fine, percent, t, two, whole } from '../i18n.js';
import { change, estimate, figure, legend, unregistered, whereRowStands } from '../marks.js';
import { bar, table } from '../tables.js';
import { known, planColumns, sinceTag } from './delivery.js';
import { at, reachOf } from './reach.js';
import { universeOf } from './tiles.js';

const BY = ['placement', 'medium', 'creative', 'region', 'platform', 'id_kind'];
const CENTS_BELOW = 1000; // units of money, from which on hundredths only make a column wide
const WITH_IDS = ['placement', 'medium', 'platform'];

function dimension(by) {
  const select = h('select', { id: 'by', 'aria-label': t('by'), on: { change: () => address.change({ by: select.value === 'placement' ? '' : select.value }) } },
    BY.map(name => h('option', { value: name, selected: name === by }, t(`by.${name}`))));
  return select;
}

/** Rows of two or three reports that are about the same. */
function join(delivery, reach, ids) {
  const rows = new Map();
  const add = (report, name) => (report ? report.rows : []).forEach(row => rows.set(row.key, { ...rows.get(row.key), key: row.key, [name]: row }));
  add(delivery, 'd');
  add(reach, 'r');
  add(ids, 'i');
  const flag = (row, name) => [row.d, row.r].some(one => one && one[name]);
  return [...rows.values()].map(row => ({ ...row, suppressed: flag(row, 'suppressed'), exact: !row.r || row.r.exact, adjustment: flag(row, 'adjustment') ? { ...row.r?.adjustment, ...row.d?.adjustment } : null }));
}

/** Delivery, reach and ids of the rows. Where devices cannot be counted, what was delivered is shown all the same. */
async function load({ ask, maybe, by }) {
  const [delivery, reach, ids] = await Promise.allSettled([by === 'id_kind' ? null : ask('delivery', { by }), ask('reach', { by, levels: 3 }), WITH_IDS.includes(by) ? maybe('ids', { by }) : null]);
  const first = by === 'id_kind' ? reach : delivery;
  if (first.status === 'rejected') throw first.reason;
  return { delivery: delivery.value, reach: reach.value, ids: ids.value, refused: reach.reason };
}

export function breakdown(context) {
  const { id, range, by } = context;
  const of = report => ({ campaign: id, report, query: { ...range, by }, label: `${t(`report.${report}`)} · ${t(`by.${by}`)}` });
  return card({
    id: 'breakdown', title: t('breakdown'), note: by === 'id_kind' ? t('breakdown.id_kind') : t('breakdown.note'), wide: true, tools: dimension(by), lines: 8,
    load: () => load(context),
    more: () => exports([by !== 'id_kind' && of('delivery'), of('reach'), WITH_IDS.includes(by) && of('ids')].filter(Boolean)),
    show: ({ delivery, reach, ids, refused }) => {
      const rows = join(delivery, reach, ids);
      const universes = reach && reach.universes && reach.universes.length > 0;
      return [
        refused && failure(refused),
        table({ caption: `${t('breakdown')}: ${t(`by.${by}`)}`, columns: columns(context, rows), rows, sort: '-impressions', empty: t('nothing.range') }),
        legend({ ...delivery, ...reach }, rows),
        universes && h('p', { class: 'legend' }, t('universe.of'), ' ', reach.universes.map(one => `${context.names.of('region', one.region)}: ${universeOf(one)}`).join(' ')),
      ];
    },
  });
}

/** What a row is called, with what is worth knowing of it. */
function name({ by, names }, row) {
  const one = by === 'placement' ? names.placements.get(row.key) : null;
  const marks = [
    one && one.source !== 'c2s' && h('span', { class: 'tag', title: t('source.hint') }, one.source), one && one.state === 'trial' && h('span', { class: 'tag' }, t('state.trial')),
    unregistered(row.d), sinceTag(row.d || row.r),
  ];
  const called = names.of(by, row.key);
  const below = [called !== row.key && ['placement', 'creative', 'region'].includes(by) && row.key, one && one.medium].filter(Boolean).join(' · ');
  return h('span', { class: 'two-lines' }, h('span', {}, called, marks), below && h('span', { class: 'soft' }, below));
}

function columns(context, rows) {
  const { by, names } = context;
  // `part` is the report that a column is of; a row that it does not have has no figure there.
  const from = (part, id, of, show) => ({ id, label: t(`figure.${id}`), number: true, of: row => (row[part] ? of(row[part]) : null), show: row => (row[part] ? show(row[part]) : '–') });
  const plain = (part, id, of, form) => from(part, id, of, one => whereRowStands(one, of(one), form));
  const base = row => row.d || row.r || row.i;
  const [planned, , ...said] = planColumns(row => row.d);
  const fulfilment = from('d', 'fulfilment', row => row.fulfilment, row => (row.planned ? bar(row.fulfilment, whereRowStands(row, row.fulfilment, percent), row.fulfilment > 1.05 ? 'over' : row.fulfilment < 0.9 ? 'under' : 'fine') : '–'));
  const all = [
    { id: 'key', label: t(`by.${by}`), of: row => names.of(by, row.key), show: row => name(context, row), class: 'name' },
    { id: 'impressions', label: t('figure.impressions'), number: true, of: row => base(row).impressions, show: row => [figure(base(row), base(row).impressions), change(base(row), 'impressions')] },
    ...known(rows, [planned, fulfilment, ...said]),
    ...known(rows, [from('r', 'reach', row => row.reach, reachOf.reach)]),
    ...known(rows, [from('r', 'reach_percent', row => row.reach_percent, reachOf.percent), from('r', 'grp', row => row.grp, reachOf.grp), plain('r', 'cost_per_point', row => row.cost_per_point, cost => (cost < CENTS_BELOW ? two : whole)(cost))]),
    ...known(rows, [from('r', 'average_frequency', row => row.average_frequency, reachOf.frequency), from('r', 'three_plus', row => row.n_plus[2], row => estimate(row, row.n_plus[2], at(row, 2)))]),
    plain('d', 'clicks', row => row.clicks),
    plain('d', 'click_rate', row => (row.impressions ? row.clicks / row.impressions : null), fine),
    // Delivery counts every device, where reach may have taken a sample.
    { id: 'id_coverage', label: t('figure.id_coverage'), number: true, of: row => (row.d || row.r)?.id_coverage, show: row => (row.d ? figure(row.d, row.d.id_coverage, percent) : row.r ? reachOf.coverage(row.r) : '–') },
    ...known(rows, [from('i', 'return_rate', row => row.return_rate, row => figure(row, row.return_rate, percent))]),
    plain('d', 'viewable_rate', row => row.viewable_rate, percent),
    plain('d', 'removed_share', row => (row.gross_impressions ? (row.gross_impressions - row.net_impressions) / row.gross_impressions : null), fine),
  ];
  return by === 'id_kind' ? all.filter(column => !['removed_share', 'clicks', 'click_rate', 'viewable_rate'].includes(column.id)) : all;
}
