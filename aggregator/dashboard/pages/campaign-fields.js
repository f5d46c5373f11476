// The fields of a campaign, by the names of the catalog.

import { t } from '../i18n.js';

const zones = () => { try { return Intl.supportedValuesOf('timeZone'); } catch { return ['Asia/Shanghai', 'UTC']; } };

/** `isNew`: the id can be given; afterwards it stays. */
export function campaignFields(isNew) {
  const of = (key, kind, more) => ({ key, kind, label: t(`field.${key}`), ...more });
  const [basics, clicks, money, watch] = ['basics', 'clicks', 'reach', 'alerts'].map(name => t(`group.${name}`));
  const rows = (key, columns, group) => of(key, 'rows', { columns, group, wide: true, hint: t(`hint.${key}`), also: [key.slice(0, -1)] });
  return [
    of('id', 'text', { group: basics, required: isNew, fixed: !isNew, hint: t('hint.id'), placeholder: 'autumn-2026' }),
    of('name', 'text', { group: basics, required: true }),
    of('advertiser', 'text', { group: basics, hint: t('hint.advertiser') }),
    of('time_zone', 'text', { group: basics, required: true, list: zones(), hint: t('hint.time_zone') }),
    of('starts', 'date', { group: basics }),
    of('ends', 'date', { group: basics }),
    of('landing_hosts', 'lines', { group: clicks, hint: t('hint.landing_hosts') }),
    of('double_click_seconds', 'number', { group: clicks, step: 1, hint: t('hint.double_click_seconds') }),
    of('cost', 'number', { group: money, step: '0.01', hint: t('hint.cost') }),
    of('currency', 'text', { group: money, placeholder: 'CNY' }),
    rows('universes', [
      { key: 'persons', label: t('universe.persons'), kind: 'number' }, { key: 'unit', label: t('universe.unit'), options: [['persons', t('unit.persons')], ['devices', t('unit.devices')]] },
      { key: 'region', label: t('universe.region'), default: 'all' }, { key: 'audience', label: t('universe.audience'), default: 'all' },
      { key: 'source', label: t('universe.source') }, { key: 'date', label: t('universe.date'), kind: 'date' },
    ], money),
    rows('creatives', [{ key: 'id', label: t('creative.id') }, { key: 'name', label: t('creative.name') }], money),
    of('alerts', 'limits', { group: watch, wide: true, hint: t('hint.alerts') }),
  ];
}
