// The dashboard: who sits before it, what the address says, and the page that shows it.

import * as address from './address.js';
import * as api from './api.js';
import { failure, skeleton } from './cards.js';
import { button, h, icon, put } from './dom.js';
import * as focus from './focus.js';
import * as i18n from './i18n.js';
import { t } from './i18n.js';
import * as plots from './plots.js';
import * as store from './store.js';
import * as theme from './theme.js';
import { booksPage } from './pages/books.js';
import { campaignPage } from './pages/campaign.js';
import { campaignsPage } from './pages/campaigns.js';
import { newCampaignPage } from './pages/setup.js';
import { signIn } from './pages/sign-in.js';
import { tokensPage } from './pages/tokens.js';

const app = document.getElementById('app');
let me = null;
let drawing = 0;

/** The page of the address. Each gives its title and its element, and may go on filling it. */
function page({ parts, query }) {
  if (parts[0] === 'c' && parts[1]) return campaignPage(me, parts.slice(1), query);
  if (parts[0] === 'new') return newCampaignPage();
  if (parts[0] === 'tokens') return tokensPage(me);
  if (parts[0] === 'books') return booksPage();
  return campaignsPage(me, query);
}

/** Language and look: on every page, before sign-in too. */
function switches() {
  const other = i18n.now() === 'zh' ? 'en' : 'zh';
  const language = h('button', {
    type: 'button', class: 'quiet', id: 'language', lang: other === 'zh' ? 'zh-CN' : 'en-GB',
    on: { click: () => { store.setChoice('language', other); i18n.set(other); draw('language'); } },
  }, other === 'zh' ? '中文' : 'English');
  const next = theme.isDark() ? 'light' : 'dark';
  const look = h('button', {
    type: 'button', class: 'quiet', id: 'theme', 'aria-label': t(`theme.${next}`), title: t(`theme.${next}`),
    on: { click: () => theme.choose(next) },
  }, icon(next));
  return h('div', { class: 'switches' }, language, look);
}

function header() {
  const { parts } = address.here();
  const link = (to, words, isHere) => h('a', { href: address.to(to), 'aria-current': isHere ? 'page' : null }, words);
  const isOfHouse = me && (me.role === 'operator' || me.role === 'auditor');
  return h('header', { class: 'top' },
    h('a', { class: 'skip', href: '#main', on: { click: event => { event.preventDefault(); document.getElementById('main').focus(); } } }, t('skip')),
    h('a', { class: 'brand', href: '#/' }, icon0(), 'Sightline'),
    me && h('nav', { 'aria-label': t('nav') },
      link([], t('campaigns'), !['tokens', 'books'].includes(parts[0])),
      isOfHouse && link(['tokens'], t('tokens'), parts[0] === 'tokens'),
      isOfHouse && link(['books'], t('books'), parts[0] === 'books')),
    h('div', { class: 'top-right' },
      switches(),
      me && h('span', { class: 'who', title: t('signed_in_as', { name: me.name, role: t(`role.${me.role}`) }) }, h('b', {}, me.name), h('span', {}, t(`role.${me.role}`))),
      me && button(t('sign_out'), () => { leave(); }, { class: 'quiet', id: 'sign-out' })));
}

const icon0 = () => h('span', { class: 'mark', 'aria-hidden': 'true' });

function leave(refused) {
  store.forgetToken();
  api.forget();
  me = null;
  draw(refused ? 'expired' : 'left');
}

/** Draws all of it. `why`: what made it so, if it was not the address. */
async function draw(why) {
  const turn = ++drawing;
  api.leave();
  const marked = focus.mark();
  i18n.inZone(undefined);
  if (!store.token()) {
    document.title = `${t('sign_in')} · Sightline`;
    put(app, header(), signIn(why, enter));
    if (why === 'language') document.getElementById('language').focus();
    return;
  }
  if (!me) {
    put(app, header(), h('main', { id: 'main' }, skeleton(6)));
    try { me = await api.me(); } catch (error) {
      if (error.status === 401) leave(error);
      else if (turn === drawing) put(app, header(), h('main', { id: 'main' }, failure(error, () => draw())));
      return;
    }
    if (turn !== drawing) return;
  }
  const { title, content } = page(address.here());
  document.title = `${title} · Sightline`;
  const main = h('main', { id: 'main', tabindex: -1 }, content);
  put(app, header(), main, h('footer', { class: 'foot', id: 'foot' }, t('foot.reader', { zone: i18n.clockZone() })));
  if (why === 'address') main.focus({ preventScroll: true });
  else focus.back(marked);
}

/** With a token that was typed: null, or why it does not open anything. */
async function enter(token, isForLong) {
  store.setToken(token, isForLong);
  try { me = await api.me(); } catch (error) {
    store.forgetToken();
    return error;
  }
  draw('address');
  return null;
}

api.on.signedOut = refused => { if (me) leave(refused); };
i18n.begin();
theme.begin(() => { plots.again(); focus.staying(() => document.querySelector('.switches')?.replaceWith(switches())); });
let path = address.here().parts.join('/');
addEventListener('hashchange', () => {
  const next = address.here().parts.join('/');
  const isOther = next !== path;
  path = next;
  draw(isOther ? 'address' : undefined);
  if (isOther) scrollTo(0, 0);
});
draw();
