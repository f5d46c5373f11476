// The campaign by one dimension: media, placements, creatives, regions, platforms, hours, kinds of id. Which one is in the address.

import * as address from '../address.js';
import { card, exports } from '../cards.js';
import { h } from '../dom.js';
import { fine, percent, t, two, whole } from '../i18n.js';
import { estimate, figure, legend, signed } from '../marks.js';
import { bar, table } from '../tables.js';
import { known } from './delivery.js';

const BY = ['placement', 'medium', 'creative', 'region', 'platform', 'id_kind'];
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
  return [...rows.values()].map(row => ({ ...row, suppressed: [row.d, row.r].some(one => one && one.suppressed) }));
}

export function breakdown(context) {
  const { ask, maybe, id, range, by } = context;
  return card({
    id: 'breakdown', title: t('breakdown'), note: by === 'id_kind' ? t('breakdown.id_kind') : t('breakdown.note'), wide: true, tools: dimension(by), lines: 8,
    load: () => Promise.all([by === 'id_kind' ? null : ask('delivery', { by }), ask('reach', { by, levels: 3 }), WITH_IDS.includes(by) ? maybe('ids', { by }) : null]),
    more: () => exports([
      ...(by === 'id_kind' ? [] : [{ campaign: id, report: 'delivery', query: { ...range, by }, label: `${t('report.delivery')} · ${t(`by.${by}`)}` }]),
      { campaign: id, report: 'reach', query: { ...range, by }, label: `${t('report.reach')} · ${t(`by.${by}`)}` },
      ...(WITH_IDS.includes(by) ? [{ campaign: id, report: 'ids', query: { ...range, by }, label: `${t('report.ids')} · ${t(`by.${by}`)}` }] : []),
    ]),
    show: ([delivery, reach, ids]) => {
      const rows = join(delivery, reach, ids);
      return [
        table({ caption: `${t('breakdown')}: ${t(`by.${by}`)}`, columns: columns(context, rows), rows, sort: '-impressions', empty: t('nothing.range') }),
        legend(delivery || reach, rows),
      ];
    },
  });
}

const unlike = (row, part, of, form) => (row[part] ? figure(row[part], of(row[part]), form) : '–');

function columns({ by, names }, rows) {
  const from = (part, id, of, form, show) => ({ id, label: t(`figure.${id}`), number: true, of: row => (row[part] ? of(row[part]) : null), show: row => (show ? show(row) : unlike(row, part, of, form)) });
  const placement = key => names.placements.get(key);
  const name = row => {
    const one = by === 'placement' ? placement(row.key) : null;
    const marks = [one && one.source !== 'c2s' && h('span', { class: 'tag', title: t('source.hint') }, one.source), one && one.state === 'trial' && h('span', { class: 'tag' }, t('state.trial')), row.d && row.d.unresolved > 0 && h('span', { class: 'tag bad' }, t('breakdown.unresolved', { hits: whole(row.d.unresolved) }))];
    const below = by === 'placement' ? [row.key, one && one.medium].filter(Boolean).join(' · ') : null;
    return h('span', { class: 'two-lines' }, h('span', {}, names.of(by, row.key), marks), below && h('span', { class: 'soft' }, below));
  };
  const fulfilment = row => (row.d && row.d.planned ? bar(row.d.fulfilment, figure(row.d, row.d.fulfilment, percent), row.d.fulfilment > 1.05 ? 'over' : row.d.fulfilment < 0.9 ? 'under' : 'fine') : '–');
  const all = [
    { id: 'key', label: t(`by.${by}`), of: row => names.of(by, row.key), show: name, class: 'name' },
    { id: 'impressions', label: t('figure.impressions'), number: true, of: row => (row.d || row.r).impressions, show: row => figure(row.d || row.r, (row.d || row.r).impressions) },
    ...known(rows, [
      { ...from('d', 'adjustment', row => row.adjustment && row.adjustment.impressions), show: row => signed(row.d && row.d.adjustment ? row.d.adjustment.impressions : null) },
      from('d', 'planned', row => row.planned),
      { ...from('d', 'fulfilment', row => row.fulfilment, percent, fulfilment) },
      from('d', 'reported_impressions', row => row.reported_impressions),
      from('d', 'gap', row => row.gap, percent),
    ]),
    { ...from('d', 'removed_share', row => (row.gross_impressions ? (row.gross_impressions - row.net_impressions) / row.gross_impressions : null), fine) },
    from('d', 'clicks', row => row.clicks),
    from('d', 'click_rate', row => (row.impressions ? row.clicks / row.impressions : null), fine),
    { ...from('r', 'reach', row => row.reach), show: row => (row.r ? estimate(row.r, row.r.reach, row.r.standard_error && row.r.standard_error[0]) : '–') },
    ...known(rows, [from('r', 'reach_percent', row => row.reach_percent, value => percent(value / 100)), from('r', 'grp', row => row.grp, two), from('r', 'cost_per_point', row => row.cost_per_point, two)]),
    from('r', 'average_frequency', row => row.average_frequency, two),
    { ...from('r', 'three_plus', row => row.n_plus[2]) },
    { ...from('r', 'id_coverage', row => row.id_coverage, percent) },
    ...known(rows, [from('i', 'return_rate', row => row.return_rate, percent)]),
    from('d', 'viewable_rate', row => row.viewable_rate, percent),
  ];
  return by === 'id_kind' ? all.filter(column => !['removed_share', 'clicks', 'click_rate', 'viewable_rate'].includes(column.id)) : all;
}
