// What is shown, in the address: `#/path/of/page?from=…&to=…&by=…&filter=…`. It stands behind the `#`, so it is in no server's log; the token is never in it.

/** Path (decoded parts) and parameters of the address now. */
export function here() {
  const text = location.hash.replace(/^#\/?/, '');
  const [path, query] = [text.split('?')[0], text.slice(text.indexOf('?') + 1 || text.length)];
  return { parts: path.split('/').filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

/** The address of a page. */
export function to(parts, query) {
  const kept = [...(query instanceof URLSearchParams ? query : Object.entries(query || {}))].filter(([, value]) => value !== null && value !== undefined && value !== '');
  const text = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

/** Goes to a page. */
export function go(parts, query) {
  location.hash = to(parts, query);
}

/** The same page with other parameters; an empty one goes. `quietly`: nothing is drawn again. */
export function change(values, quietly) {
  const { parts, query } = here();
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === '') query.delete(name);
    else query.set(name, value);
  }
  const next = to(parts, query);
  if (next === location.hash) return;
  history.pushState(null, '', next);
  if (!quietly) dispatchEvent(new Event('hashchange'));
}

/** The parameters of a report that stand in the address. */
export function range(query) {
  const kept = {};
  for (const name of ['from', 'to', 'filter', 'audience', 'precision', 'state', 'version']) if (query.get(name)) kept[name] = query.get(name);
  return kept;
}

/** Parameters that only some reports know; the others refuse them. */
const ONLY_OF = { audience: ['reach'], precision: ['reach', 'frequency', 'overlap'] };

/** What of them a report is asked with. */
export function known(report, query) {
  return Object.fromEntries(Object.entries(query).filter(([name]) => !ONLY_OF[name] || ONLY_OF[name].includes(report)));
}
