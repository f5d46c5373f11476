// What this browser keeps: the token (until the window is closed, unless asked otherwise), language and look. Where it keeps nothing, the page still works.

const TOKEN = 'sightline.token';
const memory = new Map();

function kept(place, name) {
  try { return window[place].getItem(name); } catch { return null; }
}

function keep(place, name, value) {
  try {
    if (value === null) window[place].removeItem(name);
    else window[place].setItem(name, value);
    return true;
  } catch { return false; }
}

/** The token, or null. */
export const token = () => memory.get(TOKEN) || kept('sessionStorage', TOKEN) || kept('localStorage', TOKEN);

/** Keeps it for this window, or also for the next ones. */
export function setToken(text, isForLong) {
  memory.set(TOKEN, text);
  keep(isForLong ? 'localStorage' : 'sessionStorage', TOKEN, text);
}

/** Forgets it everywhere. */
export function forgetToken() {
  memory.delete(TOKEN);
  keep('sessionStorage', TOKEN, null);
  keep('localStorage', TOKEN, null);
}

/** A choice of this person, `language` or `theme`. */
export const choice = name => kept('localStorage', `sightline.${name}`);
export const setChoice = (name, value) => keep('localStorage', `sightline.${name}`, value);
