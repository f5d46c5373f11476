// Placements from a sheet: looked through first, with each wrong cell at its row; then taken whole, or not at all.

import * as api from '../api.js';
import { download, failure, notice } from '../cards.js';
import { button, h, put } from '../dom.js';
import { dialog } from '../form.js';
import { now, t, whole } from '../i18n.js';
import { table } from '../tables.js';

export function importDialog({ id, full }, done) {
  dialog(t('import'), close => {
    const file = h('input', { type: 'file', id: 'sheet', accept: '.csv,.xlsx,text/csv,application/vnd.openxmlformats-officedocument.spreadsheetml.sheet' });
    const replace = h('input', { type: 'checkbox', id: 'replace' });
    const result = h('div', { role: 'status', id: 'import-result' });
    const actions = h('div', { class: 'actions' }, button(t('cancel'), close, { class: 'quiet' }));
    const send = isTrial => api.change('POST', ['campaigns', id, 'placements', 'import'], {
      file: file.files[0], version: full.version, query: { dry_run: isTrial ? 'true' : '', existing: replace.checked ? 'replace' : '' },
    });
    const take = async event => {
      event.target.disabled = true;
      try {
        const taken = await send(false);
        put(result, notice('done', h('p', {}, t('import.done', { added: whole(taken.added.length), changed: whole(taken.changed.length) }))));
        put(actions, button(t('close'), () => { close(); done(); }, { class: 'main', id: 'import-close' }));
      } catch (error) { put(result, problems(error)); }
    };
    const look = async () => {
      put(actions, button(t('cancel'), close, { class: 'quiet' }));
      if (!file.files.length) { put(result); return; }
      put(result, h('p', { class: 'soft' }, t('import.looking')));
      try {
        const found = await send(true);
        put(result, preview(found));
        actions.prepend(button(t('import.take', { count: found.added.length + found.changed.length }), take, { class: 'main', id: 'import-take' }));
      } catch (error) { put(result, problems(error)); }
    };
    file.addEventListener('change', look);
    replace.addEventListener('change', look);
    return h('div', { class: 'form wide-form' },
      h('p', {}, t('import.lead')),
      h('p', { class: 'row' }, ['xlsx', 'csv'].map(format => download(`${t('import.template')} ${format.toUpperCase()}`, ['placements-template'], { format, language: now() }, `placements.${format}`, { class: 'quiet', icon: 'down' }))),
      h('div', { class: 'field' }, h('label', { for: 'sheet' }, t('import.file')), file, h('p', { class: 'hint' }, t('import.again'))),
      h('p', { class: 'check' }, replace, h('label', { for: 'replace' }, t('import.replace'))),
      result, actions);
  });
}

/** What the sheet would do. */
function preview(found) {
  const names = list => list.slice(0, 30).join(', ') + (list.length > 30 ? ' …' : '');
  return [
    notice('done', h('p', {}, t('import.right', { added: whole(found.added.length), changed: whole(found.changed.length) }))),
    h('dl', { class: 'facts' },
      found.added.length ? [h('dt', {}, t('import.added')), h('dd', {}, names(found.added))] : null,
      found.changed.length ? [h('dt', {}, t('import.changed')), h('dd', {}, names(found.changed))] : null,
      (found.ignored_columns || []).length ? [h('dt', {}, t('import.ignored')), h('dd', {}, found.ignored_columns.join(', '))] : null),
  ];
}

/** Each wrong cell with its row, as the spreadsheet counts it. */
export function problems(error) {
  const cells = error.error && error.error.cells;
  if (!cells || !cells.length) return failure(error);
  const columns = [
    { id: 'row', label: t('import.row'), of: cell => cell.row, show: cell => t('import.row_n', { n: cell.row }) },
    { id: 'column', label: t('import.column'), of: cell => cell.column, show: cell => h('span', {}, h('b', {}, cell.column), ' ', cell.header) },
    { id: 'value', label: t('import.value'), of: cell => cell.value, show: cell => (cell.value ? h('code', {}, cell.value) : h('span', { class: 'soft' }, t('import.blank'))), class: 'wrap' },
    { id: 'message', label: t('import.wrong'), of: cell => cell.message, class: 'wrap' },
  ];
  const count = error.error.cell_count ?? cells.length;
  return [
    notice('bad', h('p', {}, t('import.refused', { count: whole(count) })), cells.length < count && h('p', {}, t('import.first', { count: cells.length }))),
    h('div', { class: 'stack' }, table({ caption: t('import.wrong'), columns, rows: cells, sort: 'row' })),
  ];
}

