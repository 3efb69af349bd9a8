// Beside the list: what the records of a query have in common, with counts, and when they happened.

import { get } from '/ui/api.js';
import { change, read } from '/ui/address.js';
import { histogram } from '/ui/chart.js';
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

let turn = 0;
/** The step that fits a query, once it is known. */
let fits = { q: null, at: COARSE };

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
  if (fits.q === q) return fits.at;
  const since = valueOf(q, 'since');
  if (/^(?:\d+[sm]|1h)$/.test(since)) return 0;
  return /^\d+h$/.test(since) ? 1 : COARSE;
}

/** Counts; the histogram once more where finer bars, or coarser ones, say more. */
async function counts(q) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const facet = FACETS.map(([name]) => name).join(',');
  const at = guessed(q);
  const found = await get('/v1/counts', { q, facet, top: TOP, every: STEPS[at][0], zone });
  const all = found.histogram?.bars ?? [];
  if (!all.length) return found;
  const first = all.find(({ count }) => count) ?? all[0];
  // Of coarse bars it is not known where in them the records are.
  const span = Date.parse(all.at(-1).until) - Date.parse(first.from);
  const better = STEPS.findIndex(([, ms]) => span / ms <= BARS_MAX);
  fits = { q, at: at === COARSE && better < 2 ? 2 : better };
  if (fits.at === at) return found;
  const other = await get('/v1/counts', { q, every: STEPS[fits.at][0], zone });
  const near = other.histogram.bars;
  if (fits.at === 2 && near.length <= BARS_MAX / 24) {
    fits.at = 1;
    return { ...found, histogram: (await get('/v1/counts', { q, every: '1h', zone })).histogram };
  }
  return { ...found, histogram: other.histogram };
}

/** Counts what a query finds and shows it. A count that is asked for later wins. */
export async function refresh(q) {
  const mine = ++turn;
  let found;
  try {
    found = await counts(q);
  } catch (error) {
    if (mine === turn && error.status !== 401) {
      fill(byId('facets'), el('p', { class: 'hint' }, `Not counted: ${error.message}`));
      fill(byId('histogram'));
      fill(byId('count'));
    }
    return;
  }
  if (mine !== turn) return;
  const about = found.counted.exact ? '' : 'about ';
  const of = found.counted.exact ? '' : `, of the newest ${Number(found.counted.looked_at).toLocaleString('en')} looked at`;
  byId('count').textContent = `${about}${counted(found.total, 'record')}${of}`;
  byId('count').title = found.counted.by === 'index' ? 'Counted by the index' : 'Counted by looking at the records';
  const focused = document.activeElement?.dataset?.facet;
  fill(byId('facets'), found.facets.map((facet) => group(facet, q, found.total)));
  if (focused) byId('facets').querySelector(`[data-facet="${CSS.escape(focused)}"]`)?.focus();
  fill(byId('histogram'), histogram(found.histogram, (from, until) => {
    const rest = without(read().q, 'since', 'until');
    change({ q: and(and(rest, `since:${from}`), `until:${until}`) });
  }));
}

/** Nothing is counted any more. */
export function clear() {
  turn += 1;
  for (const id of ['facets', 'histogram', 'count']) fill(byId(id));
}

function group(facet, q, total) {
  if (!facet.values.length) return null;
  const [, title] = FACETS.find(([name]) => name === facet.name) ?? [null, facet.name];
  const rows = facet.values.filter(({ value: text }) => text !== null && !isMasked(text))
    .map((one) => value(facet.name, one, q, total));
  const rest = facet.other > 0 && el('li', { class: 'hint rest' }, el('span', {}, 'other, or none'),
    el('span', {}, Number(facet.other).toLocaleString('en')));
  const masked = facet.values.some(({ value: text }) => isMasked(text))
    && el('p', { class: 'hint' }, 'Personal values are masked for this role.');
  const closed = facet.closed && el('p', { class: 'hint' }, 'Sealed values are not told apart here.');
  return el('section', {}, el('h2', {}, title), el('ul', {}, rows, rest), masked, closed);
}

function value(name, { value: text, count, sealed }, q, total) {
  const one = term(name, text);
  const isIn = has(q, one);
  const isOut = has(q, `-${one}`);
  const bar = el('span', { class: 'share' });
  bar.style.width = `${Math.max(1, (100 * count) / Math.max(1, total))}%`;
  return el('li', {},
    el('button', { type: 'button', class: 'value', 'aria-pressed': String(isIn), 'data-facet': one,
      title: sealed ? 'A personal value, kept beside the log' : null,
      onclick: () => change({ q: toggled(read().q, one) }) },
    bar, cut(text, CHARS_MAX), el('span', { class: 'number' }, Number(count).toLocaleString('en'))),
    el('button', { type: 'button', class: 'out', 'aria-pressed': String(isOut), title: 'Without these',
      onclick: () => change({ q: toggled(read().q, `-${one}`) }) },
    '−', el('span', { class: 'unseen-text' }, 'without ', shown(String(text).slice(0, CHARS_MAX)))));
}
