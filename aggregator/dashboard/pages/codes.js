// The codes to hand to media: all of a campaign in one download, and each by itself to copy.

import * as api from '../api.js';
import { download, failure, skeleton } from '../cards.js';
import { button, h, icon, put } from '../dom.js';
import { named, t } from '../i18n.js';
import * as store from '../store.js';

export function codes({ id, campaign, me }) {
  const stages = h('select', { id: 'stages', 'aria-label': t('codes.stages'), on: { change: () => load() } }, [['', t('codes.usual')], ['all', t('codes.all_stages')]].map(([value, words]) => h('option', { value }, words)));
  const signed = h('input', { type: 'checkbox', id: 'signed', on: { change: () => load() } });
  const list = h('div', { class: 'card-body' }, skeleton(3));
  // Where the installation does not say its tracker's public address, whoever hands out codes has to.
  let base = store.choice('base') || '';
  const query = () => ({ stages: stages.value, sign: signed.checked ? 'true' : '', base });
  const all = h('span', { class: 'row' });
  const fit = () => put(all, ['xlsx', 'csv'].map(format => download(t('codes.download', { format: format.toUpperCase() }), ['campaigns', id, 'links'], { ...query(), format }, `links.${format}`, { class: format === 'xlsx' ? 'main' : 'quiet', icon: 'down', id: `codes-${format}` })));
  const load = async () => {
    fit();
    try {
      const { links, left_out: leftOut } = await api.get(['campaigns', id, 'links'], query());
      put(list, shown(links, campaign), leftOut.length ? h('div', { class: 'legend' }, h('p', {}, t('codes.left_out')), h('ul', {}, leftOut.map(one => h('li', {}, one)))) : null);
    } catch (error) { put(list, error.code === 'bad_parameter' ? whichTracker(error, base, said => { base = said; store.setChoice('base', said); load(); }) : failure(error, load)); }
  };
  if (campaign.placements.length) load();
  else put(list, h('p', { class: 'empty' }, t('codes.none')));
  return h('section', { class: 'card wide', 'aria-label': t('codes'), data: { card: 'codes' } },
    h('header', {}, h('div', {}, h('h2', {}, t('codes')), h('p', { class: 'note' }, t('codes.note'))),
      h('div', { class: 'card-tools no-print' }, campaign.placements.length > 0 && [stages, me.may_change && h('span', { class: 'check' }, signed, h('label', { for: 'signed' }, t('codes.signed'))), all])),
    list);
}

/** Asks for the address that codes begin with. */
function whichTracker(error, base, take) {
  const field = h('input', { id: 'base', type: 'url', required: true, value: base || '', placeholder: 'https://t.example.com', 'aria-describedby': 'base-hint' });
  return h('form', { class: 'form', on: { submit: event => { event.preventDefault(); if (field.reportValidity()) take(field.value.trim()); } } },
    base ? failure(error) : h('p', {}, t('codes.base_lead')),
    h('div', { class: 'field' }, h('label', { for: 'base' }, t('codes.base')), field, h('p', { class: 'hint', id: 'base-hint' }, t('codes.base_hint'))),
    h('div', { class: 'actions' }, h('button', { type: 'submit', class: 'main', id: 'take-base' }, t('codes.show'))));
}

/** Placement by placement; each URL with a button that copies it. */
function shown(links, campaign) {
  if (!links.length) return h('p', { class: 'empty' }, t('codes.none'));
  const groups = new Map();
  links.forEach(link => groups.set(link.placement, [...(groups.get(link.placement) || []), link]));
  const name = id => campaign.placements.find(one => one.id === id)?.name || id;
  return [...groups].map(([placement, own]) => h('details', { class: 'codes' },
    h('summary', {}, h('span', {}, name(placement)), h('span', { class: 'soft' }, ` ${placement} · ${own[0].medium} · ${t('codes.count', { count: own.length })}`)),
    h('ul', {}, own.map(link => h('li', {},
      h('span', { class: 'tag' }, named('stage', link.stage)), h('span', { class: 'soft' }, link.dialect),
      h('code', { tabindex: 0 }, link.url), copy(link.url),
      link.warnings.map(warning => h('p', { class: 'problem' }, warning)))))));
}

function copy(url) {
  const one = button(t('copy'), async () => {
    try {
      await navigator.clipboard.writeText(url);
      put(one, icon('done'), t('copied'));
    } catch { prompt(t('copy'), url); }
  }, { class: 'quiet' });
  return one;
}
