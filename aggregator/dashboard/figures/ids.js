// What the ids of impressions were like, by day of the campaign's whole range: the return rate that buyers ask media for, and which kinds of id came.

import { card, exports } from '../cards.js';
import { h } from '../dom.js';
import { named, percent, t, whole } from '../i18n.js';
import { figure } from '../marks.js';
import { bar } from '../tables.js';

export function kinds({ maybe, id, range }) {
  return card({
    id: 'ids', title: t('ids'), note: t('ids.note'),
    load: () => maybe('ids'),
    more: data => data && exports([{ campaign: id, report: 'ids', query: range, label: t('report.ids') }]),
    show: report => {
      const row = report.rows[0];
      if (!row || row.impressions === null) return h('p', { class: 'empty' }, t('nothing.range'));
      const line = (label, value, hint) => h('tr', { title: hint }, h('th', { scope: 'row' }, label), h('td', { class: 'number' }, figure(row, value)), h('td', { class: 'grow' }, value === null ? '' : bar(row.impressions ? value / row.impressions : 0, row.impressions ? percent(value / row.impressions) : '–')));
      const of = Object.entries(row.identified_by_kind).filter(([, value]) => value).sort((a, b) => b[1] - a[1]);
      return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': t('ids') }, h('table', { class: 'sum' },
        h('caption', { class: 'heard' }, t('ids')),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('ids.what')), h('th', { scope: 'col', class: 'number' }, t('figure.impressions')), h('th', { scope: 'col' }, t('ids.share')))),
        h('tbody', {},
          line(t('ids.usable'), row.usable), line(t('ids.identified'), row.identified),
          of.map(([name, value]) => line(h('span', { class: 'indent' }, named('id_kind', name)), value)),
          line(t('ids.withheld'), row.withheld), line(t('ids.bad'), row.bad), line(t('ids.absent'), row.absent), row.set_aside ? line(t('ids.set_aside'), row.set_aside) : null)),
      row.suppressed && h('p', { class: 'legend' }, t('mark.left_out')), h('p', { class: 'legend' }, t('ids.words', { count: whole(row.impressions) })));
    },
  });
}
