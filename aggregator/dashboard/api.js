// The report API, asked with the token of who sits before the page. Few questions at a time; one that was answered lately is not asked again.

import * as store from './store.js';

const AT_A_TIME = 4;
const KEPT_MS = 60000;
const TRIES_MAX = 4; // of what is answered 429 or 503
const WAIT_SECONDS_MAX = 30;

/** An answer that is none: `code` and `message` of the API, with all else it says in `error`. */
export class Refused extends Error {
  constructor(status, error) {
    super(error.message || `HTTP ${status}`);
    this.status = status;
    this.code = error.code || 'unknown';
    this.error = error;
  }
}

let running = 0;
const waiting = [];
let answers = new Map();
let generation = 0;
let leaving = new AbortController();

/** What is done when the token is no longer good. */
export const on = { signedOut: () => {} };

/** Forgets what was answered: figures are asked for again. */
export function forget() {
  answers = new Map();
  generation += 1;
}

/** Breaks off what the page that is left has asked for and nobody will look at. What was answered already is kept. */
export function leave() {
  for (const [target, { isThere }] of answers) if (!isThere) answers.delete(target);
  leaving.abort();
  leaving = new AbortController();
}

async function turn(work) {
  if (running >= AT_A_TIME) await new Promise(resolve => waiting.push(resolve));
  running += 1;
  try { return await work(); } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

const pause = (seconds, signal) => new Promise(resolve => {
  setTimeout(resolve, seconds * 1000);
  signal?.addEventListener('abort', resolve, { once: true });
});

/** The path below the API's root, each part escaped, and the parameters that are there. */
export function path(parts, query) {
  const pairs = Object.entries(query || {}).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return `v1/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

async function send(method, target, { body, headers, signal, hasty } = {}) {
  const asked = generation;
  for (let tries = 1; ; tries += 1) {
    const token = store.token();
    let answer;
    try {
      answer = await fetch(target, {
        method, body, signal, cache: 'no-store', credentials: 'omit', redirect: 'error',
        headers: { authorization: `Bearer ${token}`, ...headers },
      });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Refused(0, { code: 'unreachable', message: '' });
    }
    if (answer.ok) return answer;
    const said = await answer.json().catch(() => ({}));
    const refused = new Refused(answer.status, said.error || {});
    if (answer.status === 401 && asked === generation && token === store.token()) on.signedOut(refused);
    const again = answer.status === 429 || (answer.status === 503 && method === 'GET' && !hasty);
    if (!again || tries === TRIES_MAX) throw refused;
    await pause(Math.min(Number(answer.headers.get('retry-after')) || tries, WAIT_SECONDS_MAX), signal);
  }
}

/** What stands at a path, as JSON. `fresh`: asked now, whatever was answered before; `hasty`: not waited for where it cannot be said at present. */
export function get(parts, query, { fresh, hasty } = {}) {
  const target = path(parts, query);
  const held = answers.get(target);
  if (held && !fresh && Date.now() - held.at < KEPT_MS) return held.answer;
  const { signal } = leaving;
  const answer = turn(() => send('GET', target, { hasty, signal })).then(got => got.json());
  const entry = { at: Date.now(), answer, isThere: false };
  answers.set(target, entry);
  answer.then(() => { entry.isThere = true; }, () => { if (answers.get(target) === entry) answers.delete(target); });
  return answer;
}

/** The same, or null where this server has no such thing (yet), or not for this token. */
export function maybe(parts, query, options) {
  return get(parts, query, options).catch(error => {
    if ([403, 404, 405, 501].includes(error.status)) return null;
    throw error;
  });
}

/**
 * The same for what a page can do without: null, and the refusal among `missing`, where it cannot be said at present.
 */
export function part(parts, query, missing, options) {
  return maybe(parts, query, { hasty: true, ...options }).catch(error => {
    if (error.status === 401 || error.name === 'AbortError') throw error;
    missing.push(error);
    return null;
  });
}

/** Changes something. What was answered before is asked for again. */
export async function change(method, parts, { query, json, file, version } = {}) {
  const headers = {};
  if (json !== undefined) headers['content-type'] = 'application/json';
  if (file) headers['content-type'] = file.type || 'application/octet-stream';
  if (version) headers['if-match'] = `"${version}"`;
  const answer = await turn(() => send(method, path(parts, query), { body: json === undefined ? file : JSON.stringify(json), headers }));
  forget();
  const text = await answer.text();
  return text ? JSON.parse(text) : {};
}

/** Whether somebody is let in with the token that is kept; who that is. */
export const me = () => turn(() => send('GET', 'v1/me')).then(got => got.json());

/** A file, with the name that the server gives it. */
export async function file(parts, query) {
  const answer = await turn(() => send('GET', path(parts, query)));
  const name = /filename="([^"]+)"/.exec(answer.headers.get('content-disposition') || '');
  return { blob: await answer.blob(), name: name && name[1] };
}
