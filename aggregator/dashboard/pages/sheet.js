// A sheet that is handed in: looked through first, with each wrong cell at its row; then taken whole, as it was looked through, or not at all.

import { failure, notice } from '../cards.js';
import { button, h, put } from '../dom.js';
import { fileField } from '../fields.js';
import { t, whole } from '../i18n.js';
import { table } from '../tables.js';
import { wrongText } from '../wrong.js';

const ACCEPT = '.csv,.xlsx,text/csv,application/vnd.openxmlformats-officedocument.spreadsheetml.sheet';

/**
 * `send(file, isTrial)` sends it; `found(answer)` says in `{words, facts, more}` what it would do and by which `take` it is done; `done(answer)` shows what was done.
 * Answers `{field, result, look}`: the place to choose it, what is told of it, and what looks once more because something else was chosen.
 */
export function sheet({ id, label, hint, send, found, done }) {
  const result = h('div', { role: 'status', id: `${id}-result` });
  let [turn, chosen] = [0, null];
  const look = async () => {
    if (!chosen) return;
    const mine = ++turn;
    const file = chosen;
    put(result, h('p', { class: 'soft' }, t('import.looking')));
    try {
      const answer = await send(file, true);
      if (mine !== turn) return;
      const { words, facts, more, take } = found(answer);
      const go = button(take, () => accepted(file, go), { class: 'main', id: `${id}-take` });
      const sums = answer.sum_rows.map(row => t('import.row_n', { n: row }));
      put(result, notice('done', h('p', {}, words)), warned(answer.warnings), dl([...facts, ['import.sums', sums], ['import.ignored', answer.ignored_columns]]), more, h('p', {}, go));
    } catch (error) { if (mine === turn) put(result, problems(error)); }
  };
  const accepted = async (file, go) => {
    const mine = ++turn;
    go.disabled = true;
    try {
      const answer = await send(file, false);
      if (mine === turn) { chosen = null; done(answer, result); }
    } catch (error) {
      if (mine !== turn) return;
      if (error.status !== 412) { put(result, problems(error)); return; }
      await look();
      result.prepend(notice('info', h('p', {}, t('import.looked_again'))));
    }
  };
  const field = fileField({ id: `${id}-file`, label, hint, accept: ACCEPT, take: file => { chosen = file; look(); } });
  return { field, result, look };
}

const NAMES_SHOWN = 30;

function dl(facts) {
  const named = list => list.slice(0, NAMES_SHOWN).join(', ') + (list.length > NAMES_SHOWN ? ' …' : '');
  const said = facts.filter(([, list]) => list && list.length);
  return said.length ? h('dl', { class: 'facts' }, said.map(([key, list]) => [h('dt', {}, t(key)), h('dd', {}, named(list))])) : null;
}

/** What is not wrong for sure, and should be looked at before it is taken. */
const warned = warnings => warnings.length > 0 && [notice('info', h('p', { id: 'sheet-warned' }, t('import.warned'))), cellTable(warnings)];

/** Cells with what is said of each, by row, as the spreadsheet counts it. */
function cellTable(cells) {
  const columns = [
    { id: 'row', label: t('import.row'), of: cell => cell.row, show: cell => t('import.row_n', { n: cell.row }) },
    { id: 'column', label: t('import.column'), of: cell => cell.column, show: cell => h('span', {}, h('b', {}, cell.column), ' ', cell.header) },
    { id: 'value', label: t('import.value'), of: cell => cell.value, show: cell => (cell.value ? h('code', {}, cell.value) : h('span', { class: 'soft' }, t('import.blank'))), class: 'wrap' },
    { id: 'message', label: t('import.wrong'), of: wrongText, class: 'wrap' },
  ];
  const rows = [...cells].sort((a, b) => a.row - b.row || a.column.length - b.column.length || (a.column < b.column ? -1 : 1));
  return h('div', { class: 'stack' }, table({ caption: t('import.wrong'), columns, rows, sort: 'row' }));
}

/** Each wrong cell with its row. */
function problems(error) {
  const cells = error.error && error.error.cells;
  if (!cells || !cells.length) return failure(error);
  const count = error.error.cell_count ?? cells.length;
  return [
    notice('bad', h('p', {}, t('import.refused', { count: whole(count) })), cells.length < count && h('p', {}, t('import.first', { count: cells.length }))),
    cellTable(cells),
  ];
}
