// Campaigns at a glance: what each delivered against its plan, and what needs a person's attention.

import * as address from '../address.js';
import * as api from '../api.js';
import { failure, lacking, skeleton } from '../cards.js';
import { button, h, icon, put } from '../dom.js';
import { byName, fine, named, now, percent, t, today, whole } from '../i18n.js';
import { figure } from '../marks.js';
import { bar, table } from '../tables.js';

const SEARCH_FROM = 8; // campaigns, from which on a search field helps
const FIGURES_MAX = 30; // campaigns whose figures are asked for at once; more on request

/** Words of an alert in the reader's language. */
export const alertText = alert => (alert.text && (alert.text[now()] || alert.text.en)) || named('alert', alert.kind);

/** Alerts of one kind together, in the order of their first: one cause often stops many placements. */
export const byKind = alerts => [...new Set(alerts.map(alert => alert.kind))].map(kind => alerts.filter(alert => alert.kind === kind));

export function campaignsPage(me) {
  const body = h('div', {}, skeleton(8));
  const content = [
    h('div', { class: 'page-head' }, h('h1', {}, t('campaigns')), h('div', { class: 'page-tools' }, me.may_change && newCampaign())),
    body,
  ];
  const load = async () => {
    try {
      const missing = [];
      const [{ campaigns }, alerts] = await Promise.all([api.get(['campaigns']), api.part(['alerts'], {}, missing, { fresh: true })]);
      put(body, lacking(missing, () => { api.forget(); load(); }), campaigns.length ? list(me, campaigns, alerts ? alerts.alerts : []) : nothing(me));
    } catch (error) { put(body, failure(error, load)); }
  };
  load();
  return { title: t('campaigns'), content };
}

function newCampaign() {
  return h('a', { class: 'button main', href: '#/new', id: 'new-campaign' }, icon('plus'), t('campaign.new'));
}

const nothing = me => h('div', { class: 'panel empty' },
  h('h2', {}, t('campaigns.none')),
  h('p', {}, t(me.may_change ? 'campaigns.none_operator' : 'campaigns.none_other')));

/** What of a campaign needs attention: what the server watches, and what its figures say. */
function attention(campaign, alerts, row) {
  const own = byKind(alerts.filter(alert => alert.campaign === campaign.id))
    .map(same => ({ kind: 'bad', text: same.length > 1 ? t('alert_limit.is', { name: t(`alert.${same[0].kind}`), value: t('alert.count', { count: same.length }) }) : alertText(same[0]) }));
  const isTold = kind => alerts.some(alert => alert.campaign === campaign.id && alert.kind === kind);
  const trial = campaign.placements.filter(placement => placement.state === 'trial').length;
  if (!campaign.in_catalog) own.push({ kind: 'bad', text: t('attention.left_catalog') });
  if (row && row.unresolved > 0 && !isTold('unresolved')) own.push({ kind: 'bad', text: t('attention.unresolved', { hits: whole(row.unresolved) }) });
  if (campaign.in_catalog && !campaign.placements.length) own.push({ kind: 'info', text: t('attention.no_placements') });
  if (trial) own.push({ kind: 'info', text: t('attention.trial', { count: trial }) });
  return own;
}

function list(me, campaigns, alerts) {
  const rows = campaigns.map(campaign => ({ campaign, cells: cells() }));
  const isCalm = rows.length < SEARCH_FROM;
  const field = h('input', { type: 'search', id: 'search', 'aria-label': t('search'), placeholder: t('search') });
  const frame = h('div', {});
  const draw = () => {
    const wanted = field.value.trim().toLowerCase();
    const shown = rows.filter(({ campaign }) => !wanted || [campaign.id, campaign.name, campaign.advertiser || ''].some(text => text.toLowerCase().includes(wanted)));
    put(frame, table({ caption: t('campaigns'), columns: columns(me), rows: shown, sort: 'name', empty: t('search.none') }));
  };
  field.addEventListener('input', draw);
  draw();
  figures(me, rows.slice(0, FIGURES_MAX), alerts);
  const rest = rows.slice(FIGURES_MAX);
  const more = rest.length > 0 && button(t('campaigns.more', { count: rest.length }), () => { more.remove(); figures(me, rest, alerts); });
  return [isCalm ? null : h('div', { class: 'search' }, field), h('div', { class: 'card flush stack' }, frame), more];
}

const cells = () => Object.fromEntries(['plan', 'clicks', 'coverage', 'days', 'attention'].map(name => [name, h('span', {}, '…')]));

function columns(me) {
  const title = ({ campaign }) => h('span', { class: 'two-lines' },
    h('a', { href: address.to(['c', campaign.id]) }, campaign.name || campaign.id),
    h('span', { class: 'soft' }, [campaign.id, campaign.advertiser].filter(Boolean).join(' · ')));
  return [
    { id: 'name', label: t('campaign'), of: ({ campaign }) => campaign.name || campaign.id, show: title, class: 'name' },
    { id: 'plan', label: t('plan_and_delivery'), hint: t('plan.to_date_hint'), of: row => row.impressions, show: row => row.cells.plan, number: true },
    { id: 'clicks', label: t('clicks'), of: row => row.clicks, show: row => row.cells.clicks, number: true },
    { id: 'coverage', label: t('id_coverage'), of: row => row.coverage, show: row => row.cells.coverage, number: true },
    { id: 'days', label: t('days'), of: row => row.first, show: row => row.cells.days },
    { id: 'attention', label: t('attention'), of: row => -(row.attention || 0), show: row => row.cells.attention, class: 'wrap' },
  ];
}

/** Settled days held against the plan of the same days, as a bar; below, what is not settled yet, and how far the whole flight is. Without a plan the count alone. */
function planned({ campaign }, total, settled) {
  if (total.impressions === null) return figure(total, null);
  const soft = (key, values) => h('span', { class: 'soft' }, t(key, values));
  if (!settled || !settled.planned) return h('span', { class: 'two-lines right' }, whole(total.impressions), !campaign.planned && soft('plan.none'));
  const share = settled.net_impressions / settled.planned;
  const open = total.net_impressions - settled.net_impressions;
  return h('span', { class: 'two-lines right' },
    h('span', {}, whole(settled.net_impressions), h('span', { class: 'soft' }, ` / ${whole(settled.planned)}`)),
    bar(share, percent(share), share > 1.05 ? 'over' : share < 0.9 ? 'under' : 'fine'),
    open > 0 && soft('plan.open', { count: whole(open) }),
    campaign.planned > settled.planned && soft('plan.whole', { share: percent(total.net_impressions / campaign.planned), planned: whole(campaign.planned) }));
}

/** The days of a flight until now, or all with data: a day without a hit counts against the plan too. */
function flight({ starts, ends, first_day: first, last_day: last, time_zone: zone, planned: plan }) {
  const now_ = today(zone);
  if (!plan || !starts || starts > now_) return {};
  const end = ends && ends < now_ ? ends : now_;
  return { from: first && first < starts ? first : starts, to: last && last > end ? last : end };
}

/** A campaign's row of all days until now, and that of the settled ones among them. */
async function asked(me, campaign) {
  const days = flight(campaign);
  // Who is offered settled days alone is given them until their last one.
  const range = me.exact ? days : { from: days.from };
  const ask = query => api.get(['campaigns', campaign.id, 'delivery'], query);
  const report = await ask(range);
  const total = report.rows[0];
  const isOpen = report.provisional_days.length > 0;
  if (!isOpen || !total || !total.planned) return { report, total, settled: isOpen ? null : total };
  const until = report.settled_until;
  return { report, total, settled: until && until >= report.from ? (await ask({ from: report.from, to: until })).rows[0] : null };
}

function figures(me, rows, alerts) {
  rows.forEach(async row => {
    const { campaign, cells: cell } = row;
    cell.plan.setAttribute('aria-busy', 'true');
    try {
      const { report, total, settled } = await asked(me, campaign);
      if (total && report.from) {
        Object.assign(row, { impressions: total.impressions, clicks: total.clicks, coverage: total.id_coverage });
        put(cell.plan, planned(row, total, settled));
        put(cell.clicks, h('span', { class: 'two-lines right' }, figure(total, total.clicks), total.impressions ? h('span', { class: 'soft' }, fine(total.clicks / total.impressions)) : null));
        put(cell.coverage, figure(total, total.id_coverage, percent));
      } else {
        put(cell.plan, h('span', { class: 'soft' }, t('no_data')));
        put(cell.clicks, '–');
        put(cell.coverage, '–');
      }
      row.first = report.from || campaign.starts;
      put(cell.days, h('span', { class: 'two-lines' }, h('span', {}, report.from ? `${report.from} – ${report.to}` : campaign.starts ? t('starts', { day: campaign.starts }) : '–'), h('span', { class: 'soft' }, report.settled_until ? t('settled_until_short', { day: report.settled_until }) : campaign.time_zone)));
      tell(row, attention(campaign, alerts, total));
    } catch (error) {
      put(cell.plan, h('span', { class: 'soft' }, t('error.short')));
      [cell.clicks, cell.coverage, cell.days].forEach(one => put(one, '–'));
      tell(row, [...attention(campaign, alerts), { kind: 'bad', text: error.message || t('error.unknown') }]);
    } finally { cell.plan.removeAttribute('aria-busy'); }
  });
}

function tell(row, list_) {
  row.attention = list_.filter(one => one.kind === 'bad').length;
  const sorted = list_.sort((a, b) => byName(a.kind, b.kind));
  put(row.cells.attention, sorted.length ? h('ul', { class: 'marks' }, sorted.slice(0, 4).map(one => h('li', { class: `chip ${one.kind}` }, icon('alert'), h('span', {}, one.text))), sorted.length > 4 && h('li', { class: 'chip' }, `+${sorted.length - 4}`)) : h('span', { class: 'soft' }, t('attention.none')));
}
