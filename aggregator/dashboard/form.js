// Forms: fields with their words, hints and what is wrong with them, in a dialog or on the page.

import { failure, notice, reason } from './cards.js';
import { button, h, put, unique } from './dom.js';
import { control, unread } from './fields.js';
import * as focus from './focus.js';
import { t } from './i18n.js';
import { wrongText } from './wrong.js';

/** A value as it is compared: fields in one order, none that holds nothing. */
const plain = value => (Array.isArray(value) ? value.map(plain)
  : value && typeof value === 'object' ? Object.keys(value).sort().filter(key => (value[key] ?? null) !== null).map(key => [key, plain(value[key])])
    : value ?? null);
const same = (a, b) => JSON.stringify(plain(a)) === JSON.stringify(plain(b)) || ((a ?? null) === null && Array.isArray(b) && !b.length);

/**
 * A form. `fields` are `{key, kind, label, hint, group, when}`; `values` what stands there now; `submit(changed, all)` sends what was changed and answers when it
 * is done. A field stands there `when(all)` says so, and is sent only then. What the server says of a key (`error.fields`) stands at its field, and what was
 * typed stays whatever it says. `check(all)` says what is wrong before anything is sent.
 */
export function form({ fields, values = {}, submit, check, words, cancel }) {
  const told = h('div', {});
  const controls = fields.map(field => {
    const id = unique();
    const made = control(field, values[field.key], id);
    const wrong = h('p', { class: 'problem', id: `${id}-wrong` });
    const label = made.isGroup ? h('span', { class: 'label' }, field.label) : h('label', { for: id }, field.label, field.required && h('span', { class: 'soft' }, ` ${t('required')}`));
    const hint = h('p', { class: 'hint', id: `${id}-hint` }, field.hint);
    const element = field.kind === 'flag'
      ? h('div', { class: 'field check', data: { key: field.key } }, made.element, label, hint, wrong)
      : h('div', { class: `field ${field.wide ? 'wide' : ''}`, data: { key: field.key } }, label, made.element, made.also, hint, wrong);
    return { field, id, made, wrong, element };
  });
  const go = h('button', { type: 'submit', class: 'main' }, words || t('save'));
  const groups = [...new Set(fields.map(field => field.group || ''))];
  const there = () => controls.filter(({ element }) => !element.hidden);
  const read = () => Object.fromEntries(there().map(({ field, made }) => [field.key, made.read()]));
  const fit = () => { const all = read(); controls.forEach(({ field, element }) => { element.hidden = Boolean(field.when) && !field.when(all); }); };
  const clear = () => controls.forEach(one => { put(one.wrong); one.made.element.removeAttribute('aria-invalid'); });
  const show = list => {
    const first = list.map(wrong => {
      const one = controls.find(({ field }) => field.key === wrong.key || wrong.key.startsWith(`${field.key}.`) || (field.also || []).includes(wrong.key));
      if (one) { put(one.wrong, wrongText(wrong)); one.made.element.setAttribute('aria-invalid', 'true'); }
      return one || (told.append(h('p', { class: 'problem' }, wrong.key ? `${wrong.key}: ${wrongText(wrong)}` : wrongText(wrong))), null);
    }).find(Boolean);
    if (first) first.made.element.focus();
  };
  const beforehand = all => [
    ...there().map(({ field, made }) => ({ key: field.key, message: unread(made.element) || (field.required && made.read() === null ? t('missing') : null) })).filter(({ message }) => message),
    ...(check ? check(all) : []),
  ];
  const send = async event => {
    event.preventDefault();
    clear();
    put(told);
    const all = read();
    const wrong = beforehand(all);
    if (wrong.length) { show(wrong); return; }
    const changed = Object.fromEntries(Object.entries(all).filter(([key, value]) => !same(value, values[key])));
    go.disabled = true;
    try { await submit(changed, all); } catch (error) {
      const at = error.error && error.error.fields;
      put(told, at ? notice('bad', h('p', {}, t(error.code === 'version' ? 'error.changed_fields' : 'error.refused_fields'))) : failure(error));
      if (at) show(at);
    } finally { go.disabled = false; }
  };
  fit();
  return h('form', { class: 'form', novalidate: true, on: { submit: send, change: fit } }, told,
    groups.map(group => h('fieldset', {}, group && h('legend', {}, group), h('div', { class: 'fields' }, controls.filter(({ field }) => (field.group || '') === group).map(one => one.element)))),
    h('div', { class: 'actions' }, go, cancel && button(t('cancel'), cancel, { class: 'quiet' })));
}

/** A dialog with a title; `content(close)` gives what stands in it. */
export function dialog(title, content) {
  const id = unique();
  const before = document.activeElement;
  const marked = focus.mark(before);
  const close = () => { element.close(); };
  const element = h('dialog', { 'aria-labelledby': id }, h('header', {}, h('h2', { id }, title), h('button', { type: 'button', class: 'quiet close', 'aria-label': t('close'), on: { click: () => close() } }, '×')));
  element.append(content(close));
  // What it asks is of the page below, which may be drawn anew under it, but not be left.
  const at = location.hash;
  const left = () => { if (location.hash !== at) close(); };
  addEventListener('hashchange', left);
  element.addEventListener('close', () => {
    removeEventListener('hashchange', left);
    element.remove();
    // What opened it may have been drawn anew meanwhile.
    if (before?.isConnected) before.focus();
    else focus.back(marked);
  });
  document.body.append(element);
  element.showModal();
  (element.querySelector('.form input:enabled, .form select:enabled, .form textarea:enabled') || element.querySelector('.form button'))?.focus();
  return element;
}

/** Asks before something that cannot be taken back is done. `doing` says what is going on where it takes its time. */
export function confirm(title, text_, words, act, { kind = 'danger', doing } = {}) {
  return dialog(title, close => {
    const told = h('div', {});
    const go = button(words, async () => {
      [go, stop].forEach(one => { one.disabled = true; });
      put(told, doing && h('div', { class: 'notice', role: 'status' }, h('p', {}, doing), h('progress', { 'aria-label': doing })));
      try { await act(); close(); } catch (error) { put(told, notice('bad', h('p', {}, reason(error)), error.more && h('p', {}, error.more))); [go, stop].forEach(one => { one.disabled = false; }); }
    }, { class: kind, id: 'confirm' });
    const stop = button(t('cancel'), close, { class: 'quiet' });
    return h('div', { class: 'form' }, [text_].flat().map(one => (one instanceof Node ? one : h('p', {}, one))), told, h('div', { class: 'actions' }, go, stop));
  });
}
