// Sightline's page tag: README, "The page tag". It stores nothing, reads no identifier and never throws into the page.
(() => {
  'use strict';

  const ADS = '[data-sightline-campaign][data-sightline-placement]';
  const GATHER_MS = 100; // events of one moment share a request
  const RETRY_MS = 1000; // doubled by each failure
  const TRIES_MAX = 6; // for each event
  const WAITING_MAX = 500; // events; more are dropped
  const BODY_BYTES_MAX = 30000; // browsers take 64 KiB of such bodies at a time
  const CONSENT_MS_MAX = 1000; // longest wait for the page's consent manager
  const LARGE_PIXELS = 242500; // from here on 30 % is enough (MRC)
  const STEPS = ['start', 'first-quartile', 'midpoint', 'third-quartile', 'complete'];

  const script = document.currentScript;
  const tracker = script && script.src && new URL('.', script.src).href;
  const mark = Symbol.for('sightline ' + tracker);
  if (!tracker || window[mark]) return; // no address, or the same tag twice
  window[mark] = true;

  const safe = run => (...args) => {
    try { return run(...args); } catch (_) { /* the page goes on */ }
  };

  // --- Signals, sent with every event. Until a consent manager has answered there is no consent.

  const consent = {};
  let unknown = 0;
  let asked;

  const ask = safe(() => {
    asked = asked || Date.now();
    if (window.__tcfapi && !('gdpr' in consent)) {
      consent.gdpr = 1;
      unknown |= 1;
      window.__tcfapi('addEventListener', 2, safe((data, ok) => {
        if (!ok || data.eventStatus === 'cmpuishown') return;
        unknown &= ~1;
        consent.gdpr = data.gdprApplies === false ? 0 : 1;
        consent.gdpr_consent = data.tcString || '';
      }));
    }
    if (window.__gpp && !('gpp_sid' in consent)) {
      consent.gpp_sid = '0';
      unknown |= 2;
      window.__gpp('addEventListener', safe(({ pingData: data }, ok) => {
        if (!ok || !data || data.signalStatus === 'not ready') return;
        unknown &= ~2;
        consent.gpp_sid = String(data.applicableSections || 0);
        consent.gpp = data.gppString || '';
      }));
    }
  });

  // The header that says so too may be lost on the way.
  const withSignals = hit => Object.assign({}, hit, consent, navigator.globalPrivacyControl ? { lmt: 1 } : {});

  // --- Delivery: what is not answered yet stands in `waiting`; one request at a time.

  let waiting = [];
  let sending = [];
  let failures = 0;
  let timer;

  const say = (view, stage) => {
    if (waiting.length < WAITING_MAX) waiting.push({ tries: 0, hit: Object.assign({ stage, t: Date.now() }, view.names) });
    if (!failures) plan(GATHER_MS);
  };

  const plan = ms => {
    clearTimeout(timer);
    timer = setTimeout(flush, ms);
  };

  // What fits into one body, and the body: text, which needs no preflight.
  const pack = () => {
    let bytes = 0;
    const texts = waiting.map(event => JSON.stringify(withSignals(event.hit)))
      .filter((text, index) => (bytes += text.length) <= BODY_BYTES_MAX || !index);
    return [waiting.slice(0, texts.length), `[${texts}]`];
  };

  const flush = async () => {
    if (sending.length || !waiting.length) return;
    ask();
    if (unknown && Date.now() - asked < CONSENT_MS_MAX) return plan(GATHER_MS);
    let body, again;
    [sending, body] = pack();
    again = sending;
    try {
      const answer = await fetch(tracker + 'v1/events', { method: 'POST', body, credentials: 'include', keepalive: true });
      const { results = [] } = await answer.json().catch(() => ({}));
      if (answer.ok) again = sending.filter((_, i) => /^(storage_failed|opt_out_unknown)$/.test((results[i] || {}).reason));
      else if (answer.status < 500 && answer.status !== 408 && answer.status !== 429) again = [];
    } catch (_) { /* the network: again */ }
    again.forEach(event => event.tries++);
    // What a beacon took meanwhile is not in `waiting` any more.
    waiting = waiting.filter(event => !sending.includes(event) || (again.includes(event) && event.tries < TRIES_MAX));
    sending = [];
    failures = again.length && waiting.length && failures + 1;
    if (waiting.length) plan(failures && RETRY_MS * 2 ** (failures - 1) * (1 + Math.random() / 4));
  };

  // The page goes. What is under way for the first time arrives without it.
  const leave = () => {
    views.forEach(end);
    waiting = waiting.filter(event => event.tries || !sending.includes(event));
    while (waiting.length) {
      const [events, body] = pack();
      if (!navigator.sendBeacon(tracker + 'v1/events', body)) break;
      waiting = waiting.slice(events.length);
    }
  };

  // --- Views: one for each ad, from when it is found to its end.

  const views = new Set();
  const seen = new WeakSet();

  const begin = element => {
    const { sightlineCampaign: c, sightlinePlacement: p, sightlineCreative: cr = '', sightlineExp: exp = '', sightlineSig: sig = '' }
      = element.dataset;
    if (seen.has(element) || !c || !p) return;
    seen.add(element);
    const rid = Array.from(crypto.getRandomValues(new Uint32Array(4)), number => number.toString(36)).join('-');
    const isVideo = 'sightlineVideo' in element.dataset;
    const view = { element, isVideo, step: 0, names: { c, p, rid, cr, exp, sig } };
    views.add(view);
    say(view, 'tracked');
    const on = (types, run) => types.forEach(type => element.addEventListener(type, safe(event => run(view, event)), true));
    on(['load', 'loadeddata', 'playing', 'pause', 'waiting', 'timeupdate', 'ended'], progress);
    on(['pointerdown', 'contextmenu', 'click', 'auxclick'], clicked);
    if (window.ResizeObserver) {
      view.sizes = new ResizeObserver(safe(() => render(view)));
      view.sizes.observe(element);
    }
    render(view);
  };

  const parts = ({ element }, kinds) => [element, ...element.querySelectorAll(kinds)].filter(part => part.matches(kinds));
  const isPlaying = video => !video.paused && !video.ended && video.readyState > 2;

  // The impression: the ad has a size, and something of it is there to be seen.
  const render = view => {
    if (view.isShown || !views.has(view)) return;
    const { element, isVideo } = view;
    const { width, height } = element.getBoundingClientRect();
    if (!width || !height) return;
    const media = parts(view, isVideo ? 'video' : 'img,video');
    const isThere = media.length || isVideo
      ? media.some(part => isVideo ? isPlaying(part) : (part.complete && part.naturalWidth) || part.readyState > 1)
      : element.childElementCount || element.textContent.trim() || element.matches('iframe,canvas')
        || getComputedStyle(element).backgroundImage !== 'none';
    if (!isThere) return;
    view.isShown = true;
    say(view, 'impression');
    if (!window.IntersectionObserver) return verdict(view, 'not-measurable');
    view.isMeasured = document.hidden;
    view.observer = new IntersectionObserver(safe(entries => look(view, entries)), { threshold: [0, 0.3, 0.5] });
    view.observer.observe(element);
  };

  const look = (view, entries) => {
    for (const { boundingClientRect: box, intersectionRatio } of entries) {
      view.isMeasured = true;
      view.isInside = intersectionRatio >= (!view.isVideo && box.width * box.height >= LARGE_PIXELS ? 0.3 : 0.5);
    }
    judge(view);
  };

  // Viewable after a run without a break: in the viewport, the document visible, a video playing.
  const judge = view => {
    if (!view.isInside || view.isJudged || document.hidden || (view.isVideo && !parts(view, 'video').some(isPlaying))) {
      clearTimeout(view.run);
      view.run = 0;
    } else if (!view.run) {
      view.run = setTimeout(safe(() => {
        look(view, view.observer.takeRecords());
        if (view.run) verdict(view, 'viewable');
      }), view.isVideo ? 2000 : 1000);
    }
  };

  const verdict = (view, stage) => {
    if (view.isShown && !view.isJudged) say(view, stage);
    view.isJudged = true;
    clearTimeout(view.run);
    if (view.observer) view.observer.disconnect();
  };

  const progress = (view, { target, type }) => {
    render(view);
    if (!view.isVideo || !view.isShown || !views.has(view) || target.localName !== 'video') return;
    judge(view);
    const done = type === 'ended' ? 1 : target.currentTime / target.duration;
    while (view.step < STEPS.length && done >= view.step / 4) say(view, STEPS[view.step++]);
  };

  // The element is gone, or the page: what has not been viewable will not be.
  const end = view => {
    views.delete(view);
    if (view.sizes) view.sizes.disconnect();
    verdict(view, view.isMeasured ? 'not-viewable' : 'not-measurable');
  };

  // A click is counted at the tracker's redirect where the ad asks for that, else by an event.
  const clicked = (view, event) => {
    const { element } = view;
    const link = event.target.closest('a[href]');
    const route = element.dataset.sightlineClick;
    if (route !== undefined && link && element.contains(link)) {
      let landing = new URL(route || link.href, document.baseURI);
      if (landing.href.startsWith(tracker + 'c?')) landing = new URL(landing.searchParams.get('u'));
      if (!/^https?:/.test(landing.href)) return;
      ask();
      const query = Object.assign({ t: Date.now() }, view.names, { u: landing.href });
      link.href = tracker + 'c?' + new URLSearchParams(withSignals(query));
    } else if (event.isTrusted && (event.type === 'click' || (event.type === 'auxclick' && event.button === 1))
      && (link || !parts(view, 'a[href]').length)) {
      say(view, 'click');
    }
  };

  const find = node => node.matches && parts({ element: node }, ADS).forEach(begin);

  const start = safe(() => {
    find(document.documentElement);
    new MutationObserver(safe(changes => {
      changes.forEach(change => (change.addedNodes.length ? change.addedNodes : [change.target]).forEach(find));
      views.forEach(view => (view.element.isConnected ? render(view) : end(view)));
    })).observe(document, { childList: true, subtree: true, attributeFilter: ADS.match(/data-[a-z-]+/g) });
    document.addEventListener('visibilitychange', safe(() => {
      views.forEach(judge);
      if (document.hidden) flush(); // perhaps nothing runs later
    }));
    window.addEventListener('pagehide', safe(leave));
  });

  // A page rendered ahead of time has shown nothing yet.
  if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true });
  else start();
})();
