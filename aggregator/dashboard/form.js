// Forms: fields with their words, hints and what is wrong with them, in a dialog or on the page.

import { failure, notice, reason } from './cards.js';
import { button, h, put, unique } from './dom.js';
import { t } from './i18n.js';

const LIMITS = ['id_coverage_min', 'gap_max', 'over_delivery_max', 'silent_hours'];

const text = value => (value === null || value === undefined ? '' : String(value));
const lines = value => value.split('\n').map(line => line.trim()).filter(Boolean);

/** A control for a kind of field: `{element, read()}`; what is empty reads as null. */
function control(field, value, id) {
  const common = { id, 'aria-describedby': `${id}-hint ${id}-wrong`, disabled: field.fixed || false };
  if (field.kind === 'select') {
    const element = h('select', common, field.options.map(([name, words]) => h('option', { value: name, selected: text(value) === name }, words)));
    return { element, read: () => element.value || null };
  }
  if (field.kind === 'flag') {
    const element = h('input', { ...common, type: 'checkbox', checked: Boolean(value) });
    return { element, read: () => element.checked };
  }
  if (field.kind === 'lines') {
    const element = h('textarea', { ...common, rows: 2, spellcheck: 'false' });
    element.value = (value || []).join('\n');
    return { element, read: () => lines(element.value) };
  }
  if (field.kind === 'rows') return rowsOf(field, value || [], id);
  if (field.kind === 'limits') return limitsOf(field, value || {}, id);
  const isNumber = field.kind === 'number';
  const list = field.list && h('datalist', { id: `${id}-list` }, field.list.map(one => h('option', { value: one })));
  const element = h('input', {
    ...common, type: isNumber ? 'number' : field.kind === 'date' ? 'date' : 'text', step: field.step || (isNumber ? 'any' : null), min: isNumber ? 0 : null, value: text(value),
    required: field.required, list: list ? `${id}-list` : null, autocomplete: 'off', spellcheck: 'false', placeholder: field.placeholder,
  });
  return { element, also: list, read: () => { const said = element.value.trim(); return said === '' ? null : isNumber ? Number(said) : said; } };
}

/** What alerts are raised by: parts of one value, each of which may be left to the default. */
function limitsOf(field, values, id) {
  const inputs = LIMITS.map(name => [name, h('input', { type: 'number', min: 0, step: 'any', value: text(values[name]) })]);
  return {
    isGroup: true,
    element: h('div', { class: 'rows', id, role: 'group', tabindex: -1, 'aria-label': field.label }, h('div', { class: 'rows-line' }, inputs.map(([name, input]) => h('label', {}, h('span', {}, t(`alert_limit.${name}`)), input)))),
    read: () => {
      const said = inputs.filter(([, input]) => input.value.trim() !== '').map(([name, input]) => [name, Number(input.value)]);
      const kept = Object.fromEntries(said);
      return Object.keys(values).length ? { ...Object.fromEntries(LIMITS.map(name => [name, null])), ...kept } : said.length ? kept : null;
    },
  };
}

/** Several small records, one in each line, that can be added and taken away. */
function rowsOf(field, values, id) {
  const list = h('div', { class: 'rows', id, tabindex: -1, role: 'group', 'aria-label': field.label });
  const records = [];
  const add = record => {
    const inputs = field.columns.map(column => {
      const kind = column.kind === 'number' ? 'number' : column.kind === 'date' ? 'date' : 'text';
      const one = column.options
        ? h('select', { 'aria-label': column.label }, column.options.map(([name, words]) => h('option', { value: name, selected: text(record[column.key]) === name }, words)))
        : h('input', { type: kind, value: text(record[column.key] ?? column.default), 'aria-label': column.label, placeholder: column.label, title: column.label, min: kind === 'number' ? 0 : null });
      return one;
    });
    const entry = { read: () => Object.fromEntries(field.columns.map((column, at) => [column.key, inputs[at].value.trim() === '' ? null : column.kind === 'number' ? Number(inputs[at].value) : inputs[at].value.trim()])) };
    const line = h('div', { class: 'rows-line' }, inputs.map((input, at) => h('label', {}, h('span', {}, field.columns[at].label), input)), button(t('remove'), () => { records.splice(records.indexOf(entry), 1); line.remove(); }, { class: 'quiet' }));
    records.push(entry);
    list.append(line);
  };
  values.forEach(add);
  return {
    element: list, isGroup: true,
    also: button(t('add_line'), () => { add({}); list.lastChild.querySelector('input, select').focus(); }, { icon: 'plus', class: 'quiet' }),
    read: () => records.map(entry => Object.fromEntries(Object.entries(entry.read()).filter(([, value]) => value !== null))).filter(one => Object.keys(one).length),
  };
}

const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null) || ((a ?? null) === null && Array.isArray(b) && !b.length);

/**
 * A form. `fields` are `{key, kind, label, hint, group}`; `values` what stands there now; `submit(changed, all)` sends what was changed and answers when it is
 * done. What the server says of a key (`error.fields`) stands at its field.
 */
export function form({ fields, values = {}, submit, words, cancel }) {
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
  const clear = () => controls.forEach(one => { put(one.wrong); one.made.element.removeAttribute('aria-invalid'); });
  const show = list => {
    const first = list.map(({ key, message }) => {
      const one = controls.find(({ field }) => field.key === key || key.startsWith(`${field.key}.`) || (field.also || []).includes(key));
      if (one) { put(one.wrong, message); one.made.element.setAttribute('aria-invalid', 'true'); }
      return one || (told.append(h('p', { class: 'problem' }, `${key}: ${message}`)), null);
    }).find(Boolean);
    if (first) first.made.element.focus();
  };
  const send = async event => {
    event.preventDefault();
    clear();
    put(told);
    const all = Object.fromEntries(controls.map(({ field, made }) => [field.key, made.read()]));
    const missing = controls.filter(({ field, made }) => field.required && made.read() === null).map(({ field }) => ({ key: field.key, message: t('missing') }));
    if (missing.length) { show(missing); return; }
    const changed = Object.fromEntries(Object.entries(all).filter(([key, value]) => !same(value, values[key])));
    go.disabled = true;
    try { await submit(changed, all); } catch (error) {
      put(told, error.error && error.error.fields ? notice('bad', h('p', {}, t('error.refused_fields'))) : failure(error));
      if (error.error && error.error.fields) show(error.error.fields);
    } finally { go.disabled = false; }
  };
  return h('form', { class: 'form', novalidate: true, on: { submit: send } }, told,
    groups.map(group => h('fieldset', {}, group && h('legend', {}, group), h('div', { class: 'fields' }, controls.filter(({ field }) => (field.group || '') === group).map(one => one.element)))),
    h('div', { class: 'actions' }, go, cancel && button(t('cancel'), cancel, { class: 'quiet' })));
}

/** A dialog with a title; `content(close)` gives what stands in it. */
export function dialog(title, content) {
  const id = unique();
  const before = document.activeElement;
  const close = () => { element.close(); };
  const element = h('dialog', { 'aria-labelledby': id }, h('header', {}, h('h2', { id }, title), h('button', { type: 'button', class: 'quiet close', 'aria-label': t('close'), on: { click: () => close() } }, '×')));
  element.append(content(close));
  element.addEventListener('close', () => { element.remove(); before?.focus?.(); });
  document.body.append(element);
  element.showModal();
  element.querySelector('.form input:enabled, .form select:enabled, .form textarea:enabled, .form button')?.focus();
  return element;
}

/** Asks before something that cannot be taken back is done. */
export function confirm(title, text_, words, act) {
  return dialog(title, close => {
    const told = h('div', {});
    const go = button(words, async () => {
      go.disabled = true;
      try { await act(); close(); } catch (error) { put(told, notice('bad', h('p', {}, reason(error)))); go.disabled = false; }
    }, { class: 'danger' });
    return h('div', { class: 'form' }, h('p', {}, text_), told, h('div', { class: 'actions' }, go, button(t('cancel'), close, { class: 'quiet' })));
  });
}
