// The page with JavaScript: hashes a typed identifier before it is sent, finds out what the browser does with cookies of other sites, copies a
// receipt. Without it everything works, and the server hashes.
//
// It must never put what was typed into a URL, a store of the browser or a request, and load nothing but its own files. Where scripts run, the only button
// that sends an identifier is disabled until this one is ready: a page that is still loading, or has lost it, sends none.

import { read } from '/opt-out-hash.js';

const at = (id) => document.getElementById(id);

function lodge(form) {
  const [kind, value, hashed, status] = ['kind', 'value', 'hashed', 'value-status'].map(at);
  const [isDigest, isDigestLine] = [at('is-digest'), at('is-digest-line')];
  const words = JSON.parse(form.dataset.words);

  form.querySelectorAll('.scripted').forEach((element) => { element.hidden = false; });
  // What the form sends is decided below; the browser's own message would come before ours.
  form.noValidate = true;

  const look = () => {
    const result = read(kind.value, value.value, words);
    const mayBeDigest = result.state === 'digest' || (result.state === 'raw' && result.maybeDigest);
    isDigestLine.hidden = !mayBeDigest;
    // What was typed is sent only if the person says that it is no identifier.
    if (mayBeDigest && isDigest.checked) return { state: 'digest' };
    return result.state === 'digest' ? { state: 'unsure' } : result;
  };
  const say = (state, isFinal) => {
    const isWrong = state !== 'raw' && state !== 'digest';
    // While somebody types, what is not whole yet is no mistake; what can become nothing else is.
    const text = { raw: form.dataset.ready, digest: form.dataset.digest, bad: form.dataset.bad, unsure: form.dataset.unsure,
      malformed: isFinal ? form.dataset.malformed : '', empty: isFinal ? form.dataset.empty : '' }[state];
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle('wrong', isWrong && text !== '');
    value.setAttribute('aria-invalid', String(isWrong && text !== ''));
  };
  const example = () => { value.placeholder = kind.selectedOptions[0]?.dataset.example ?? ''; };

  value.addEventListener('input', () => say(look().state, false));
  // Not on the way to a button: what is said would move it away from under the finger.
  value.addEventListener('blur', (event) => {
    if (value.value.trim() && event.relatedTarget?.type !== 'submit') say(look().state, true);
  });
  isDigest.addEventListener('change', () => say(look().state, true));
  kind.addEventListener('change', () => {
    example();
    isDigest.checked = false;
    if (value.value.trim()) say(look().state, true);
  });
  form.addEventListener('submit', (event) => {
    const result = look();
    if (result.state === 'raw') {
      hashed.value = result.hashed;
      value.removeAttribute('name');
    } else if (result.state === 'digest') {
      hashed.value = '';
      value.setAttribute('name', 'value');
    } else {
      event.preventDefault();
      say(result.state, true);
      (result.state === 'unsure' ? isDigest : value).focus();
    }
  });
  // Back from the receipt: what was typed is not kept.
  addEventListener('pageshow', (event) => {
    if (!event.persisted) return;
    value.value = '';
    hashed.value = '';
    say('empty', false);
  });
  example();
  if (value.value.trim()) say(look().state, true);
  form.querySelectorAll('.plain').forEach((element) => { element.hidden = true; });
  // From here on nothing is sent that was not hashed.
  form.querySelectorAll('button.waiting').forEach((button) => { button.disabled = false; });
}

// How long the answer of the frame is waited for, milliseconds.
const PROBE_PATIENCE = 5000;

// Whether this browser sends a cookie of ours from pages of other sites. A frame without an origin stands for such a page: what it asks us for is
// cross-site for the browser.
function probe(line) {
  const tell = (result) => {
    line.textContent = line.dataset[result];
    line.className = result === 'sent' ? 'small' : 'note';
    line.hidden = false;
    line.dataset.result = result;
  };
  // Without TLS no browser keeps the cookies that this is about.
  if (!isSecureContext) { tell('unknown'); return; }
  const token = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const cookie = (value, seconds) => {
    document.cookie = `sightline_probe=${value}; Path=/opt-out; SameSite=None; Secure; Max-Age=${seconds}`;
  };
  cookie(token, 60);
  if (!navigator.cookieEnabled) { tell('none'); return; }
  const frame = document.createElement('iframe');
  frame.setAttribute('sandbox', 'allow-scripts');
  frame.hidden = true;
  frame.title = '';
  frame.src = `/opt-out/probe?${token}`;
  const end = () => {
    clearTimeout(patience);
    removeEventListener('message', hear);
    cookie('', 0);
    frame.remove();
  };
  const hear = (event) => {
    if (event.source !== frame.contentWindow) return;
    end();
    // These keep what a site has set on its own pages from its frames in other pages, which a frame in our own page cannot see.
    const apart = /firefox\//i.test(navigator.userAgent)
      || (/applewebkit/i.test(navigator.userAgent) && !/chrom(e|ium)\//i.test(navigator.userAgent));
    tell(event.data === 'sent' ? (apart ? 'apart' : 'sent') : 'blocked');
  };
  // An answer that does not come is none: a blocker took the frame away, or the network did.
  const patience = setTimeout(() => { end(); tell('unknown'); }, PROBE_PATIENCE);
  addEventListener('message', hear);
  document.body.append(frame);
}

function receipt(button) {
  const text = () => decodeURIComponent(document.querySelector('a[download]').href.split(',').slice(1).join(','));
  button.hidden = !navigator.clipboard;
  button.addEventListener('click', async () => {
    const done = await navigator.clipboard.writeText(text()).then(() => true, () => false);
    at('copy-status').textContent = done ? button.dataset.done : button.dataset.failed;
  });
  at('print').hidden = false;
  at('print').addEventListener('click', () => print());
}

if (at('lodge')) lodge(at('lodge'));
if (at('reach')) probe(at('reach'));
if (at('copy')) receipt(at('copy'));
document.documentElement.dataset.script = 'ready';
