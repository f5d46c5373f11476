// Who has a token: made, listed with their last use, and revoked. A token is shown once, when it is made.

import * as api from '../api.js';
import { failure, notice, skeleton } from '../cards.js';
import { button, h, icon, put } from '../dom.js';
import { staying } from '../focus.js';
import { confirm, dialog, form } from '../form.js';
import { moment, t } from '../i18n.js';
import { table } from '../tables.js';
import { advertisersOf } from './campaign-fields.js';

const ROLES = ['advertiser', 'medium', 'auditor', 'operator'];

export function tokensPage(me) {
  const body = h('div', {}, skeleton(6));
  const load = async () => {
    try {
      const [{ tokens }, { campaigns }] = await Promise.all([api.get(['tokens'], {}, { fresh: true }), api.get(['campaigns'])]);
      put(tools, me.may_change && button(t('token.new'), () => make(campaigns, load), { icon: 'plus', class: 'main', id: 'new-token' }));
      staying(() => put(body, list(me, tokens, load)));
    } catch (error) { put(body, failure(error, load)); }
  };
  const tools = h('div', { class: 'page-tools' });
  load();
  return { title: t('tokens'), content: [h('div', { class: 'page-head' }, h('div', {}, h('h1', {}, t('tokens')), h('p', { class: 'soft' }, t('tokens.note'))), tools), body] };
}

function list(me, tokens, load) {
  const state = row => h('span', { class: `tag ${row.state === 'in_force' ? 'good' : 'bad'}` }, t(`token.${row.state}`));
  const columns = [
    { id: 'name', label: t('token.name'), of: row => row.name, show: row => h('span', { class: 'two-lines' }, h('span', {}, row.name), h('span', { class: 'soft' }, row.id)), class: 'name' },
    { id: 'role', label: t('token.role'), of: row => t(`role.${row.role}`) },
    { id: 'scope', label: t('token.scope'), of: row => row.scope.join(', '), show: row => (row.scope.length ? row.scope.join(', ') : t('token.all')), class: 'wrap' },
    { id: 'state', label: t('token.state'), of: row => row.state, show: state },
    { id: 'used', label: t('token.used'), of: row => row.last_used, show: row => (row.last_used ? moment(row.last_used) : t('token.never')) },
    { id: 'expires', label: t('token.expires'), of: row => row.expires, show: row => (row.revoked ? t('token.revoked_at', { at: moment(row.revoked) }) : row.expires ? moment(row.expires) : t('token.no_end')) },
    { id: 'made', label: t('token.made'), of: row => row.made, show: row => h('span', { class: 'two-lines' }, moment(row.made), h('span', { class: 'soft' }, row.made_by)) },
  ];
  if (me.may_change) {
    columns.push({
      id: 'act', label: t('actions'), class: 'no-print', fixed: true, of: () => null, show: row => (row.state === 'in_force'
        ? button(t('token.revoke'), () => confirm(t('token.revoke'), t('token.revoke_sure', { name: row.name }), t('token.revoke'), async () => { await api.change('DELETE', ['tokens', row.id]); load(); }), { class: 'quiet', data: { revoke: row.id }, 'aria-label': t('token.revoke_one', { name: row.name }) }) : ''),
    });
  }
  return h('div', { class: 'card flush stack' }, table({ caption: t('tokens'), columns, rows: tokens, sort: '-made', empty: t('tokens.none') }));
}

function make(campaigns, load) {
  const media = [...new Set(campaigns.flatMap(one => one.placements.map(placement => placement.medium)))].sort();
  dialog(t('token.new'), close => {
    const frame = h('div', {});
    const fields = [
      { key: 'name', label: t('token.name'), hint: t('token.name_hint'), required: true },
      { key: 'role', kind: 'select', label: t('token.role'), wide: true, options: ROLES.map(role => [role, `${t(`role.${role}`)}: ${t(`role.${role}_sees`)}`]) },
      { key: 'advertisers', kind: 'names', known: advertisersOf(campaigns), label: t('token.scope.advertisers'), wide: true, when: all => all.role === 'advertiser' },
      { key: 'media', kind: 'names', known: media, label: t('token.scope.media'), wide: true, when: all => all.role === 'medium' },
      { key: 'expires_days', kind: 'number', step: 1, label: t('token.days'), hint: t('token.days_hint') },
    ];
    const submit = async (_, all) => {
      const made = await api.change('POST', ['tokens'], { json: all });
      put(frame, once(made, close));
      load();
    };
    put(frame, form({ fields, submit, words: t('token.make'), cancel: close }));
    return frame;
  });
}

/** The token, this once. */
function once(made, close) {
  const field = h('textarea', { readonly: true, rows: 3, class: 'secret', 'aria-label': t('token'), id: 'made-token' });
  field.value = made.token;
  const told = h('span', { role: 'status' });
  return h('div', { class: 'form' },
    notice('done', h('p', {}, t('token.once'))), field,
    made.not_in_catalog && made.not_in_catalog.length ? notice('info', h('p', {}, t('token.not_in_catalog', { names: made.not_in_catalog.join(', ') }))) : null,
    h('div', { class: 'actions' },
      button(t('copy'), async () => { field.select(); try { await navigator.clipboard.writeText(made.token); } catch { document.execCommand('copy'); } put(told, icon('done'), t('copied')); }, { class: 'main' }),
      button(t('close'), close, { class: 'quiet', id: 'close-token' }), told));
}
