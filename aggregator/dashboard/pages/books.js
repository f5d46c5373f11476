// The books: what became of every beacon. Received is the sum of the outcomes, or something is wrong here.

import * as api from '../api.js';
import { failure, notice, skeleton } from '../cards.js';
import { h, put } from '../dom.js';
import { fine, named, percent, t, whole } from '../i18n.js';
import { bar, table } from '../tables.js';

export function booksPage() {
  const body = h('div', {}, skeleton(8));
  const load = async () => {
    try { put(body, shown(await api.get(['books']))); } catch (error) { put(body, failure(error, load)); }
  };
  load();
  return { title: t('books'), content: [h('div', { class: 'page-head' }, h('div', {}, h('h1', {}, t('books')), h('p', { class: 'soft' }, t('books.note')))), body] };
}

function shown({ total, journals, records_set_aside: aside }) {
  const rows = Object.entries(total.outcomes).filter(([, count]) => count > 0).map(([name, count]) => ({ name, count }));
  const columns = [
    { id: 'name', label: t('books.outcome'), of: row => named('outcome', row.name), show: row => h('span', { class: 'two-lines' }, named('outcome', row.name), h('span', { class: 'soft' }, row.name)) },
    { id: 'count', label: t('books.beacons'), of: row => row.count, show: row => whole(row.count), number: true },
    { id: 'share', label: t('books.share'), of: row => row.count, show: row => bar(row.count / (total.received || 1), row.count / total.received < 0.01 ? fine(row.count / total.received) : percent(row.count / total.received)), class: 'grow' },
  ];
  return [
    notice(total.balanced ? 'done' : 'bad', h('p', {}, t(total.balanced ? 'books.balanced' : 'books.unbalanced', { received: whole(total.received), pending: whole(total.pending), journals: journals.length }))),
    aside > 0 && notice('bad', h('p', {}, t('books.aside', { count: whole(aside) }))),
    h('div', { class: 'card flush stack' }, table({ caption: t('books'), columns, rows, sort: '-count', empty: t('books.none') })),
  ];
}
