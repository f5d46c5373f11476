// The figures that are looked at first.

import { skeleton, failure } from '../cards.js';
import { h, put } from '../dom.js';
import { fine, one, percent, t, two, whole } from '../i18n.js';
import { estimate, figure, signed } from '../marks.js';
import { bar } from '../tables.js';

/** Figures whose adjustment is told at the top. */
const SHOWN = ['impressions', 'gross_impressions', 'net_impressions', 'clicks', 'gross_clicks', 'net_clicks', 'reach', 'identified_impressions'];

/** A figure with its name and a line below. */
function tile(name, value, below, hint) {
  return h('div', { class: 'tile', data: { tile: name }, title: hint }, h('dt', {}, t(`figure.${name}`)), h('dd', { class: 'value' }, value), h('dd', { class: 'below' }, below));
}

export function tiles({ ask, me, full }) {
  const list = h('dl', { class: 'tiles' }, skeleton(3));
  const element = h('section', { class: 'card wide flush', 'aria-label': t('figures'), data: { card: 'tiles' } }, list);
  const load = async () => {
    try {
      const [delivery, reach] = await Promise.all([ask('delivery'), ask('reach')]);
      put(list, shown(delivery, reach, { me, currency: full && full.currency }));
    } catch (error) { put(list, failure(error, load)); }
  };
  load();
  return element;
}

function shown(delivery, reach, { currency }) {
  const [d, r] = [delivery.rows[0], reach.rows[0]];
  if (!d) return h('p', { class: 'empty' }, t('nothing.range'));
  const removed = d.gross_impressions - d.net_impressions;
  const isNet = delivery.filter === 'net';
  const all = [
    tile('impressions', figure(d, d.impressions), d.gross_impressions === null ? '' : isNet
      ? t('below.gross', { gross: whole(d.gross_impressions), share: fine(d.gross_impressions ? removed / d.gross_impressions : 0) })
      : t('below.net', { net: whole(d.net_impressions) })),
  ];
  if (d.planned) all.push(tile('fulfilment', figure(d, d.fulfilment, percent), [bar(d.fulfilment, '', d.fulfilment > 1.05 ? 'over' : d.fulfilment < 0.9 ? 'under' : 'fine'), t('below.planned', { planned: whole(d.planned) })]));
  if (r) {
    all.push(tile('reach', estimate(r, r.reach, r.standard_error && r.standard_error[0]), r.reach_percent ? t('below.universe', { share: percent(r.reach_percent / 100), persons: whole(r.universe) }) : t('below.devices')));
    all.push(tile('average_frequency', figure(r, r.average_frequency, two), t('below.identified', { count: figureText(r.identified_impressions) })));
    if (r.grp !== undefined && r.grp !== null) all.push(tile('grp', figure(r, r.grp, one), r.cost_per_point ? t('below.cprp', { cost: two(r.cost_per_point), currency: currency || '' }) : t('below.grp')));
  }
  all.push(
    tile('clicks', figure(d, d.clicks), d.impressions ? t('below.rate', { rate: fine(d.clicks / d.impressions) }) : ''),
    tile('id_coverage', figure(d, d.id_coverage, percent), t('below.unidentified', { count: figureText(d.unidentified_impressions), withheld: figureText(d.withheld_impressions) })),
    tile('viewable_rate', figure(d, d.viewable_rate, percent), t('below.measured', { rate: d.measured_rate === null ? '–' : percent(d.measured_rate) })));
  if (d.gap !== undefined && d.gap !== null) all.push(tile('gap', percent(d.gap), t('below.reported', { count: whole(d.reported_impressions) })));
  if (d.unresolved) all.push(tile('unresolved', whole(d.unresolved), t('below.unresolved')));
  return [all, delivery.closed && adjustment([d.adjustment, r && r.adjustment], delivery.adjustment || {})];
}

const figureText = value => (value === null || value === undefined ? '–' : whole(value));

/** What changed since the period was closed: figures of now less the closed ones, and why. */
function adjustment(rows, why) {
  const moved = new Map();
  rows.filter(Boolean).forEach(row => Object.entries(row).forEach(([name, value]) => { if (SHOWN.includes(name) && typeof value === 'number' && value !== 0) moved.set(name, value); }));
  const shown = [...moved].map(([name, value]) => h('li', {}, `${t(`figure.${name}`)} `, h('b', {}, signed(value))));
  const reasons = [
    why.late_hits ? t('closed.late', { count: whole(why.late_hits) }) : null,
    why.erased_hits ? t('closed.erased', { count: whole(why.erased_hits) }) : null,
    why.double_click_seconds ? t('closed.double_click', why.double_click_seconds) : null,
    why.rules ? t('closed.rules') : null, why.catalog ? t('closed.catalog') : null, why.devices_expired ? t('closed.expired') : null,
  ].filter(Boolean);
  return h('div', { class: 'adjustment', data: { adjustment: 'yes' } }, h('b', {}, t('closed.adjustment')), shown.length ? h('ul', {}, shown) : h('span', {}, t('closed.no_adjustment')),
    reasons.length > 0 && h('span', { class: 'soft' }, reasons.join(' · ')));
}
