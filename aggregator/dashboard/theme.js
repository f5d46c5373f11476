// The look, light or dark: what was chosen, or else that of the device. Each colour stands once, as a pair, in style.css.

import * as store from './store.js';

const root = document.documentElement;
const device = matchMedia('(prefers-color-scheme: dark)');
const PAIR = /light-dark\(([^,]+), *((?:[^()]|\([^()]*\))+)\)/g;
let paper = false;
let redraw = () => {};

export const isDark = () => (root.dataset.theme || (device.matches ? 'dark' : 'light')) === 'dark';

/** The colour of that name as it is now, for what is drawn and not styled. */
export const colour = name => half(getComputedStyle(root).getPropertyValue(name)).trim();

const half = text => text.replace(PAIR, (_, light, dark) => (isDark() ? dark : light));

/** Shows a look: `light`, `dark`, or that of the device. */
function show(name) {
  if (name) root.dataset.theme = name;
  else delete root.dataset.theme;
  // A browser that does not know light-dark() gets the half that is wanted.
  if (!CSS.supports('color', 'light-dark(#000, #fff)')) {
    const rules = [...document.styleSheets].flatMap(sheet => [...sheet.cssRules]).filter(rule => rule.selectorText === ':root');
    rules.forEach(({ style }) => [...style].filter(one => one.startsWith('--')).forEach(one => root.style.setProperty(one, half(style.getPropertyValue(one)))));
  }
  redraw();
}

/** Begins with what was chosen before; `changed` draws again what is not styled. */
export function begin(changed) {
  redraw = changed;
  show(store.choice('theme'));
  device.addEventListener('change', () => { if (!store.choice('theme') && !paper) show(null); });
}

export function choose(name) {
  store.setChoice('theme', name);
  show(name);
}

/** Paper is light. */
export function onPaper(is) {
  paper = is;
  show(is ? 'light' : store.choice('theme'));
}
