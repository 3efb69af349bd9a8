// What a record says: fields, before and after, the decision beside the outcome, who acted for whom, attachments.

import { bytes } from '/ui/api.js';
import { differences, textOf } from '/ui/diff.js';
import { el, exactly, outcome, shown } from '/ui/dom.js';
import { walk } from '/ui/hidden.js';
import { digitsIn, pathName } from '/ui/json.js';
import { refused } from '/ui/leaf.js';

const LONG_CHARS = 400;
const NAMED_MAX = 12;
const TITLE_CHARS = 60;

// What stands elsewhere in the record already.
const TOLD = /^(?:event_type|outcome|description|occurred_at|changes|decision|sealed)(?:\.|$)/;

const plain = (value) => value === null || typeof value !== 'object';

export function long(value, label) {
  const text = textOf(value);
  return text.length > LONG_CHARS
    ? el('div', { class: 'long', tabindex: 0, role: 'region', 'aria-label': label }, shown(text)) : shown(text);
}

/** A path that may be broken where its parts end. */
function broken(path) {
  return path.split(/(?<=[._])/).flatMap((part) => [shown(part), el('wbr')]);
}

/** Names of fields, one after the other, and how many more. */
export function names(paths) {
  const first = [...paths].slice(0, NAMED_MAX).flatMap((path, at) => [at > 0 && ', ', el('b', {}, broken(path))]);
  const more = [...paths].length - NAMED_MAX;
  return [first, more > 0 && ` and ${more} more`];
}

/** Marks what shows a value that the leaf does not have, at one of these paths or below it. */
export function marked({ personal }, node, ...paths) {
  const isOf = (one) => paths.some((path) => one === path || one.startsWith(`${path}.`));
  const found = node ? [...personal].filter(([path]) => isOf(path)).map(([, how]) => how) : [];
  for (const how of new Set(found)) (node.querySelector('h3') ?? node).append(' ', tag(how));
  return node;
}

const TAGS = {
  checked: ['personal', 'A personal value: not in the leaf, and checked here against the commitment that stands there for it'],
  masked: ['masked', 'The shape of a personal value. It is the word of the server: only the value itself could be checked'],
  unchecked: ['personal, not checked', 'A personal value, as the server discloses it: this page could not check it'],
};
export const tag = (how) => TAGS[how] && el('span', { class: how === 'checked' ? 'tag' : 'tag unchecked', title: TAGS[how][1] },
  TAGS[how][0]);

/** Whether the server shows something else than was committed. */
export const isLie = (row) => row.differs.length > 0 || refused(row).length > 0;

/** What it shows otherwise, and whose personal values are not what the leaf commits to, in words. */
export function lies(row) {
  const { differs } = row;
  const whose = refused(row);
  return [differs.length > 0 && ['What the server shows is not what was committed: ', names(differs), '.'],
    whose.map(([subject, why]) => [' Personal values of ', el('b', {}, shown(subject)), ' are not shown: ', why, '.'])];
}

/** Every field of a record with its value; what is personal says so. */
export function fields(row) {
  const { event, ingested_at: ingested } = row.record;
  const list = el('dl', {});
  const put = (name, ...value) => list.append(el('dt', {}, broken(name)), el('dd', {}, ...value));
  if (String(event.event_type).length > TITLE_CHARS) put('event_type', long(event.event_type, 'event_type'));
  put('happened', exactly(event.occurred_at));
  put('committed', exactly(ingested));
  for (const [path, value] of walk(event)) {
    const name = pathName(path);
    if (TOLD.test(name)) continue;
    put(name, long(value, name), tag(row.personal.get(name)));
  }
  return el('section', {}, el('h3', {}, 'Fields'), list);
}

/** Before and after, side by side, of what differs; what stayed is counted. */
export function changes({ record: { event }, leaf }) {
  const { before, after, fields: named } = event.changes ?? {};
  if (before === undefined && after === undefined) {
    return named?.length ? el('section', {}, el('h3', {}, 'Changes'),
      el('p', { class: 'hint' }, 'Only names were said: ', shown(named.join(', ')))) : null;
  }
  const { rows, same } = differences(before, after, digitsIn(leaf).event.changes ?? {});
  const cell = (text, name, kind) => el('td', { class: kind }, text === undefined
    ? el('span', { class: 'hint' }, kind === 'old' ? 'was not there' : 'is gone')
    : el(kind === 'old' ? 'del' : 'ins', {}, long(text, `${name} ${kind}`)));
  const lines = rows.map(({ name, old, now }) => el('tr', {}, el('th', { scope: 'row' }, broken(name || 'value')),
    cell(old, name, 'old'), cell(now, name, 'new')));
  return el('section', {}, el('h3', {}, 'Before and after'),
    lines.length > 0 && el('table', { class: 'diff' }, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, 'Field'),
      el('th', { scope: 'col' }, 'Before'), el('th', { scope: 'col' }, 'After'))), el('tbody', {}, lines)),
    same > 0 && el('p', { class: 'hint' }, lines.length ? `${same} more stayed as they were.`
      : `All of it, ${same === 1 ? 'one value' : `${same} values`}, stayed as it was.`));
}

/** What was decided, beside how it ended. */
export function decision(event) {
  const { decision: made, outcome: ended, error } = event;
  if (!made && !error) return null;
  const item = (name, ...value) => [el('dt', {}, name), el('dd', {}, ...value)];
  const said = made && el('dl', {}, walk(made).map(([path, value]) =>
    item(pathName(path).replaceAll('_', ' '), shown(textOf(value)))));
  const end = el('dl', {}, item('outcome', outcome(ended)), event.outcome_raw && item('as its source says',
    shown(event.outcome_raw)),
    error?.code && item('error', shown(error.code)), error?.message && item('message', long(error.message, 'error')));
  return el('section', { class: 'beside' },
    el('div', {}, el('h3', {}, 'Decision'), said ?? el('p', { class: 'hint' }, 'None is recorded.')),
    el('div', {}, el('h3', {}, 'Outcome'), end));
}

/** Who acted for whom, as far as the event says: a person, an agent, a tool. */
export function chain(event) {
  const { actor = {}, ai = {}, context = {} } = event;
  const links = [];
  const person = context.refs?.user_id ?? event.data?.on_behalf_of ?? context.user_id;
  const add = (kind, name) => name && links.push([kind, String(name)]);
  if (person && person !== actor.id) add('for', person);
  add(actor.type ?? 'actor', actor.name ?? actor.id);
  if (ai.agent_type && ai.agent_type !== actor.id) add('agent', ai.agent_type);
  if (ai.model) add('model', ai.model);
  for (const tool of [ai.tools_used ?? []].flat()) add('tool', tool);
  if (ai.trace?.node) add('node', ai.trace.node);
  if (links.length < 2) return null;
  return el('section', {}, el('h3', {}, 'Who acted for whom'), el('ol', { class: 'chain' },
    links.map(([kind, name]) => el('li', {}, el('span', { class: 'hint' }, shown(kind)), ' ', el('b', {},
      shown(name))))));
}

/** What the event brings as its own proof, and what is stored beside the log. */
export function evidence(event, { tenant, id }) {
  const { proof } = event;
  const named = [];
  const look = (value, path) => {
    if (plain(value)) return;
    const { attachment } = value;
    if (typeof attachment?.digest === 'string') named.push([pathName(path), attachment]);
    else for (const [name, inner] of Object.entries(value)) look(inner, [...path, name]);
  };
  look(event, []);
  if (!proof && !named.length) return null;
  const whence = { tenant, record: id };
  const said = proof && el('dl', {}, walk(proof).flatMap(([path, value]) =>
    [el('dt', {}, broken(pathName(path))), el('dd', {}, long(value, pathName(path)))]));
  return el('section', {}, el('h3', {}, 'Evidence and attachments'), said,
    named.length > 0 && el('ul', { class: 'attached' }, named.map(([path, one]) => attached(path, one, whence))));
}

function attached(path, { digest, bytes: size, type }, whence) {
  const told = el('span', { class: 'hint', role: 'status' });
  const fetch = async () => {
    told.textContent = ' is being fetched …';
    try {
      const blob = await bytes(`/v1/attachments/${encodeURIComponent(digest)}`, whence);
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
      const hex = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
      if (digest !== `sha256:${hex}`) throw new Error('its bytes have another digest: they were changed');
      download(blob, path.replace(/[^\w.-]/g, '_'));
      told.textContent = ' its bytes are those that the record names';
    } catch (error) {
      told.textContent = ` cannot be had: ${error.message}`;
    }
  };
  return el('li', {}, el('b', {}, shown(path)), ' ', el('span', { class: 'hint' },
    shown(`${type ?? ''}, ${Number(size).toLocaleString('en')} bytes`)), ' ',
  el('button', { type: 'button', class: 'link', onclick: fetch }, 'Fetch and check'), told,
  el('code', {}, shown(digest)));
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  el('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

export function save(name, text, label, style) {
  return el('button', { type: 'button', class: style, onclick: () => download(new Blob([text],
    { type: 'application/json' }), name) }, label);
}
