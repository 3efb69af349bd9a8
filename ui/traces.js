// The execution of an agent: its nodes with what they took and cost, its records as a tree in time, and what a
// node says of itself.

import { get, text } from '/ui/api.js';
import { href, listOf, recordOf } from '/ui/address.js';
import { counted, cut, el, fill, outcome, shown, when } from '/ui/dom.js';
import { changes, isLie, lies, long, names, save, tag } from '/ui/fields.js';
import { isMasked, unshown } from '/ui/hidden.js';
import { verbatim } from '/ui/json.js';
import { held } from '/ui/leaf.js';
import { made } from '/ui/parts.js';
import { and, term, without } from '/ui/query.js';
import { who } from '/ui/words.js';

const NEWEST = 500;
const SHOWN_MAX = 40;
const COUNTED_LOGS_MAX = 20;
const COUNTED_MAX = 512;
const ENDS = 100;
// A wait longer than this share of the time at work is drawn as short as that.
const WAIT_SHARE = 0.08;
const NODE_RECORDS_MAX = 20;
const TONES = { success: 'good', failure: 'bad', denied: 'bad', blocked: 'bad', timed_out: 'warn', partial: 'warn',
  rolled_back: 'warn' };

const number = (value) => Number(value).toLocaleString('en', { maximumFractionDigits: 0 });
const money = (value) => `$${Number(value).toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 6 })}`;

/** A time as people say it. */
function took(ms) {
  if (ms < 1000) return `${number(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(2)} s`;
  return ms < 7_200_000 ? `${number(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

export const page = {
  title: 'Agent traces',
  async content({ record, execution, q, tenant }) {
    const named = recordOf(record ?? '');
    if (named) return trace(named);
    if (!execution) return executions(tenant ? and(q, term('tenant', tenant)) : q);
    const logs = tenant ? [tenant] : await logsOf(execution);
    if (logs.length > 1) return choose(execution, logs);
    const { records } = logs.length ? await get('/v1/records', { q: term('request', execution), tenant: logs[0],
      order: 'oldest', limit: 1 }) : { records: [] };
    if (!records.length) return el('p', { class: 'panel' }, 'No record that this key may see is of this execution.');
    const [{ record: first }] = records;
    return trace({ tenant: first.tenant_id, id: first.event.audit_id });
  },
};

const toTrace = (tenant, execution) => href({ page: 'traces', tenant, execution });

/** The logs in which this id is one of a request, by the oldest and the newest of its records. */
async function logsOf(execution) {
  const ends = await Promise.all(['oldest', 'newest'].map((order) => get('/v1/records',
    { q: term('request', execution), order, limit: ENDS })));
  return [...new Set(ends.flatMap(({ records }) => records.map(({ record }) => record.tenant_id)))].sort();
}

/** The same id in several logs: they have nothing to do with each other. */
function choose(execution, logs) {
  return el('section', { class: 'panel' }, el('p', {}, el('b', {}, `${counted(logs.length, 'log')} have an execution `),
    el('code', {}, shown(execution)), '. Each log has its own: choose one.'),
  el('ul', { class: 'executions' }, logs.map((tenant) => el('li', {},
    el('a', { href: toTrace(tenant, execution) }, shown(tenant))))));
}

/** What the newest records of agents belong to, by log and request, each with its newest record. */
function grouped(records) {
  const found = new Map();
  for (const { record: { tenant_id: tenant, event } } of records) {
    const id = event.context?.request_id;
    if (!id) continue;
    const key = JSON.stringify([tenant, id]);
    if (!found.has(key)) found.set(key, { tenant, id, event, count: 0 });
    found.get(key).count += 1;
  }
  return [...found.values()];
}

/** How many records of agents the executions have, as the server counts them. */
async function countIn(all, asked) {
  const tenants = [...new Set(all.map(({ tenant }) => tenant))].slice(0, COUNTED_LOGS_MAX);
  await Promise.all(tenants.map(async (tenant) => {
    const { facets: [{ values }] } = await get('/v1/counts', { q: asked, tenant, facet: 'request', top: COUNTED_MAX });
    const counts = new Map(values.map(({ value, count }) => [value, count]));
    for (const one of all) {
      const count = one.tenant === tenant && counts.get(one.id.toLowerCase());
      if (count >= one.count) Object.assign(one, { count, isWhole: true });
    }
  }));
}

/** The executions of which agents did something last, of what a query finds. */
async function executions(q) {
  const asked = and(q, 'actor.type:agent');
  const { records, next_cursor: more } = await get('/v1/records', { q: asked, limit: NEWEST });
  const found = grouped(records);
  const all = found.slice(0, SHOWN_MAX);
  // A query that names its log is asked of that log.
  if (more) await countIn(all, without(asked, 'tenant')).catch(() => {});
  const line = ({ tenant, id, event, count, isWhole }) => el('li', {},
    el('a', { href: toTrace(tenant, id) }, cut(id, 80)),
    el('b', {}, cut(event.ai?.agent_type ?? who(event.actor), 40)), el('span', { class: 'tag' }, cut(tenant, 60)),
    outcome(event.outcome), el('span', {}, when(event.occurred_at)),
    el('span', { class: 'hint' }, more && !isWhole ? `at least ${counted(count, 'record')}` : counted(count, 'record')));
  const isCut = found.length > all.length;
  const oldest = (isCut ? all.at(-1).event : records.at(-1)?.record.event)?.occurred_at;
  return [el('p', { class: 'hint' }, 'What agents did, by the request that it belongs to, in each log by itself; the newest '
    + 'first, with how it ended last. ', el('a', { href: listOf(asked) }, 'Their records')),
  all.length ? el('ul', { class: 'panel executions' }, all.map(line))
    : el('p', { class: 'panel' }, el('b', {}, 'No execution is here. '),
      'An agent\'s records belong together by their ',
      el('code', {}, 'context.request_id'), ', and name their node in ', el('code', {}, 'ai.trace.node'), '.'),
  (more || isCut) && el('p', {}, el('a', { href: href({ page: 'traces',
    q: and(without(q ?? '', 'until'), `until:${oldest}`) }) }, 'Older ones'))];
}

async function trace({ tenant, id }) {
  const raw = await text(`/v1/records/${encodeURIComponent(id)}/related`, { tenant });
  const { execution } = JSON.parse(raw);
  const logs = execution ? await logsOf(execution.id).catch(() => []) : [];
  if (!execution) return el('p', { class: 'panel' }, 'This record is part of no execution: it has no request id.');
  const panel = el('section', { class: 'panel node', 'aria-label': 'Node', 'aria-live': 'polite' },
    el('p', { class: 'hint' }, 'Choose a node to see what it did.'));
  const choose = (name) => node(panel, { tenant, execution, name });
  const first = execution.nodes?.[0]?.name;
  if (first) choose(first);
  const others = logs.filter((one) => one !== tenant);
  const path = `/v1/records/${encodeURIComponent(id)}/related`;
  const part = (title, make) => made(title, make, { path });
  return [part('The execution', () => head(tenant, execution, raw)),
    others.length > 0 && el('p', { class: 'hint' }, others.length === 1 ? 'Another log has' : 'Other logs have',
      ' an execution with the same id, which is another one: ',
      others.map((one, at) => [at > 0 && ', ', el('a', { href: toTrace(one, execution.id) }, shown(one))]), '.'),
    el('div', { class: 'trace' },
      el('div', {}, part('Nodes', () => nodes(execution, choose)), part('Tree in time', () => timeline(tenant, execution))),
      panel)];
}

function head(tenant, execution, raw) {
  const item = (name, ...value) => el('div', {}, el('span', { class: 'hint' }, name), el('b', {}, ...value));
  const work = execution.records.reduce((sum, { duration_ms: ms }) => sum + (ms ?? 0), 0);
  const isTimed = execution.records.some(({ duration_ms: ms }) => typeof ms === 'number');
  const document = execution.records.find(({ target }) => target)?.target;
  return el('section', { class: 'panel', 'aria-label': 'Execution' },
    el('div', { class: 'bar trace-head' }, el('h2', {}, 'Execution ', el('code', {}, shown(execution.id))),
      outcome(execution.outcome),
      el('span', {}, save('trace.json', raw, 'Export the trace'), ' ',
        el('a', { href: listOf(`${term('tenant', tenant)} ${term('request', execution.id)}`) }, 'Full log'))),
    el('div', { class: 'facts' }, item('Agent', shown(execution.agent ?? 'not said')),
      item('Log', el('a', { href: href({ page: 'traces', tenant }) }, shown(tenant))), document && item('On',
      shown(document), isMasked(document) && [' ', tag('masked')]),
      item('Began', execution.started_at ? when(execution.started_at) : '–'),
      // A sum of nothing is no figure: what no record says is left out.
      isTimed && item('Time at work', took(work)),
      execution.records.length > 1 && item('From first record to last', took(execution.duration_ms)),
      execution.tokens > 0 && item('Tokens', number(execution.tokens)),
      execution.cost_usd > 0 && item('Cost', money(execution.cost_usd)),
      item('Records', number(execution.records.length), execution.more && ' and more')),
    el('p', { class: 'hint' }, 'These figures, those of the nodes and the tree in time are the server\u2019s word; what a node\u2019s '
      + 'records say, by their leaves, stands in its panel, and a record\u2019s proof beside the record.'));
}

/** The nodes in their order, as boxes that grow with what they took. */
function nodes(execution, choose) {
  if (execution.nodes.length === 0) return el('p', { class: 'panel hint' }, 'Its records name no nodes.');
  const most = Math.max(1, ...execution.nodes.map(({ duration_ms: ms }) => ms));
  const box = (one, at) => {
    const share = el('span', { class: `took ${TONES[one.outcome] ?? 'plain'}` });
    share.style.width = `${Math.max(2, (100 * one.duration_ms) / most)}%`;
    const button = el('button', { type: 'button', 'aria-pressed': String(at === 0), onclick: ({ currentTarget }) => {
      for (const other of currentTarget.closest('ol').querySelectorAll('button')) other.setAttribute('aria-pressed',
        'false');
      currentTarget.setAttribute('aria-pressed', 'true');
      choose(one.name);
    } }, el('b', {}, shown(one.name)), ' ', outcome(one.outcome), el('span', { class: 'hint' },
      [one.duration_ms > 0 && took(one.duration_ms), counted(one.records, 'record'), one.tokens && `${number(one.tokens)} tokens`]
        .filter(Boolean).join(' · ')), one.duration_ms > 0 && share);
    return el('li', {}, button);
  };
  return el('section', { class: 'panel' }, el('h2', {}, 'Nodes'), el('ol', { class: 'nodes' },
    execution.nodes.map(box)));
}

/**
 * An axis of time on which work has its length, and long waits are short: where a moment stands on it, from 0 to 1,
 * and how much of waiting it leaves out.
 */
function axis(records) {
  const spans = records.map(({ occurred_at: at, duration_ms: ms }) => [Date.parse(at), Date.parse(at) + Math.max(ms ?? 0, 1)])
    .sort(([a], [b]) => a - b);
  const works = [];
  for (const [from, to] of spans) {
    const last = works.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else works.push({ from, to });
  }
  const most = WAIT_SHARE * works.reduce((sum, { from, to }) => sum + to - from, 0);
  let length = 0;
  let leftOut = 0;
  works.forEach((one, at) => {
    const wait = at ? one.from - works[at - 1].to : 0;
    leftOut += Math.max(0, wait - most);
    length += Math.min(wait, most);
    one.begins = length;
    length += one.to - one.from;
  });
  const at = (time) => {
    const one = works.findLast(({ from }) => from <= time) ?? works[0];
    return (one.begins + Math.min(time, one.to) - one.from) / length;
  };
  return { at, leftOut };
}

/** The records as a tree, each with a bar for when it was and how long it took. */
function timeline(tenant, execution) {
  const { records } = execution;
  const ids = new Map(records.map((one) => [one.audit_id, one]));
  const depth = (one, steps = 0) => (steps < 12 && ids.has(one.parent_id) ? depth(ids.get(one.parent_id),
    steps + 1) : steps);
  const { at, leftOut } = axis(records);
  const children = new Map();
  for (const one of records) {
    const parent = ids.has(one.parent_id) ? one.parent_id : null;
    children.set(parent, [...(children.get(parent) ?? []), one]);
  }
  const ordered = [];
  const seen = new Set();
  const visit = (one) => {
    if (seen.has(one.audit_id)) return;
    seen.add(one.audit_id);
    ordered.push(one);
    (children.get(one.audit_id) ?? []).forEach(visit);
  };
  (children.get(null) ?? []).forEach(visit);
  records.forEach(visit);
  const row = (one) => {
    const bar = el('span', { class: `span ${TONES[one.outcome] ?? 'plain'}` });
    const from = Date.parse(one.occurred_at);
    const left = Math.min(98.5, 100 * at(from));
    bar.style.left = `${left}%`;
    bar.style.width = `${Math.max(1.5, 100 * at(from + (one.duration_ms ?? 0)) - left)}%`;
    const name = el('span', { class: 'name' }, el('a', { href: href({ record: `${tenant}/${one.audit_id}`,
      q: term('tenant', tenant) }) },
      cut(one.event_type, 60)), one.node && el('span', { class: 'tag' }, shown(one.node)));
    name.style.paddingInlineStart = `${depth(one) * 1}rem`;
    return el('li', {}, name, el('span', { class: 'lane' }, bar),
      el('span', { class: 'hint' }, one.duration_ms === null ? '' : took(one.duration_ms)));
  };
  return el('section', { class: 'panel' }, el('h2', {}, 'Tree in time'),
    leftOut > 0 && el('p', { class: 'hint' },
      `Bars show time at work; ${took(leftOut)} of waiting between them is not drawn.`),
    el('ol', { class: 'lanes' }, ordered.map(row)),
    execution.more && el('p', { class: 'hint' }, 'There are more records than are shown: the full log has them.'));
}

const sum = (all, of) => all.reduce((total, event) => total + (Number(of(event)) || 0), 0);
const ended = (all) => all.map(({ outcome: word }) => word).filter(Boolean).at(-1);

/** What the records of a node say in all, by their leaves, as the server sums it too. */
const figuresOf = (events) => ({
  outcome: ended(events), duration_ms: sum(events, ({ performance, ai }) => performance?.duration_ms ?? ai?.latency_ms),
  models: [...new Set(events.map(({ ai }) => ai?.model).filter(Boolean))], tokens: sum(events, ({ ai }) => ai?.total_tokens),
  cost_usd: sum(events, ({ ai }) => ai?.cost_usd) });

const FIGURES = [['duration', ({ duration_ms: ms }) => (ms ? took(ms) : '')], ['models', ({ models }) => models.join(', ')],
  ['tokens', ({ tokens }) => (tokens ? number(tokens) : '')], ['cost', ({ cost_usd: cost }) => (cost ? money(cost) : '')]];

/** What a node took in all: as the leaves of its records say, where these are all here, else as the server says. */
function total(summed, rows, item) {
  const events = rows.filter(({ problem }) => !problem).map(({ record }) => record.event);
  const isWhole = events.length === summed.records;
  const own = figuresOf(events);
  const shownFigures = isWhole ? own : summed;
  const other = isWhole ? FIGURES.filter(([, of]) => of(own) !== of(summed)) : [];
  const words = isWhole ? `Summed from the leaves of ${counted(events.length, 'record')}. That these are all of its records is the `
    + 'server\u2019s word.' : `These are the server\u2019s word, for ${counted(summed.records, 'record')}: only what `
    + `${counted(events.length, 'record')} below ${events.length === 1 ? 'says' : 'say'} is from leaves.`;
  return { outcome: shownFigures.outcome, parts: [
    other.length > 0 && el('p', { class: 'verdict bad', role: 'alert' }, 'What the server says of this node is not what its records say: ',
      other.map(([name, of], at) => [at > 0 && ', ', `${name} `, el('b', {}, shown(of(summed) || 'none'))]), '.'),
    FIGURES.some(([, of]) => of(shownFigures)) ? el('dl', {}, FIGURES.map(([name, of]) => item(name, of(shownFigures))))
      : el('p', {}, 'Of time, models, tokens and cost nothing is said.'),
    el('p', { class: isWhole ? 'hint' : 'hint unproved' }, words)] };
}

/** Refuses a record that is no one of this node. */
function ofNode(row, { execution, name }) {
  const { context, target, ai } = row.record.event ?? {};
  const isOf = [context?.request_id, target?.id, target?.uid].some((id) => String(id ?? '').toLowerCase()
    === String(execution.id).toLowerCase());
  if (!isOf || ai?.trace?.node !== name) throw new Error('The server says that a record is of this node, and its leaf does not.');
  return row;
}

/** What a node says: status, times, model, tokens, confidence, tools, reasoning, state before and after. */
async function node(panel, { tenant, execution, name }) {
  const summed = execution.nodes.find((one) => one.name === name);
  const own = execution.records.filter((one) => one.node === name).slice(0, NODE_RECORDS_MAX);
  panel.dataset.node = name;
  fill(panel, el('h2', {}, shown(name)), el('p', { class: 'hint' }, 'Reading …'));
  const read = ({ audit_id: id }) => text(`/v1/records/${encodeURIComponent(id)}`, { tenant })
    .then((answer) => held(verbatim(answer), { tenant, id })).then((row) => ofNode(row, { execution, name }))
    .catch((problem) => ({ problem }));
  const rows = await Promise.all(own.map(read));
  if (panel.dataset.node !== name) return;
  const item = (title, value) => value !== undefined && value !== null && value !== '' && [el('dt', {}, title),
    el('dd', {}, long(value, title))];
  const { outcome: word, parts } = total(summed, rows, item);
  fill(panel, el('div', { class: 'bar' }, el('h2', {}, shown(name)), outcome(word)), parts,
    rows.map((row, at) => (row.problem ? el('p', { class: 'finding' }, row.problem.message)
      : [isLie(row) && el('p', { class: 'verdict bad' }, lies(row)), unsure(row),
        step(row, own[at], tenant, item)])));
}

/** What of a record could not be checked. */
function unsure(row) {
  const paths = [...row.personal].filter(([, how]) => how !== 'checked').map(([path]) => path);
  const kept = unshown(row);
  return [paths.length > 0 && el('p', { class: 'hint' }, 'Not checked, and the server\u2019s word: ', names(paths), '.'),
    kept.length > 0 && el('p', { class: 'hint' }, 'Personal values that are not shown: those of ', names(kept), '.')];
}

/** Where a producer says that its execution can be run again from here; a link, which this page does not follow. */
function replay({ replay_url: url }) {
  if (typeof url !== 'string' || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) return null;
  return el('p', {}, el('a', { href: url, rel: 'noreferrer noopener', target: '_blank' }, 'Replay from this checkpoint'),
    el('span', { class: 'hint' }, ` at ${new URL(url).host}, as its producer says`));
}

function step(row, brief, tenant, item) {
  const { event } = row.record;
  const { ai = {} } = event;
  const { trace: at = {} } = ai;
  const state = at?.state_changes;
  return el('article', {}, el('h3', {}, el('a', { href: href({ record: `${tenant}/${brief.audit_id}`,
    q: term('tenant', tenant) }) },
    cut(event.event_type, 60)), ' ', outcome(event.outcome), ' ', when(event.occurred_at)),
  el('dl', {}, item('model', ai.model), item('tokens in', ai.prompt_tokens), item('tokens out', ai.completion_tokens),
    item('latency', ai.latency_ms === undefined ? null : took(ai.latency_ms)),
    item('cost', ai.cost_usd === undefined ? null : money(ai.cost_usd)),
    item('confidence', ai.confidence === undefined ? null : `${Math.round(ai.confidence * 100)} %`),
    item('tools', [ai.tools_used ?? []].flat().join(', ')), item('reasoning', ai.reasoning),
    item('state changes', state && (typeof state === 'string' ? state : JSON.stringify(state))),
    item('checkpoint', at?.checkpoint_id), item('goes on from', at?.parent_checkpoint_id),
    item('error', event.error?.message ?? event.error?.code)),
  replay(at ?? {}), changes(row));
}
