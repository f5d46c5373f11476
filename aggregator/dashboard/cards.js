// A card: a figure with its title, its exports, its plot and its table; a grey shape while it is asked for, and words where it is not answered.

import * as api from './api.js';
import { known } from './address.js';
import { button, h, icon, put, unique } from './dom.js';
import { has, now, t } from './i18n.js';
import { renew } from './repeat.js';
import { wrongText } from './wrong.js';

/** What to tell of a refusal, in the reader's language where there are words, with what the server says. */
export function reason(error) {
  if (error.error && error.error.mistake) return wrongText(error.error.mistake);
  const key = `error.${error.code}`;
  if (has(key)) return error.message && ['bad_parameter', 'not_offered', 'refused', 'exists', 'sheet'].includes(error.code) ? `${t(key)} ${error.message}` : t(key);
  return error.message || t('error.unknown');
}

/** A box that says what went wrong and offers to try again. */
export function failure(error, again) {
  // Broken off, for its page was left.
  if (error.name === 'AbortError') return null;
  if (!(error instanceof api.Refused)) console.error(error);
  return h('div', { class: 'notice bad', role: 'alert' }, icon('alert'), h('div', {}, h('p', {}, reason(error)), again && button(t('try_again'), again)));
}

/** What cannot be said at present; the rest of the page stands without it. */
export const lacking = (missing, again) => missing.length > 0 && h('div', { class: 'notice no-print', role: 'status', id: 'lacking' }, icon('alert'),
  h('div', {}, h('p', {}, t('part.missing')), [...new Set(missing.map(reason))].map(text => h('p', { class: 'soft' }, text)), button(t('try_again'), again, { id: 'lacking-again' })));

export const notice = (kind, ...children) => h('div', { class: `notice ${kind}`, role: kind === 'bad' ? 'alert' : 'status' }, icon(kind === 'done' ? 'done' : 'alert'), h('div', {}, children));

/** A grey shape of what will stand here. */
export const skeleton = (lines = 3) => h('div', { class: 'skeleton', 'aria-hidden': 'true' }, Array.from({ length: lines }, () => h('i', {})));

/** Hands a file to the browser. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A file that has come, to be pressed again for. */
function offer(blob, name) {
  const link = button(t('export.save', { name }), () => { save(blob, name); link.remove(); }, { class: 'main', icon: 'down', data: { save: name } });
  queueMicrotask(() => link.focus());
  return link;
}

/** A button that fetches a file with the token and hands it to the browser. */
export function download(label, parts, query, name, properties) {
  const one = button(label, async () => {
    one.setAttribute('aria-busy', 'true');
    try {
      const got = await api.file(parts, query);
      // A browser takes what comes long after the press for nobody's wish, and holds it back.
      if (navigator.userActivation?.isActive === false) one.after(offer(got.blob, got.name || name));
      else save(got.blob, got.name || name);
    } catch (error) {
      one.after(failure(error));
    } finally { one.removeAttribute('aria-busy'); }
  }, properties);
  return one;
}

/** In whose words a form is headed: sheets in the reader's, programs' own in the API's. */
const worded = format => (format === 'parquet' ? {} : { language: now() });

/** The whole report of a campaign, in one workbook. */
export const workbook = (campaign, range) => download(t('export.workbook'), ['campaigns', campaign, 'workbook'], { ...range, language: now() }, 'report.xlsx',
  { class: 'quiet', icon: 'down', id: 'workbook', title: t('export.workbook_hint') });

/** What a card can be taken away as. `reports` are `{campaign, report, query, label}`. */
export function exports(reports) {
  const groups = reports.map(one => h('div', { class: 'export' },
    h('span', {}, one.label),
    ['xlsx', 'csv', 'parquet'].map(format => download(format.toUpperCase(), ['campaigns', one.campaign, one.report], { ...known(one.report, one.query), format, ...worded(format) }, `${one.report}.${format}`, {
      class: 'quiet', data: { export: `${one.report}.${format}` }, 'aria-label': t('export.as', { what: one.label, format: format.toUpperCase() }),
    }))));
  return menu(t('export'), 'down', groups);
}

/** A list behind a button. */
export function menu(label, picture, children) {
  const one = h('details', { class: 'menu' }, h('summary', {}, picture && icon(picture), h('span', {}, label)), h('div', { class: 'menu-list' }, children));
  one.addEventListener('keydown', event => {
    if (event.key === 'Escape') { one.open = false; one.querySelector('summary').focus(); }
  });
  return one;
}
addEventListener('click', event => {
  document.querySelectorAll('details.menu[open]').forEach(one => { if (!one.contains(event.target)) one.open = false; });
});

/**
 * A card. `load()` gets what it shows, `show(data)` gives what stands in it: elements, or null to take the card away. `tools` stand beside the title.
 * `more(data)` gives exports when the figures are there. Where it is told to look again (the event `again`), it is drawn anew if its figures are others, and
 * stays as it is where they cannot be said.
 */
export function card({ id, title, note, tools, more, load, show, wide, lines = 5 }) {
  const heading = unique();
  const body = h('div', { class: 'card-body' });
  const beside = h('div', { class: 'card-tools' });
  const one = h('section', { class: `card ${wide ? 'wide' : ''}`, 'aria-labelledby': heading, data: { card: id } },
    h('header', {}, h('div', {}, h('h2', { id: heading }, title), note && h('p', { class: 'note' }, note)), beside), body);
  let known;
  const begin = async () => {
    put(body, skeleton(lines));
    put(beside, tools);
    one.setAttribute('aria-busy', 'true');
    try {
      const data = await load();
      known = JSON.stringify(data);
      const shown = data === null ? null : show(data);
      if (shown === null) { one.remove(); return; }
      put(body, shown);
      put(beside, tools, more && more(data));
    } catch (error) {
      put(body, failure(error, begin));
    } finally { one.removeAttribute('aria-busy'); }
  };
  one.addEventListener('again', async () => {
    if (known === undefined) { begin(); return; }
    const data = await load().catch(() => null);
    const shown = data === null || JSON.stringify(data) === known ? null : show(data);
    if (shown === null) return;
    known = JSON.stringify(data);
    renew(body, shown);
  });
  begin();
  return one;
}

/** Has the cards below an element look again. */
export const again = element => element.querySelectorAll('.card').forEach(one => one.dispatchEvent(new Event('again')));

// Paper shows what stands behind plots: nobody can open it there.
addEventListener('beforeprint', () => document.querySelectorAll('details.behind:not(.no-print, [open])').forEach(one => { one.open = true; one.dataset.forPaper = 'yes'; }));
addEventListener('afterprint', () => document.querySelectorAll('details[data-for-paper]').forEach(one => { one.open = false; delete one.dataset.forPaper; }));

/** Figures behind a plot, shown when wanted (and on paper). */
export function behind(content, isOpen, words = t('show_table')) {
  return h('details', { class: 'behind', open: isOpen }, h('summary', {}, words), content);
}
