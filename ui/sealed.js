// The personal values of a record: what the server discloses, held against the commitments in its leaf
// (spec/sealing.md §3), and where in the event it stood. It asks nobody, and runs in node as it does in a browser.

import { verbatim } from './json.js';
import { hex, leafHash, rootOf } from './verify.js';

const MARK = /\[(?:email|phone|ip)\]/;
const ITEM = '[sealed]';
const INDEX = /^(?:0|[1-9]\d*)$/;
const FORM = /^\["[0-9a-f]{64}","\//;
const bytes = new TextEncoder();

// What no policy can seal (spec/sealing.md §6): it stands in the leaf or it is not said.
const OPEN = new Set(['audit_id', 'category', 'event_type', 'occurred_at', 'outcome', 'schema_version', 'severity',
  'source_event_id', 'tenant_id', 'sealed', 'actor', 'target', 'actor/type', 'target/type', 'actor/id', 'target/id',
  'target/uid']);
const HANDLES = new Set(['actor/id', 'target/id', 'target/uid']);

export const plain = (value) => value === null || typeof value !== 'object';
const nameOf = (path) => path.map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1')).join('/');

/** Whether no policy can have sealed what would stand there. */
export const isOpen = (path) => OPEN.has(nameOf(path)) || path[0] === 'sealed';

/** Whether a text can be what stood where the leaf has marks. */
function fitsMarks(marked, text) {
  let at = 0;
  const parts = marked.split(MARK);
  const isWhole = parts.every((part, n) => {
    const found = n === 0 ? (text.startsWith(part) ? 0 : -1) : text.indexOf(part, at);
    at = found + part.length;
    return found >= 0;
  });
  return isWhole && text.endsWith(parts.at(-1));
}

/** The object or list that a value stands in, if it is there. */
function holder(event, path) {
  let node = event;
  for (const name of path.slice(0, -1)) {
    if (plain(node) || (Array.isArray(node) && !INDEX.test(name)) || !Object.hasOwn(node, name)) return null;
    node = node[name];
  }
  return plain(node) ? null : node;
}

/** Whether the leaf has, in the place of this value, what sealing leaves there (spec/sealing.md §2). */
function fits(event, path, value, subject) {
  const node = holder(event, path);
  if (!node) return false;
  const name = path.at(-1);
  if (Array.isArray(node) ? !INDEX.test(name) || !(name in node) : !Object.hasOwn(node, name)) {
    return !Array.isArray(node) && !isOpen(path);
  }
  const old = node[name];
  if (typeof old !== 'string') return false;
  if (old === ITEM && Array.isArray(node)) return true;
  if (typeof value !== 'string') return false;
  return HANDLES.has(nameOf(path)) ? old === subject : MARK.test(old) && fitsMarks(old, value);
}

/** Puts a value in its place, whatever its name. */
const put = (event, path, value) => Object.defineProperty(holder(event, path), path.at(-1),
  { value, writable: true, enumerable: true, configurable: true });

const steps = (pointer) => pointer.slice(1).split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));

/** What a disclosure says: the path and the value. */
function read(text) {
  if (typeof text !== 'string' || !FORM.test(text)) throw new Error('a disclosure has another form');
  let said;
  try {
    said = verbatim(text);
  } catch {
    throw new Error('a disclosure is no JSON');
  }
  if (said.length !== 3 || typeof said[1] !== 'string') throw new Error('a disclosure has another form');
  return { order: hex(bytes.encode(said[1])), path: steps(said[1]), value: said[2] };
}

/** The values of one subject, all of them; throws with what does not hold. `checks` is whether there are hashes here. */
async function valuesOf({ subject, root }, { event, texts, checks }) {
  if (!Array.isArray(texts) || !texts.length) throw new Error('the server shows these and sends nothing to check them by');
  const values = texts.map(read);
  const isSorted = values.every((one, at) => at === 0 || values[at - 1].order < one.order);
  if (!isSorted) throw new Error('disclosures are not in their order');
  if (checks && hex(await rootOf(await Promise.all(texts.map(leafHash)))) !== root) {
    throw new Error('what the server discloses does not lead to the commitment');
  }
  if (!values.every(({ path, value }) => fits(event, path, value, subject))) {
    throw new Error('what the server discloses does not fit the leaf');
  }
  return values;
}

/**
 * Puts what is disclosed into an event, in place. Of each subject in `sealed` it gives the state: `checked` against its
 * commitment, `unchecked` where there are no hashes, `closed` or `masked` where the server says so and discloses
 * nothing, else `refused`, with why. `put` has the path of each value that was put in, with the same state.
 */
export async function disclose(event, { sealed, disclosures, personal, checks }) {
  const given = Array.isArray(disclosures) ? disclosures : [];
  const subjects = new Map();
  const all = [];
  for (const one of sealed) {
    const own = given.filter((other) => other?.subject === one.subject);
    if (!own.length && (personal === 'sealed' || personal === 'masked')) {
      subjects.set(one.subject, { state: personal === 'masked' ? 'masked' : 'closed' });
      continue;
    }
    try {
      if (own.length > 1) throw new Error('disclosures are there twice');
      const values = await valuesOf(one, { event, texts: own[0]?.disclosures, checks });
      const state = checks ? 'checked' : 'unchecked';
      for (const { path, value } of values) {
        put(event, path, value);
        all.push([path, value, state]);
      }
      subjects.set(one.subject, { state });
    } catch ({ message: why }) {
      subjects.set(one.subject, { state: 'refused', why });
    }
  }
  const isForeign = given.some((one) => !subjects.has(one?.subject)) || (disclosures !== undefined && given !== disclosures);
  return { subjects, put: all, isForeign };
}

const PHONES = new Set(['phone', 'phone_number', 'phonenumber', 'mobile']);
const PHONE = /^(?:\+1|\*{3})-\*{3}-\*{4}$/;
const MAIL = /^.\*{3}@.\*{3}\..\*{3}$/su;
const ADDRESS = /^(?:\d{1,3}(?:\.\*{3}){3}|[0-9a-f]{1,4}:\*{3})$/;
const ANY = '***';

/** Whether a value is the shape that stands for a personal value there (docs/server.md, “Personal values”). */
export function isShape(path, value) {
  if (typeof value !== 'string') return false;
  if (PHONES.has(path.at(-1).toLowerCase())) return PHONE.test(value);
  return value === ANY || MAIL.test(value) || ADDRESS.test(value);
}

/** The policy that is everybody's, by its number in the leaf; others name fields of their own. */
const DEFAULT_POLICY = 1;
const FIELDS = new Set(['actor', 'target'].flatMap((who) => ['name', 'email', 'ip', 'user_agent'].map((name) => `${who}/${name}`)));
const IP_WORDS = new Set(['ip', 'ips', 'ipv4', 'ipv6', 'ipaddr', 'ipaddress', 'ipaddresses', 'iplist',
  ...['client', 'remote', 'source', 'src', 'dest', 'dst', 'user', 'host', 'server', 'peer', 'public', 'private'].map((word) => `${word}ip`)]);
const AFTER_I = new Set(['p', 'ps', 'pv4', 'pv6']);

/** Whether a key says that its value is an address of IP (spec/sealing.md §6, `ip_values`). */
export function namesIp(key) {
  const words = key.split(/[^A-Za-z0-9]+|(?<=[^A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/).map((word) => word.toLowerCase());
  return words.some((word, at) => IP_WORDS.has(word) || (words[at - 1] === 'i' && AFTER_I.has(word)));
}

/**
 * Whether the policy of this number can have sealed what stands there and has this shape. The default one names its
 * fields; beyond these it seals addresses of mail wherever they stand, and of IP under keys that say so.
 */
export function canSeal(path, shape, policy) {
  if (Number(policy) !== DEFAULT_POLICY) return true;
  const name = nameOf(path);
  if (FIELDS.has(name) || name === 'raw') return true;
  return MAIL.test(shape) || PHONE.test(shape) || (ADDRESS.test(shape) && namesIp(path.at(-1)));
}

/** Whose a value is by where it stands (spec/sealing.md §1), told apart from others of the same record. */
export function ownerOf(event, [top]) {
  const one = top === 'actor' || top === 'target' ? event[top] : null;
  const id = top === 'target' ? one?.id ?? one?.uid : one?.id;
  const isNamed = [one?.type, id].every((text) => typeof text === 'string' && text !== '');
  return isNamed ? JSON.stringify([one.type, id]) : 'the record';
}
