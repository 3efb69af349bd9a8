// The last day at a glance; every figure is a link to the query that gives it.

import { get } from '/ui/api.js';
import { listOf } from '/ui/address.js';
import { bars, ends } from '/ui/chart.js';
import { ago, counted, cut, el, when, zone } from '/ui/dom.js';
import { isMasked } from '/ui/hidden.js';
import { about } from '/ui/parts.js';
import { and, term, without, written } from '/ui/query.js';

const TOP = 8;
const ADDRESSES_MAX = 60;
const NEWEST = 100;
const HAPPENED = 'happened in the last 24 h';
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const count = (q, more = {}) => get('/v1/counts', { q, ...more });
const moment = (ms) => new Date(ms).toISOString().replace('.000Z', 'Z');

export const page = {
  title: 'Overview',
  lives: true,
  made({ q }) {
    const rest = without(q, 'since', 'until');
    // Both ends are moments, so that a link finds what the figure counted; without an end a single event of a far future
    // would be as many hours away.
    const now = Date.now();
    const [from, until] = [moment(now - DAY_MS), moment(now)];
    const day = and(and(rest, `since:${from}`), `until:${until}`);
    const failed = and(day, 'outcome:failure,timed_out');
    const denied = and(day, 'outcome:denied,blocked');
    const minute = and(and(rest, `ingested-since:${moment(now - MINUTE_MS)}`), `ingested-until:${until}`);
    const reads = {
      whole: () => count(day, { facet: 'actor,type', top: TOP, every: '1h', zone: zone() }),
      failures: () => count(failed, { facet: 'type', top: TOP }), denials: () => count(denied, { facet: 'actor', top: TOP }),
      fresh: () => count(minute), newest: () => get('/v1/records', { q: rest, limit: NEWEST }),
      addresses: () => addresses(day, rest, from),
    };
    const draw = (part) => {
      const number = (name, title, window, to) => part(name, title, (found) => figure(title, window, found, to));
      const most = (name, at, title, to) => part(name, title, (found) => top(title, found.facets[at], to, found.counted));
      return [
        el('p', { class: 'hint' }, 'From ', when(from), ' to ', when(until), rest && ', of what the query finds',
          '. Each figure says of which time it is, and leads to the records that it counts.'),
        el('div', { class: 'figures' }, number('whole', 'Records', HAPPENED, day), number('failures', 'Failures', HAPPENED, failed),
          number('denials', 'Denied', HAPPENED, denied),
          number('fresh', 'Committed', 'committed in the last minute, whenever they happened', minute),
          part('newest', 'From event to log', ({ records }) => lag(records, rest))),
        part('whole', 'By hour', hours),
        el('div', { class: 'cards' },
          most('whole', 0, 'Who did most', day), most('whole', 1, 'What was done most', day),
          most('failures', 0, 'What failed most', failed), most('denials', 0, 'Who was denied most', denied),
          part('addresses', 'Addresses seen for the first time', (found) => firsts(found, day))),
      ];
    };
    return { reads, draw };
  },
};

const number = (value) => Number(value).toLocaleString('en');
const roughly = (how) => (how.exact ? '' : 'about ');

function figure(title, window, found, q) {
  return el('a', { class: 'panel figure', href: listOf(q) }, el('span', { class: 'hint' }, title),
    el('b', {}, `${roughly(found.counted)}${number(found.total)}`), el('span', { class: 'hint' }, window));
}

/** The day by hours, those without records too. */
function hours({ histogram, total, counted: how }) {
  const bare = histogram?.bars ?? [];
  const all = [...bare];
  const hour = (from) => ({ from: new Date(from).toISOString(), until: new Date(from + HOUR_MS).toISOString(), count: 0 });
  if (bare.length) {
    while (Date.parse(all[0].from) > Date.now() - DAY_MS) all.unshift(hour(Date.parse(all[0].from) - HOUR_MS));
    while (Date.parse(all.at(-1).until) < Date.now()) all.push(hour(Date.parse(all.at(-1).until)));
  }
  const most = Math.max(0, ...all.map(({ count: many }) => many));
  return el('section', { class: 'panel hours' }, el('h2', {}, 'By hour'), all.length
    ? [about(how), bars(all, `Records by hour, ${roughly(how)}${counted(total, 'record')} in all, ${roughly(how)}${number(most)} in the fullest hour`),
      ends(all, 'hour', el('span', {}, `${roughly(how)}${counted(most, 'record')} in the fullest hour`))]
    : el('p', { class: 'hint' }, 'Nothing.'));
}

/**
 * How long the newest records took from when they happened to when they were committed. What came later than
 * an hour after was brought in, as by an import, and says nothing of how long events are on their way.
 */
function lag(records, rest) {
  const all = records.map(({ record }) => Date.parse(record.ingested_at) - Date.parse(record.event.occurred_at));
  const took = all.filter((ms) => ms >= 0 && ms <= HOUR_MS).sort((a, b) => a - b);
  const last = records.map(({ record }) => record.ingested_at).sort().at(-1);
  if (!records.length) return null;
  const old = all.filter((ms) => ms > HOUR_MS).length;
  const middle = took[Math.floor(took.length / 2)];
  const of = took.length ? `the middle of ${took.length}${old ? `, without ${old} that came over an hour late` : ''}, `
    + `of the newest ${records.length}` : `none of the newest ${records.length} came within the hour`;
  const seconds = middle < 120_000 ? `${(middle / 1000).toFixed(1)} s` : `${Math.round(middle / 60_000)} min`;
  const words = middle < 1000 ? `${middle} ms` : seconds;
  return el('a', { class: 'panel figure', href: listOf(rest) }, el('span', { class: 'hint' },
    'From event to log'), el('b', {}, took.length ? words : '–'), el('span', { class: 'hint' },
    `${of}; the last one was committed ${ago(last)}`));
}

function top(title, facet, q, how) {
  const most = Math.max(1, ...facet.values.map(({ count: many }) => many));
  const line = ({ value, count: many }) => {
    const share = el('span', { class: 'share' });
    share.style.width = `${(100 * many) / most}%`;
    return el('li', {}, el('a', { class: 'value', href: listOf(and(q, term(facet.name, value))) }, share, cut(value,
      60),
      el('span', { class: 'number' }, number(many))));
  };
  const all = facet.values.filter(({ value }) => value !== null && !isMasked(value));
  return el('section', { class: 'panel' }, el('h2', {}, title), about(how),
    all.length ? el('ul', { class: 'top-list' }, all.map(line)) : el('p', { class: 'hint' }, 'Nothing.'));
}

/** Addresses of the day that no record before it has; null where only their shapes are to be seen. */
async function addresses(day, rest, from) {
  const { facets: [facet], counted: how } = await count(day, { facet: 'ip', top: ADDRESSES_MAX });
  if (facet.values.some(({ value }) => isMasked(value))) return null;
  const seen = facet.values.filter(({ value }) => value !== null);
  if (!seen.length) return { facet, seen, how, fresh: seen, isSure: how.exact };
  const q = and(and(rest, `ip:${seen.map(({ value }) => written('ip', value)).join(',')}`), `until:${from}`);
  const { facets: [known], counted: before } = await count(q, { facet: 'ip', top: 100 });
  const old = new Set(known.values.map(({ value }) => value));
  return { facet, seen, how, isSure: how.exact && before.exact, fresh: seen.filter(({ value }) => !old.has(value)) };
}

function firsts(found, day) {
  const title = 'Addresses seen for the first time';
  if (!found) {
    return el('section', { class: 'panel' }, el('h2', {}, title), el('p', { class: 'hint' },
      'The key in use sees the shapes of addresses, by which one is not told from another.'));
  }
  const { facet, seen, how, fresh, isSure } = found;
  const section = top(title, { ...facet, values: fresh.slice(0, TOP) }, day, how);
  section.append(el('p', { class: 'hint' },
    `${counted(fresh.length, 'address', 'addresses')} of the ${seen.length} most frequent of the last 24 h were in no record that `
    + `happened before${isSure ? '.' : ', as far as was counted: not all records were, so one of these may not be new.'}`));
  return section;
}
