// Placements from a sheet.

import * as api from '../api.js';
import { download, notice } from '../cards.js';
import { button, h, put } from '../dom.js';
import { dialog } from '../form.js';
import { now, t, whole } from '../i18n.js';
import { table } from '../tables.js';
import { sheet } from './sheet.js';

/** What each placement is planned to deliver, and all of them together; before and behind the import where that changes what was planned. */
function plans(ids, planned) {
  const of = new Map(planned.map(plan => [plan.placement, plan]));
  const rows = ids.map(([id, what]) => ({ id, what: t(what), ...of.get(id) }));
  const sum = key => planned.reduce((all, plan) => all + plan[key], 0);
  const days = plan => (plan && plan.first_day ? t('import.days', { from: plan.first_day, to: plan.last_day }) : null);
  const change = ({ before, after }) => (before === after || !before ? whole(after) : t('import.change', { before: whole(before), after: whole(after) }));
  const firsts = planned.map(plan => plan.first_day).filter(Boolean).sort();
  const lasts = planned.map(plan => plan.last_day).filter(Boolean).sort();
  const all = { before: sum('before'), after: sum('after'), first_day: firsts[0], last_day: lasts[lasts.length - 1] };
  const columns = [
    { id: 'id', label: t('by.placement'), of: row => row.id },
    { id: 'what', label: t('import.what'), of: row => row.what },
    { id: 'days', label: t('import.plan_days'), of: row => row.first_day, show: days },
    { id: 'planned', label: t('figure.planned'), number: true, of: row => row.after, show: row => (row.after === undefined ? null : change(row)) },
  ];
  const foot = planned.length > 0 && h('tr', { id: 'import-sum' }, h('th', { scope: 'row' }, t('key.total')), h('td', {}, whole(planned.length)), h('td', {}, days(all) || '–'), h('td', { class: 'number' }, change(all)));
  return h('div', { class: 'stack' }, table({ caption: t('import.planned'), columns, rows, sort: 'id', foot }));
}

export function importDialog({ id }, done) {
  const at = location.hash;
  let isTaken = false;
  const element = dialog(t('import'), close => {
    const replace = h('input', { type: 'checkbox', id: 'replace', on: { change: () => look() } });
    const profiles = h('input', { type: 'checkbox', id: 'import-profiles', checked: true, on: { change: () => look() } });
    const actions = h('div', { class: 'actions' }, button(t('cancel'), close, { class: 'quiet' }));
    // What was looked through is what is taken: where the catalog has changed between the two, it is looked through again.
    let version = null;
    const send = async (file, isTrial) => {
      const answer = await api.change('POST', ['campaigns', id, 'placements', 'import'], {
        file, version: isTrial ? null : version, query: { dry_run: isTrial ? 'true' : '', existing: replace.checked ? 'replace' : '', profiles: profiles.checked ? 'proposed' : '' },
      });
      version = answer.version;
      return answer;
    };
    const { field, result, look } = sheet({
      id: 'import', label: t('import.file'), hint: t('import.again'), send,
      found: ({ added, changed, planned, proposed_profiles: proposed, sheet: read, unread_sheets: unread }) => ({
        words: t('import.right', { added: whole(added.length), changed: whole(changed.length) }),
        facts: [
          ['import.sheet', [read].filter(Boolean)], ['import.unread', unread],
          ['import.proposed', proposed.map(one => t('import.proposed_of', { id: one.placement, medium: one.medium, profile: one.profile }))],
        ],
        more: plans([...added.map(one => [one, 'import.added']), ...changed.map(one => [one, 'import.changed'])], planned),
        take: t('import.take', { count: whole(added.length + changed.length) }),
      }),
      done: ({ added, changed }, place) => {
        put(place, notice('done', h('p', {}, t('import.done', { added: whole(added.length), changed: whole(changed.length) }))));
        isTaken = true;
        const leave = button(t('close'), close, { class: 'main', id: 'import-close' });
        put(actions, leave);
        leave.focus();
      },
    });
    return h('div', { class: 'form wide-form' },
      h('p', {}, t('import.lead')),
      h('p', { class: 'row' }, ['xlsx', 'csv'].map(format => download(`${t('import.template')} ${format.toUpperCase()}`, ['placements-template'], { format, language: now() }, `placements.${format}`, { class: 'quiet', icon: 'down' }))),
      field,
      h('p', { class: 'check' }, replace, h('label', { for: 'replace' }, t('import.replace'))),
      h('p', { class: 'check' }, profiles, h('label', { for: 'import-profiles' }, t('import.profiles'))),
      result, actions);
  });
  // However it is closed, what was taken is on the page below.
  element.addEventListener('close', () => { if (isTaken && location.hash === at) done(); });
}
