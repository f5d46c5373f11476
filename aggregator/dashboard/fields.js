// What a person fills in: one control for each kind of field, what it reads, and what is typed into it that cannot be read.

import { button, h, icon, put, unique } from './dom.js';
import { t, whole } from './i18n.js';

/** What alerts are raised by, and from when on where nothing is said (`null`: not at all). */
const LIMITS = [['id_coverage_min', 'share', null], ['gap_max', 'share', 0.1], ['over_delivery_max', 'share', 0.1], ['silent_hours', 'hours', 12]];

const text = value => (value === null || value === undefined ? '' : String(value));
const lines = value => value.split('\n').map(line => line.trim()).filter(Boolean);
/** Tenths of a percent are shares of a thousandth: no digit is made up on the way. */
const round = number => Number(number.toPrecision(12));

/** The host of what may be a whole address, for people paste those; what is none stays as it is, to be told so. */
export function hostOf(said) {
  const [, host] = /^(?:[a-z][a-z0-9+.-]*:(?=\/\/))?\/{0,2}([^\/?#]+)/i.exec(said) || [];
  // A scheme, a path, a port, or letters that a host has not.
  if (!host || host.endsWith(':') || !/[:/?#]|[^\0-\x7f]/.test(said)) return said;
  try { return new URL(`//${host}`, location.href).hostname || said; } catch { return said; }
}

/** A control for a kind of field: `{element, read()}`; what is empty reads as null. */
export function control(field, value, id) {
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
    const read = () => [...new Set(lines(element.value).map(field.tidy || (line => line)))];
    const element = h('textarea', { ...common, rows: 2, spellcheck: 'false', on: { change: () => { element.value = read().join('\n'); } } });
    element.value = (value || []).join('\n');
    return { element, read };
  }
  if (field.kind === 'names') return namesOf(field, value || [], id);
  if (field.kind === 'rows') return rowsOf(field, value || [], id);
  if (field.kind === 'limits') return limitsOf(field, value || {}, id);
  const isNumber = field.kind === 'number';
  const list = field.list && h('datalist', { id: `${id}-list` }, field.list.map(one => h('option', { value: one })));
  const tidy = field.tidy || (said => said);
  const element = h('input', {
    ...common, on: { change: () => { if (field.tidy) element.value = tidy(element.value.trim()); } }, type: isNumber ? 'number' : field.kind === 'date' ? 'date' : 'text', step: field.step || (isNumber ? 'any' : null), min: isNumber ? 0 : null, value: text(value),
    required: field.required, list: list ? `${id}-list` : null, autocomplete: 'off', spellcheck: 'false',
  });
  return { element, also: list, read: () => { const said = element.value.trim(); return said === '' ? null : isNumber ? Number(said) : tidy(said); } };
}

/** What is typed that is no number and no day; the browser reads it as nothing, which is not what was meant. */
export function unread(element) {
  const bad = [element, ...element.querySelectorAll('input')].find(one => one.validity?.badInput);
  return bad ? t(bad.type === 'date' ? 'wrong.day' : 'wrong.number') : null;
}

/** A limit of alerts as people say it. */
export const limitText = (name, value) => (LIMITS.find(([one]) => one === name)[1] === 'share' ? `${round(value * 100)}%` : t('hours', { n: whole(value) }));

/** What alerts are raised by: parts of one value, each of which may be left to the default. */
function limitsOf(field, values, id) {
  const inputs = LIMITS.map(([name, unit, otherwise]) => {
    const factor = unit === 'share' ? 100 : 1;
    const value = values[name] ?? null;
    const placeholder = otherwise === null ? t('alert_limit.none') : String(otherwise * factor);
    const input = h('input', { type: 'number', min: 0, step: 'any', value: value === null ? '' : round(value * factor), placeholder, data: { limit: name } });
    return { name, factor, input, unit };
  });
  return {
    isGroup: true,
    element: h('div', { class: 'rows', id, role: 'group', tabindex: -1, 'aria-label': field.label, 'aria-describedby': `${id}-hint ${id}-wrong` },
      h('div', { class: 'rows-line' }, inputs.map(({ name, input, unit }) => h('label', {}, h('span', {}, t(`alert_limit.${name}`)), h('span', { class: 'with-unit' }, input, h('span', { 'aria-hidden': 'true' }, unit === 'share' ? '%' : 'h')))))),
    read: () => {
      const said = inputs.filter(({ input }) => input.value.trim() !== '').map(({ name, factor, input }) => [name, round(Number(input.value) / factor)]);
      const kept = Object.fromEntries(said);
      return Object.keys(values).length ? { ...Object.fromEntries(LIMITS.map(([name]) => [name, null])), ...kept } : said.length ? kept : null;
    },
  };
}

/** Names, of which some are known: those are chosen, others typed. */
function namesOf(field, values, id) {
  const boxes = field.known.map(name => h('input', { type: 'checkbox', value: name, checked: values.includes(name) }));
  const others = h('textarea', { rows: 2, spellcheck: 'false', 'aria-label': `${field.label}: ${t('names.others')}` });
  others.value = values.filter(name => !field.known.includes(name)).join('\n');
  return {
    isGroup: true,
    element: h('div', { class: 'rows', id, tabindex: -1, role: 'group', 'aria-label': field.label, 'aria-describedby': `${id}-hint ${id}-wrong` },
      boxes.length > 0 && h('div', { class: 'choice names' }, boxes.map(box => h('label', { class: 'check' }, box, box.value))),
      h('span', { class: 'hint', 'aria-hidden': 'true' }, t(boxes.length ? 'names.others' : 'names.each')), others),
    read: () => [...new Set([...boxes.filter(box => box.checked).map(box => box.value), ...lines(others.value)])],
  };
}

/** Several small records, one in each line, that can be added and taken away. */
function rowsOf(field, values, id) {
  const list = h('div', { class: 'rows', id, tabindex: -1, role: 'group', 'aria-label': field.label, 'aria-describedby': `${id}-hint ${id}-wrong` });
  const records = [];
  const add = record => {
    const inputs = field.columns.map(column => {
      const kind = column.kind === 'number' ? 'number' : column.kind === 'date' ? 'date' : 'text';
      return column.options
        ? h('select', {}, column.options.map(([name, words]) => h('option', { value: name, selected: text(record[column.key]) === name }, words)))
        : h('input', { type: kind, value: text(record[column.key] ?? column.default), min: kind === 'number' ? 0 : null, autocomplete: 'off', data: { column: column.key } });
    });
    const read = input => (input.value.trim() === '' ? null : input.type === 'number' ? Number(input.value) : input.value.trim());
    const entry = { read: () => Object.fromEntries(field.columns.map((column, at) => [column.key, read(inputs[at])])) };
    const take = () => {
      const next = line.nextElementSibling || line.previousElementSibling;
      records.splice(records.indexOf(entry), 1);
      line.remove();
      (next ? next.querySelector('button') : also).focus();
    };
    const line = h('div', { class: 'rows-line' }, inputs.map((input, at) => h('label', {}, h('span', {}, field.columns[at].label), input)), button('×', take, { class: 'quiet', title: t('remove'), 'aria-label': t('remove_line', { what: field.label, n: records.length + 1 }) }));
    records.push(entry);
    list.append(line);
  };
  const also = button(t('add_line'), () => { add({}); list.lastChild.querySelector('input, select').focus(); }, { icon: 'plus', class: 'quiet' });
  values.forEach(add);
  const isSaid = record => field.columns.some(column => record[column.key] !== null && !column.options && record[column.key] !== column.default);
  return {
    element: list, isGroup: true, also,
    read: () => records.map(entry => entry.read()).filter(isSaid).map(record => Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null))),
  };
}

/** A place to choose a file, in the words of the page. The same file can be chosen again: it may have been mended meanwhile. */
export function fileField({ id, label, hint, accept, take }) {
  const input = h('input', {
    id, type: 'file', class: 'heard', accept, 'aria-describedby': `${id}-hint`,
    on: { change: () => {
      const [chosen] = input.files;
      if (!chosen) return;
      input.value = '';
      put(name, chosen.name);
      take(chosen);
    } },
  });
  const name = h('span', { class: 'soft file-name', id: unique() }, t('file.none'));
  return h('div', { class: 'field' }, h('span', { class: 'label' }, label), h('div', { class: 'file' }, input, h('label', { for: id, class: 'button' }, icon('up'), t('file.choose')), name), h('p', { class: 'hint', id: `${id}-hint` }, hint));
}
