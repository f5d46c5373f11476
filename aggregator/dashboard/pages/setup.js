// A campaign's setting up: what the catalog says of it, its placements with their plans, a sheet of them, and their codes.

import * as api from '../api.js';
import { download, failure, skeleton } from '../cards.js';
import { button, h, put } from '../dom.js';
import { confirm, dialog, form } from '../form.js';
import { limitText } from '../fields.js';
import { named, now, t, whole } from '../i18n.js';
import { based, of } from '../present.js';
import { table } from '../tables.js';
import { advertisersOf, campaignFields, newCampaign } from './campaign-fields.js';
import { codes } from './codes.js';
import { importDialog } from './import.js';
import { placementFields, proposing } from './placement-fields.js';

const redraw = () => { api.forget(); dispatchEvent(new Event('hashchange')); };

export function setupPage(context) {
  const { me, full } = context;
  const mayChange = me.may_change && Boolean(full);
  return h('div', { class: 'grid' }, full && settings(context, mayChange), placements(context, mayChange), codes(context));
}

/** A page for a campaign that is not there yet. */
export function newCampaignPage() {
  const submit = async (_, all) => {
    const json = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && !(Array.isArray(value) && !value.length) && !(value && typeof value === 'object' && !Array.isArray(value) && !Object.keys(value).length)));
    const made = await api.change('POST', ['campaigns'], { json });
    location.hash = `#/c/${encodeURIComponent(made.id)}/setup`;
  };
  const panel = h('div', { class: 'panel' }, skeleton(8));
  const cancel = () => { location.hash = '#/'; };
  const load = async () => {
    try {
      const { campaigns } = await api.get(['campaigns']);
      const values = newCampaign(campaigns);
      put(panel, form({ fields: campaignFields({ isNew: true, advertisers: advertisersOf(campaigns) }), values, words: t('campaign.make'), submit, cancel }));
    } catch (error) { put(panel, failure(error, load)); }
  };
  load();
  return {
    title: t('campaign.new'),
    content: [
      h('div', { class: 'page-head' }, h('div', {}, h('p', { class: 'crumb' }, h('a', { href: '#/' }, t('campaigns'))), h('h1', {}, t('campaign.new')), h('p', { class: 'soft' }, t('campaign.new_hint')))),
      panel,
    ],
  };
}

/** What the catalog says of the campaign. */
function settings(context, mayChange) {
  const { id, full } = context;
  const facts = [
    ['time_zone', full.time_zone], ['advertiser', full.advertiser], ['flight', full.starts || full.ends ? `${full.starts || '…'} – ${full.ends || '…'}` : null],
    ['landing_hosts', (full.landing_hosts || []).join(', ')], ['double_click_seconds', full.double_click_seconds ? t('seconds', { n: full.double_click_seconds }) : t('double_click.off')],
    ['cost', full.cost ? `${whole(full.cost)} ${full.currency || ''}` : null],
    ['universes', (full.universes || []).map(one => `${one.audience === 'all' && one.region === 'all' ? '' : `${one.region} / ${one.audience}: `}${whole(one.persons)} ${named('unit', one.unit)} (${one.source}, ${one.date})`).join('; ')],
    ['creatives', (full.creatives || []).map(one => one.name || one.id).join(', ')],
    ['alerts', Object.entries(full.alerts || {}).filter(([, value]) => value !== null).map(([name, value]) => t('alert_limit.is', { name: t(`alert_limit.${name}`), value: limitText(name, value) })).join('; ')],
  ].filter(([, value]) => value);
  const edit = () => dialog(t('campaign.edit'), close => form({
    fields: campaignFields({ hasData: Boolean(context.campaign.first_day), advertisers: context.advertisers }), values: context.full, cancel: close,
    submit: async changed => {
      if (Object.keys(changed).length) await based(context, version => api.change('PATCH', ['campaigns', id], { json: changed, version }), present => of(present, changed));
      close();
      redraw();
    },
  }));
  return h('section', { class: 'card wide', 'aria-label': t('campaign.settings'), data: { card: 'settings' } },
    h('header', {}, h('h2', {}, t('campaign.settings')), h('div', { class: 'card-tools no-print' }, mayChange && [button(t('edit'), edit, { id: 'edit-campaign' }), button(t('remove'), () => removeCampaign(context), { class: 'quiet', id: 'remove-campaign' })])),
    h('div', { class: 'card-body' }, h('dl', { class: 'facts' }, facts.map(([name, value]) => [h('dt', {}, t(`field.${name}`)), h('dd', {}, value)]))));
}

const removeCampaign = context => confirm(t('campaign.remove'), t('campaign.remove_sure', { name: context.full.name }), t('remove'), async () => {
  await based(context, version => api.change('DELETE', ['campaigns', context.id], { version }), ({ version, ...rest }) => rest);
  location.hash = '#/';
});

const planText = plan => (plan || []).map(one => t('plan.range', { from: one.from, to: one.to, count: whole(one.impressions) })).join('; ');
const planSum = plan => (plan || []).reduce((sum, one) => sum + one.impressions * (Math.round((Date.parse(one.to) - Date.parse(one.from)) / 86400000) + 1), 0);

function placements(context, mayChange) {
  const { id, campaign, full } = context;
  const rows = full ? full.placements : campaign.placements;
  const columns = [
    { id: 'name', label: t('by.placement'), of: row => row.name, show: row => h('span', { class: 'two-lines' }, h('span', {}, row.name), h('span', { class: 'soft' }, row.id)), class: 'name' },
    { id: 'medium', label: t('by.medium'), of: row => row.medium },
    { id: 'source', label: t('field.source'), of: row => t(`source.${row.source}`) },
    { id: 'state', label: t('field.state'), of: row => row.state, show: row => h('span', { class: `tag ${row.state === 'live' ? 'good' : ''}` }, t(`state.${row.state}`)) },
  ];
  if (full) {
    columns.push(
      { id: 'plan', label: t('field.plan'), of: row => planSum(row.plan), show: row => (row.plan.length ? h('span', { class: 'two-lines' }, whole(planSum(row.plan)), h('span', { class: 'soft' }, planText(row.plan))) : '–'), class: 'wrap' },
    );
  }
  if (mayChange) {
    columns.push({
      id: 'act', label: t('actions'), class: 'no-print', fixed: true, of: () => null, show: row => h('span', { class: 'row' },
        button(t('edit'), () => editPlacement(context, row), { class: 'quiet', 'aria-label': t('placement.edit_one', { name: row.name }), data: { edit: row.id } }),
        button(t('remove'), () => confirm(t('placement.remove'), t('placement.remove_sure', { name: row.name }), t('remove'), async () => { await based(context, version => api.change('DELETE', ['campaigns', id, 'placements', row.id], { version }), present => present.placements.find(one => one.id === row.id)); redraw(); }), { class: 'quiet', 'aria-label': t('placement.remove_one', { name: row.name }) })),
    });
  }
  const tools = mayChange && [
    button(t('placement.new'), () => editPlacement(context, null), { icon: 'plus', id: 'new-placement' }),
    button(t('import'), () => importDialog(context, redraw), { class: 'main', id: 'import' }),
    download(t('import.template'), ['placements-template'], { format: 'xlsx', language: now() }, 'placements.xlsx', { class: 'quiet', icon: 'down' }),
  ];
  return h('section', { class: 'card wide flush stack', 'aria-label': t('placements'), data: { card: 'placements' } },
    h('header', {}, h('h2', {}, t('placements')), h('div', { class: 'card-tools no-print' }, tools)),
    rows.length ? table({ caption: t('placements'), columns, rows, sort: 'name' }) : h('p', { class: 'empty' }, t(mayChange ? 'placements.none_operator' : 'placements.none')));
}

function editPlacement(context, row) {
  const { id, full } = context;
  dialog(t(row ? 'placement.edit' : 'placement.new'), close => proposing(form({
    fields: placementFields(full, row), values: row || { source: 'c2s', state: 'live', plan: [] }, cancel: close, words: t(row ? 'save' : 'placement.make'),
    submit: async (changed, all) => {
      if (row) {
        if (Object.keys(changed).length) await based(context, version => api.change('PATCH', ['campaigns', id, 'placements', row.id], { json: changed, version }), present => of(present.placements.find(one => one.id === row.id), changed));
      } else {
        const json = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== false && !(Array.isArray(value) && !value.length)));
        await api.change('POST', ['campaigns', id, 'placements'], { json });
      }
      close();
      redraw();
    },
  })));
}

