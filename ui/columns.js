// What a row keeps of a record, and the columns that show it. Bounded: texts are cut, the record goes.

import { counted, cut, el, legible, outcome, shown, when } from '/ui/dom.js';
import { isMasked } from '/ui/hidden.js';
import { sentence, what, who } from '/ui/words.js';

const CHARS_MAX = 80;
/** A row that names no place is known by how it begins. */
const KEY_CHARS = 300;

const text = (value) => (value === undefined || value === null ? '' : String(value).slice(0, CHARS_MAX + 1));

/** Microseconds since 1970, by which rows stand in order. */
function micros(time) {
  const at = Date.parse(time);
  const fraction = /\.(\d{1,6})/.exec(time)?.[1] ?? '';
  return Number.isNaN(at) ? 0 : Math.floor(at / 1000) * 1e6 + Number(fraction.padEnd(6, '0'));
}

/** Whether shapes stand in a record: as a list says it, or of one that was held against its leaf. */
const hasShapes = (personal) => personal === 'masked' || (personal instanceof Map && [...personal.values()].includes('masked'));

const isWord = (value) => value === undefined || value === null || typeof value === 'string';
const isThing = (value) => value === undefined || value === null || (typeof value === 'object' && !Array.isArray(value));

/** Whether a row has the form of one: what is said of other ones would be words that nobody wrote. */
function isForm({ tenant_id: tenant, sequence_number: number, event }) {
  if (typeof tenant !== 'string' || !Number.isSafeInteger(number)) return false;
  // Of a pruned record nothing else is left.
  if (event === undefined || event === null) return true;
  const { actor, target } = event;
  return isThing(event) && typeof event.audit_id === 'string' && typeof event.event_type === 'string'
    && !Number.isNaN(Date.parse(event.occurred_at)) && [actor, target, event.context, event.ai, event.source].every(isThing)
    && [event.outcome, event.severity, event.description, actor?.type, actor?.id, actor?.name, actor?.ip, target?.type, target?.id,
      target?.name, target?.uid].every(isWord);
}

/** What is kept of a row of another form: where it says that it is, if so, and that it is one. */
function strange(row) {
  const { tenant_id: tenant, sequence_number: number, event } = row?.record ?? {};
  const word = (value) => (typeof value === 'string' ? text(value) : '');
  const kept = { tenant: word(tenant), id: word(event?.audit_id), time: word(event?.occurred_at) };
  return { key: `${kept.tenant}/${JSON.stringify(row ?? null).slice(0, KEY_CHARS)}`, ...kept, micros: micros(kept.time), type: '', actor: '',
    target: '', number: Number.isSafeInteger(number) ? number : null, isStrange: true };
}

/** A record in brief. A part of a long text would hold the whole of it: what is kept is written anew. */
export function brief(row) {
  if (!isForm(row?.record ?? {})) return strange(row);
  const { tenant_id: tenant, sequence_number: number, event = {} } = row.record;
  const kept = {
    key: `${tenant}/${number}`, tenant, number, id: text(event.audit_id), time: text(event.occurred_at),
    type: text(event.event_type), actor: text(who(event.actor)), actorType: text(event.actor?.type),
    target: text(what(event.target)), kind: text(event.target?.type), outcome: text(event.outcome),
    severity: text(event.severity), service: text(event.source?.service), ip: text(event.actor?.ip),
    correlation: text(event.context?.correlation_id), duration: event.performance?.duration_ms,
    model: text(event.ai?.model), description: text(event.description), hash: row.record_hash,
    isMasked: hasShapes(row.personal) || undefined,
  };
  return { ...JSON.parse(JSON.stringify(kept)), micros: micros(kept.time) };
}

/** Newest first: below zero when `a` stands above `b`. */
export function order(a, b) {
  if (a.micros !== b.micros) return b.micros - a.micros;
  if (a.tenant !== b.tenant) return a.tenant < b.tenant ? 1 : -1;
  return b.number - a.number;
}

/** What marks a shape that stands for a personal value. */
const shape = (value) => (isMasked(value) ? 'shape' : undefined);
const WORD = 'masked: the server\u2019s word';
const titled = (value) => value && (isMasked(value) ? `${legible(value)} (${WORD})` : legible(value));

const plain = (name) => (row) => el('span', { class: shape(row[name]), title: titled(row[name]) },
  cut(row[name] || '–', CHARS_MAX));

function actor(row) {
  const tag = row.actorType && row.actorType !== 'user' && row.actorType !== row.actor
    && el('span', { class: 'tag', title: legible(row.actorType) }, shown(row.actorType));
  return el('span', { class: ['tagged', shape(row.actor)].filter(Boolean).join(' '), title: titled(row.actor) }, cut(row.actor, CHARS_MAX), tag);
}

/** How far it is proved: signed for, as the server says, or checked by this page. */
function place(row, { published, checked }) {
  const state = checked.get(row.key)?.state;
  const upTo = published.get(row.tenant);
  let badge = null;
  if (state === 'proved') badge = ['proved', '✓', 'Its proof was checked in this browser'];
  else if (state === 'failed') badge = ['failed', '✗', 'Its proof does not hold'];
  else if (upTo > row.number) {
    badge = ['signed', '●', `Under a signed checkpoint, the server says (${counted(upTo, 'record')} of this log are)`];
  } else if (upTo !== undefined) badge = ['waiting', '○', 'Not under a checkpoint yet, as far as was asked'];
  // A mark of what was proved says of what it was not.
  if (badge && row.isMasked) badge[2] += '; masked values are the server\u2019s word';
  return [el('span', {}, Number(row.number).toLocaleString('en')),
    badge && el('span', { class: `badge ${badge[0]}`, role: 'img', 'aria-label': badge[2], title: badge[2] },
      badge[1])];
}

/** The sentence, with the kind of actor where there is no column for who it was. */
function said(row) {
  const words = el('span', { class: 'sentence' }, sentence(row));
  words.title = words.textContent;
  return [words, row.actorType && row.actorType !== 'user' && row.actorType !== row.actor
    && el('span', { class: 'tag kind' }, shown(row.actorType))];
}

/**
 * Name, title, what is in the cell, and whether it is there unless somebody chose otherwise. `least` is for how many
 * letters there must be room, in rem; `fixed` are those that need no more. The style sheet says
 * how wide these are, and `--time`, which the time takes.
 */
const ALL = [
  { name: 'time', title: 'Time', cell: (row) => when(row.time), usual: true },
  { name: 'actor', title: 'Actor', least: 9, cell: actor, usual: true },
  { name: 'said', title: 'What happened', least: 10, cell: said, usual: true },
  { name: 'event', title: 'Action', least: 7.5, cell: plain('type'), usual: true },
  { name: 'target', title: 'Target', least: 6.5, cell: plain('target') },
  { name: 'outcome', title: 'Outcome', fixed: 6.2, cell: (row) => outcome(row.outcome), usual: true },
  { name: 'severity', title: 'Severity', fixed: 6, cell: plain('severity') },
  { name: 'tenant', title: 'Tenant', least: 6, cell: plain('tenant'), usual: true },
  { name: 'service', title: 'Service', least: 6, cell: plain('service') },
  { name: 'ip', title: 'Address', least: 7, cell: plain('ip') },
  { name: 'correlation', title: 'Correlation', least: 7, cell: plain('correlation') },
  { name: 'model', title: 'Model', least: 6, cell: plain('model') },
  { name: 'description', title: 'Description', least: 10, cell: plain('description') },
  { name: 'duration', title: 'Duration', fixed: 6, cell: (row) => (row.duration === undefined ? '–' : `${row.duration} ms`) },
  { name: 'number', title: 'Place', fixed: 6.2, cell: place, usual: true },
];

const STRANGE = 'This row is not of a form that is known';

/** Of a row of another form one column says so, and the others nothing. */
const cellOf = ({ name, cell }) => (row, context) => {
  if (!row.isStrange) return cell(row, context);
  if (name === 'said') return el('span', { class: 'sentence', title: STRANGE }, STRANGE);
  return el('span', {}, name === 'event' ? 'no known form' : '–');
};
export const COLUMNS = ALL.map((column) => ({ ...column, cell: cellOf(column) }));

/** Whether these are the usual columns, for which the style sheet says what there is room for. */
export const isUsual = (names) => chosen(names).every(({ usual }) => usual)
  && chosen(names).length === COLUMNS.filter(({ usual }) => usual).length;

/** The columns that an address names; the usual ones when it names none. */
export function chosen(names) {
  const wanted = names.split(',');
  const found = COLUMNS.filter(({ name }) => wanted.includes(name));
  return found.length ? found : COLUMNS.filter(({ usual }) => usual);
}
