// Tables: sorted by a click on a column's head, and by the keyboard; wide ones scroll in their own frame.

import { h, put, unique } from './dom.js';
import { byName, t } from './i18n.js';

/** How a column's cells are compared; what is missing stands last. */
function compare(column, direction) {
  return (a, b) => {
    const [x, y] = [column.of(a), column.of(b)];
    const [noX, noY] = [x, y].map(value => value === null || value === undefined || value === '');
    if (noX || noY) return Number(noX) - Number(noY);
    return (typeof x === 'number' && typeof y === 'number' ? x - y : byName(String(x), String(y))) * direction;
  };
}

/**
 * A table. `columns` are `{id, label, of: row => value, show: row => what stands there, number, hint}`; `sort` names the first one to sort by, with `-` before it
 * downwards, or is null (as they come). `mark(row)` gives a row a class.
 */
export function table({ caption, columns, rows, sort = null, mark, foot, empty }) {
  if (!rows.length && empty) return h('p', { class: 'empty' }, empty);
  const id = unique();
  const body = h('tbody', {});
  let order = sort && { column: columns.find(column => column.id === sort.replace(/^-/, '')), direction: sort.startsWith('-') ? -1 : 1 };
  const cell = (column, row, at) => {
    const properties = { class: column.number ? 'number' : column.class || null, data: { label: column.label } };
    const shown = column.show ? column.show(row) : column.of(row);
    return at === 0 ? h('th', { scope: 'row', ...properties }, shown) : h('td', properties, shown ?? '–');
  };
  const fill = () => {
    const sorted = order && order.column ? [...rows].sort(compare(order.column, order.direction)) : rows;
    put(body, sorted.map(row => h('tr', { class: mark && mark(row) }, columns.map((column, at) => cell(column, row, at)))));
  };
  const heads = columns.map(column => {
    const properties = { scope: 'col', class: column.number ? 'number' : column.class === 'no-print' ? column.class : null, title: column.hint };
    if (!sort) return h('th', properties, column.label);
    if (column.fixed) return h('th', properties, h('span', { class: 'unsorted' }, column.label));
    const click = () => {
      const first = column.number ? -1 : 1;
      order = { column, direction: order && order.column === column ? -order.direction : first };
      fill();
      heads.forEach((head, at) => {
        if (columns[at] === order.column) head.setAttribute('aria-sort', order.direction > 0 ? 'ascending' : 'descending');
        else head.removeAttribute('aria-sort');
      });
    };
    const head = h('th', properties, h('button', { type: 'button', class: 'sort', on: { click } }, column.label));
    if (order && order.column === column) head.setAttribute('aria-sort', order.direction > 0 ? 'ascending' : 'descending');
    return head;
  });
  fill();
  return h('div', { class: 'scroll', role: 'region', tabindex: 0, 'aria-labelledby': id },
    h('table', {},
      h('caption', { id, class: 'heard' }, caption || t('table')),
      h('thead', {}, h('tr', {}, heads)),
      body,
      foot && h('tfoot', {}, foot)));
}

/** A bar behind a share: planned and delivered, overlap. */
export function bar(share, text, kind) {
  const width = Math.max(0, Math.min(1, share || 0)) * 100;
  const inner = h('span', { class: `bar-fill ${kind || ''}` });
  inner.style.width = `${width}%`;
  return h('span', { class: 'bar' }, h('span', { class: 'bar-track', 'aria-hidden': 'true' }, inner), h('span', { class: 'bar-text' }, text));
}
