// The figures that are looked at first.

import * as address from '../address.js';
import { skeleton, failure } from '../cards.js';
import { h, put } from '../dom.js';
import { fine, one, percent, t, two, whole } from '../i18n.js';
import { change, estimate, figure, signed, whereRowStands } from '../marks.js';
import { bar } from '../tables.js';
import { at, reachOf } from './reach.js';

/** Figures whose adjustment is told at the top: those of the delivery report, and those of the reach report. */
const ADJUSTED = [['gross_impressions', 'net_impressions', 'gross_clicks', 'net_clicks', 'measured', 'stages_viewable', 'stages_completes', 'stages_conversions'], ['reach', 'identified_impressions']];

/** A figure with its name and a line below. */
function tile(name, value, below, hint) {
  return h('div', { class: 'tile', data: { tile: name }, title: hint }, h('dt', {}, t(`figure.${name}`)), h('dd', { class: 'value' }, value), h('dd', { class: 'below' }, below));
}

export function tiles(context) {
  const { ask, full } = context;
  const list = h('dl', { class: 'tiles' });
  const foot = h('div', { class: 'tiles-foot' });
  const element = h('section', { class: 'card wide flush', 'aria-label': t('figures'), data: { card: 'tiles' } }, list, foot);
  // Where devices cannot be counted, what was delivered is shown all the same.
  const look = () => Promise.allSettled([ask('delivery'), ask('reach')]);
  const load = async () => {
    put(list);
    put(foot, skeleton(3));
    element.setAttribute('aria-busy', 'true');
    const asked = await look();
    element.removeAttribute('aria-busy');
    show(asked);
  };
  const show = ([delivery, reach]) => {
    if (delivery.status === 'rejected') { put(foot, failure(delivery.reason, load)); return; }
    const [report, devices] = [delivery.value, reach.value];
    const [d, r] = [report.rows[0], devices && devices.rows[0]];
    if (!d) { put(foot, h('p', { class: 'empty' }, t('nothing.range'))); return; }
    put(list, [hits(d, report), r && people(r, full), quality(d)]);
    put(foot, !devices && failure(reach.reason, load), devices && universeWords(devices), devices && pointless(context, devices), adjustment(report, devices));
  };
  element.addEventListener('again', async () => {
    const asked = await look();
    if (asked.every(one => one.status === 'fulfilled')) show(asked);
  });
  load();
  return element;
}

function hits(d, report) {
  const removed = d.gross_impressions - d.net_impressions;
  const below = report.filter === 'net'
    ? t('below.gross', { gross: whole(d.gross_impressions), share: fine(d.gross_impressions ? removed / d.gross_impressions : 0) })
    : t('below.net', { net: whole(d.net_impressions) });
  const all = [tile('impressions', [figure(d, d.impressions), change(d, 'impressions')], d.gross_impressions === null ? '' : below)];
  if (d.planned) all.push(tile('fulfilment', whereRowStands(d, d.fulfilment, percent), [bar(d.fulfilment, '', d.fulfilment > 1.05 ? 'over' : d.fulfilment < 0.9 ? 'under' : 'fine'), t('below.planned', { planned: whole(d.planned) })]));
  return all;
}

function people(r, full) {
  const about = r.exact === false && '≈ ';
  const all = [
    tile('reach', reachOf.reach(r), r.reach_percent ? [about, t('below.universe', { share: percent(r.reach_percent / 100), persons: whole(r.universe) })] : t('below.devices')),
    tile('average_frequency', reachOf.frequency(r), [about, t('below.identified', { count: whole(r.identified_impressions) })]),
  ];
  if (r.n_plus.length >= 3) all.push(tile('three_plus', estimate(r, r.n_plus[2], at(r, 2)), r.n_plus[2] !== null && r.reach ? [about, t('below.of_reach', { share: percent(r.n_plus[2] / r.reach) })] : ''));
  const currency = (full && full.currency) || '';
  if (r.grp !== undefined && r.grp !== null) all.push(tile('grp', whereRowStands(r, r.grp, one), r.cost_per_point ? t('below.cprp', { cost: two(r.cost_per_point), currency }) : t('below.grp')));
  return all;
}

function quality(d) {
  const all = [
    tile('clicks', [figure(d, d.clicks), change(d, 'clicks')], d.impressions ? t('below.rate', { rate: fine(d.clicks / d.impressions) }) : ''),
    tile('id_coverage', figure(d, d.id_coverage, percent), t('below.unidentified', { count: whole(d.unidentified_impressions), withheld: whole(d.withheld_impressions) })),
    tile('viewable_rate', whereRowStands(d, d.viewable_rate, percent), t('below.measured', { rate: percent(d.measured_rate) })),
  ];
  if (d.reported_impressions !== undefined && d.reported_impressions !== null) {
    const ours = d.compared_impressions === null || d.compared_impressions === undefined ? t('mark.left_out_short') : whole(d.compared_impressions);
    all.push(tile('gap', figure(d, d.gap, percent), [t('below.reported', { count: whole(d.reported_impressions) }), ' · ', t('below.compared', { ours })], t('hint.compared_impressions')));
  }
  if (d.unresolved) all.push(tile('unresolved', whole(d.unresolved), t('below.unresolved')));
  return all;
}

/** What shares and points are of: how many of what, who says so, and of which day. */
export const universeOf = one => t('universe.words', { count: whole(one.persons), unit: t(`unit.${one.unit}`), audience: one.audience === 'all' ? t('audience.all') : one.audience, source: one.source || '–', date: one.date });

function universeWords({ universe }) {
  return universe && h('p', { class: 'legend', data: { universe: 'yes' } }, t('universe.of'), ' ', universeOf(universe), universe.unit === 'persons' && ` ${t('universe.devices_for_persons')}`);
}

/** Why there are no shares and points, or no cost of a point, for those who are shown them. */
function pointless({ id, me, full }, { universe, rows: [row] }) {
  if (!full || !full.universes || !row || row.suppressed || row.cost_per_point) return null;
  const hasCost = full.cost || (full.placements.length && full.placements.every(one => one.cost));
  const key = !universe ? 'points.no_universe' : hasCost ? 'points.part' : 'points.no_cost';
  return h('p', { class: 'legend', data: { pointless: key.slice(7) } }, t(key), me.may_change && key !== 'points.part' && [' ', h('a', { href: address.to(['c', id, 'setup']) }, t('tab.setup'))]);
}

/** What changed since the period was closed: figures of now less the closed ones, and why. */
function adjustment(delivery, reach) {
  if (!delivery.closed) return null;
  const why = delivery.adjustment || {};
  const changes = [delivery, reach].flatMap((report, at_) => {
    const row = report && report.rows[0] && report.rows[0].adjustment;
    return row ? ADJUSTED[at_].map(name => [name, row[name]]) : [];
  });
  const shown = changes.filter(([, value]) => value).map(([name, value]) => h('li', {}, `${t(`figure.${name}`)} `, h('b', {}, signed(value))));
  const untold = changes.some(([, value]) => value === null || value === undefined);
  const reasons = [
    why.late_hits ? t('closed.late', { count: whole(why.late_hits) }) : null,
    why.erased_hits ? t('closed.erased', { count: whole(why.erased_hits) }) : null,
    why.double_click_seconds ? t('closed.double_click', why.double_click_seconds) : null,
    why.rules ? t('closed.rules') : null, why.catalog ? t('closed.catalog') : null, why.devices_expired ? t('closed.expired') : null, why.unavailable ? t('closed.unavailable') : null,
  ].filter(Boolean);
  // Without a difference that could be told nothing is said of whether there is one.
  const none = why.devices_expired || why.unavailable || !changes.length ? t('closed.unknown_adjustment') : untold ? t('closed.small_adjustment', { k: whole(delivery.privacy ? delivery.privacy.k : 0) }) : t('closed.no_adjustment');
  return h('div', { class: 'adjustment', data: { adjustment: 'yes' } }, h('b', {}, t('closed.adjustment')), shown.length ? h('ul', {}, shown) : h('span', {}, none),
    shown.length > 0 && untold && delivery.privacy && h('span', { class: 'soft' }, t('closed.small_left_out', { k: whole(delivery.privacy.k) })),
    reasons.length > 0 && h('span', { class: 'soft' }, reasons.join(' · ')));
}
