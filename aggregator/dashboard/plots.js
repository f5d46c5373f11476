// Plots, drawn by uPlot (vendor/uplot.js, MIT). Each stands in an element that says in words what it shows; its figures are in a table beside it.

import { h } from './dom.js';
import { short, t, whole } from './i18n.js';
import * as theme from './theme.js';

/** Width of a plot on paper, pixels: what A4 has between its margins. */
const PAPER_WIDTH = 640;
const LABEL_PIXELS = 46;

const drawn = new Set();
let onPaper = false;

const style = theme.colour;
const colour = number => style(`--plot-${number}`);

/** Stripes: what may still change. */
function stripes(paint) {
  const tile = h('canvas', { width: 8, height: 8 });
  const ctx = tile.getContext('2d');
  ctx.strokeStyle = paint;
  ctx.lineWidth = 2.2;
  ctx.beginPath();
  for (const at of [-8, 0, 8]) { ctx.moveTo(at - 1, 9); ctx.lineTo(at + 9, -1); }
  ctx.stroke();
  return ctx.createPattern(tile, 'repeat');
}

function path(kind, isLast) {
  const { bars, linear, stepped } = uPlot.paths;
  if (kind === 'bars') return bars({ size: [0.72, 44], radius: 0.06 });
  return kind === 'steps' ? stepped({ align: 1 }) : linear(isLast);
}

function line(one, leftOut) {
  const paint = colour(one.colour || 1);
  const isBars = one.kind === 'bars';
  return {
    label: one.label,
    stroke: paint,
    width: isBars ? (one.striped ? 1 : 0) : 2,
    fill: isBars ? () => (one.striped ? stripes(paint) : paint) : one.area ? `${paint}22` : undefined,
    paths: path(one.kind),
    dash: one.dashed ? [6, 4] : undefined,
    points: { show: !isBars && (one.dots ?? true), size: 6, fill: paint, stroke: paint },
    spanGaps: Boolean(one.spans),
    value: (u, value, _, at) => said(one, value, at, leftOut),
  };
}

/** What the legend says of the place that is pointed at. */
function said(one, value, at, leftOut) {
  if (at === null || at === undefined) return '';
  const shown = one.said ? one.said[at] : value;
  if (shown === null || shown === undefined) return leftOut?.[at] ? t('mark.left_out_short') : '–';
  return (one.format || whole)(shown);
}

/** The sign of a series in the legend: full, striped, or a line. */
function marker(one) {
  const paint = colour((one && one.colour) || 1);
  if (one && one.striped) return `repeating-linear-gradient(135deg, ${paint} 0 2px, transparent 2px 4px)`;
  if (one && one.kind !== 'bars') return `linear-gradient(transparent 40%, ${paint} 40% 65%, transparent 65%)`;
  return paint;
}

/** Lines up and down from estimates to the ends of their intervals. */
const whiskers = series => u => {
  const { ctx } = u;
  series.forEach(one => {
    if (!one.low) return;
    ctx.save();
    ctx.strokeStyle = style('--ink');
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.beginPath();
    one.low.forEach((low, at) => {
      const high = one.high[at];
      if (low === null || high === null || low === undefined || low === high) return;
      const x = Math.round(u.valToPos(at, 'x', true));
      const [top, bottom] = [u.valToPos(high, 'y', true), u.valToPos(low, 'y', true)];
      const arm = 4 * devicePixelRatio;
      ctx.moveTo(x, top); ctx.lineTo(x, bottom);
      for (const y of [top, bottom]) { ctx.moveTo(x - arm, y); ctx.lineTo(x + arm, y); }
    });
    ctx.stroke();
    ctx.restore();
  });
};

/** Hatched boxes at the foot of places whose figure is left out: it is not nothing. */
const boxes = ({ leftOut, labels }) => u => {
  if (!leftOut?.some(Boolean)) return;
  const { ctx } = u;
  const scale = devicePixelRatio;
  const place = Math.abs(u.valToPos(1, 'x', true) - u.valToPos(0, 'x', true));
  const width = labels.length > 1 ? Math.min(place * 0.72, 44 * scale) : 44 * scale;
  const height = 14 * scale;
  const foot = u.valToPos(0, 'y', true);
  ctx.save();
  ctx.strokeStyle = style('--line-strong');
  ctx.lineWidth = scale;
  leftOut.forEach((is, at) => {
    if (!is) return;
    const left = Math.round(u.valToPos(at, 'x', true) - width / 2);
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, foot - height, width, height);
    ctx.stroke();
    ctx.clip();
    ctx.beginPath();
    for (let x = left - height; x < left + width; x += 5 * scale) { ctx.moveTo(x, foot); ctx.lineTo(x + height, foot - height); }
    ctx.stroke();
    ctx.restore();
  });
  ctx.restore();
};

const INCREMENTS = [1, 2, 5].flatMap(step => Array.from({ length: 13 }, (_, power) => step * 10 ** power)).sort((a, b) => a - b);

function options(one, width) {
  const { labels, full, series, format, increments } = one;
  const ink = style('--ink-soft');
  const font = `12px ${style('--font')}`;
  const axis = { stroke: ink, font, labelFont: font, ticks: { show: false } };
  const splits = () => {
    const step = Math.max(1, Math.ceil((labels.length * (one.labelPixels || LABEL_PIXELS)) / Math.max(width - 60, 60)));
    return labels.map((_, at) => at).filter(at => at % step === 0);
  };
  const size = (_, values) => Math.max(34, ...(values || []).map(text => String(text).length * 7.4 + 14));
  return {
    width,
    height: one.height || 230,
    padding: [10, 6, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { size: 8 }, y: false },
    legend: { show: true, live: true, markers: { width: 0, fill: (_, at) => marker(series[at - 1]), stroke: () => 'transparent' } },
    scales: {
      x: { time: false, range: () => [-0.5, labels.length - 0.5] },
      y: { range: (_, __, most) => [0, one.most || uPlot.rangeNum(0, Math.max(most || 0, increments ? 0 : 1), 0.08, true)[1]] },
    },
    axes: [
      { ...axis, grid: { show: false }, splits, values: (_, all) => all.map(at => labels[at] ?? ''), gap: 4, size: 30 },
      { ...axis, grid: { stroke: style('--line'), width: 1 }, values: (_, all) => all.map(format || short), incrs: increments || INCREMENTS, size, gap: 6 },
    ],
    series: [{ label: one.key, value: (_, at) => (full || labels)[at] ?? '' }, ...series.map(each => line(each, one.leftOut))],
    hooks: { draw: [whiskers(series), boxes(one)], setCursor: [u => u.root.classList.toggle('pointed', typeof u.cursor.idx === 'number')] },
  };
}

function draw(entry) {
  const { host, one } = entry;
  const width = Math.floor(onPaper ? PAPER_WIDTH : host.clientWidth);
  if (width < 40) return;
  entry.plot?.destroy();
  entry.width = width;
  const data = [one.labels.map((_, at) => at), ...one.series.map(series => series.values.map(value => value ?? null))];
  entry.plot = new uPlot(options(one, width), data, host);
}

/**
 * A plot over named places: days, hours, frequencies.
 *
 * `labels` (and `full`, longer) name the places, `key` what they are; `series` are `{label, values, kind: bars|line|steps, colour, striped, dashed, spans}`,
 * of which the legend says `said` where that is another list; `leftOut` says at which places a figure is left out; `words` says what it shows to those who
 * do not see it.
 */
export function plot(one) {
  const absent = (one.leftOut || []).filter(Boolean).length;
  const host = h('div', { class: 'plot', role: 'img', 'aria-label': absent ? `${one.words} ${t('mark.places_left_out', { count: absent })}` : one.words });
  host.style.minHeight = `${(one.height || 230) + 22}px`;
  const entry = { host, one };
  drawn.add(entry);
  const watch = new ResizeObserver(() => {
    if (!host.isConnected) { watch.disconnect(); drawn.delete(entry); entry.plot?.destroy(); return; }
    if (!onPaper && Math.floor(host.clientWidth) !== entry.width) requestAnimationFrame(() => { if (host.isConnected && !onPaper) draw(entry); });
  });
  watch.observe(host);
  return host;
}

/** Draws every plot again: the look has changed. */
export function again() {
  for (const entry of drawn) {
    if (entry.host.isConnected) draw(entry);
    else drawn.delete(entry);
  }
}

// Paper is light, and as wide as it is.
addEventListener('beforeprint', () => { onPaper = true; theme.onPaper(true); });
addEventListener('afterprint', () => { onPaper = false; theme.onPaper(false); });
