// The token is typed or pasted here once. It goes into the head of requests and nowhere else: no address, no cookie.

import { notice, reason } from '../cards.js';
import { h, put } from '../dom.js';
import { t } from '../i18n.js';

/** `why`: `expired` where a token that was in use is no longer good. `enter(token, isForLong)` answers null, or why not. */
export function signIn(why, enter) {
  const told = h('div', { class: 'told', role: 'status' });
  if (why === 'expired') put(told, notice('bad', h('p', {}, t('sign_in.expired'))));
  if (why === 'left') put(told, notice('done', h('p', {}, t('sign_in.left'))));
  const field = h('input', {
    id: 'token', type: 'password', autocomplete: 'current-password', spellcheck: 'false', autocapitalize: 'off', required: true, 'aria-describedby': 'token-hint',
  });
  const keep = h('input', { id: 'keep', type: 'checkbox' });
  const go = h('button', { type: 'submit', class: 'main' }, t('sign_in'));
  const submit = async event => {
    event.preventDefault();
    const token = field.value.trim();
    if (!token) { field.focus(); return; }
    go.disabled = true;
    const error = await enter(token, keep.checked);
    if (!error) return;
    go.disabled = false;
    field.setAttribute('aria-invalid', 'true');
    put(told, notice('bad', h('p', {}, error.status === 401 ? t('sign_in.wrong') : reason(error))));
    field.focus();
    field.select();
  };
  const content = h('main', { id: 'main', class: 'narrow' },
    h('h1', {}, t('sign_in.title')),
    h('p', { class: 'lead' }, t('sign_in.lead')),
    told,
    h('form', { class: 'panel', on: { submit } },
      h('label', { for: 'token' }, t('sign_in.token')),
      field,
      h('p', { class: 'hint', id: 'token-hint' }, t('sign_in.hint')),
      h('p', { class: 'check' }, keep, h('label', { for: 'keep' }, t('sign_in.keep'))),
      h('p', { class: 'hint' }, t('sign_in.keep_hint')),
      go));
  queueMicrotask(() => field.focus());
  return content;
}
