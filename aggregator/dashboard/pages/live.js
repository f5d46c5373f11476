// Live: what comes in now. Placements in trial, hit by hit; the others by their counts of today, asked for every few seconds while the page is seen.

import * as api from '../api.js';
import { failure, skeleton } from '../cards.js';
import { h, icon, put } from '../dom.js';
import { clock, fine, named, percent, t, whole } from '../i18n.js';
import { figure } from '../marks.js';
import { table } from '../tables.js';

const HITS_EVERY_MS = 4000;
const COUNTS_EVERY_MS = 15000;
const HITS_SHOWN = 20;
/** Flags that the page says in other words. */
const SAID_ELSEWHERE = ['id_usable', 'trial'];

/** Asks again and again, as long as the element is on the page and the page is seen. */
function repeat(element, every, work) {
  let timer = null;
  const round = async () => {
    if (!element.isConnected && timer !== null) return;
    if (!document.hidden) await work();
    timer = setTimeout(round, every);
  };
  round();
}

export function livePage(context) {
  const trial = context.campaign.placements.filter(placement => placement.state === 'trial');
  return h('div', { class: 'grid' }, counts(context), trial.map(placement => hits(context, placement)),
    !trial.length && h('p', { class: 'soft wide' }, t('live.no_trial')));
}

/** Today by placement, and what came since the last look. */
function counts({ id, me, campaign, names }) {
  const body = h('div', { class: 'card-body' }, skeleton(4));
  const stamp = h('span', { class: 'soft' });
  const element = h('section', { class: 'card wide', 'aria-label': t('live.today'), data: { card: 'live' } },
    h('header', {}, h('div', {}, h('h2', {}, t('live.today')), h('p', { class: 'note' }, t('live.today_note', { zone: campaign.time_zone }))), h('div', { class: 'card-tools' }, h('span', { class: 'pulse', 'aria-hidden': 'true' }), stamp)),
    body);
  if (!me.exact) {
    put(body, h('p', { class: 'empty' }, t('live.settled_only')));
    return element;
  }
  let before = null;
  const today = () => new Intl.DateTimeFormat('en-CA', { timeZone: campaign.time_zone }).format(new Date());
  repeat(element, COUNTS_EVERY_MS, async () => {
    try {
      const day = today();
      const report = await api.get(['campaigns', id, 'delivery'], { from: day, to: day, by: 'placement' }, { fresh: true });
      const came = row => (before && before.has(row.key) ? row.impressions - before.get(row.key) : null);
      const rows = report.rows.map(row => ({ ...row, came: came(row) }));
      const key = { id: 'key', label: t('by.placement'), of: row => names.of('placement', row.key), show: row => h('span', { class: 'two-lines' }, names.of('placement', row.key), h('span', { class: 'soft' }, row.key)), class: 'name' };
      const columns = [
        key,
        { id: 'impressions', label: t('figure.impressions'), of: row => row.impressions, show: row => figure(row, row.impressions), number: true },
        { id: 'came', label: t('live.came'), of: row => row.came, show: row => (row.came ? h('b', { class: 'came' }, `+${whole(row.came)}`) : '–'), number: true },
        { id: 'clicks', label: t('figure.clicks'), of: row => row.clicks, show: row => figure(row, row.clicks), number: true },
        { id: 'rate', label: t('figure.click_rate'), of: row => (row.impressions ? row.clicks / row.impressions : null), show: row => (row.impressions ? fine(row.clicks / row.impressions) : '–'), number: true },
        { id: 'coverage', label: t('figure.id_coverage'), of: row => row.id_coverage, show: row => figure(row, row.id_coverage, percent), number: true },
      ];
      const focus = body.contains(document.activeElement);
      if (!focus) put(body, table({ caption: t('live.today'), columns, rows, sort: '-impressions', empty: t('live.nothing') }), h('p', { class: 'legend' }, h('span', { class: 'swatch striped' }), ' ', t('mark.provisional_why')));
      before = new Map(report.rows.map(row => [row.key, row.impressions]));
      put(stamp, t('live.at', { time: clock(new Date()) }));
    } catch (error) { put(body, failure(error)); }
  });
  return element;
}

/** The newest hits on a placement in trial. */
function hits({ id }, placement) {
  const body = h('div', { class: 'card-body' }, skeleton(4));
  const stamp = h('span', { class: 'soft' });
  const element = h('section', { class: 'card wide', 'aria-label': placement.name, data: { card: 'hits', placement: placement.id } },
    h('header', {}, h('div', {}, h('h2', {}, placement.name, ' ', h('span', { class: 'tag' }, t('state.trial'))), h('p', { class: 'note' }, `${placement.id} · ${placement.medium} · ${t('live.trial_note')}`)), h('div', { class: 'card-tools' }, h('span', { class: 'pulse', 'aria-hidden': 'true' }), stamp)),
    body);
  const columns = [
    { id: 'at', label: t('live.received'), of: row => row.received_ms, show: row => clock(new Date(row.received_ms)) },
    { id: 'stage', label: t('live.stage'), of: row => named('stage', row.stage || 'unknown') },
    { id: 'outcome', label: t('live.outcome'), of: row => row.outcome, show: row => h('span', { class: row.outcome === 'accepted' ? 'good' : 'bad-word' }, row.outcome === 'accepted' ? [icon('done'), t('outcome.accepted')] : named('outcome', row.outcome)) },
    { id: 'ids', label: t('live.ids'), of: row => row.identifiers.map(one => one.name).join(', '), show: row => (row.identifiers.length ? h('span', { class: 'row' }, row.identifiers.map(one => h('span', { class: `tag ${one.usable ? 'good' : 'bad'}`, title: t(one.usable ? 'live.usable' : 'live.unusable') }, `${one.name}${one.usable ? '' : ' ✕'}`))) : h('span', { class: 'soft' }, t('live.no_ids'))) },
    { id: 'platform', label: t('by.platform'), of: row => named('platform', row.platform) },
    { id: 'notes', label: t('live.notes'), of: row => row.flags.length, show: row => notes(row), class: 'wrap' },
  ];
  repeat(element, HITS_EVERY_MS, async () => {
    try {
      const answer = await api.get(['campaigns', id, 'placements', placement.id, 'hits'], { limit: HITS_SHOWN }, { fresh: true });
      if (!body.contains(document.activeElement)) put(body, table({ caption: placement.name, columns, rows: answer.hits, empty: t('live.no_hits') }));
      put(stamp, t('live.at', { time: clock(new Date()) }));
    } catch (error) { put(body, failure(error)); }
  });
  return element;
}

function notes(row) {
  const all = [...row.flags.filter(flag => !SAID_ELSEWHERE.includes(flag)).map(flag => named('flag', flag))];
  if (row.macros_unreplaced) all.push(t('live.macros', { count: row.macros_unreplaced }));
  if (row.parameters_unknown) all.push(t('live.parameters', { count: row.parameters_unknown }));
  if (row.dropped.length) all.push(t('live.dropped', { names: row.dropped.join(', ') }));
  if (row.client_clock_ms !== null && Math.abs(row.client_clock_ms) > 600000) all.push(t('live.clock', { minutes: whole(row.client_clock_ms / 60000) }));
  return all.join(' · ') || '–';
}
