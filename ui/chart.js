// Charts as small SVG: a histogram to choose a span of time from, and bars for anything.

import { counted, el, told as written, zone } from '/ui/dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 56;
/** No bar is wider: few of them do not fill the whole width. */
const BAR_PX_MAX = 48;
/** More bars than these are hairs: neighbours are drawn as one. */
const BARS_MAX = 120;
const BARS_MAX_NARROW = 60;
const NARROW = matchMedia('(max-width: 40rem)');
/** Below bars that take less than this there is no room for both ends. */
const FEW_PX = 480;

/** An SVG element; nothing is parsed. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

const SPAN = {
  minute: { hour: '2-digit', minute: '2-digit', day: 'numeric', month: 'short' },
  hour: { hour: '2-digit', minute: '2-digit', day: 'numeric', month: 'short' },
  day: { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' },
  week: { day: 'numeric', month: 'short', year: 'numeric' },
  month: { month: 'short', year: 'numeric' },
};

/** How the ends of bars are told that are so long. */
function formatOf(every) {
  const format = new Intl.DateTimeFormat('en-GB', { ...SPAN[every] ?? SPAN.day, timeZone: zone() });
  return (time) => written(new Date(time), format);
}

/** The bars of a histogram, without anything to choose. */
export function bars(all, title) {
  const most = Math.max(1, ...all.map(({ count }) => count));
  const drawing = svg('svg', { viewBox: `0 0 ${all.length} ${HEIGHT}`, preserveAspectRatio: 'none',
    'aria-hidden': 'true' });
  all.forEach(({ count }, at) => {
    if (!count) return;
    const height = Math.max(2, (HEIGHT * count) / most);
    drawing.append(svg('rect', { x: at + 0.08, y: HEIGHT - height, width: 0.84, height, class: 'bar-of' }));
  });
  const drawn = el('div', { class: 'bars', role: 'img', 'aria-label': title }, drawing);
  drawn.style.maxWidth = `${all.length * BAR_PX_MAX}px`;
  return drawn;
}

/** As many bars as can be seen and hit: each of so many neighbours, the first of those that are over. */
function grouped(all) {
  const many = Math.ceil(all.length / (NARROW.matches ? BARS_MAX_NARROW : BARS_MAX));
  const groups = [];
  for (let until = all.length; until > 0; until -= many) groups.unshift(all.slice(Math.max(0, until - many), until));
  return groups.map((some) => ({ from: some[0].from, until: some.at(-1).until,
    count: some.reduce((sum, { count }) => sum + count, 0) }));
}

/**
 * A histogram; `choose` is called with the first and the last moment of what was dragged over, or chosen with
 * the keyboard: arrows move, with Shift they extend, Enter takes it.
 */
export function histogram(found, choose) {
  const every = found?.bars ?? [];
  if (!every.length) return null;
  const all = grouped(every);
  const format = formatOf(found.every);
  const isGroup = all.length < every.length;
  const told = ({ from, until, count }) => `${format(from)}${isGroup ? ` to ${format(until)}` : ''}: ${counted(count, 'record')}`;
  const drawn = bars(all, '');
  const chosen = el('div', { class: 'chosen', hidden: true });
  const label = el('output', { class: 'hint' }, told(all.at(-1)));
  const field = el('div', { class: 'field', tabindex: 0, role: 'slider', 'aria-label': 'When: a span of time to choose',
    'aria-valuemin': 0, 'aria-valuemax': all.length - 1, 'aria-valuenow': all.length - 1,
    'aria-valuetext': told(all.at(-1)) }, drawn, chosen);
  drawn.removeAttribute('role');
  drawn.setAttribute('aria-hidden', 'true');
  const sum = (a, b) => all.slice(a, b + 1).reduce((total, { count }) => total + count, 0);
  let from = null;
  let to = null;
  const mark = (a, b) => {
    [from, to] = [a, b];
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    chosen.hidden = false;
    chosen.style.left = `${(100 * low) / all.length}%`;
    chosen.style.width = `${(100 * (high - low + 1)) / all.length}%`;
    const words = low === high ? told(all[low])
      : `${format(all[low].from)} to ${format(all[high].until)}: `
        + counted(sum(low, high), 'record');
    label.textContent = words;
    field.setAttribute('aria-valuenow', b);
    field.setAttribute('aria-valuetext', words);
  };
  const take = () => {
    if (from === null) return;
    choose(exact(all[Math.min(from, to)].from), exact(all[Math.max(from, to)].until));
  };
  field.style.maxWidth = drawn.style.maxWidth;
  pointing(field, all.length, mark, take);
  field.addEventListener('keydown', (press) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[press.key];
    if (by) {
      const next = Math.max(0, Math.min(all.length - 1, (to ?? all.length) + by));
      mark(press.shiftKey && from !== null ? from : next, next);
    } else if (press.key === 'Enter') take();
    else return;
    press.preventDefault();
  });
  return [field, ends(all, found.every, label)];
}

/** Below bars: when they begin and end, and between them what is told. */
export function ends(all, every, ...told) {
  const format = formatOf(every);
  const words = (time) => el('span', {}, format(time));
  const px = all.length * BAR_PX_MAX;
  const line = el('div', { class: px < FEW_PX ? 'ends few hint' : 'ends hint', 'aria-hidden': 'true' },
    all.length > 1 && words(all[0].from), told, words(all.at(-1).until));
  line.style.maxWidth = `${Math.max(px, FEW_PX)}px`;
  return line;
}

/** Without the fraction that nobody needs to read, where it is none. */
export const exact = (time) => time.replace(/\.0+Z$/, 'Z');

function pointing(field, many, mark, take) {
  let first = null;
  const at = (event) => {
    const { left, width } = field.getBoundingClientRect();
    return Math.max(0, Math.min(many - 1, Math.floor(((event.clientX - left) / width) * many)));
  };
  field.addEventListener('pointerdown', (event) => {
    first = at(event);
    field.setPointerCapture(event.pointerId);
    mark(first, first);
  });
  field.addEventListener('pointermove', (event) => {
    if (first !== null) mark(first, at(event));
    else if (event.pointerType === 'mouse') mark(at(event), at(event));
  });
  field.addEventListener('pointerup', () => {
    if (first !== null) take();
    first = null;
  });
  field.addEventListener('pointercancel', () => { first = null; });
}
