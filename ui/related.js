// What belongs to a record: parents and children as a tree, the correlation as a timeline, and ways on from here.

import { get, mayPass } from '/ui/api.js';
import { href, listOf, read } from '/ui/address.js';
import { cut, el, fill, outcome, when } from '/ui/dom.js';
import { answered, countdown, due } from '/ui/parts.js';
import { term } from '/ui/query.js';
import { what, who } from '/ui/words.js';

const CHARS_MAX = 60;
const AROUND_MS = 5 * 60_000;
/** A query names no time before this. */
const FIRST = Date.parse('0001-01-01T00:00:00Z');

/** The ten minutes around a time, as far as there are any to ask for. */
function around(at) {
  const time = (ms) => new Date(ms).toISOString().replace('.000Z', 'Z');
  return `since:${time(Math.max(FIRST, at - AROUND_MS))} until:${time(at + AROUND_MS)}`;
}

/** Links to queries that begin at this record. */
export function pivots({ record, personal }) {
  const { event, tenant_id: tenant } = record;
  const { actor = {}, target = {}, context = {} } = event;
  const at = Date.parse(event.occurred_at);
  const on = target.id === undefined ? 'uid' : 'id';
  const ways = [
    ['Same actor', 'actor', actor.id, 'actor.id'],
    ['Same target', 'target', target[on], `target.${on}`],
    ['Same action', 'type', event.event_type, 'event_type'],
    ['Same session', 'session', actor.session_id, 'actor.session_id'],
    ['Same trace', 'trace', context.trace_id, 'context.trace_id'],
    ['Same address', 'ip', actor.ip, 'actor.ip'],
    ['Same correlation', 'correlation', context.correlation_id, 'context.correlation_id'],
    ['Same request', 'request', context.request_id, 'context.request_id'],
  ].filter(([, , value]) => value);
  // Of a masked value only its shape is known, and that finds nothing.
  const isShape = ([, , , path]) => personal.get(path) === 'masked';
  const masked = ways.filter(isShape).map(([words]) => words.toLowerCase());
  const found = ways.filter((way) => !isShape(way)).map(([words, name, value]) => [words, term(name, value)]);
  if (!Number.isNaN(at)) found.push(['± 5 minutes', around(at)]);
  const links = found.map(([words, q]) => el('a', { class: 'chip', href: listOf(`${term('tenant', tenant)} ${q}`) }, words));
  return el('section', {}, el('h3', {}, 'Go on from here'), el('p', { class: 'ways' }, links),
    masked.length > 0 && el('p', { class: 'hint' }, `Left out: ${masked.join(', ')}. Of a value that is masked the shape is `
      + 'shown, and a shape finds nothing.'));
}

/** A record in brief, as a link to it. */
export function line(tenant, one, { here = false, depth = 0 } = {}) {
  const to = href({ ...read(), page: '', record: `${tenant}/${one.audit_id}` });
  const row = el('li', { class: here ? 'here' : '', 'aria-current': here && 'true' },
    el('a', { href: to }, cut(one.event_type, CHARS_MAX)), ' ', outcome(one.outcome), ' ',
    el('span', { class: 'hint' }, cut(one.actor, CHARS_MAX), one.target && [' → ', cut(one.target, CHARS_MAX)], ' ',
      when(one.occurred_at)));
  if (depth) row.style.marginInlineStart = `${Math.min(depth, 12) * 0.9}rem`;
  return row;
}

const inBrief = ({ record: { event } }) => ({ audit_id: event.audit_id, event_type: event.event_type, outcome: event.outcome,
  actor: who(event.actor), target: what(event.target), occurred_at: event.occurred_at });

const END = {
  missing: 'Above it stands a parent that is not here, or that this key may not see.',
  cycle: 'The records name each other as parents: the way up goes round in a circle.',
  more: 'There are more above than are followed.',
};

/** Fills a section with what belongs to a record. */
export async function relate(section, { path, tenant, current, row, tries = 0 }) {
  fill(section, el('h3', {}, 'What belongs to it'), el('p', { class: 'hint' }, 'Looking for what belongs to it …'));
  const found = await get(path, { tenant }).catch((problem) => problem);
  if (!current()) return;
  if (found instanceof Error) {
    fill(section, el('h3', {}, 'What belongs to it'), el('p', { class: 'finding' },
      `It cannot be read. ${found.message}`), mayPass(found) && [answered(found), countdown(due(found, tries),
      () => current() && relate(section, { path, tenant, current, row, tries: tries + 1 }))]);
    return;
  }
  const { ancestors, descendants, correlation, execution, above } = found;
  // Of the record itself this says what was checked; of the others what the server says.
  const own = { ...found.record, ...inBrief(row) };
  const same = (one) => one.audit_id === own.audit_id;
  const isAlone = !ancestors.length && !descendants.length && above.end === 'root';
  const tree = !isAlone && el('ol', { class: 'tree' },
    [...ancestors].reverse().map((one, depth) => line(tenant, one, { depth })),
    line(tenant, own, { here: true, depth: ancestors.length }),
    descendants.map((one) => line(tenant, one, { depth: ancestors.length + one.depth })));
  const together = correlation?.records.length > 1 && [
    el('h3', {}, 'Same correlation, oldest first'),
    el('ol', { class: 'timeline' }, correlation.records.map((one) =>
      line(tenant, same(one) ? own : one, { here: same(one) }))),
    correlation.more && el('p', { class: 'hint' }, 'There are more: the pivot above finds them.')];
  fill(section, el('h3', {}, 'What belongs to it'),
    isAlone && !together && el('p', { class: 'hint' }, 'It names no parent, and no record names it.'),
    tree, (tree || together) && el('p', { class: 'hint' }, 'Of other records these are the server\u2019s words: open one to have it '
      + 'checked.'), END[above.end] && el('p', { class: 'hint' }, END[above.end]),
    found.more_below && el('p', { class: 'hint' }, 'There are more below than are shown.'),
    found.cycle_below && el('p', { class: 'hint' }, 'Records below name one above as what came of them.'),
    execution?.nodes.length > 0 && el('p', {}, el('a', { href: href({ page: 'traces',
      record: `${tenant}/${own.audit_id}` }) },
      'The execution it is part of, as a trace')),
    together);
}
