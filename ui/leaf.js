// A record as its leaf says it. The leaf is what was hashed and what a proof speaks of: what is shown comes from
// it, and from disclosures that lead to the commitments in it (`sealed.js`). Anything else that the server says and
// these do not is named, and not shown. It asks nobody, and runs in node as it does in a browser.

import { pathName, verbatim } from './json.js';
import { canSeal, disclose, isOpen, isShape, ownerOf, plain } from './sealed.js';
import { hex, leafHash } from './verify.js';

const isObject = (value) => !plain(value) && !Array.isArray(value);

/** The paths of all values in a value, those without any by their own. */
function leavesOf(value, path) {
  const inner = plain(value) ? [] : Object.entries(value);
  return inner.length ? inner.flatMap(([name, one]) => leavesOf(one, [...path, name])) : [pathName(path)];
}

/**
 * Holds what the server says against what is known, and notes what is otherwise. Where nothing stands there may stand
 * what `isMasked` takes for the shape of a value that was sealed.
 */
class Compared {
  constructor({ isMasked = () => false } = {}) {
    this.isMasked = isMasked;
    this.masked = [];
    this.differs = [];
  }

  differ(path, value) {
    this.differs.push(pathName(path));
    return value;
  }

  join(own, told, path) {
    if (plain(own)) return own === told ? own : this.differ(path, own);
    if (plain(told) || Array.isArray(own) !== Array.isArray(told)) return this.differ(path, own);
    if (Array.isArray(own)) {
      if (own.length !== told.length) return this.differ(path, own);
      return own.map((one, at) => this.join(one, told[at], [...path, String(at)]));
    }
    return this.object(own, told, path);
  }

  object(own, told, path) {
    const members = Object.entries(own).map(([name, one]) => {
      const at = [...path, name];
      if (Object.hasOwn(told, name)) return [name, this.join(one, told[name], at)];
      // What was opened whole has no commitments beside it.
      return [name, at.length === 1 && name === 'sealed' ? one : this.differ(at, one)];
    });
    for (const [name, one] of Object.entries(told)) {
      if (Object.hasOwn(own, name)) continue;
      const at = [...path, name];
      if (this.isMasked(at, one)) {
        this.masked.push(at);
        members.push([name, one]);
      } else this.differ(at);
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

/**
 * Whether it is the record that was asked for, by its id or that of its source. Whoever emits says the latter: one of
 * the form of an audit id is asked for as that, or another record could be shown in the place of the one with it.
 */
function sameAs({ tenant, id }, { tenant: isTenant, id: isId, source }) {
  const isAuditId = /^[0-9a-f]{32}$/.test(bare(id));
  if (tenant === isTenant && (bare(id) === bare(isId) || (!isAuditId && id === source))) return;
  throw new Error(`Another record was asked for than the server sent: ${id} of ${tenant} was asked for, `
    + `and ${isId} of ${isTenant} came.`);
}

/** What the server says of an event of which only shapes come: of no more people than the leaf commits to values of. */
function shaped(inLeaf, told, { subjects, policy }) {
  const isMasked = (path, one) => !isOpen(path) && isShape(path, one) && canSeal(path, one, policy);
  const compared = new Compared({ isMasked });
  const event = compared.join(inLeaf, told, []);
  const owners = new Set(compared.masked.map((path) => ownerOf(inLeaf, path)));
  if (owners.size <= subjects.size) return { compared, event };
  const bare = new Compared();
  return { compared: bare, event: bare.join(inLeaf, told, []) };
}

/** The event of a leaf with its personal values, as far as they are shown; what of the answer is not so. */
async function opened(inLeaf, answer, { checks, policy }) {
  const sealed = (Array.isArray(inLeaf.sealed) ? inLeaf.sealed : []).filter(isObject);
  const { disclosures, personal, record } = answer;
  const { subjects, put, isForeign } = await disclose(inLeaf, { sealed, disclosures, personal, checks });
  const states = [...subjects.values()].map(({ state }) => state);
  // Beside values that are told as they are there are no shapes; beside what nobody can open there may be.
  const isShaped = states.length > 0 && states.every((state) => state === 'masked' || state === 'closed');
  const plainly = () => {
    const compared = new Compared();
    return { compared, event: compared.join(inLeaf, record.event, []) };
  };
  const { compared, event } = isShaped ? shaped(inLeaf, record.event, { subjects, policy }) : plainly();
  const how = new Map([...put.flatMap(([path, value, state]) => leavesOf(value, path).map((one) => [one, state])),
    ...compared.masked.map((path) => [pathName(path), 'masked'])].sort(([a], [b]) => (a < b ? -1 : 1)));
  const differs = compared.differs.map((path) => path || 'the event');
  return { event, subjects, personal: how, differs: isForeign ? [...differs, 'disclosures'] : differs };
}

/**
 * The record of an answer: `record` from the leaf and what leads to its commitments, and what else the answer says that
 * these do not, in `differs`. `personal` has the path of each value that is not in the leaf, with how it came there:
 * `checked` against a commitment, `unchecked` (there are no hashes here), or `masked`, the server's word. `subjects` has
 * of each commitment its state (`sealed.js`). `record_hash` is computed, null where there is nothing to compute it by;
 * `said_hash` is the server's. Throws when it is no record, or another one than was asked for.
 */
export async function held(answer, asked) {
  if (!isObject(answer) || !isObject(answer.record)) {
    throw new Error('What the server sent is not of the form of a record.');
  }
  if (answer.leaf === undefined && !answer.record.event) {
    const { tenant_id: tenant = asked.tenant, audit_id: id = asked.id } = answer.record;
    sameAs(asked, { tenant, id });
    return { record: answer.record, record_hash: answer.record_hash, personal: new Map(), subjects: new Map(), differs: [] };
  }
  if (typeof answer.leaf !== 'string') throw new Error('The server sent no leaf with it, so nothing of it can be checked.');
  const { event: inLeaf, ...head } = readable(answer.leaf);
  sameAs(asked, { tenant: head.tenant_id, id: inLeaf.audit_id, source: inLeaf.source_event_id });
  const { event: _, ...told } = answer.record;
  const hash = await leafHash(answer.leaf).then(hex, () => null);
  const { event, subjects, personal, differs } = await opened(inLeaf, answer, { checks: hash !== null, policy: head.ledger?.policy });
  const beside = new Compared();
  beside.join(head, told, []);
  differs.push(...beside.differs);
  if (hash && answer.record_hash !== hash) differs.push('record_hash');
  return { record: { ...head, event }, record_hash: hash, said_hash: answer.record_hash, leaf: answer.leaf,
    personal, subjects, differs };
}

/** The subjects whose values the server shows and that are not what the leaf commits to, each with why. */
export const refused = ({ subjects }) => [...subjects].filter(([, { state }]) => state === 'refused')
  .map(([subject, { why }]) => [subject, why]);
