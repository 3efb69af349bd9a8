// The proof of a record, checked here: what each step says, whether it holds, and under whose key.

import { get, text } from '/ui/api.js';
import { counted, el, fill, shown, when } from '/ui/dom.js';
import { save } from '/ui/fields.js';
import { verbatim } from '/ui/json.js';
import { canVerify, checkProof, readKey } from '/ui/verify.js';

const KEYS = 'indelible-verifier-keys';

const STEPS = [
  ['leaf', 'Record', 'SHA-256 of a zero byte and the leaf is the record hash, and the receipt says what the leaf says'],
  ['log', 'Log', 'the hash stands at its number in the tree of the log'],
  ['snapshot', 'Snapshot', 'the head of the log stands in its slot of a snapshot of all logs'],
  ['checkpoint', 'Checkpoint', 'the snapshot stands in the tree that the ledger signed, and the signature holds'],
];

/** The keys that somebody gave, by the origin that they sign for. */
function given() {
  try {
    return JSON.parse(localStorage.getItem(KEYS) ?? '{}');
  } catch {
    return {};
  }
}

/** The key that a log names in its first record. */
export async function named(tenant) {
  const { records } = await get('/v1/records', { tenant, order: 'seq', limit: 1 });
  return records[0]?.record.event?.data?.verifier_key ?? '';
}

/** Fills a section with the proof of a row, as it is checked. */
export async function prove(section, row, { path, tenant, current }) {
  fill(section, el('h3', {}, 'Proof'), el('p', { class: 'hint' }, 'Asking for the proof …'));
  let saved;
  let own;
  try {
    [saved, own] = await Promise.all([text(path, { tenant }), named(tenant).catch(() => '')]);
  } catch (problem) {
    if (current()) fill(section, el('h3', {}, 'Proof'), el('p', { class: 'finding' },
      `There is no proof. ${problem.message}`));
    return;
  }
  if (current()) await check(section, row, { saved, own, tenant, current });
}

async function check(section, row, asked) {
  const { saved, own, tenant, current } = asked;
  const proof = verbatim(saved);
  const origin = proof.registry.checkpoint.split('\n', 1)[0];
  const theirs = given()[origin] ?? '';
  const marks = new Map(STEPS.map(([name]) => [name, el('span', { class: 'pill plain' }, 'not reached')]));
  const verdict = el('p', { class: 'verdict', role: 'status' }, 'Checking …');
  const list = STEPS.map(([name, title, words]) => el('li', {}, el('b', {}, title), ' ', marks.get(name),
    el('p', {}, words), ...figures(name, row, proof)));
  fill(section, el('h3', {}, 'Proof'), verdict, el('ol', { class: 'steps' }, list),
    keys(theirs, own, (line) => remember(origin, line).then(() => check(section, row, asked))),
    el('p', { class: 'hint' }, 'It was computed by this page from the leaf, by ', el('code', {}, 'verify.js'),
      '. A page can be changed by whoever serves it: where that matters, save the proof and check it without this server: ',
      el('code', {}, 'indelible verify --proof proof.json --key KEY')),
    el('p', {}, save('proof.json', saved, 'Save the proof')));
  const state = await verified(proof, { row, line: theirs || own, marks });
  if (!current()) return;
  const [tone, words] = verdictOf(state, { isTheirs: Boolean(theirs), tenant, row });
  verdict.className = `verdict ${tone}`;
  fill(verdict, words);
  document.dispatchEvent(new CustomEvent('checked', { detail: {
    key: `${row.record.tenant_id}/${row.record.sequence_number}`, state: state.error ? 'failed' : 'proved' } }));
}

async function verified(proof, { row, line, marks }) {
  const reached = [];
  try {
    if (!await canVerify()) throw Object.assign(new Error('this browser has no Ed25519'), { part: 'browser' });
    const key = line ? await readKey(line) : null;
    const found = await checkProof(proof, { leaf: row.leaf, key, step: (name) => {
      reached.push(name);
      marks.get(name).className = 'pill good';
      marks.get(name).textContent = 'holds';
    } });
    return { found };
  } catch (error) {
    const next = STEPS.map(([name]) => name).find((name) => !reached.includes(name));
    const isKey = error.part === 'key' || error.part === 'browser';
    if (next && !isKey) {
      marks.get(next).className = 'pill bad';
      marks.get(next).textContent = 'does not hold';
    }
    return { error, isKey };
  }
}

function verdictOf({ found, error, isKey }, { isTheirs, tenant, row }) {
  const what = `Record ${Number(row.record.sequence_number).toLocaleString('en')} of ${tenant}`;
  if (isKey) return ['warn', [`${what} was not proved: `, shown(error.message), '.']];
  if (error) return ['bad', [`${what} is not proved: `, shown(error.message), '.']];
  const under = isTheirs ? 'under the key that you gave' : 'under the key that the log itself names';
  const rest = isTheirs ? '' : ' It is as good as that key: give the one that you have from whoever runs the ledger.';
  return ['good', [`${what} stands in the log as it was committed, ${under}; the snapshot is of `,
    when(found.time), '.', rest]];
}

function figures(name, row, proof) {
  const code = (value) => el('code', {}, shown(value));
  const steps = (path) => counted(path.length, 'hash', 'hashes');
  switch (name) {
    case 'leaf': return [code(row.record_hash)];
    case 'log': return [el('p', {}, `${steps(proof.log.path)} to the root over ${counted(Number(proof.log.size), 'record')}`)];
    case 'snapshot': return [el('p', {}, `${steps(proof.snapshot.path)} from slot ${proof.snapshot.slot}`)];
    default: return [el('p', {}, `${steps(proof.registry.path)} to the signed root`),
      code(proof.registry.checkpoint.split('\n', 1)[0])];
  }
}

async function remember(origin, line) {
  if (line) await readKey(line);
  const all = given();
  if (line) all[origin] = line; else delete all[origin];
  localStorage.setItem(KEYS, JSON.stringify(all));
}

/** Where a key of one's own is given; it stays in this browser. */
function keys(theirs, own, use) {
  const field = el('input', { 'aria-label': 'Verifier key', value: theirs,
    placeholder: 'name+id+key, from whoever runs it' });
  const told = el('span', { class: 'finding', role: 'alert' });
  const form = el('form', { onsubmit: (event) => {
    event.preventDefault();
    use(field.value.trim()).catch((error) => { told.textContent = error.message; });
  } }, field, el('button', { type: 'submit' }, 'Check with it'), told);
  return el('details', { class: 'own-key' }, el('summary', {},
    theirs ? 'The key that you gave' : 'Check with a key of your own'),
    el('p', { class: 'hint' }, 'A page could lie about the key with all the rest. ', el('code', {},
      'indelible keys show'),
      ' prints it where the ledger is.'), form,
    own && el('p', { class: 'hint' }, 'The log names: ', el('code', { class: 'key' }, shown(own))));
}
