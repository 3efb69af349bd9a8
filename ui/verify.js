// Checks the proof of a record, by itself: hashes, trees and signature, from spec/receipt.md, spec/checkpoint.md
// and spec/chain.md. It asks nobody, needs nothing but SubtleCrypto, and runs in node as it does in a browser.
//
// Every check throws with what does not hold. What is returned was checked, and nothing else is.

const PATH_MAX = 130;
const NOTE_BYTES_MAX = 65_536;
const SIGNATURES_MAX = 64;
const ED25519 = 1;
const COSIGNATURE = 4;
const TIME_MAX = 8.64e15;
const DASH = '\u2014 ';
const text = new TextEncoder();

/** What does not hold, and which part of a proof it is of. */
export class Refused extends Error {
  constructor(part, words) {
    super(words);
    this.part = part;
  }
}

function must(holds, part, words) {
  if (!holds) throw new Refused(part, words);
}

const join = (...parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

const sha256 = async (bytes) => new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', bytes));
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

function unhex(digits, part) {
  must(typeof digits === 'string' && /^[0-9a-f]{64}$/.test(digits), part, 'a hash is not of 64 hex digits');
  return Uint8Array.from(digits.match(/../g), (pair) => Number.parseInt(pair, 16));
}

function unbase64(coded, part) {
  must(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(coded), part, 'this is no base64');
  const bytes = Uint8Array.from(atob(coded), (sign) => sign.charCodeAt(0));
  must(btoa(String.fromCharCode(...bytes)) === coded, part, 'this base64 could be written in another way');
  return bytes;
}

/** The hash of a leaf of a tree: SHA-256 of a zero byte and its bytes (RFC 6962). */
export const leafHash = (bytes) => sha256(join([0], typeof bytes === 'string' ? text.encode(bytes) : bytes));
const nodeHash = (left, right) => sha256(join([1], left, right));

/** The root of the tree over these hashes of leaves (RFC 6962 §2.1). */
export async function rootOf(hashes) {
  if (!hashes.length) return sha256(new Uint8Array());
  // Nodes side by side belong together; what is left over at the right goes up as it is.
  let level = hashes;
  while (level.length > 1) {
    const pairs = Array.from({ length: Math.ceil(level.length / 2) }, (_, at) => level.slice(2 * at, 2 * at + 2));
    level = await Promise.all(pairs.map(([left, right]) => (right ? nodeHash(left, right) : left)));
  }
  return level[0];
}

function whole(value, part) {
  must(/^(?:0|[1-9]\d{0,19})$/.test(String(value)), part, 'a number is no whole number');
  const number = BigInt(value);
  must(number < 1n << 64n, part, 'a number has more than 64 bits');
  return number;
}

/** Whether a leaf with this hash stands at `index` of the tree of `size` leaves with this root (RFC 9162 §2.1.3.2). */
export async function included({ hash, index, size, path, root }, part = 'tree') {
  let at = whole(index, part);
  let last = whole(size, part) - 1n;
  must(at <= last, part, 'the place is beyond the end of the tree');
  must(Array.isArray(path) && path.length <= PATH_MAX, part, 'the path is too long');
  let reached = hash;
  for (const step of path) {
    must(last > 0n, part, 'the path is longer than the tree is high');
    const sibling = unhex(step, part);
    if (at & 1n || at === last) {
      reached = await nodeHash(sibling, reached);
      while (!(at & 1n) && at !== 0n) {
        at >>= 1n;
        last >>= 1n;
      }
    } else reached = await nodeHash(reached, sibling);
    at >>= 1n;
    last >>= 1n;
  }
  must(last === 0n, part, 'the path is shorter than the tree is high');
  must(hex(reached) === hex(root), part, 'the path does not lead to the root');
}

/** A verifier key, of a ledger or with `type` of a witness: its name, its id, and its bytes. */
export async function readKey(line, type = ED25519) {
  const found = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(String(line).trim());
  must(found, 'key', 'this is no verifier key: name+id+key');
  const [, name, id, coded] = found;
  const bytes = unbase64(coded, 'key');
  must(bytes.length === 33 && bytes[0] === type, 'key',
    type === ED25519 ? 'this is no key of Ed25519' : 'this is no key of a witness');
  must(await keyId(name, bytes) === id, 'key', 'the id is not that of the name and the key');
  const point = bytes.slice(1);
  must(!isSmall(point), 'key', 'the key is one that signs anything');
  return { name, id, point };
}

/** Keys as somebody gives them, one a line: the ledger's, if it is there, and those of witnesses. */
export async function readKeys(lines) {
  const given = { line: '', witnesses: [] };
  for (const line of String(lines).split(/\s+/).filter(Boolean)) {
    const isWitness = /^[^+]+\+[0-9a-f]{8}\+B/.test(line);
    if (isWitness) given.witnesses.push(await readKey(line, COSIGNATURE));
    else {
      must(!given.line, 'key', 'two keys of ledgers are given, and one is asked for');
      await readKey(line);
      given.line = line;
    }
  }
  return given;
}

const keyId = async (name, bytes) => hex((await sha256(join(text.encode(`${name}\n`), bytes))).slice(0, 4));

/** Whether a name is that of another incarnation of the ledger of this name (spec/checkpoint.md §5). */
export const isIncarnation = (of, name) => name.startsWith(`${of}/`) && /^\d+$/.test(name.slice(of.length + 1));

/** The same key under the name of another incarnation of the same ledger. */
export async function under(key, name) {
  return isIncarnation(key.name, name) ? { ...key, name, id: await keyId(name, join([ED25519], key.point)) } : key;
}

// Points of small order, under which a signature says nothing, in every way they can be written; without the sign.
const SMALL = new Set(['0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f']);
const ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;

function isSmall(point) {
  const plain = point.slice();
  plain[31] &= 0x7f;
  return SMALL.has(hex(plain));
}

/** Whether a signature holds, by the strict rules: no small points, one way to write it. */
async function signed(point, signature, message) {
  if (signature.length !== 64 || isSmall(signature.slice(0, 32))) return false;
  const scalar = BigInt(`0x${hex(signature.slice(32).reverse())}`);
  if (scalar >= ORDER) return false;
  const { subtle } = globalThis.crypto;
  const key = await subtle.importKey('raw', point, { name: 'Ed25519' }, false, ['verify']);
  return subtle.verify({ name: 'Ed25519' }, key, signature, message);
}

/** Whether there is Ed25519 here. */
export async function canVerify() {
  try {
    await globalThis.crypto.subtle.importKey('raw', new Uint8Array(32).fill(9), { name: 'Ed25519' }, false, ['verify']);
    return true;
  } catch (error) {
    return error.name === 'DataError';
  }
}

/** The text of a signed note and the lines of its signatures (c2sp.org/signed-note). */
function partsOf(note) {
  const part = 'signature';
  must(typeof note === 'string' && text.encode(note).length <= NOTE_BYTES_MAX, part, 'the note is too long');
  must(!/[\0-\x09\x0b-\x1f\x7f]/.test(note), part, 'the note has control characters');
  const at = note.lastIndexOf('\n\n');
  must(at >= 0 && note.endsWith('\n'), part, 'the note has no signatures');
  const lines = note.slice(at + 2, -1).split('\n');
  must(lines.length <= SIGNATURES_MAX, part, 'the note has too many signatures');
  const seen = new Set();
  const signatures = lines.map((line) => {
    const found = line.startsWith(DASH) && /^(\S+) (\S+)$/.exec(line.slice(DASH.length));
    must(found && !found[1].includes('+'), part, 'a line is no signature');
    const bytes = unbase64(found[2], part);
    must(bytes.length > 4, part, 'a line is no signature');
    const one = { name: found[1], id: hex(bytes.slice(0, 4)), bytes: bytes.slice(4) };
    must(!seen.has(`${one.name} ${one.id}`), part, 'a signature stands there twice');
    seen.add(`${one.name} ${one.id}`);
    return one;
  });
  return { body: note.slice(0, at + 1), signatures };
}

const isBy = (key) => ({ name, id }) => name === key.name && id === key.id;

/** The text of a signed note, whose line by this key holds. */
export async function openNote(note, key) {
  const { body, signatures } = partsOf(note);
  const own = signatures.find(isBy(key));
  must(own, 'signature', 'the note is not signed by this key');
  must(await signed(key.point, own.bytes, text.encode(body)), 'signature', 'the signature does not hold');
  return body;
}

/**
 * Who signed a note beside `name`, each with the time at which its cosignature says that it saw it, when a key of a
 * witness is given by which it holds (c2sp.org/tlog-cosignature); else with none. One that does not hold is refused.
 */
export async function cosignatures(note, name, witnesses = []) {
  const { body, signatures } = partsOf(note);
  return Promise.all(signatures.filter((one) => one.name !== name).map(async (one) => {
    const key = witnesses.find((witness) => isBy(witness)(one));
    if (!key) return { name: one.name, time: null };
    must(one.bytes.length === 72, 'signature', `the cosignature of ${one.name} is of another form`);
    const seconds = new DataView(one.bytes.buffer, one.bytes.byteOffset).getBigUint64(0);
    const message = text.encode(`cosignature/v1\ntime ${seconds}\n${body}`);
    must(await signed(key.point, one.bytes.slice(8), message), 'signature',
      `the cosignature of ${one.name} does not hold`);
    return { name: one.name, time: new Date(Math.min(Number(seconds) * 1000, TIME_MAX)).toISOString() };
  }));
}

/** A checkpoint: its origin, size and root; the key that signed it has its origin as its name. */
export async function openCheckpoint(note, key) {
  const lines = (await openNote(note, key)).split('\n');
  must(lines.length === 4 && lines[3] === '', 'checkpoint', 'a checkpoint has three lines');
  const [origin, size, coded] = lines;
  must(origin === key.name, 'checkpoint', 'the checkpoint is of another origin than its key');
  const root = unbase64(coded, 'checkpoint');
  must(root.length === 32, 'checkpoint', 'the root is not of 32 bytes');
  return { origin, size: whole(size, 'checkpoint'), root };
}

const LINE = /^\{"number":(0|[1-9]\d*),"root":"([0-9a-f]{64})","slots":(0|[1-9]\d*),"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"\}$/;
const HEAD = /^\{"event":.*"previous_hash":"[0-9a-f]{64}","record_version":1,"sequence_number":(\d+),"tenant_id":"([^"\\]+)"\}$/s;

/** Whether a receipt is what the leaf says (spec/receipt.md §1); the hash is of the leaf's very bytes. */
export async function fits(receipt, leaf) {
  const hash = await leafHash(leaf);
  must(receipt.record_hash === hex(hash), 'leaf', 'the hash is not that of the leaf');
  const found = HEAD.exec(leaf);
  must(found, 'leaf', 'these bytes are no leaf');
  const { event, ingested_at: ingested } = JSON.parse(leaf);
  const says = String(receipt.sequence_number) === found[1] && receipt.tenant_id === found[2]
    && receipt.audit_id === event.audit_id && receipt.ingested_at === ingested;
  must(says, 'leaf', 'the receipt says something else than the leaf');
  return hash;
}

/**
 * Checks a proof (spec/receipt.md §2) of a leaf under a key, and tells each step when it holds. Numbers in it
 * that JavaScript would round are texts.
 */
export async function checkProof(proof, { leaf, key, step = () => {} }) {
  must(String(proof?.proof_version) === '1', 'proof', 'this is no proof of version 1');
  const { log, receipt, registry, snapshot } = proof;
  const hash = leaf === undefined ? unhex(receipt.record_hash, 'leaf') : await fits(receipt, leaf);
  step('leaf');
  const path = { hash, index: receipt.sequence_number, size: log.size, path: log.path, root: unhex(log.root, 'log') };
  await included(path, 'log');
  step('log');
  const line = LINE.exec(snapshot.line);
  must(line, 'snapshot', 'the snapshot is not in its canonical form');
  const [, number, root, slots, time] = line;
  must(/^[0-9a-f]{32}$/.test(log.log_id), 'snapshot', 'the log has no id');
  const slot = `{"log_id":"${log.log_id}","root":"${log.root}","size":${whole(log.size, 'snapshot')}}`;
  await included({ hash: await leafHash(slot), index: snapshot.slot, size: slots, path: snapshot.path,
    root: unhex(root, 'snapshot') }, 'snapshot');
  step('snapshot');
  must(key, 'key', 'no key is known by which to check the signature');
  const named = await under(key, String(registry.checkpoint).split('\n', 1)[0]);
  const checkpoint = await openCheckpoint(registry.checkpoint, named);
  await included({ hash: await leafHash(snapshot.line), index: number, size: checkpoint.size, path: registry.path,
    root: checkpoint.root }, 'checkpoint');
  step('checkpoint');
  return { origin: checkpoint.origin, logId: log.log_id, logSize: whole(log.size, 'log'), snapshot: number, time };
}
