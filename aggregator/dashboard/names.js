// What rows are called: placements and creatives by their names in the catalog, regions by theirs in the reader's language, media by themselves.

import { has, named, regionName, t } from './i18n.js';

/** The code of a region, `CN` or `CN-SH`, in words. */
function region(code) {
  if (has(`region.${code}`)) return t(`region.${code}`);
  const [country, part] = code.split('-');
  const name = regionName(country);
  return part ? `${name} ${part}` : name;
}

/** Names of a campaign's rows. `full` is the campaign as it stands in the catalog, where whoever asks sees it. */
export function names(campaign, full) {
  const placements = new Map(campaign.placements.map(one => [one.id, one]));
  const creatives = new Map(((full && full.creatives) || []).map(one => [one.id, one.name]));
  const words = {
    placement: key => placements.get(key)?.name,
    creative: key => creatives.get(key),
    platform: key => named('platform', key),
    id_kind: key => named('id_kind', key),
    region: key => (/^[A-Z]{2}(-\w+)?$/.test(key) ? region(key) : null),
  };
  return {
    placements,
    of: (by, key) => words[by]?.(key) || (['unknown', 'total', '(others)'].includes(key) ? named('key', key) : key),
  };
}
