// The last day at a glance; every figure is a link to the query that gives it.

import { get } from '/ui/api.js';
import { listOf } from '/ui/address.js';
import { bars, ends } from '/ui/chart.js';
import { ago, counted, cut, el } from '/ui/dom.js';
import { isMasked } from '/ui/hidden.js';
import { and, term, without, written } from '/ui/query.js';

const TOP = 8;
const ADDRESSES_MAX = 60;
const WINDOW = '24h';
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const count = (q, more = {}) => get('/v1/counts', { q, ...more });

export const page = {
  title: 'Overview',
  lives: true,
  async content({ q }) {
    const rest = without(q, 'since', 'until');
    // Without an end a single event of a far future would be as many hours away.
    const base = and(and(rest, `since:${WINDOW}`), 'until:now');
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const failed = and(base, 'outcome:failure,timed_out');
    const denied = and(base, 'outcome:denied,blocked');
    const minute = and(rest, 'ingested-since:1m');
    const [whole, failures, denials, fresh, newest] = await Promise.all([
      count(base, { facet: 'actor,type', top: TOP, every: '1h', zone }), count(failed, { facet: 'type', top: TOP }),
      count(denied, { facet: 'actor', top: TOP }), count(minute), get('/v1/records', { q: rest, limit: 100 })]);
    return [
      el('p', { class: 'hint' }, `What happened in the last 24 hours${rest ? ', of what the query finds' : ''}.`),
      el('div', { class: 'figures' },
        figure('Records', whole, base), figure('Failures', failures, failed), figure('Denied', denials, denied),
        figure('In the last minute', fresh, minute), lag(newest.records)),
      hours(whole),
      el('div', { class: 'cards' },
        top('Who did most', whole.facets[0], base), top('What was done most', whole.facets[1], base),
        top('What failed most', failures.facets[0], failed), top('Who was denied most', denials.facets[0], denied),
        await addresses(base, rest)),
    ];
  },
};

const number = (value) => Number(value).toLocaleString('en');

function figure(title, found, q) {
  return el('a', { class: 'panel figure', href: listOf(q) }, el('span', { class: 'hint' }, title),
    el('b', {}, `${found.counted.exact ? '' : 'about '}${number(found.total)}`));
}

/** The day by hours, those without records too. */
function hours({ histogram, total }) {
  const bare = histogram?.bars ?? [];
  const all = [...bare];
  const hour = (from) => ({ from: new Date(from).toISOString(), until: new Date(from + HOUR_MS).toISOString(), count: 0 });
  if (bare.length) {
    while (Date.parse(all[0].from) > Date.now() - DAY_MS) all.unshift(hour(Date.parse(all[0].from) - HOUR_MS));
    while (Date.parse(all.at(-1).until) < Date.now()) all.push(hour(Date.parse(all.at(-1).until)));
  }
  const most = Math.max(0, ...all.map(({ count: many }) => many));
  return el('section', { class: 'panel hours' }, el('h2', {}, 'By hour'), all.length
    ? [bars(all, `Records by hour, ${counted(total, 'record')} in all, ${number(most)} in the fullest hour`),
      ends(all, 'hour', el('span', {}, `${counted(most, 'record')} in the fullest hour`))]
    : el('p', { class: 'hint' }, 'Nothing.'));
}

/**
 * How long the newest records took from when they happened to when they were committed. What came later than
 * an hour after was brought in, as by an import, and says nothing of how long events are on their way.
 */
function lag(records) {
  const all = records.map(({ record }) => Date.parse(record.ingested_at) - Date.parse(record.event.occurred_at));
  const took = all.filter((ms) => ms >= 0 && ms <= HOUR_MS).sort((a, b) => a - b);
  const last = records.map(({ record }) => record.ingested_at).sort().at(-1);
  if (!records.length) return null;
  const old = all.filter((ms) => ms > HOUR_MS).length;
  const middle = took[Math.floor(took.length / 2)];
  const of = took.length ? `the middle of ${took.length}${old ? `, without ${old} that came over an hour late` : ''}`
    : `none of the newest ${records.length} came within the hour`;
  const seconds = middle < 120_000 ? `${(middle / 1000).toFixed(1)} s` : `${Math.round(middle / 60_000)} min`;
  const words = middle < 1000 ? `${middle} ms` : seconds;
  return el('a', { class: 'panel figure', href: listOf('') }, el('span', { class: 'hint' },
    'From event to log'), el('b', {}, took.length ? words : '–'), el('span', { class: 'hint' },
    `${of}; the last one ${ago(last)}`));
}

function top(title, facet, q) {
  const most = Math.max(1, ...facet.values.map(({ count: many }) => many));
  const line = ({ value, count: many }) => {
    const share = el('span', { class: 'share' });
    share.style.width = `${(100 * many) / most}%`;
    return el('li', {}, el('a', { class: 'value', href: listOf(and(q, term(facet.name, value))) }, share, cut(value,
      60),
      el('span', { class: 'number' }, number(many))));
  };
  const all = facet.values.filter(({ value }) => value !== null && !isMasked(value));
  return el('section', { class: 'panel' }, el('h2', {}, title),
    all.length ? el('ul', { class: 'top-list' }, all.map(line)) : el('p', { class: 'hint' }, 'Nothing.'));
}

/** Addresses of the day that no record before it has. */
async function addresses(base, rest) {
  const [facet] = (await count(base, { facet: 'ip', top: ADDRESSES_MAX })).facets;
  if (facet.values.some(({ value }) => isMasked(value))) return null;
  const seen = facet.values.filter(({ value }) => value !== null);
  let fresh = seen;
  if (seen.length) {
    const before = new Date(Date.now() - DAY_MS).toISOString().replace(/\.\d+Z$/, 'Z');
    const q = and(and(rest, `ip:${seen.map(({ value }) => written('ip', value)).join(',')}`), `until:${before}`);
    const [known] = (await count(q, { facet: 'ip', top: 100 })).facets;
    const old = new Set(known.values.map(({ value }) => value));
    fresh = seen.filter(({ value }) => !old.has(value));
  }
  const section = top('Addresses seen for the first time', { ...facet, values: fresh.slice(0, TOP) }, base);
  section.append(el('p', { class: 'hint' },
    `${counted(fresh.length, 'address', 'addresses')} of the ${seen.length} most frequent `
    + 'of the day were in no record before it.'));
  return section;
}
