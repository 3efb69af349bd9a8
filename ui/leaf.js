// A record as its leaf says it. The leaf is what was hashed and what a proof speaks of: what is shown comes from
// it. Of what the server sends besides, only personal values are taken, where the leaf has a commitment to them;
// anything else that differs is named, and not shown. It asks nobody, and runs in node as it does in a browser.

import { verbatim } from './json.js';
import { hex, leafHash } from './verify.js';

const MARK = /\[(?:email|phone|ip)\]/;
const SEALED = '[sealed]';

// What no policy can seal (spec/sealing.md §6): it stands in the leaf or it is not said.
const OPEN = new Set(['audit_id', 'category', 'event_type', 'occurred_at', 'outcome', 'schema_version', 'severity',
  'source_event_id', 'tenant_id', 'sealed', 'actor', 'target', 'actor.type', 'target.type', 'actor.id', 'target.id',
  'target.uid']);
const HANDLES = new Set(['actor.id', 'target.id', 'target.uid']);

const plain = (value) => value === null || typeof value !== 'object';
const isObject = (value) => !plain(value) && !Array.isArray(value);

/** The paths of all values in a value, those without any by their own. */
function leavesOf(value, path) {
  const inner = plain(value) ? [] : Object.entries(value);
  return inner.length ? inner.flatMap(([name, one]) => leavesOf(one, [...path, name])) : [path.join('.')];
}

/** Whether a text can be what stood where the leaf has marks; a role may see its shape alone. */
function fitsMarks(marked, text) {
  if (text.includes('***')) return true;
  let at = 0;
  const parts = marked.split(MARK);
  const isWhole = parts.every((part, n) => {
    const found = n === 0 ? (text.startsWith(part) ? 0 : -1) : text.indexOf(part, at);
    at = found + part.length;
    return found >= 0;
  });
  return isWhole && text.endsWith(parts.at(-1));
}

/** Puts sealed values into what the leaf says, and notes what was put in and what is otherwise. */
class Joined {
  constructor(handles) {
    this.handles = handles;
    this.filled = [];
    this.differs = [];
  }

  differ(path, value) {
    this.differs.push(path.join('.'));
    return value;
  }

  fill(path, value) {
    this.filled.push(...leavesOf(value, path));
    return value;
  }

  /** Whether the leaf has a commitment that can be to this value. */
  mayReplace(old, value, path) {
    if (typeof old !== 'string' || !this.handles.size) return false;
    if (old === SEALED) return /^\d+$/.test(path.at(-1));
    if (typeof value !== 'string') return false;
    return HANDLES.has(path.join('.')) ? this.handles.has(old) : MARK.test(old) && fitsMarks(old, value);
  }

  join(old, value, path) {
    if (plain(old)) {
      if (old === value) return old;
      return this.mayReplace(old, value, path) ? this.fill(path, value) : this.differ(path, old);
    }
    if (plain(value) || Array.isArray(old) !== Array.isArray(value)) return this.differ(path, old);
    if (Array.isArray(old)) {
      if (old.length !== value.length) return this.differ(path, old);
      return old.map((one, at) => this.join(one, value[at], [...path, String(at)]));
    }
    return this.object(old, value, path);
  }

  object(old, value, path) {
    const members = Object.entries(old).map(([name, one]) => {
      const at = [...path, name];
      if (Object.hasOwn(value, name)) return [name, this.join(one, value[name], at)];
      // What was opened whole has no commitments beside it.
      return [name, at.join('.') === 'sealed' ? one : this.differ(at, one)];
    });
    for (const [name, one] of Object.entries(value)) {
      if (Object.hasOwn(old, name)) continue;
      const at = [...path, name];
      if (!this.handles.size || OPEN.has(at.join('.'))) this.differ(at);
      else members.push([name, this.fill(at, one)]);
    }
    return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}

function readable(leaf) {
  let whole;
  try {
    whole = verbatim(leaf);
  } catch {
    throw new Error('Its leaf is no JSON: what the server sent was cut off or changed.');
  }
  const isLeaf = isObject(whole) && isObject(whole.event) && typeof whole.tenant_id === 'string'
    && typeof whole.event.audit_id === 'string';
  if (!isLeaf) throw new Error('Its leaf is not of the form of a leaf: what the server sent is no record.');
  return whole;
}

const bare = (id) => String(id).toLowerCase().replaceAll('-', '');

/** Whether it is the record that was asked for, by its id or that of its source. */
function sameAs({ tenant, id }, { tenant: isTenant, id: isId, source }) {
  if (tenant === isTenant && (bare(id) === bare(isId) || id === source)) return;
  throw new Error(`Another record was asked for than the server sent: ${id} of ${tenant} was asked for, `
    + `and ${isId} of ${isTenant} came.`);
}

/**
 * The record of an answer: `record` from the leaf, with personal values `filled` in, and what else the answer says
 * that the leaf does not say, in `differs`. `record_hash` is computed, null where there is nothing to compute it by;
 * `said_hash` is the server's. Throws when it is no record, or another one than was asked for.
 */
export async function held(answer, asked) {
  if (!isObject(answer) || !isObject(answer.record)) {
    throw new Error('What the server sent is not of the form of a record.');
  }
  if (answer.leaf === undefined && !answer.record.event) {
    const { tenant_id: tenant = asked.tenant, audit_id: id = asked.id } = answer.record;
    sameAs(asked, { tenant, id });
    return { record: answer.record, record_hash: answer.record_hash, filled: new Set(), differs: [] };
  }
  if (typeof answer.leaf !== 'string') throw new Error('The server sent no leaf with it, so nothing of it can be checked.');
  const { event: inLeaf, ...head } = readable(answer.leaf);
  sameAs(asked, { tenant: head.tenant_id, id: inLeaf.audit_id, source: inLeaf.source_event_id });
  const { event: given, ...told } = answer.record;
  const sealed = Array.isArray(inLeaf.sealed) ? inLeaf.sealed : [];
  const joined = new Joined(new Set(sealed.map((one) => one?.subject)));
  const event = joined.join(inLeaf, given, []);
  const beside = new Joined(new Set());
  beside.join(head, told, []);
  const hash = await leafHash(answer.leaf).then(hex, () => null);
  const differs = [...joined.differs.map((path) => path || 'the event'), ...beside.differs];
  if (hash && answer.record_hash !== hash) differs.push('record_hash');
  return { record: { ...head, event }, record_hash: hash, said_hash: answer.record_hash, leaf: answer.leaf,
    personal: answer.personal, filled: new Set(joined.filled), differs };
}
