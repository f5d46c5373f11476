// The fields of a placement, by the names of the catalog.

import { t } from '../i18n.js';

/** `isNew`: the id can be given; afterwards it stays. */
export function placementFields(campaign, isNew) {
  const of = (key, kind, more) => ({ key, kind, label: t(`field.${key}`), ...more });
  const [basics, clicks, codes, plan] = ['basics', 'clicks', 'codes', 'plan'].map(name => t(`group.${name}`));
  const media = [...new Set(campaign.placements.map(one => one.medium))].sort();
  const options = (group, names) => names.map(name => [name, t(`${group}.${name}`)]);
  return [
    of('id', 'text', { group: basics, required: isNew, fixed: !isNew, hint: t('hint.id'), placeholder: 'video-preroll' }),
    of('name', 'text', { group: basics, required: true }),
    of('medium', 'text', { group: basics, required: true, list: media, hint: t('hint.medium') }),
    of('source', 'select', { group: basics, options: options('source', ['c2s', 's2s', 'ssai']), hint: t('hint.source') }),
    of('state', 'select', { group: basics, options: options('state', ['live', 'trial']), hint: t('hint.state') }),
    of('plan', 'rows', {
      group: plan, wide: true, hint: t('hint.plan'),
      columns: [{ key: 'from', label: t('plan.from'), kind: 'date', default: campaign.starts }, { key: 'to', label: t('plan.to'), kind: 'date', default: campaign.ends }, { key: 'impressions', label: t('plan.a_day'), kind: 'number' }],
    }),
    of('cost', 'number', { group: plan, step: '0.01' }),
    of('landing_page', 'text', { group: clicks, hint: t('hint.landing_page'), placeholder: 'https://www.example.com/' }),
    of('landing_hosts', 'lines', { group: clicks, hint: t('hint.placement_hosts') }),
    of('profile', 'text', { group: codes, hint: t('hint.profile') }),
    of('dialect', 'text', { group: codes, hint: t('hint.dialect') }),
    of('vast_tag', 'text', { group: codes, hint: t('hint.vast_tag') }),
    of('signed_links', 'flag', { group: codes }),
  ];
}
