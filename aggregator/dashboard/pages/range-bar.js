// The bar above a report: its range and how it counts. Everything that is chosen here goes into the address.

import * as address from '../address.js';
import * as api from '../api.js';
import { workbook } from '../cards.js';
import { button as plain, h, icon, put } from '../dom.js';
import { percent, t } from '../i18n.js';
import { shift } from '../figures/days.js';

/** After the last change of a date field that is still being typed in, milliseconds. */
const TYPING_MS = 900;

/** The bar: `element`, and `fill(report)` for what is known once the first report is there. */
export function rangeBar(context, figure) {
  const { query } = context;
  const [days, fillDays] = dayFields(query);
  const presets = h('select', { id: 'preset', 'aria-label': t('range.preset') });
  presets.addEventListener('change', () => {
    const { from, to, own } = presets.selectedOptions[0].dataset;
    if (!own) address.change({ from, to, state: '', version: '' });
  });
  const filter = value => h('button', {
    type: 'button', class: 'segment', id: `filter-${value}`, 'aria-pressed': String((query.get('filter') || 'net') === value), data: { filter: value }, title: t(`filter.${value}_hint`),
    on: { click: () => address.change({ filter: value === 'net' ? '' : value }) },
  }, t(`filter.${value}`));
  const element = h('form', { class: 'bar no-print', 'aria-label': t('range'), on: { submit: event => { event.preventDefault(); days.apply(); } } },
    h('div', { class: 'field' }, h('label', { for: 'preset' }, t('range')), presets),
    days.fields,
    h('div', { class: 'field' }, h('span', { class: 'label', id: 'filter-label' }, t('filter')), h('div', { class: 'segments', role: 'group', 'aria-labelledby': 'filter-label' }, filter('net'), filter('gross'))),
    audience(context), tools(figure), days.problem);
  const fill = async report => {
    fillDays(report);
    if (report.closed || query.get('state')) element.append(presentSwitch(query));
    figure.ask('reach').then(reach => { if (reach.sample || query.get('precision')) element.append(precisionSwitch(query, reach)); }, () => {});
    // Ranges are told from the whole campaign, whatever range is shown.
    const whole = query.get('from') || query.get('to') ? await api.get(['campaigns', context.id, 'delivery']).catch(() => null) : report;
    offer(presets, presetsOf(context, whole || report), query);
  };
  return { element, fill };
}

/** The two days. What is typed is taken once it rests, is left, or is confirmed; what is picked, at once in effect. */
function dayFields(query) {
  const problem = h('p', { class: 'problem', id: 'range-problem', role: 'alert' });
  let resting;
  const day = name => h('input', {
    type: 'date', id: name, value: query.get(name) || '', min: '2000-01-01', max: '2199-12-31', 'aria-describedby': 'range-problem',
    on: { change: () => { clearTimeout(resting); resting = setTimeout(() => { if (from.isConnected && from.validity.valid && to.validity.valid) apply(); }, TYPING_MS); }, blur: () => { if (resting) apply(); } },
  });
  const [from, to] = [day('from'), day('to')];
  const apply = () => {
    clearTimeout(resting);
    resting = undefined;
    const isNoDay = !from.validity.valid || !to.validity.valid;
    const isWrong = isNoDay || (from.value && to.value && from.value > to.value);
    put(problem, isWrong && t(isNoDay ? 'range.no_day' : 'range.wrong'));
    [from, to].forEach(field => (isWrong ? field.setAttribute('aria-invalid', 'true') : field.removeAttribute('aria-invalid')));
    if (!isWrong) address.change({ from: from.value, to: to.value, state: '', version: '' });
  };
  const fields = [[from, 'range.from'], [to, 'range.to']].map(([field, words]) => h('div', { class: 'field' }, h('label', { for: field.id }, t(words)), field));
  return [{ fields, problem, apply }, report => {
    if (!from.value && report.from) from.value = report.from;
    if (!to.value && report.to) to.value = report.to;
  }];
}

/** What is done with the whole view. */
function tools({ id, range }) {
  const told = h('span', { role: 'status', class: 'heard' });
  const copied = async () => {
    try { await navigator.clipboard.writeText(location.href); put(told, t('link.copied')); link.classList.add('done'); } catch { prompt(t('link.copy'), location.href); }
  };
  const link = plain(t('link.copy'), copied, { icon: 'link', class: 'quiet', title: t('link.hint') });
  return h('div', { class: 'field end' }, workbook(id, range), link, plain(t('print'), () => print(), { icon: 'print', class: 'quiet' }),
    plain(t('refresh'), () => { api.forget(); dispatchEvent(new Event('hashchange')); }, { icon: 'again', class: 'quiet', id: 'refresh' }), told);
}

/** Ranges that are asked for most, and closed periods: those are answered from their closing. `whole` is a report of the whole campaign. */
function presetsOf({ campaign, closings }, whole) {
  const all = [['all', {}]];
  const last = campaign.last_day || whole.to;
  if (last) {
    all.push(['last', { from: last, to: last }], ['seven', { from: shift(last, -6), to: last }], ['thirty', { from: shift(last, -29), to: last }]);
    if (whole.settled_until && whole.from) all.push(['settled', { from: whole.from, to: whole.settled_until }]);
  }
  const periods = ((closings && closings.closings) || []).map(one => ['closed', { from: one.from, to: one.to }]);
  return all.concat(periods.filter(([, one], at) => periods.findIndex(([, other]) => other.from === one.from && other.to === one.to) === at));
}

/** Puts ranges into the list; the one of the address is chosen, or else stands there as one's own. */
function offer(presets, ranges, query) {
  const isNow = ({ from = '', to = '' }) => from === (query.get('from') || '') && to === (query.get('to') || '');
  put(presets, !ranges.some(([, range]) => isNow(range)) && h('option', { value: 'own', selected: true, data: { own: 'yes' } }, t('range.own')),
    ranges.map(([name, range]) => h('option', { value: name, selected: isNow(range), data: { from: range.from || '', to: range.to || '' } }, t(`range.${name}`, range))));
}

/** Figures of a closing, or those of now. */
function presentSwitch(query) {
  const isPresent = query.get('state') === 'present';
  return h('div', { class: 'field closed-switch' }, icon('lock'),
    h('span', {}, t(isPresent ? 'closed.shows_present' : 'closed.shows_closed')),
    plain(t(isPresent ? 'closed.show_closed' : 'closed.show_present'), () => address.change({ state: isPresent ? '' : 'present', version: '' }), { class: 'quiet', id: 'closed-state' }));
}

/** Figures of a sample, or of every device. */
function precisionSwitch(query, reach) {
  const isExact = query.get('precision') === 'exact';
  return h('div', { class: 'field closed-switch' },
    h('span', {}, isExact ? t('precision.exact') : t('mark.sampled', { share: percent(reach.sample || 1) })),
    plain(t(isExact ? 'precision.use_auto' : 'precision.use_exact'), () => address.change({ precision: isExact ? '' : 'exact' }), { class: 'quiet', id: 'precision' }));
}

/** The universe that shares are of, where the campaign has several. */
function audience({ full, query }) {
  const names = [...new Set(((full && full.universes) || []).map(one => one.audience))];
  if (names.length < 2) return null;
  const select = h('select', { id: 'audience', on: { change: () => address.change({ audience: select.value === 'all' ? '' : select.value }) } },
    names.map(name => h('option', { value: name, selected: (query.get('audience') || 'all') === name }, name === 'all' ? t('audience.all') : name)));
  return h('div', { class: 'field' }, h('label', { for: 'audience' }, t('audience')), select);
}
