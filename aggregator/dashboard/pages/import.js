// Placements from a sheet.

import * as api from '../api.js';
import { download, notice } from '../cards.js';
import { button, h, put } from '../dom.js';
import { dialog } from '../form.js';
import { now, t, whole } from '../i18n.js';
import { sheet } from './sheet.js';

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
          ['import.sheet', [read].filter(Boolean)], ['import.unread', unread], ['import.added', added], ['import.changed', changed],
          ['import.proposed', proposed.map(one => t('import.proposed_of', { id: one.placement, medium: one.medium, profile: one.profile }))],
          ['import.planned', planned.map(plan => t('import.planned_of', { id: plan.placement, before: whole(plan.before), after: whole(plan.after) }))],
        ],
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
