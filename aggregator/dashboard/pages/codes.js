// The codes to hand to media: all of a campaign in one download, and each by itself to copy.

import * as api from '../api.js';
import { download, failure, notice, skeleton } from '../cards.js';
import { button, h, icon, put } from '../dom.js';
import { named, t } from '../i18n.js';
import { based } from '../present.js';
import * as store from '../store.js';

export function codes(context) {
  const { id, campaign, me } = context;
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
      put(list, shown(links, context), leftOut.length ? h('div', { class: 'legend' }, h('p', {}, t('codes.left_out')), h('ul', {}, leftOut.map(one => h('li', {}, one)))) : null);
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

/** What is to be said of all placements, and placement by placement each URL with a button that copies it. */
function shown(links, context) {
  const { campaign, full } = context;
  if (!links.length) return h('p', { class: 'empty' }, t('codes.none'));
  const groups = new Map();
  links.forEach(link => groups.set(link.placement, [...(groups.get(link.placement) || []), link]));
  const name = id => campaign.placements.find(one => one.id === id)?.name || id;
  // Who knows its medium's macros says so; what stands there otherwise is an assumption.
  const isBare = own => own.some(link => link.profile === 'standard') && full?.placements.some(one => one.id === own[0].placement && !one.profile);
  const bare = [...groups.values()].filter(isBare);
  return [bare.length > 0 && unprofiled(bare, context), [...groups].map(([placement, own]) => h('details', { class: 'codes', data: { codes: placement } },
    h('summary', {}, h('span', {}, name(placement)), h('span', { class: 'soft' }, ` ${placement} · ${own[0].medium} · ${t('codes.count', { count: own.length })}`),
      bare.includes(own) && h('span', { class: 'tag provisional' }, t('codes.unprofiled'))),
    urls(own)))];
}

/** Those to hand out; the other formats behind a line that says what they are for. */
function urls(own) {
  const best = own.filter(link => link.recommended);
  const isWrapped = best.some(link => link.stage === 'vast-tag');
  const first = own.filter(link => !best.length || link.recommended || (!isWrapped && link.dialect === best[0].dialect));
  const others = own.filter(link => !first.includes(link));
  const list = some => [
    h('ul', {}, some.map(link => h('li', {},
      h('span', { class: 'tag' }, named('stage', link.stage)), link.recommended && h('span', { class: 'tag good' }, t('codes.recommended')), h('span', { class: 'soft' }, link.dialect),
      h('code', { tabindex: 0 }, link.url), copy(link.url)))),
    [...new Set(some.flatMap(link => link.warnings))].map(warning => h('p', { class: 'problem' }, warning)),
  ];
  return [list(first), others.length > 0 && h('details', { class: 'behind' }, h('summary', {}, t('codes.others', { count: others.length })), list(others))];
}

/** Placements whose codes hold macros that nobody chose, and what goes by their media's names. */
function unprofiled(bare, context) {
  const proposals = bare.map(([link]) => link).filter(link => link.proposed_profile);
  const media = [...new Map(proposals.map(link => [link.medium, link.proposed_profile]))].map(([medium, profile]) => t('codes.proposed_of', { medium, profile }));
  const told = h('div', {});
  const take = button(t('codes.take_proposed', { count: proposals.length }), async () => {
    take.disabled = true;
    try { await choose(proposals, context); } catch (error) { put(told, failure(error)); take.disabled = false; }
  }, { id: 'take-profiles' });
  return notice('info', h('p', {}, t('codes.unprofiled_lead', { count: bare.length })),
    media.length > 0 && [h('p', {}, t('codes.proposed'), ' ', media.join('; ')), context.me.may_change && h('p', {}, take), told]);
}

/** One change for all of them: a sheet of two columns. */
async function choose(proposals, context) {
  const lines = proposals.map(link => `${link.placement},${link.proposed_profile}`);
  const file = new Blob([['Placement ID,Macro profile', ...lines, ''].join('\n')], { type: 'text/csv' });
  const profiles = present => Object.fromEntries(proposals.map(({ placement }) => [placement, present.placements.find(one => one.id === placement)?.profile ?? null]));
  await based(context, version => api.change('POST', ['campaigns', context.id, 'placements', 'import'], { file, version, query: { existing: 'replace' } }), profiles);
  dispatchEvent(new Event('hashchange'));
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
