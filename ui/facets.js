// Beside the list: what the records of a query have in common, with counts, and when they happened.

import { get, mayPass } from '/ui/api.js';
import { change, listOf, read } from '/ui/address.js';
import { exact, histogram } from '/ui/chart.js';
import { byId, counted, cut, el, fill, shown, zone as zoneNow } from '/ui/dom.js';
import { isMasked } from '/ui/hidden.js';
import { about } from '/ui/parts.js';
import { and, has, term, toggled, valueOf, without } from '/ui/query.js';

const FACETS = [['outcome', 'Outcome'], ['severity', 'Severity'], ['type', 'Action'], ['actor', 'Actor'],
  ['actor.type', 'Kind of actor'], ['target.type', 'Kind of target'], ['service', 'Service'], ['model', 'Model']];
const TOP = 6;
const CHARS_MAX = 60;
/** More bars are those of months, of a span that is longer than anybody meant. */
const BARS_MAX = 300;

/** What a histogram is of at most: before and after stand times that nobody meant, such as that of the year 1. */
const YEARS = [-100, 10];
/** Of a histogram that is too long this part of the records, at each end, is left out. */
const FEW = 0.005;
/** And this part, or a single one, where between them and the others is nothing for more than half of the time. */
const LONE = 0.1;

let turn = 0;
/** The part of the time that is drawn of a query, once it is known. */
let drawn = { q: null, part: null };

const TIMES = [['15m', '15 min'], ['1h', '1 hour'], ['24h', '24 hours'], ['7d', '7 days'], ['', 'All time']];
const KINDS = [['outcome:failure,timed_out', 'Failures'], ['outcome:denied,blocked', 'Denied'],
  ['severity:critical', 'Critical'], ['actor.type:agent', 'Agents'], ['has:changes', 'Changes']];

/** Shows the presets of a query: what of them is in it is pressed. */
export function presets(q) {
  const since = valueOf(q, 'since');
  const until = valueOf(q, 'until');
  const button = (words, pressed, onclick) => el('button', { type: 'button', class: 'chip',
    'aria-pressed': String(pressed), onclick }, words);
  const times = TIMES.map(([value, words]) => button(words, since === value && !until, () => {
    const rest = without(read().q, 'since', 'until');
    change({ q: value ? and(rest, `since:${value}`) : rest });
  }));
  const kinds = KINDS.map(([one, words]) => button(words, has(q, one), () => change({ q: toggled(read().q, one) })));
  const focused = [...byId('presets').children].indexOf(document.activeElement);
  fill(byId('presets'), times, el('span', { class: 'gap' }), kinds);
  if (focused >= 0) byId('presets').children[focused]?.focus();
}

/** The query with the span of its histogram, or as it is. */
const within = (q, part) => (part ? and(and(q, `since:${part.from}`), `until:${part.until}`) : q);

/** What there may be a histogram of at all. */
function sensible() {
  const at = (years) => {
    const day = new Date();
    day.setUTCFullYear(day.getUTCFullYear() + years);
    return `${day.toISOString().slice(0, 10)}T00:00:00Z`;
  };
  return { from: at(YEARS[0]), until: at(YEARS[1]) };
}

/** Where the first bar stands that is of more than a few, or of more than one alone, which are far from all others. */
function begin(bars) {
  const total = bars.reduce((sum, { count }) => sum + count, 0);
  let sum = 0;
  let empty = 0;
  for (const [at, { count }] of bars.entries()) {
    if (count) {
      const isLone = empty > bars.length / 2 && sum <= Math.max(1, total * LONE);
      if (sum && isLone) return at;
      empty = 0;
    } else empty += 1;
    sum += count;
    if (sum > Math.max(1, total * LONE)) break;
  }
  sum = 0;
  return bars.findIndex(({ count }) => (sum += count) > total * FEW);
}

/** The bars without the few at both ends that make them so many. */
function trimmed(all) {
  const first = all.slice(begin(all));
  return first.slice(0, first.length - begin(first.toReversed()));
}

/** Counts; the server chooses how long bars are. Of a time that is too long a part is drawn: what most records are of. */
async function counts(q) {
  const zone = zoneNow();
  const facets = FACETS.map(([name]) => name).join(',');
  const bars = async (part) => (await get('/v1/counts', { q: within(q, part), every: 'auto', zone })).histogram;
  let part = drawn.q === q ? drawn.part : null;
  const found = await get('/v1/counts', { q, facet: facets, top: TOP, zone, every: part ? null : 'auto' });
  if (part) found.histogram = await bars(part);
  else {
    // Not even months would do. A query with a time of its own may have none of the part's.
    if (!found.histogram && !valueOf(q, 'since') && !valueOf(q, 'until')) {
      part = sensible();
      found.histogram = await bars(part);
    }
    const all = found.histogram?.bars ?? [];
    const kept = all.length > BARS_MAX ? trimmed(all) : all;
    if (kept.length < all.length) {
      part = { from: exact(kept[0].from), until: exact(kept.at(-1).until) };
      found.histogram = await bars(part);
    }
  }
  drawn = { q, part };
  return { ...found, left: part && await left(q, part) };
}

/** How many records stand before and after what is drawn, each with its query. */
async function left(q, { from, until }) {
  const sides = [[and(q, `until:${from}`), 'older'], [and(q, `since:${until}`), 'newer']];
  return Promise.all(sides.map(async ([asked, word]) => {
    const { total } = await get('/v1/counts', { q: asked });
    return { asked, word, total };
  }));
}

/** Counts what a query finds and shows it; resolves to whether nothing is left to try. What is asked for later wins. */
export async function refresh(q) {
  const mine = ++turn;
  let found;
  try {
    found = await counts(q);
  } catch (error) {
    if (mine === turn && error.status !== 401) {
      // What is wrong with a query is told once, above.
      fill(byId('facets'), error.status !== 400 && el('p', { class: 'hint' }, `Not counted: ${error.message} `, mayPass(error)
        && el('button', { type: 'button', class: 'link', onclick: () => refresh(q) }, 'Count again')));
      fill(byId('histogram'));
      fill(byId('count'));
    }
    return !mayPass(error);
  }
  if (mine !== turn) return true;
  const roughly = found.counted.exact ? '' : 'about ';
  const looked = found.counted.looked_at;
  const of = looked === undefined ? '' : `, of the newest ${Number(looked).toLocaleString('en')} looked at`;
  byId('count').textContent = `${roughly}${counted(found.total, 'record')}${of}`;
  byId('count').title = found.counted.by === 'index' ? 'Counted by the index' : 'Counted by looking at the records';
  byId('told').textContent = `${byId('count').textContent} found`;
  const focused = document.activeElement?.dataset?.facet;
  const wasOn = byId('histogram').contains(document.activeElement);
  fill(byId('facets'), about(found.counted), found.facets.map((facet) => group(facet, q, found.total)));
  if (focused) stop(byId('facets').querySelector(`[data-facet="${CSS.escape(focused)}"]`), { focus: true });
  const others = found.left?.filter(({ total }) => total) ?? [];
  fill(byId('histogram'), about(found.counted), histogram(found.histogram, (from, until) => {
    const rest = without(read().q, 'since', 'until');
    change({ q: and(and(rest, `since:${from}`), `until:${until}`) });
  }), others.length > 0 && el('p', { class: 'hint left' }, 'Not drawn: ', others.map(({ asked, word, total }, at) => [
    at > 0 && ', ', el('a', { href: listOf(asked) }, `${Number(total).toLocaleString('en')} ${word}`)]), '.'));
  // Drawn anew, it keeps the keyboard.
  if (wasOn) byId('histogram').querySelector('.field')?.focus();
  return true;
}

/** Makes a value the one of its facet that Tab comes to. */
function stop(button, { focus = false } = {}) {
  if (!button) return;
  const all = button.closest('section').querySelectorAll('.value');
  for (const one of all) one.tabIndex = one === button ? 0 : -1;
  if (focus) button.focus();
}

/** Within a facet the arrows move, and minus leaves out what the keyboard is on. */
byId('facets').addEventListener('keydown', (press) => {
  const on = press.target.closest('.value, .out');
  if (!on) return;
  const value = on.closest('li').querySelector('.value');
  const all = [...on.closest('section').querySelectorAll('.value')];
  const by = { ArrowDown: 1, ArrowUp: -1 }[press.key];
  if (by) stop(all[all.indexOf(value) + by], { focus: true });
  else if (press.key === 'ArrowRight') value.nextElementSibling.focus();
  else if (press.key === 'ArrowLeft') value.focus();
  else if (press.key === '-' || press.key === 'Delete') value.nextElementSibling.click();
  else return;
  press.preventDefault();
});

/** Nothing is counted any more. */
export function clear() {
  turn += 1;
  for (const id of ['facets', 'histogram', 'count']) fill(byId(id));
}

function group(facet, q, total) {
  if (!facet.values.length) return null;
  const [, title] = FACETS.find(([name]) => name === facet.name) ?? [null, facet.name];
  const rows = facet.values.filter(({ value: text }) => text !== null && !isMasked(text))
    .map((one, at) => value(facet.name, one, at, { q, total }));
  const rest = facet.other > 0 && el('li', { class: 'hint rest' }, el('span', {}, 'other, or none'),
    el('span', {}, Number(facet.other).toLocaleString('en')));
  const masked = facet.values.some(({ value: text }) => isMasked(text))
    && el('p', { class: 'hint' }, 'Personal values are masked for this role.');
  const closed = facet.closed && el('p', { class: 'hint' }, 'Sealed values are not told apart here.');
  return el('section', {}, el('h2', {}, title), el('ul', {}, rows, rest), masked, closed);
}

function value(name, { value: text, count, sealed }, at, { q, total }) {
  const one = term(name, text);
  const isIn = has(q, one);
  const isOut = has(q, `-${one}`);
  const bar = el('span', { class: 'share' });
  bar.style.width = `${Math.max(1, (100 * count) / Math.max(1, total))}%`;
  return el('li', {},
    el('button', { type: 'button', class: 'value', 'aria-pressed': String(isIn), 'data-facet': one,
      tabindex: at ? -1 : 0, 'aria-describedby': 'facet-keys',
      title: sealed ? 'A personal value, kept beside the log' : null,
      onclick: () => change({ q: toggled(read().q, one) }) },
    bar, cut(text, CHARS_MAX), el('span', { class: 'number' }, Number(count).toLocaleString('en'))),
    el('button', { type: 'button', class: 'out', tabindex: -1, 'aria-pressed': String(isOut), title: 'Without these',
      onclick: () => change({ q: toggled(read().q, `-${one}`) }) },
    '−', el('span', { class: 'unseen-text' }, 'without ', shown(String(text).slice(0, CHARS_MAX)))));
}
