// A change is based on what was read. Where the catalog has changed since, but not in what is to be changed, the change is sent once more, based on the
// catalog of now; where it has, somebody has to look.

import * as api from './api.js';
import { t } from './i18n.js';

const text = value => (value === null || value === undefined || value === '' ? t('import.blank') : typeof value === 'object' ? null : String(value));

/**
 * `send(version)` sends the change; `part(campaign)` is what it puts something in the place of, key by key. Fails with `version` and the fields that are
 * different by now; the next attempt is based on the present.
 */
export async function based(context, send, part) {
  const { id, full } = context;
  try { return await send(full.version); } catch (error) {
    if (error.status !== 412) throw error;
    const [before, present] = [part(full) || {}, await api.get(['campaigns', id], {}, { fresh: true })];
    context.full = present;
    const after = part(present) || {};
    const other = Object.keys({ ...before, ...after }).filter(key => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
    if (!other.length) return send(present.version);
    error.code = 'version';
    error.error.fields = other.map(key => ({ key, message: text(after[key]) === null ? t('meanwhile') : t('meanwhile.value', { value: text(after[key]) }) }));
    throw error;
  }
}

/** Of an object the keys that are changed. */
export const of = (object, changed) => object && Object.fromEntries(Object.keys(changed).map(key => [key, object[key] ?? null]));
