// What the ids of the range's impressions were like: the return rate that buyers ask media for, and which kinds of id came.

import { card, exports } from '../cards.js';
import { h } from '../dom.js';
import { named, percent, t, whole } from '../i18n.js';
import { change, figure, leftOut, legend } from '../marks.js';
import { bar } from '../tables.js';

export function kinds({ maybe, id, range }) {
  return card({
    id: 'ids', title: t('ids'), note: t('ids.note'),
    load: () => maybe('ids'),
    more: data => data && exports([{ campaign: id, report: 'ids', query: range, label: t('report.ids') }]),
    show: report => {
      const row = report.rows[0];
      if (!row || row.impressions === null) return h('p', { class: 'empty' }, row && row.suppressed ? legend(report, [row]) : t('nothing.range'));
      const share = value => (row.impressions && value !== null ? bar(value / row.impressions, percent(value / row.impressions)) : '');
      const line = (label, value, since) => h('tr', {}, h('th', { scope: 'row' }, label), h('td', { class: 'number' }, figure(row, value), since), h('td', { class: 'grow' }, share(value)));
      const all = Object.entries(row.identified_by_kind);
      const shown = all.filter(([, value]) => value).sort((a, b) => b[1] - a[1]);
      const hidden = all.filter(([, value]) => value === null).map(([name]) => named('id_kind', name));
      const indent = words => h('span', { class: 'indent' }, words);
      return [h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': t('ids') }, h('table', { class: 'sum' },
        h('caption', { class: 'heard' }, t('ids')),
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, t('ids.what')), h('th', { scope: 'col', class: 'number' }, t('figure.impressions')), h('th', { scope: 'col' }, t('ids.share')))),
        h('tbody', {},
          line(t('ids.usable'), row.usable, change(row, 'usable')), line(t('ids.identified'), row.identified, change(row, 'identified')),
          shown.map(([name, value]) => line(indent(named('id_kind', name)), value)),
          hidden.length > 0 && h('tr', {}, h('th', { scope: 'row', class: 'wrap' }, indent(hidden.join(', '))), h('td', { class: 'number' }, leftOut()), h('td', {})),
          line(t('ids.withheld'), row.withheld), line(t('ids.bad'), row.bad), line(t('ids.absent'), row.absent), row.set_aside !== 0 && line(t('ids.set_aside'), row.set_aside)))),
      legend(report, [row]), h('p', { class: 'legend' }, t('ids.words', { count: whole(row.impressions) }))];
    },
  });
}
