// Beside the list: what the records of a query have in common, with counts, and when they happened.

import { get, mayPass } from '/ui/api.js';
import { change, listOf, read } from '/ui/address.js';
import { exact, histogram } from '/ui/chart.js';
import { byId, counted, cut, el, fill, shown } from '/ui/dom.js';
import { isMasked } from '/ui/hidden.js';
import { and, has, term, toggled, valueOf, without } from '/ui/query.js';

const FACETS = [['outcome', 'Outcome'], ['severity', 'Severity'], ['type', 'Action'], ['actor', 'Actor'],
  ['actor.type', 'Kind of actor'], ['target.type', 'Kind of target'], ['service', 'Service'], ['model', 'Model']];
const TOP = 6;
const CHARS_MAX = 60;
const BARS_MAX = 300;
// The steps that a histogram has, from fine to coarse, each with about how long it is.
const STEPS = [['1m', 60_000], ['1h', 3_600_000], ['1d', 86_400_000], ['1w', 604_800_000], ['1mo', 2_630_000_000]];
const COARSE = STEPS.length - 1;

/** What a histogram is of at most: before and after stand times that nobody meant, such as that of the year 1. */
const YEARS = [-100, 10];
/** Of a histogram that is too long this part of the records, at each end, is left out. */
const FEW = 0.005;

let turn = 0;
/** The step and the part that fit a query, once they are known. */
let fits = { q: null, at: COARSE, part: null };

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

/** The step to begin with: coarse, unless the query says how short a time it asks for. */
function guessed(q) {
  const since = valueOf(q, 'since');
  if (/^(?:\d+[sm]|1h)$/.test(since)) return 0;
  return /^\d+h$/.test(since) ? 1 : COARSE;
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

/** The bars without the few at both ends that make them so many. */
function trimmed(all) {
  const total = all.reduce((sum, { count }) => sum + count, 0);
  const begin = (bars) => {
    let sum = 0;
    return bars.findIndex(({ count }) => (sum += count) > total * FEW);
  };
  return all.slice(begin(all), all.length - begin(all.toReversed()));
}

/** Counts, with bars of the first step that is tried; of a part alone where all would be too many. */
async function first(q, bars, facets) {
  const { at, part } = bars;
  if (!part) {
    try {
      return { found: await get('/v1/counts', { ...facets, q, every: STEPS[at][0] }), at, part };
    } catch (error) {
      if (error.status !== 400) throw error;
    }
  }
  const used = part ? bars : { at: COARSE, part: sensible() };
  // Where the query itself is wrong this says it.
  const found = await get('/v1/counts', { ...facets, q });
  const { histogram: drawn } = await get('/v1/counts',
    { q: within(q, used.part), every: STEPS[used.at][0], zone: facets.zone });
  return { found: { ...found, histogram: drawn }, ...used };
}

/** Counts; the histogram once more where finer bars, or coarser ones, say more. */
async function counts(q) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const facets = { facet: FACETS.map(([name]) => name).join(','), top: TOP, zone };
  const known = fits.q === q ? fits : { at: guessed(q), part: null };
  const { found, at, part } = await first(q, known, facets);
  let all = found.histogram?.bars ?? [];
  fits = { q, at, part };
  if (all.length > BARS_MAX && at === COARSE) {
    const kept = trimmed(all);
    if (kept.length < all.length) fits.part = { from: exact(kept[0].from), until: exact(kept.at(-1).until) };
    all = kept;
  }
  if (all.length) {
    const begin = all.find(({ count }) => count) ?? all[0];
    // Of coarse bars it is not known where in them the records are.
    const span = Date.parse(all.at(-1).until) - Date.parse(begin.from);
    const better = STEPS.findIndex(([, ms]) => span / ms <= BARS_MAX);
    fits.at = better < 0 ? COARSE : at === COARSE && better < 2 ? 2 : better;
  }
  const bars = async (step) => (await get('/v1/counts', { q: within(q, fits.part), every: STEPS[step][0], zone })).histogram;
  if (fits.at !== at || fits.part !== part) found.histogram = await bars(fits.at);
  if (fits.at === 2 && found.histogram.bars.length <= BARS_MAX / 24) {
    fits.at = 1;
    found.histogram = await bars(1);
  }
  return { ...found, left: fits.part && await left(q, fits.part) };
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
      fill(byId('facets'), el('p', { class: 'hint' }, `Not counted: ${error.message} `, mayPass(error)
        && el('button', { type: 'button', class: 'link', onclick: () => refresh(q) }, 'Count again')));
      fill(byId('histogram'));
      fill(byId('count'));
    }
    return !mayPass(error);
  }
  if (mine !== turn) return true;
  const about = found.counted.exact ? '' : 'about ';
  const of = found.counted.exact ? '' : `, of the newest ${Number(found.counted.looked_at).toLocaleString('en')} looked at`;
  byId('count').textContent = `${about}${counted(found.total, 'record')}${of}`;
  byId('count').title = found.counted.by === 'index' ? 'Counted by the index' : 'Counted by looking at the records';
  byId('told').textContent = `${byId('count').textContent} found`;
  const focused = document.activeElement?.dataset?.facet;
  const wasOn = byId('histogram').contains(document.activeElement);
  fill(byId('facets'), found.facets.map((facet) => group(facet, q, found.total)));
  if (focused) stop(byId('facets').querySelector(`[data-facet="${CSS.escape(focused)}"]`), { focus: true });
  const others = found.left?.filter(({ total }) => total) ?? [];
  fill(byId('histogram'), histogram(found.histogram, (from, until) => {
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
