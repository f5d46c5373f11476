// Closed periods, whose figures stay as they were billed; and the media's own numbers, which stand beside ours.

import * as address from '../address.js';
import * as api from '../api.js';
import { failure, notice, skeleton } from '../cards.js';
import { button, h, icon, put } from '../dom.js';
import { form } from '../form.js';
import { moment, t, whole } from '../i18n.js';
import { table } from '../tables.js';
import { problems } from './import.js';

const redraw = () => { api.forget(); dispatchEvent(new Event('hashchange')); };

export function closingsPage(context) {
  return h('div', { class: 'grid' }, context.closings && closings(context), numbers(context));
}

function closings({ id, me, closings: got }) {
  const rows = got.closings || [];
  const columns = [
    { id: 'version', label: t('closing.version'), of: row => row.version, number: true },
    { id: 'period', label: t('closing.period'), of: row => row.from, show: row => h('span', {}, h('a', { href: address.to(['c', id], { from: row.from, to: row.to, version: row.newest ? '' : row.version }) }, `${row.from} – ${row.to}`), row.newest && h('span', { class: 'tag good' }, t('numbers.in_force'))) },
    { id: 'at', label: t('closing.at'), of: row => row.closed_at, show: row => moment(row.closed_at) },
    { id: 'by', label: t('closing.by'), of: row => row.closed_by },
    { id: 'note', label: t('closing.note'), of: row => row.note, class: 'wrap' },
  ];
  const submit = async (_, all) => { await api.change('POST', ['campaigns', id, 'closings'], { json: { from: all.from, to: all.to, note: all.note || '' } }); redraw(); };
  return h('section', { class: 'card wide', 'aria-label': t('closings'), data: { card: 'closings' } },
    h('header', {}, h('div', {}, h('h2', {}, icon('lock'), ' ', t('closings')), h('p', { class: 'note' }, t('closings.note')))),
    h('div', { class: 'card-body' },
      table({ caption: t('closings'), columns, rows, sort: '-at', empty: t('closings.none') }),
      me.may_change && h('details', { class: 'behind' }, h('summary', {}, t('closing.new')), form({
        words: t('closing.make'), submit,
        fields: [{ key: 'from', kind: 'date', label: t('range.from'), required: true }, { key: 'to', kind: 'date', label: t('range.to'), required: true }, { key: 'note', kind: 'text', label: t('closing.note'), wide: true, hint: t('closing.hint') }],
      }))));
}

/** Sheets of media: who gave what, when; and a place to hand in another. */
function numbers({ id, me }) {
  const body = h('div', { class: 'card-body' }, skeleton(3));
  const element = h('section', { class: 'card wide', 'aria-label': t('numbers'), data: { card: 'numbers' } },
    h('header', {}, h('div', {}, h('h2', {}, t('numbers')), h('p', { class: 'note' }, t('numbers.note')))), body);
  const load = async () => {
    try {
      const got = await api.maybe(['campaigns', id, 'media-numbers'], {}, { fresh: true });
      if (!got) { element.remove(); return; }
      put(body, given(got.media), (me.may_change || me.role === 'medium') && form_);
    } catch (error) { put(body, failure(error, load)); }
  };
  const form_ = upload(id, () => load());
  load();
  return element;
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
  return table({ caption: t('numbers'), columns, rows, sort: '-at', empty: t('numbers.none') });
}

/** A sheet is looked through first, and taken when that is wanted. */
function upload(id, load) {
  const file = h('input', { type: 'file', id: 'numbers-file', accept: '.csv,text/csv' });
  const result = h('div', { role: 'status', id: 'numbers-result' });
  const send = isTrial => api.change('PUT', ['campaigns', id, 'media-numbers'], { file: new Blob([file.files[0]], { type: 'text/csv' }), query: { dry_run: isTrial ? 'true' : '' } });
  const take = async () => {
    try {
      await send(false);
      file.value = '';
      put(result, notice('done', h('p', {}, t('numbers.done'))));
      load();
    } catch (error) { put(result, problems(error)); }
  };
  file.addEventListener('change', async () => {
    if (!file.files.length) { put(result); return; }
    put(result, h('p', { class: 'soft' }, t('import.looking')));
    try {
      const found = await send(true);
      const media = found.media.map(one => one.medium).join(', ');
      put(result, notice('done', h('p', {}, t('numbers.right', { rows: whole(found.rows), media }))), button(t('numbers.take'), take, { class: 'main', id: 'numbers-take' }));
    } catch (error) { put(result, problems(error)); }
  });
  return h('div', { class: 'form' }, h('div', { class: 'field' }, h('label', { for: 'numbers-file' }, t('numbers.upload')), file, h('p', { class: 'hint' }, t('numbers.hint'))), result);
}
