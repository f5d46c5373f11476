// What is asked again and again, while somebody looks; and figures that are drawn anew where they stand, under the hands of who reads them.

import { put } from './dom.js';
import { staying } from './focus.js';

/** Asks again and again, as long as the element is on the page, and the page and the element are seen; the first time `later`, or at once. */
export function repeat(element, every, work, { isLater } = {}) {
  let [isSeen, isAsking, asked] = [false, false, isLater ? performance.now() : -Infinity];
  const round = async () => {
    if (!isSeen || isAsking || document.hidden || performance.now() - asked < every) return;
    [isAsking, asked] = [true, performance.now()];
    await work();
    isAsking = false;
  };
  new IntersectionObserver(([entry], watch) => {
    isSeen = entry.isIntersecting;
    if (!element.isConnected) watch.disconnect();
    else round();
  }, { rootMargin: '200% 0px' }).observe(element);
  const timer = setInterval(() => { if (element.isConnected) round(); else clearInterval(timer); }, 500);
}

/** Puts children in place of what was there, as `put` does: what was opened stays open, a table in its order, and who was in it where he was. */
export function renew(place, ...children) {
  const all = selector => [...place.querySelectorAll(selector)];
  const opened = all('details').map(one => one.open);
  const aside = all('.scroll').map(one => one.scrollLeft);
  const orders = all('table').map(order);
  const height = place.style.minHeight;
  // The page is not shorter for a moment, for whoever is below would be moved.
  place.style.minHeight = `${place.offsetHeight}px`;
  staying(() => put(place, children));
  all('details').forEach((one, at) => { one.open = opened[at] ?? one.open; });
  all('table').forEach((one, at) => sortAs(one, orders[at]));
  all('.scroll').forEach((one, at) => { one.scrollLeft = aside[at] || 0; });
  place.style.minHeight = height;
}

/** By which column a table is sorted. */
function order(table) {
  const heads = [...table.querySelectorAll('thead th')];
  const at = heads.findIndex(head => head.hasAttribute('aria-sort'));
  return at < 0 ? null : { label: heads[at].textContent, way: heads[at].getAttribute('aria-sort') };
}

/** Sorts it so again; a column turns its way with each press. */
function sortAs(table, wanted) {
  const head = wanted && [...table.querySelectorAll('thead th')].find(one => one.textContent === wanted.label);
  for (let presses = 0; head && head.getAttribute('aria-sort') !== wanted.way && presses < 2; presses += 1) head.querySelector('.sort')?.click();
}
