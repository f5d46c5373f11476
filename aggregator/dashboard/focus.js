// Where a person was on the page: found again after something was drawn anew.

const WAIT_MS = 8000;
const OWN = /^n\d+$/; // ids that are other ones each time

/** How to find an element on a page that is drawn again, or null. */
export function mark(element = document.activeElement) {
  if (!element || element === document.body || element.id === 'main') return null;
  const own = one => (one.id && !OWN.test(one.id) ? `#${CSS.escape(one.id)}` : Object.entries(one.dataset).map(([name, value]) => `[data-${name.replace(/[A-Z]/g, sign => `-${sign.toLowerCase()}`)}="${CSS.escape(value)}"]`).join(''));
  if (own(element)) return { selector: own(element), at: 0 };
  const around = element.parentElement?.closest('[data-card], [data-key], [data-placement], [id]:not([id^="n"])');
  const selector = `${around ? own(around) : 'main'} ${element.localName}`;
  return { selector, at: [...document.querySelectorAll(selector)].indexOf(element) };
}

/** Goes back to what was marked as soon as it is there, unless somebody has gone elsewhere meanwhile. */
export function back(marked) {
  if (!marked) return;
  const look = () => {
    const now = document.activeElement;
    if (now && now !== document.body && now.isConnected) return true;
    const found = document.querySelectorAll(marked.selector)[marked.at];
    found?.focus({ preventScroll: true });
    return document.activeElement === found;
  };
  if (look()) return;
  const watch = new MutationObserver(() => { if (look()) watch.disconnect(); });
  watch.observe(document.getElementById('app'), { childList: true, subtree: true });
  setTimeout(() => watch.disconnect(), WAIT_MS);
}

/** Draws something anew and stays where the person was. */
export function staying(draw) {
  const marked = mark();
  draw();
  back(marked);
}
