// The report of a campaign: what stands at its top, and its cards. Range, filter and dimension come from the address.

import * as address from '../address.js';
import * as api from '../api.js';
import { append, h, icon, put } from '../dom.js';
import { again, behind, failure, skeleton } from '../cards.js';
import { clock, moment, t } from '../i18n.js';
import { sampled, standing, versions } from '../marks.js';
import { repeat } from '../repeat.js';
import { deliveryByDay, deliveryByHour, removedCard } from '../figures/delivery.js';
import { breakdown } from '../figures/breakdown.js';
import { kinds } from '../figures/ids.js';
import { overlap } from '../figures/overlap.js';
import { frequencyCard, levelsCard, reachCurve } from '../figures/reach.js';
import { tiles } from '../figures/tiles.js';
import { alertText, byKind } from './campaigns.js';
import { rangeBar } from './range-bar.js';

/** How often a page that stands open asks whether its figures are others. */
const LOOK_EVERY_MS = 60000;

export function reportPage(context) {
  const query = address.range(context.query);
  const asked = (report, more) => [['campaigns', context.id, report], { ...address.known(report, query), ...more }];
  const ask = (report, more) => api.get(...asked(report, more));
  const maybe = (report, more) => api.maybe(...asked(report, more));
  const figure = { ...context, range: query, ask, maybe, levels: context.query.get('levels') || '10', by: context.query.get('by') || 'placement' };
  const status = h('ul', { class: 'standing', 'aria-label': t('standing') });
  const note = h('p', { class: 'versions' });
  const from = h('p', { class: 'print-only range-words' });
  const controls = rangeBar(context, figure);
  const grid = h('div', { class: 'grid' }, h('div', { class: 'card wide' }, h('div', { class: 'card-body' }, skeleton(9))));
  let known;
  const stand = report => {
    known = report;
    put(status, standing(report), report.provisional_days.length > 0 && h('li', { class: 'chip', id: 'as-of' }, t('live.at', { time: clock(new Date()) })));
    put(note, versions(report));
    put(from, t('range.words', { from: report.from || '–', to: report.to || '–', zone: report.time_zone, filter: t(`filter.${report.filter}`) }), report.settled_until ? ` · ${t('mark.settled_until', { day: report.settled_until })}` : '');
    // Whether devices are counted or estimated is known by the reports of devices alone.
    if (hasFigures(report)) ask('reach').then(reach => append(status, [sampled(reach)]), () => {});
  };
  const hasFigures = report => Boolean(report.from || query.from || query.to);
  const show = report => {
    stand(report);
    controls.fill(report);
    if (!hasFigures(report)) { put(grid, alertsCard(context), nothingYet(context)); return; }
    put(grid,
      alertsCard(context), tiles(figure), deliveryByDay(figure), reachCurve(figure), deliveryByHour(figure), frequencyCard(figure), levelsCard(figure),
      breakdown(figure), overlap(figure), removedCard(figure), kinds(figure));
  };
  // Hits come in, and days become settled, under the eyes of who reads the page.
  const look = async () => {
    const report = await api.get(...asked('delivery'), { fresh: true }).catch(() => null);
    if (!report || !known || !grid.isConnected) return;
    const isOther = JSON.stringify(report) !== JSON.stringify(known);
    if (isOther) api.forget();
    if (isOther && !hasFigures(known) && hasFigures(report)) { show(report); return; }
    stand(report);
    if (isOther) again(grid);
  };
  repeat(grid, LOOK_EVERY_MS, look, { isLater: true });
  ask('delivery').then(show, error => put(grid, failure(error, () => { api.forget(); dispatchEvent(new Event('hashchange')); })));
  return [controls.element, h('div', { class: 'status-line' }, from, status), grid, note];
}

/** What the server watches for and found, of this campaign. */
function alertsCard({ id, alerts, names }) {
  const own = alerts.filter(alert => alert.campaign === id);
  if (!own.length) return null;
  const told = alert => [h('p', {}, alertText(alert)), h('p', { class: 'soft' }, [alert.placement && names.of('placement', alert.placement), t('alert.since', { at: moment(alert.since) })].filter(Boolean).join(' · '))];
  return h('section', { class: 'card wide', 'aria-label': t('attention'), data: { card: 'alerts' } },
    h('header', {}, h('h2', {}, t('attention'))),
    h('ul', { class: 'card-body alerts' }, byKind(own).map(same => h('li', { data: { alert: same[0].kind } },
      h('span', { class: 'chip bad' }, icon('alert'), h('span', {}, t(`alert.${same[0].kind}`))),
      same.length > 1 ? behind(h('ul', {}, same.map(alert => h('li', {}, told(alert)))), false, t('alert.count', { count: same.length })) : h('div', {}, told(same[0]))))));
}

/** What to do with a campaign of which nothing has come. */
function nothingYet({ id, campaign, me }) {
  const isShaped = !me.exact;
  return h('section', { class: 'panel empty wide' },
    h('h2', {}, t('nothing.title')),
    h('p', {}, t(isShaped ? 'nothing.shaped' : campaign.placements.length ? 'nothing.codes' : 'nothing.placements')),
    !isShaped && h('p', { class: 'row' },
      h('a', { class: 'button main', href: address.to(['c', id, 'setup']) }, t('tab.setup')),
      h('a', { class: 'button', href: address.to(['c', id, 'live']) }, t('tab.live'))));
}
