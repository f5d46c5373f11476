// What is wrong with what was entered, in the reader's language: the API sends a code and its values beside its own words.

import { has, t } from './i18n.js';

/** Of `{code, values, message}`. What this page has no words for is told as the API says it. */
export function wrongText({ code, values, message }) {
  const key = `wrong.${code}`;
  return code && has(key) ? t(key, values) : message;
}
