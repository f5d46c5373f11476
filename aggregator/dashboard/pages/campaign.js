// One campaign: its name, its tabs, and the page of the tab that the address names.

import * as address from '../address.js';
import * as api from '../api.js';
import { failure, lacking, skeleton } from '../cards.js';
import { h, icon, put } from '../dom.js';
import * as i18n from '../i18n.js';
import { t } from '../i18n.js';
import { names } from '../names.js';
import { advertisersOf } from './campaign-fields.js';
import { closingsPage } from './closings.js';
import { livePage } from './live.js';
import { reportPage } from './report.js';
import { setupPage } from './setup.js';

const TABS = [
  ['report', reportPage, () => true],
  ['live', livePage, () => true],
  ['setup', setupPage, () => true],
  ['closings', closingsPage, context => context.hasClosings],
];

export function campaignPage(me, [id, tab = 'report'], query) {
  const body = h('div', {}, skeleton(10));
  const load = async () => {
    try {
      const missing = [];
      const part = (parts, parameters, options) => api.part(parts, parameters, missing, options);
      const [{ campaigns }, full, closings, numbers, alerts] = await Promise.all([
        api.get(['campaigns']), part(['campaigns', id]), part(['campaigns', id, 'closings']), part(['campaigns', id, 'media-numbers']), part(['alerts'], { campaign: id }, { fresh: true }),
      ]);
      if (!body.isConnected) return;
      const campaign = campaigns.find(one => one.id === id);
      if (!campaign) { put(body, unknown(id)); return; }
      const context = { me, id, campaign, full, closings, hasClosings: Boolean(closings || numbers || missing.length), alerts: alerts ? alerts.alerts : [], query, names: names(campaign, full), advertisers: advertisersOf(campaigns) };
      const open = TABS.find(([name]) => name === tab) || TABS[0];
      document.title = `${campaign.name || id} · ${t(`tab.${open[0]}`)} · Sightline`;
      i18n.inZone(campaign.time_zone);
      put(document.getElementById('foot'), t('foot.campaign', { zone: campaign.time_zone }));
      put(body, head(context, open[0]), lacking(missing, () => { api.forget(); load(); }), open[1](context));
    } catch (error) { put(body, failure(error, load)); }
  };
  load();
  return { title: id, content: body };
}

const unknown = id => h('div', { class: 'panel empty' },
  h('h1', {}, t('campaign.unknown')), h('p', {}, t('campaign.unknown_hint', { id })), h('p', {}, h('a', { class: 'button', href: '#/' }, icon('back'), t('campaign.all'))));

function head({ id, campaign, full, query, hasClosings, me }, open) {
  const tabs = TABS.filter(([, , isThere]) => isThere({ hasClosings, me, full }));
  const own = full || campaign;
  const facts = [id, campaign.advertiser || (own && own.advertiser), campaign.time_zone, range(own)].filter(Boolean);
  return [
    h('div', { class: 'page-head' }, h('div', {},
      h('p', { class: 'crumb no-print' }, h('a', { href: '#/' }, t('campaigns'))),
      h('h1', {}, campaign.name || id),
      h('p', { class: 'soft' }, facts.join(' · ')))),
    h('nav', { class: 'tabs', 'aria-label': t('campaign') }, tabs.map(([name]) => h('a', {
      href: address.to(name === 'report' ? ['c', id] : ['c', id, name], name === 'report' ? query : {}), 'aria-current': name === open ? 'page' : null, data: { tab: name },
    }, t(`tab.${name}`)))),
  ];
}

const range = own => own && (own.starts || own.ends) && `${own.starts || '…'} – ${own.ends || '…'}`;
