// The execution of an agent: its nodes with what they took and cost, its records as a tree in time, and what a
// node says of itself.

import { get, text } from '/ui/api.js';
import { href, listOf, recordOf } from '/ui/address.js';
import { counted, cut, el, fill, outcome, shown, when } from '/ui/dom.js';
import { changes, long, save } from '/ui/fields.js';
import { and, term } from '/ui/query.js';

const TOP = 40;
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
  async content({ record, execution, q }) {
    const named = recordOf(record ?? '');
    if (named) return trace(named);
    if (!execution) return executions(q);
    const { records } = await get('/v1/records', { q: term('request', execution), order: 'oldest', limit: 1 });
    if (!records.length) return el('p', { class: 'panel' }, 'No record that this key may see is of this execution.');
    const [{ record: first }] = records;
    return trace({ tenant: first.tenant_id, id: first.event.audit_id });
  },
};

/** The executions with most records, of what a query finds. */
async function executions(q) {
  const asked = and(q, 'actor.type:agent');
  const found = await get('/v1/counts', { q: asked, facet: 'request', top: TOP });
  const [requests] = found.facets;
  const lines = requests.values.filter(({ value }) => value !== null).map(({ value, count }) => el('li', {},
    el('a', { href: href({ page: 'traces', execution: value }) }, cut(value, 80)), ' ',
    el('span', { class: 'hint' }, counted(count, 'record'))));
  return [el('p', { class: 'hint' }, 'What agents did, by the request that it belongs to, those with most records first. ',
    el('a', { href: listOf(asked) }, counted(found.total, 'record'))),
  lines.length ? el('ul', { class: 'panel executions' }, lines)
    : el('p', { class: 'panel' }, el('b', {}, 'No execution is here. '),
      'An agent\'s records belong together by their ',
      el('code', {}, 'context.request_id'), ', and name their node in ', el('code', {}, 'ai.trace.node'), '.')];
}

async function trace({ tenant, id }) {
  const raw = await text(`/v1/records/${encodeURIComponent(id)}/related`, { tenant });
  const { execution } = JSON.parse(raw);
  if (!execution) return el('p', { class: 'panel' }, 'This record is part of no execution: it has no request id.');
  const panel = el('section', { class: 'panel node', 'aria-label': 'Node', 'aria-live': 'polite' },
    el('p', { class: 'hint' }, 'Choose a node to see what it did.'));
  const choose = (name) => node(panel, { tenant, execution, name });
  const first = execution.nodes[0]?.name;
  if (first) choose(first);
  return [head(tenant, execution, raw),
    el('div', { class: 'trace' },
      el('div', {}, nodes(execution, choose), timeline(tenant, execution)),
      panel)];
}

function head(tenant, execution, raw) {
  const item = (name, ...value) => el('div', {}, el('span', { class: 'hint' }, name), el('b', {}, ...value));
  const document = execution.records.find(({ target }) => target)?.target;
  return el('section', { class: 'panel', 'aria-label': 'Execution' },
    el('div', { class: 'bar trace-head' }, el('h2', {}, 'Execution ', el('code', {}, shown(execution.id))),
      outcome(execution.outcome),
      el('span', {}, save('trace.json', raw, 'Export the trace'), ' ',
        el('a', { href: listOf(`${term('tenant', tenant)} ${term('request', execution.id)}`) }, 'Full log'))),
    el('div', { class: 'facts' }, item('Agent', shown(execution.agent ?? 'not said')), document && item('On',
      shown(document)),
      item('Began', execution.started_at ? when(execution.started_at) : '–'), item('Took', took(execution.duration_ms)),
      item('Tokens', number(execution.tokens)), item('Cost', money(execution.cost_usd)),
      item('Records', number(execution.records.length), execution.more && ' and more')));
}

/** The nodes in their order, as boxes that grow with what they took. */
function nodes(execution, choose) {
  if (!execution.nodes.length) return el('p', { class: 'panel hint' }, 'Its records name no nodes.');
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
      [took(one.duration_ms), counted(one.records, 'record'), one.tokens && `${number(one.tokens)} tokens`]
        .filter(Boolean).join(' · ')), share);
    return el('li', {}, button);
  };
  return el('section', { class: 'panel' }, el('h2', {}, 'Nodes'), el('ol', { class: 'nodes' },
    execution.nodes.map(box)));
}

/** The records as a tree, each with a bar for when it was and how long it took. */
function timeline(tenant, execution) {
  const { records } = execution;
  const ids = new Map(records.map((one) => [one.audit_id, one]));
  const depth = (one, steps = 0) => (steps < 12 && ids.has(one.parent_id) ? depth(ids.get(one.parent_id),
    steps + 1) : steps);
  const begin = Math.min(...records.map(({ occurred_at: at }) => Date.parse(at)));
  const end = Math.max(begin + 1, ...records.map(({ occurred_at: at, duration_ms: ms }) => Date.parse(at) + (ms ?? 0)));
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
    bar.style.left = `${(100 * (Date.parse(one.occurred_at) - begin)) / (end - begin)}%`;
    bar.style.width = `${Math.max(0.6, (100 * (one.duration_ms ?? 0)) / (end - begin))}%`;
    const name = el('span', { class: 'name' }, el('a', { href: href({ record: `${tenant}/${one.audit_id}`,
      q: term('tenant', tenant) }) },
      cut(one.event_type, 60)), one.node && el('span', { class: 'tag' }, shown(one.node)));
    name.style.paddingInlineStart = `${depth(one) * 1}rem`;
    return el('li', {}, name, el('span', { class: 'lane' }, bar),
      el('span', { class: 'hint' }, one.duration_ms === null ? '' : took(one.duration_ms)));
  };
  return el('section', { class: 'panel' }, el('h2', {}, 'Tree in time'), el('ol', { class: 'lanes' }, ordered.map(row)),
    execution.more && el('p', { class: 'hint' }, 'There are more records than are shown: the full log has them.'));
}

/** What a node says: status, times, model, tokens, confidence, tools, reasoning, state before and after. */
async function node(panel, { tenant, execution, name }) {
  const summed = execution.nodes.find((one) => one.name === name);
  const own = execution.records.filter((one) => one.node === name).slice(0, NODE_RECORDS_MAX);
  panel.dataset.node = name;
  fill(panel, el('h2', {}, shown(name)), el('p', { class: 'hint' }, 'Reading …'));
  const read = ({ audit_id: id }) => get(`/v1/records/${encodeURIComponent(id)}`,
    { tenant }).catch((problem) => ({ problem }));
  const rows = await Promise.all(own.map(read));
  if (panel.dataset.node !== name) return;
  const item = (title, value) => value !== undefined && value !== null && value !== '' && [el('dt', {}, title),
    el('dd', {}, long(value, title))];
  fill(panel, el('div', { class: 'bar' }, el('h2', {}, shown(name)), outcome(summed.outcome)),
    el('dl', {}, item('duration', took(summed.duration_ms)), item('models', summed.models.join(', ')),
      item('tokens', summed.tokens && number(summed.tokens)), item('cost', summed.cost_usd && money(summed.cost_usd))),
    rows.map((row, at) => (row.problem ? el('p', { class: 'finding' }, row.problem.message)
      : step(row.record.event, own[at], tenant, item))));
}

function step(event, brief, tenant, item) {
  const { ai = {} } = event;
  const state = ai.trace?.state_changes;
  return el('article', {}, el('h3', {}, el('a', { href: href({ record: `${tenant}/${brief.audit_id}`,
    q: term('tenant', tenant) }) },
    cut(event.event_type, 60)), ' ', outcome(event.outcome), ' ', when(event.occurred_at)),
  el('dl', {}, item('model', ai.model), item('tokens in', ai.prompt_tokens), item('tokens out', ai.completion_tokens),
    item('latency', ai.latency_ms === undefined ? null : took(ai.latency_ms)),
    item('cost', ai.cost_usd === undefined ? null : money(ai.cost_usd)),
    item('confidence', ai.confidence === undefined ? null : `${Math.round(ai.confidence * 100)} %`),
    item('tools', [ai.tools_used ?? []].flat().join(', ')), item('reasoning', ai.reasoning),
    item('state changes', state && (typeof state === 'string' ? state : JSON.stringify(state))),
    item('error', event.error?.message ?? event.error?.code)),
  changes(event));
}
