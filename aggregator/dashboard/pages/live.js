// Live: what comes in now. Placements in trial, hit by hit; the others by their counts of today, asked for every few seconds while the page is seen.

import * as api from '../api.js';
import { failure, skeleton } from '../cards.js';
import { h, icon, put } from '../dom.js';
import { clock, fine, named, percent, t, today, whole } from '../i18n.js';
import { figure, unregistered } from '../marks.js';
import { renew, repeat } from '../repeat.js';
import { table } from '../tables.js';

const COUNTS_EVERY_MS = 15000;
/** The hits of one placement are asked for as often, and of several each so much more seldom: a token may ask 120 times a minute. */
const HITS_EVERY_MS = 4000;
const HITS_APART_MS = 1000;
const HITS_SHOWN = 20;
/** Flags that the page says in other words. */
const SAID_ELSEWHERE = ['id_usable', 'trial'];

export function livePage(context) {
  const trial = context.campaign.placements.filter(placement => placement.state === 'trial');
  const every = Math.max(HITS_EVERY_MS, trial.length * HITS_APART_MS);
  return h('div', { class: 'grid' }, counts(context), trial.map(placement => hits(context, placement, every)),
    !trial.length && h('p', { class: 'soft wide' }, t('live.no_trial')));
}

/** A card whose table is drawn again and again: who is in it stays where he was, and the order that he chose. */
function card(title, note, data) {
  const body = h('div', { class: 'card-body' }, skeleton(4));
  const stamp = h('span', { class: 'soft' });
  const element = h('section', { class: 'card wide', 'aria-label': data.label, data: data.set },
    h('header', {}, h('div', {}, h('h2', {}, title), h('p', { class: 'note' }, note)), h('div', { class: 'card-tools' }, h('span', { class: 'pulse', 'aria-hidden': 'true' }), stamp)), body);
  const show = (columns, rows, { caption, empty, sort }, ...below) => {
    renew(body, h('div', { class: sort ? null : 'stack' }, table({ caption, columns, rows, sort, empty })), below);
    put(stamp, t('live.at', { time: clock(new Date()) }));
  };
  return { body, element, show };
}

/** Today by placement, and what came since the last look. */
function counts({ id, me, campaign, names }) {
  const { body, element, show } = card(t('live.today'), t('live.today_note', { zone: campaign.time_zone }), { label: t('live.today'), set: { card: 'live' } });
  if (!me.exact) {
    put(body, h('p', { class: 'empty' }, t('live.settled_only')));
    return element;
  }
  const columns = [
    { id: 'key', label: t('by.placement'), of: row => names.of('placement', row.key), show: row => h('span', { class: 'two-lines' }, h('span', {}, names.of('placement', row.key), unregistered(row)), names.of('placement', row.key) !== row.key && h('span', { class: 'soft' }, row.key)), class: 'name' },
    { id: 'impressions', label: t('figure.impressions'), of: row => row.impressions, show: row => figure(row, row.impressions), number: true },
    { id: 'came', label: t('live.came'), of: row => row.came, show: row => (row.came ? h('b', { class: 'came' }, `+${whole(row.came)}`) : '–'), number: true },
    { id: 'clicks', label: t('figure.clicks'), of: row => row.clicks, show: row => figure(row, row.clicks), number: true },
    { id: 'rate', label: t('figure.click_rate'), of: row => (row.impressions ? row.clicks / row.impressions : null), show: row => (row.impressions ? fine(row.clicks / row.impressions) : '–'), number: true },
    { id: 'coverage', label: t('figure.id_coverage'), of: row => row.id_coverage, show: row => figure(row, row.id_coverage, percent), number: true },
  ];
  let [before, of] = [new Map(), null];
  repeat(element, COUNTS_EVERY_MS, async () => {
    try {
      const day = today();
      const report = await api.get(['campaigns', id, 'delivery'], { from: day, to: day, by: 'placement' }, { fresh: true });
      // What came is counted within a day, and from the second look on.
      const since = row => (of === day ? row.impressions - (before.get(row.key) || 0) : null);
      show(columns, report.rows.map(row => ({ ...row, came: since(row) })), { caption: t('live.today'), sort: '-impressions', empty: t('live.nothing') },
        h('p', { class: 'legend' }, h('span', { class: 'tag provisional' }, t('provisional')), ' ', t('live.provisional')));
      [before, of] = [new Map(report.rows.map(row => [row.key, row.impressions])), day];
    } catch (error) { put(body, failure(error)); }
  });
  return element;
}

/** The newest hits on a placement in trial. */
function hits({ id }, placement, every) {
  const { body, element, show } = card([placement.name, ' ', h('span', { class: 'tag' }, t('state.trial'))], `${placement.id} · ${placement.medium} · ${t('live.trial_note')}`, { label: placement.name, set: { card: 'hits', placement: placement.id } });
  const columns = [
    { id: 'at', label: t('live.received'), of: row => row.received_ms, show: row => clock(new Date(row.received_ms)) },
    { id: 'stage', label: t('live.stage'), of: row => named('stage', row.stage || 'unknown') },
    { id: 'outcome', label: t('live.outcome'), of: row => row.outcome, show: row => h('span', { class: row.outcome === 'accepted' ? 'good' : 'bad-word' }, row.outcome === 'accepted' ? [icon('done'), ' ', t('outcome.accepted')] : named('outcome', row.outcome)) },
    { id: 'ids', label: t('live.ids'), of: row => row.identifiers.map(one => one.name).join(', '), show: row => (row.identifiers.length ? h('span', { class: 'row' }, row.identifiers.map(one => h('span', { class: `tag ${one.usable ? 'good' : 'bad'}`, title: t(one.usable ? 'live.usable' : 'live.unusable') }, `${one.name}${one.usable ? '' : ' ✕'}`))) : h('span', { class: 'soft' }, t('live.no_ids'))) },
    { id: 'platform', label: t('by.platform'), of: row => named('platform', row.platform) },
    { id: 'notes', label: t('live.notes'), of: row => row.flags.length, show: row => notes(row), class: 'wrap' },
  ];
  repeat(element, every, async () => {
    try {
      const answer = await api.get(['campaigns', id, 'placements', placement.id, 'hits'], { limit: HITS_SHOWN }, { fresh: true });
      show(columns, answer.hits, { caption: placement.name, empty: t('live.no_hits') });
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
