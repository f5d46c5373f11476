// Closed periods, whose figures stay as they were billed; and the media's own numbers, which stand beside ours.

import * as address from '../address.js';
import * as api from '../api.js';
import { failure, notice, skeleton } from '../cards.js';
import { h, icon, put } from '../dom.js';
import { shift } from '../figures/days.js';
import { at } from '../figures/reach.js';
import { staying } from '../focus.js';
import { confirm, form } from '../form.js';
import { days, moment, t, whole } from '../i18n.js';
import { estimate } from '../marks.js';
import { table } from '../tables.js';
import { sheet } from './sheet.js';

export function closingsPage(context) {
  return h('div', { class: 'grid' }, listed(context, 'closings', closings), listed(context, 'numbers', numbers));
}

/** A card of what stands at a path; none where there is no such thing. `show(context, answer, load)` gives what stands in it. */
function listed(context, name, show) {
  const path = name === 'closings' ? 'closings' : 'media-numbers';
  const body = h('div', { class: 'card-body' }, skeleton(3));
  const element = h('section', { class: 'card wide', 'aria-label': t(name), data: { card: name } },
    h('header', {}, h('div', {}, h('h2', {}, name === 'closings' && [icon('lock'), ' '], t(name)), h('p', { class: 'note' }, t(`${name}.note`)))), body);
  const load = async () => {
    try {
      const got = await api.maybe(['campaigns', context.id, path], {}, { fresh: true });
      if (!got) { element.remove(); return; }
      staying(() => put(body, show(context, got, load)));
    } catch (error) { put(body, failure(error, load)); }
  };
  load();
  return element;
}

function closings({ id, me }, { closings: rows }, load) {
  const columns = [
    { id: 'period', label: t('closing.period'), of: row => row.from, show: row => h('span', {}, h('a', { href: address.to(['c', id], { from: row.from, to: row.to, version: row.newest ? '' : row.version }) }, `${row.from} – ${row.to}`), row.newest && h('span', { class: 'tag good' }, t('numbers.in_force'))) },
    { id: 'version', label: t('closing.version'), of: row => row.version, number: true },
    { id: 'at', label: t('closing.at'), of: row => row.closed_at, show: row => moment(row.closed_at) },
    { id: 'by', label: t('closing.by'), of: row => row.closed_by },
    { id: 'note', label: t('closing.note'), of: row => row.note, class: 'wrap' },
  ];
  return [
    h('div', { class: 'stack' }, table({ caption: t('closings'), columns, rows, sort: '-at', empty: t('closings.none') })),
    me.may_change && h('details', { class: 'behind no-print', open: !rows.length }, h('summary', {}, t('closing.new')), closable(id, rows, load)),
  ];
}

/** What may be closed, and the form for it with the days that are next. */
function closable(id, rows, load) {
  const place = h('div', {}, skeleton(3));
  const ask = async () => {
    try {
      const { from, settled_until: until } = await api.get(['campaigns', id, 'delivery'], {}, { fresh: true });
      const closed = rows.map(row => row.to).sort().pop();
      const next = closed && closed >= from ? shift(closed, 1) : from;
      const words = h('p', { id: 'closable' }, t(until ? 'closing.until' : 'closing.nothing_settled', { day: until }));
      put(place, words, closingForm(id, { rows, values: until && next <= until ? { from: next, to: until } : {} }, load));
    } catch (error) { put(place, failure(error, ask)); }
  };
  ask();
  return place;
}

/** The figures of a period as they would be closed, and as they are where it is closed already; refused where some day of it is not settled. */
async function drafted(id, { from, to }, isClosed) {
  const ask = (report, state) => api.get(['campaigns', id, report], { from, to, state }, { fresh: true });
  const both = state => Promise.all([ask('delivery', state), ask('reach', state)]);
  const [[delivery, reach], before] = await Promise.all([both('present'), isClosed ? both() : null]);
  const rows = ([of, devices]) => ({ ...of.rows[0], devices: devices.rows[0] });
  if (delivery.settled_until === to && !delivery.provisional_days.length) return { now: rows([delivery, reach]), before: before && rows(before) };
  const open = delivery.provisional_days.length ? delivery.provisional_days : [shift(delivery.settled_until || from, delivery.settled_until ? 1 : 0)];
  throw new api.Refused(409, { fields: [{ key: open.includes(from) ? 'from' : 'to', message: t('closing.days', { days: days(open) }) }] });
}

/** What is about to be closed, for who has to say yes to it. */
function draft({ now, before }, version) {
  const of = (row, name) => (name === 'reach' ? row.devices?.reach : row[name]) ?? null;
  const told = name => (name === 'reach' ? estimate(now.devices, of(now, name), at(now.devices, 0)) : whole(of(now, name)));
  const was = name => before && of(before, name) !== of(now, name) && h('span', { class: 'soft' }, ` ${t('closing.was', { version, count: whole(of(before, name)) })}`);
  const names = ['gross_impressions', 'net_impressions', 'net_clicks', 'reach', 'planned'].filter(name => of(now, name) !== null);
  return names.length ? h('dl', { class: 'facts', id: 'draft' }, names.map(name => [h('dt', {}, t(`figure.${name}`)), h('dd', {}, h('b', {}, told(name)), was(name))])) : h('p', {}, t('nothing.range'));
}

/** Asks once more before it closes: a closing stays. */
function closingForm(id, { rows, values }, load) {
  const earlier = ({ from, to }) => rows.filter(row => row.from === from && row.to === to).length;
  const check = all => [
    ...(all.from > all.to ? [{ key: 'from', message: t('range.wrong') }] : []),
    ...(earlier(all) && !all.note ? [{ key: 'note', message: t('closing.note_needed') }] : []),
  ];
  const close = async ({ from, to, note }) => {
    try { await api.change('POST', ['campaigns', id, 'closings'], { json: { from, to, note: note || '' } }); } catch (error) {
      if (error.code === 'not_settled' && error.error.days) error.more = t('closing.days', { days: days(error.error.days) });
      throw error;
    }
    load();
  };
  return form({
    words: t('closing.make'), check,
    submit: async (_, all) => {
      const version = earlier(all);
      const figures = draft(await drafted(id, all, version > 0), version);
      confirm(t('closing.new'), [t('closing.sure', { from: all.from, to: all.to, version: version + 1 }), figures], t('closing.make'), () => close(all), { kind: 'main', doing: t('closing.doing') });
    },
    values,
    fields: [
      { key: 'from', kind: 'date', label: t('range.from'), required: true }, { key: 'to', kind: 'date', label: t('range.to'), required: true },
      { key: 'note', kind: 'text', label: t('closing.note'), wide: true, hint: t('closing.hint') },
    ],
  });
}

/** Sheets of media: who gave what, when; and a place to hand in another. */
function numbers(context, { media }, load) {
  return [given(media), (context.me.may_change || context.me.role === 'medium') && upload(context, load)];
}

/** Each medium with its versions, the newest first. */
function given(media) {
  const rows = media.flatMap(({ medium, versions }) => versions.map((version, at) => ({ ...version, medium, isNewest: at === 0 })));
  const columns = [
    { id: 'medium', label: t('by.medium'), of: row => row.medium, show: row => h('span', {}, row.medium, row.isNewest && h('span', { class: 'tag good' }, t('numbers.in_force'))) },
    { id: 'version', label: t('closing.version'), of: row => row.version, number: true },
    { id: 'days', label: t('days'), of: row => row.first_day, show: row => (row.first_day ? `${row.first_day} – ${row.last_day}` : '–') },
    { id: 'rows', label: t('numbers.rows'), of: row => row.rows, show: row => whole(row.rows), number: true },
    { id: 'impressions', label: t('figure.impressions'), of: row => row.impressions, show: row => whole(row.impressions), number: true },
    { id: 'clicks', label: t('figure.clicks'), of: row => row.clicks, show: row => whole(row.clicks), number: true },
    { id: 'by', label: t('numbers.by'), of: row => row.given_by },
    { id: 'at', label: t('numbers.at'), of: row => row.given, show: row => moment(row.given) },
  ];
  return h('div', { class: 'stack' }, table({ caption: t('numbers'), columns, rows, sort: '-at', empty: t('numbers.none') }));
}

function upload(context, load) {
  // The card is drawn anew when they are taken: what was done is told there once more.
  const told = context.numbersTaken ? notice('done', h('p', {}, t('numbers.done'))) : null;
  context.numbersTaken = false;
  const { field, result } = sheet({
    id: 'numbers', label: t('numbers.upload'), hint: t('numbers.hint'),
    send: (file, isTrial) => api.change('PUT', ['campaigns', context.id, 'media-numbers'], { file, query: { dry_run: isTrial ? 'true' : '' } }),
    found: ({ rows, media, sheet: read, unread_sheets: unread }) => ({ words: t('numbers.right', { rows: whole(rows), media: media.map(one => one.medium).join(', ') }), facts: [['import.sheet', [read].filter(Boolean)], ['import.unread', unread]], take: t('numbers.take') }),
    done: () => { context.numbersTaken = true; load(); },
  });
  put(result, told);
  return h('div', { class: 'form no-print' }, field, result);
}
