// Elements, built one by one: no text that came from anywhere is ever read as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An element. `on` holds listeners, `data` data attributes; other properties that are true, texts or numbers become attributes. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for pictures. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === 'data') Object.assign(element.dataset, value);
    else if (name === 'value' || name === 'checked' || name === 'selected' || name === 'disabled' || name === 'open' || name === 'indeterminate') element[name] = value;
    else if (value === true) element.setAttribute(name, '');
    else element.setAttribute(name, String(value));
  }
  append(element, children);
  return element;
}

/** Appends elements and texts; lists are flattened, nothing stays nothing. */
export function append(parent, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === '') continue;
    parent.append(child instanceof Node ? child : String(child));
  }
  return parent;
}

/** Puts children in place of what was there. */
export function put(parent, ...children) {
  parent.replaceChildren();
  return append(parent, children);
}

/** A text for those who hear the page. */
export const heard = text => h('span', { class: 'heard' }, text);

let last = 0;
/** An id that nothing else on the page has. */
export const unique = () => `n${++last}`;

// 16 by 16, drawn by strokes.
const ICONS = {
  lock: 'M4 7h8v6H4zM6 7V5a2 2 0 0 1 4 0v2',
  alert: 'M8 2 15 14H1zM8 6.5v3.5M8 12v.4',
  down: 'M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10',
  up: 'M8 10V2M4.5 5 8 1.5 11.5 5M3 13.5h10',
  clock: 'M8 2a6 6 0 1 0 .01 0M8 4.5V8l2.5 1.5',
  link: 'M6.5 9.5l3-3M7 5l1.5-1.5a2.5 2.5 0 0 1 4 4L11 9M9 11l-1.5 1.5a2.5 2.5 0 0 1-4-4L5 7',
  print: 'M4 6V2h8v4M4 12H2V6h12v6h-2M4 10h8v4H4z',
  again: 'M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3',
  light: 'M8 5a3 3 0 1 0 .01 0M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M3 13l1-1',
  dark: 'M13 10A6 6 0 0 1 6 3a5.5 5.5 0 1 0 7 7z',
  done: 'M3 8.5 6.5 12 13 4.5',
  plus: 'M8 3v10M3 8h10',
  back: 'M10 3 5 8l5 5',
  eye: 'M1 8s2.5-4.5 7-4.5S15 8 15 8s-2.5 4.5-7 4.5S1 8 1 8zM8 6a2 2 0 1 0 .01 0',
};

/** A small picture beside words. */
export function icon(name) {
  return svg('svg', { class: 'icon', viewBox: '0 0 16 16', 'aria-hidden': 'true', focusable: 'false' }, svg('path', { d: ICONS[name] }));
}

/** A button. */
export function button(label, click, properties) {
  const { icon: picture, ...rest } = properties || {};
  return h('button', { type: 'button', ...rest, on: { click } }, picture && icon(picture), label);
}
