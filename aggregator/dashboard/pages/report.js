// The report of a campaign: what stands at its top, and its cards. Range, filter and dimension come from the address.

import * as address from '../address.js';
import * as api from '../api.js';
import { button as plain, h, icon, put } from '../dom.js';
import { failure, skeleton } from '../cards.js';
import { moment, percent, t } from '../i18n.js';
import { standing, versions } from '../marks.js';
import { deliveryByDay, deliveryByHour, removedCard } from '../figures/delivery.js';
import { breakdown } from '../figures/breakdown.js';
import { kinds } from '../figures/ids.js';
import { overlap } from '../figures/overlap.js';
import { frequencyCard, levelsCard, reachCurve } from '../figures/reach.js';
import { tiles } from '../figures/tiles.js';
import { alertText } from './campaigns.js';

export function reportPage(context) {
  const query = address.range(context.query);
  const ask = (report, more, options) => api.get(['campaigns', context.id, report], { ...address.known(report, query), ...more }, options);
  const maybe = (report, more) => api.maybe(['campaigns', context.id, report], { ...address.known(report, query), ...more });
  const figure = { ...context, range: query, ask, maybe, levels: context.query.get('levels') || '10', by: context.query.get('by') || 'placement' };
  const status = h('ul', { class: 'standing', 'aria-label': t('standing') });
  const note = h('p', { class: 'versions' });
  const from = h('p', { class: 'print-only range-words' });
  const controls = bar(context, figure);
  const grid = h('div', { class: 'grid' }, h('div', { class: 'card wide' }, h('div', { class: 'card-body' }, skeleton(9))));
  ask('delivery').then(report => {
    put(status, standing(report));
    put(note, versions(report));
    put(from, t('range.words', { from: report.from || '–', to: report.to || '–', zone: report.time_zone, filter: t(`filter.${report.filter}`) }), report.settled_until ? ` · ${t('mark.settled_until', { day: report.settled_until })}` : '');
    controls.fill(report);
    if (!report.from && !query.from && !query.to) { put(grid, nothingYet(context)); return; }
    put(grid,
      alertsCard(context), tiles(figure), deliveryByDay(figure), reachCurve(figure), deliveryByHour(figure), frequencyCard(figure), levelsCard(figure),
      breakdown(figure), overlap(figure), removedCard(figure), kinds(figure));
  }, error => put(grid, failure(error, () => { api.forget(); put(grid); address.change({}, true); dispatchEvent(new Event('hashchange')); })));
  return [controls.element, h('div', { class: 'status-line' }, from, status), grid, note];
}

/** What the server watches for and found, of this campaign. */
function alertsCard({ id, alerts, names }) {
  const own = alerts.filter(alert => alert.campaign === id);
  if (!own.length) return null;
  return h('section', { class: 'card wide', 'aria-label': t('attention'), data: { card: 'alerts' } },
    h('header', {}, h('h2', {}, t('attention'))),
    h('ul', { class: 'card-body alerts' }, own.map(alert => h('li', { data: { alert: alert.kind } }, h('span', { class: 'chip bad' }, icon('alert'), h('span', {}, t(`alert.${alert.kind}`))), h('span', {}, alertText(alert)),
      h('span', { class: 'soft' }, [alert.placement && names.of('placement', alert.placement), t('alert.since', { at: moment(alert.since) })].filter(Boolean).join(' · '))))));
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

const shift = (day, days) => new Date(Date.parse(day) + days * 86400000).toISOString().slice(0, 10);

/** Range and filter; what is chosen goes into the address. */
function bar(context, figure) {
  const { query } = context;
  const day = name => h('input', { type: 'date', id: name, value: query.get(name) || '', 'aria-describedby': 'range-problem', on: { change: () => apply() } });
  const [from, to] = [day('from'), day('to')];
  const problem = h('p', { class: 'problem', id: 'range-problem', role: 'alert' });
  const apply = () => {
    if (from.value && to.value && from.value > to.value) { put(problem, t('range.wrong')); from.setAttribute('aria-invalid', 'true'); return; }
    address.change({ from: from.value, to: to.value, state: '', version: '' });
  };
  const presets = h('select', { id: 'preset', 'aria-label': t('range.preset') });
  const filter = value => h('button', {
    type: 'button', class: 'segment', 'aria-pressed': String((query.get('filter') || 'net') === value), data: { filter: value }, title: t(`filter.${value}_hint`),
    on: { click: () => address.change({ filter: value === 'net' ? '' : value }) },
  }, t(`filter.${value}`));
  const told = h('span', { role: 'status', class: 'heard' });
  const copied = async () => {
    try { await navigator.clipboard.writeText(location.href); put(told, t('link.copied')); link.classList.add('done'); } catch { prompt(t('link.copy'), location.href); }
  };
  const link = plain(t('link.copy'), copied, { icon: 'link', class: 'quiet', title: t('link.hint') });
  const element = h('form', { class: 'bar no-print', 'aria-label': t('range'), on: { submit: event => { event.preventDefault(); apply(); } } },
    h('div', { class: 'field' }, h('label', { for: 'preset' }, t('range')), presets),
    h('div', { class: 'field' }, h('label', { for: 'from' }, t('range.from')), from),
    h('div', { class: 'field' }, h('label', { for: 'to' }, t('range.to')), to),
    h('div', { class: 'field' }, h('span', { class: 'label', id: 'filter-label' }, t('filter')), h('div', { class: 'segments', role: 'group', 'aria-labelledby': 'filter-label' }, filter('net'), filter('gross'))),
    audience(context),
    h('div', { class: 'field end' }, link, plain(t('print'), () => print(), { icon: 'print', class: 'quiet' }),
      plain(t('refresh'), () => { api.forget(); dispatchEvent(new Event('hashchange')); }, { icon: 'again', class: 'quiet', id: 'refresh' }), told),
    problem);
  const fill = report => {
    const last = context.campaign.last_day || report.to || report.settled_until;
    if (!from.value && report.from) from.value = report.from;
    if (!to.value && report.to) to.value = report.to;
    presetsOf(context, last, report).forEach(([name, range]) => {
      const isNow = (range.from || '') === (query.get('from') || '') && (range.to || '') === (query.get('to') || '');
      presets.append(h('option', { value: name, selected: isNow, data: { from: range.from || '', to: range.to || '' } }, t(`range.${name}`, range)));
    });
    if (![...presets.options].some(option => option.selected && option.dataset.from === (query.get('from') || '') && option.dataset.to === (query.get('to') || ''))) {
      presets.prepend(h('option', { value: 'own', selected: true, data: { own: 'yes' } }, t('range.own')));
      presets.selectedIndex = 0;
    }
    if (report.closed || query.get('state')) element.append(presentSwitch(query));
    figure.ask('reach').then(reach => { if (reach.sample || query.get('precision')) element.append(precisionSwitch(query, reach)); }, () => {});
  };
  presets.addEventListener('change', () => {
    const { from: first, to: final, own } = presets.selectedOptions[0].dataset;
    if (!own) address.change({ from: first, to: final, state: '', version: '' });
  });
  return { element, fill, figure };
}

/** Ranges that are asked for most, and closed periods: those are answered from their closing. */
function presetsOf({ closings }, last, report) {
  const all = [['all', {}]];
  if (last) {
    all.push(['last', { from: last, to: last }], ['seven', { from: shift(last, -6), to: last }], ['thirty', { from: shift(last, -29), to: last }]);
    if (report.settled_until) all.push(['settled', { from: report.from, to: report.settled_until }]);
  }
  const periods = ((closings && closings.closings) || []).map(one => ['closed', { from: one.from, to: one.to }]);
  return all.concat(periods.filter(([, one], at) => periods.findIndex(([, other]) => other.from === one.from && other.to === one.to) === at));
}

/** Figures of a closing, or those of now. */
function presentSwitch(query) {
  const isPresent = query.get('state') === 'present';
  return h('div', { class: 'field closed-switch' }, icon('lock'),
    h('span', {}, t(isPresent ? 'closed.shows_present' : 'closed.shows_closed')),
    plain(t(isPresent ? 'closed.show_closed' : 'closed.show_present'), () => address.change({ state: isPresent ? '' : 'present', version: '' }), { class: 'quiet', id: 'closed-state' }));
}

/** Figures of a sample, or of every device. */
function precisionSwitch(query, reach) {
  const isExact = query.get('precision') === 'exact';
  return h('div', { class: 'field closed-switch' },
    h('span', {}, isExact ? t('precision.exact') : t('mark.sampled', { share: percent(reach.sample || 1) })),
    plain(t(isExact ? 'precision.use_auto' : 'precision.use_exact'), () => address.change({ precision: isExact ? '' : 'exact' }), { class: 'quiet', id: 'precision' }));
}

/** The universe that shares are of, where the campaign has several. */
function audience({ full, query }) {
  const names = [...new Set(((full && full.universes) || []).map(one => one.audience))];
  if (names.length < 2) return null;
  const select = h('select', { id: 'audience', on: { change: () => address.change({ audience: select.value === 'all' ? '' : select.value }) } },
    names.map(name => h('option', { value: name, selected: (query.get('audience') || 'all') === name }, name === 'all' ? t('audience.all') : name)));
  return h('div', { class: 'field' }, h('label', { for: 'audience' }, t('audience')), select);
}
