// The fields of a placement, by the names of the catalog.

import * as api from '../api.js';
import { h, put } from '../dom.js';
import { hostOf } from '../fields.js';
import { now, t } from '../i18n.js';

/** `row`: the placement as it stands, whose id stays; null for a new one, which can be given one. */
export function placementFields(campaign, row) {
  const isNew = !row;
  const of = (key, kind, more) => ({ key, kind, label: t(`field.${key}`), ...more });
  const [basics, clicks, codes, plan] = ['basics', 'clicks', 'codes', 'plan'].map(name => t(`group.${name}`));
  const media = [...new Set(campaign.placements.map(one => one.medium))].sort();
  const options = (group, names) => names.map(name => [name, t(`${group}.${name}`)]);
  return [
    of('id', 'text', { group: basics, required: isNew, fixed: !isNew, hint: t('hint.id', { example: 'video-preroll' }) }),
    of('name', 'text', { group: basics, required: true }),
    of('medium', 'text', { group: basics, required: true, list: media, hint: t('hint.medium') }),
    of('source', 'select', { group: basics, options: options('source', ['c2s', 's2s', 'ssai']), hint: t('hint.source') }),
    of('state', 'select', { group: basics, options: options('state', ['live', 'trial']), hint: t('hint.state') }),
    of('plan', 'rows', {
      group: plan, wide: true, hint: t('hint.plan'),
      columns: [{ key: 'from', label: t('plan.from'), kind: 'date', default: campaign.starts }, { key: 'to', label: t('plan.to'), kind: 'date', default: campaign.ends }, { key: 'impressions', label: t('plan.a_day'), kind: 'number' }],
    }),
    of('cost', 'number', { group: plan, step: '0.01' }),
    of('landing_page', 'text', { group: clicks, hint: t('hint.landing_page') }),
    of('landing_hosts', 'lines', { group: clicks, hint: t('hint.placement_hosts'), tidy: hostOf }),
    of('profile', 'select', { group: codes, options: [['', t('profile.none')], ...(row?.profile ? [[row.profile, row.profile]] : [])], hint: t('hint.profile') }),
    of('dialect', 'text', { group: codes, hint: t('hint.dialect') }),
    of('vast_tag', 'text', { group: codes, hint: t('hint.vast_tag') }),
    of('signed_links', 'flag', { group: codes }),
  ];
}

/** Offers the profiles that there are, and chooses the one that goes by the medium's name as long as nobody has chosen one. */
export function proposing(form) {
  const [medium, profile] = ['medium', 'profile'].map(key => form.querySelector(`[data-key="${key}"] :is(input, select)`));
  let proposed = '';
  // Without the list the profile that is there can be kept, and no other be chosen.
  const ready = api.get(['profiles']).then(({ profiles }) => {
    const chosen = profile.value;
    put(profile, [['', t('profile.none')], ...profiles.map(one => [one.name, `${one.title[now()]} (${one.name})`])].map(([value, words]) => h('option', { value }, words)));
    profile.value = chosen;
  }, () => {});
  medium.addEventListener('change', async () => {
    const name = medium.value.trim();
    await ready;
    const answer = name ? await api.get(['profiles'], { medium: name }).catch(() => null) : null;
    if (!answer || medium.value.trim() !== name || profile.value !== proposed) return;
    proposed = answer.proposed || '';
    profile.value = proposed;
  });
  return form;
}
