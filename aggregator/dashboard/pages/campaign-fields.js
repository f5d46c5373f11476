// The fields of a campaign, by the names of the catalog.

import { hostOf } from '../fields.js';
import { now, t } from '../i18n.js';

const all = (kind, otherwise) => { try { return Intl.supportedValuesOf(kind); } catch { return otherwise; } };

/** Advertisers that campaigns are of, each once. */
export const advertisersOf = campaigns => [...new Set(campaigns.map(one => one.advertiser).filter(Boolean))].sort();

/** What a new campaign begins with: every value stands there to be seen, and to be changed. */
export function newCampaign(campaigns) {
  return { time_zone: usualZone(campaigns), double_click_seconds: 0, currency: 'CNY' };
}

/** The time zone that most campaigns have, or else the browser's; one that is on UTC says nothing of where its reader is, but the language may. */
function usualZone(campaigns) {
  const counts = new Map();
  campaigns.forEach(({ time_zone: zone }) => counts.set(zone, (counts.get(zone) || 0) + 1));
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  if (most) return most[0];
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return own === 'UTC' && now() === 'zh' ? 'Asia/Shanghai' : own;
}

/** `isNew`: the id can be given; afterwards it stays. `hasData`: hits have come, whose days stay as they were counted. */
export function campaignFields({ isNew, hasData, advertisers }) {
  const of = (key, kind, more) => ({ key, kind, label: t(`field.${key}`), ...more });
  const [basics, clicks, money, watch] = ['basics', 'clicks', 'reach', 'alerts'].map(name => t(`group.${name}`));
  const rows = (key, columns, group) => of(key, 'rows', { columns, group, wide: true, hint: t(`hint.${key}`), also: [key.slice(0, -1)] });
  return [
    of('id', 'text', { group: basics, required: isNew, fixed: !isNew, hint: t('hint.id', { example: 'autumn-2026' }) }),
    of('name', 'text', { group: basics, required: true }),
    of('advertiser', 'text', { group: basics, list: advertisers, hint: t('hint.advertiser') }),
    of('time_zone', 'text', { group: basics, required: true, fixed: hasData, list: all('timeZone', ['Asia/Shanghai', 'UTC']), hint: t(hasData ? 'hint.time_zone_stays' : 'hint.time_zone') }),
    of('starts', 'date', { group: basics }),
    of('ends', 'date', { group: basics }),
    of('landing_hosts', 'lines', { group: clicks, hint: t('hint.landing_hosts'), tidy: hostOf }),
    of('double_click_seconds', 'number', { group: clicks, step: 1, hint: t('hint.double_click_seconds') }),
    of('cost', 'number', { group: money, step: '0.01', hint: t('hint.cost') }),
    of('currency', 'text', { group: money, list: all('currency', ['CNY']), hint: t('hint.currency'), tidy: code => code.toUpperCase() }),
    rows('universes', [
      { key: 'persons', label: t('universe.persons'), kind: 'number' }, { key: 'unit', label: t('universe.unit'), options: [['persons', t('unit.persons')], ['devices', t('unit.devices')]] },
      { key: 'region', label: t('universe.region'), default: 'all' }, { key: 'audience', label: t('universe.audience'), default: 'all' },
      { key: 'source', label: t('universe.source') }, { key: 'date', label: t('universe.date'), kind: 'date' },
    ], money),
    rows('creatives', [{ key: 'id', label: t('creative.id') }, { key: 'name', label: t('creative.name') }], money),
    of('alerts', 'limits', { group: watch, wide: true, hint: t('hint.alerts') }),
  ];
}
