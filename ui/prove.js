// The proof of a record, checked here: what each step says, whether it holds, and under whose key.

import { get, mayPass, text } from '/ui/api.js';
import { brief } from '/ui/columns.js';
import { counted, el, fill, shown, when } from '/ui/dom.js';
import { isLie, lies, names, save } from '/ui/fields.js';
import { unshown } from '/ui/hidden.js';
import { verbatim } from '/ui/json.js';
import { refused } from '/ui/leaf.js';
import { answered, countdown, due } from '/ui/parts.js';
import { canVerify, checkProof, cosignatures, isIncarnation, readKey, readKeys } from '/ui/verify.js';

const KEYS = 'indelible-verifier-keys';

const STEPS = [
  ['leaf', 'Record', 'SHA-256 of a zero byte and the leaf is the record hash, and the receipt says what the leaf says'],
  ['log', 'Log', 'the hash stands at its number in the tree of the log'],
  ['snapshot', 'Snapshot', 'the head of the log stands in its slot of a snapshot of all logs'],
  ['checkpoint', 'Checkpoint', 'the snapshot stands in the tree that the ledger signed, and the signature holds'],
];

/** The keys that somebody gave, by the origin that they sign for, which is their name. */
function given() {
  try {
    return JSON.parse(localStorage.getItem(KEYS)) ?? {};
  } catch {
    return {};
  }
}

const originOf = (proof) => proof.registry.checkpoint.split('\n', 1)[0];

/**
 * What was given for the ledger of a proof, and where that is nothing, the `others` for which something was. Of which
 * ledger it is a checkpoint says itself, and who lies says another one: to whoever gave a key that proves nothing.
 */
function givenFor(origin) {
  const all = given();
  const names = Object.keys(all);
  const name = names.find((one) => one === origin) ?? names.find((one) => isIncarnation(one, origin));
  return { name, theirs: name === undefined ? '' : all[name], others: name === undefined ? names : [] };
}

/** The key that a log names in its first record, which no producer can write. */
export async function named(tenant) {
  const { records: [first] } = await get('/v1/records', { tenant, order: 'seq', limit: 1 });
  const isFirst = first?.record.sequence_number === 0 && first.record.event?.event_type === 'log.created';
  return isFirst ? first.record.event.data?.verifier_key ?? '' : '';
}

/** Whether a record, as it is held, stands in its log: what its proof leads to; throws with why not. */
export async function proven(row, saved, own) {
  const proof = formed(saved);
  const { found, error, isTheirs } = await verified(proof, { row, ...givenFor(originOf(proof)), own });
  if (error) throw error;
  if (row.record_hash !== row.said_hash) throw new Error('the hash is not that of its leaf');
  return { ...found, isTheirs };
}

/** Fills a section with the proof of a row, as it is checked. */
export async function prove(section, row, { path, tenant, current, tries = 0 }) {
  fill(section, el('h3', {}, 'Proof'), el('p', { class: 'hint' }, 'Asking for the proof …'));
  let saved;
  let own;
  try {
    [saved, own] = await Promise.all([text(path, { tenant }), named(tenant).catch(() => '')]);
  } catch (problem) {
    const again = () => current() && prove(section, row, { path, tenant, current, tries: tries + 1 });
    // What could not be asked is not what is not there.
    if (current()) fill(section, el('h3', {}, 'Proof'), mayPass(problem)
      ? [el('p', { class: 'finding' }, `The proof could not be read, so nothing is proved yet. ${problem.message}`), answered(problem),
        countdown(due(problem, tries), again)]
      : el('p', { class: 'finding' }, `There is no proof. ${problem.message}`));
    return;
  }
  if (current()) await check(section, row, { saved, own, tenant, current });
}

/** The proof that was sent, if it has the form of one. */
function formed(saved) {
  const proof = verbatim(saved);
  const { log, receipt, registry, snapshot } = proof ?? {};
  const isProof = receipt && Array.isArray(log?.path) && Array.isArray(snapshot?.path) && Array.isArray(registry?.path)
    && typeof registry.checkpoint === 'string' && typeof snapshot.line === 'string';
  if (!isProof) throw new Error('it has another form than a proof');
  return proof;
}

function unformed(section, saved, { message }) {
  fill(section, el('h3', {}, 'Proof'), el('p', { class: 'verdict bad', role: 'status' },
    'The proof could not be read: ', shown(message), '. The record is shown from its leaf; nothing shows that it stands '
    + 'in the log.'), el('p', {}, save('proof.json', saved, 'Save what was sent')));
}

async function check(section, row, asked) {
  const { saved, own, tenant, current } = asked;
  let proof;
  try {
    proof = formed(saved);
  } catch (problem) {
    return unformed(section, saved, problem);
  }
  const origin = originOf(proof);
  const of = givenFor(origin);
  const marks = new Map(STEPS.map(([name]) => [name, el('span', { class: 'pill plain' }, 'not reached')]));
  const verdict = el('p', { class: 'verdict', role: 'status' }, 'Checking …');
  const witnesses = el('p', {});
  const list = STEPS.map(([name, title, words]) => [el('li', {}, el('b', {}, title), ' ', marks.get(name),
    el('p', {}, words), ...figures(name, row, proof), name === 'checkpoint' && witnesses),
  name === 'leaf' && committed(row)]);
  fill(section, el('h3', {}, 'Proof'), verdict, unproved(row), el('ol', { class: 'steps' }, list),
    keys(of, own, { origin, again: () => check(section, row, asked) }),
    el('p', { class: 'hint' }, 'It was computed by this page from the leaf, by ', el('code', {}, 'verify.js'),
      '. A page can be changed by whoever serves it: where that matters, save the proof and check it without this server: ',
      el('code', {}, 'indelible verify --proof proof.json --key KEY')),
    el('p', {}, save('proof.json', saved, 'Save the proof')));
  const state = await verified(proof, { row, ...of, own, marks });
  if (!current()) return undefined;
  if (state.cosigned) fill(witnesses, witnessed(state.cosigned));
  const [tone, words] = verdictOf(state, { isTheirs: Boolean(state.isTheirs), tenant, row });
  verdict.className = `verdict ${tone}`;
  fill(verdict, words);
  const key = `${row.record.tenant_id}/${row.record.sequence_number}`;
  // The row in the list is shown as it was checked, so that no badge stands beside something else.
  const checked = { state: { good: 'proved', bad: 'failed' }[tone], row: brief(row) };
  document.dispatchEvent(new CustomEvent('checked', { detail: { key, checked } }));
  return undefined;
}

const pathsOf = (row, how) => [...row.personal].filter(([, one]) => one === how).map(([path]) => path);

const people = (number) => counted(number, 'person or thing', 'people or things');

/** Of how many people the leaf commits to values, and whose are not shown: that none is kept back in silence. */
function commitments(row) {
  const kept = unshown(row);
  const shownOf = row.subjects.size - kept.length;
  return el('p', { class: 'commits' }, `The leaf commits to values of ${people(row.subjects.size)}: `, kept.length
    ? [shownOf > 0 && `those of ${shownOf} are shown, `, 'not shown are those of ', names(kept), '.'] : 'all are shown.');
}

/** Personal values as a step of their own: they stand in no leaf, and the leaf commits to them. */
function committed(row) {
  if (!row.subjects.size) return null;
  const checked = pathsOf(row, 'checked');
  const wrong = refused(row);
  const pill = el('span', { class: 'pill plain' }, 'not shown');
  const isChecked = checked.length > 0 || wrong.length > 0;
  if (isChecked) mark(pill, !wrong.length);
  else if (pathsOf(row, 'unchecked').length) pill.textContent = 'not checked';
  return el('li', { class: 'committed' }, el('b', {}, 'Personal values'), ' ', pill, commitments(row),
    isChecked && el('p', {}, 'What the server discloses of each, hashed, leads to the commitment that the leaf has.'),
    checked.length > 0 && el('p', {}, 'Committed to by the leaf, though not in it: ', names(checked), '.'),
    wrong.map(([subject, why]) => el('p', { class: 'finding' }, el('b', {}, shown(subject)), ': ', why)));
}

/** What is shown and stands under no proof. */
function unproved(row) {
  const masked = pathsOf(row, 'masked');
  const unchecked = pathsOf(row, 'unchecked');
  return [masked.length > 0 && el('p', { class: 'unproved' }, 'Not under this proof: ', names(masked), '. These are masked: that '
    + 'such fields are there, and their shapes, is the server\u2019s word. The leaf commits to values of '
    + `${people(row.subjects.size)}, and who sees shapes alone can check nothing by it.`),
  unchecked.length > 0 && el('p', { class: 'unproved' }, 'Not under this proof: ', names(unchecked), '. These are personal, '
    + 'and this browser has nothing to check by what the server discloses of them.')];
}

function witnessed(cosigned) {
  if (!cosigned.length) return 'No witness has cosigned it.';
  const one = ({ name, time }) => el('li', {}, el('b', {}, shown(name)), time
    ? [' cosigned it, and that holds: it saw it ', when(time)]
    : ' is said to have cosigned it: not checked, no key of this witness was given');
  return ['Cosignatures:', el('ul', {}, cosigned.map(one))];
}

function mark(pill, holds) {
  if (!pill) return;
  pill.className = `pill ${holds ? 'good' : 'bad'}`;
  pill.textContent = holds ? 'holds' : 'does not hold';
}

async function verified(proof, { row, theirs, others, own, marks = new Map() }) {
  const reached = [];
  let isTheirs = false;
  try {
    if (!globalThis.crypto?.subtle) throw Object.assign(new Error('this page did not come over https, and browsers compute '
      + 'no hashes for such pages'), { part: 'browser' });
    if (!await canVerify()) throw Object.assign(new Error('this browser has no Ed25519'), { part: 'browser' });
    const { line, witnesses } = await readKeys(theirs);
    isTheirs = Boolean(line);
    const known = others.length ? '' : line || own;
    const key = known ? await readKey(known) : null;
    const found = await checkProof(proof, { leaf: row.leaf, key, step: (name) => {
      reached.push(name);
      mark(marks.get(name), name !== 'leaf' || row.record_hash === row.said_hash);
    } });
    const cosigned = await cosignatures(proof.registry.checkpoint, found.origin, witnesses);
    return { found, cosigned, isTheirs };
  } catch (problem) {
    const isForeign = others.length > 0 && problem.part === 'key';
    const error = isForeign ? new Error(`it is signed as another ledger, ${originOf(proof)}, than the one that you gave a key for, `
      + others.join(', ')) : problem;
    const next = STEPS.map(([name]) => name).find((name) => !reached.includes(name)) ?? 'checkpoint';
    const isKey = error.part === 'key' || error.part === 'browser';
    if (!isKey) mark(marks.get(next), false);
    return { error, isKey, isTheirs };
  }
}

function verdictOf({ found, error, isKey }, { isTheirs, tenant, row }) {
  const what = `Record ${Number(row.record.sequence_number).toLocaleString('en')} of ${tenant}`;
  if (isLie(row)) {
    return ['bad', [lies(row), ' ', found ? 'The leaf, which is what is shown here, stands in the log.'
        : ['Nor is the leaf proved: ', shown(error.message), '.']]];
  }
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
    case 'leaf': return [row.record_hash && code(row.record_hash), row.record_hash !== row.said_hash
      && el('p', { class: 'finding' }, 'The server says another hash: ', code(row.said_hash ?? 'none'))];
    case 'log': return [el('p', {}, `${steps(proof.log.path)} to the root over ${counted(Number(proof.log.size), 'record')}`)];
    case 'snapshot': return [el('p', {}, `${steps(proof.snapshot.path)} from slot ${proof.snapshot.slot}`)];
    default: return [el('p', {}, `${steps(proof.registry.path)} to the signed root`),
      code(proof.registry.checkpoint.split('\n', 1)[0])];
  }
}

/** Keeps keys under the name of the ledger's among them; without any what was given for that ledger goes. */
async function remember(lines, { name, origin }) {
  const { line } = await readKeys(lines);
  const all = given();
  delete all[name];
  if (lines) all[line ? line.split('+', 1)[0] : origin] = lines;
  localStorage.setItem(KEYS, JSON.stringify(all));
}

async function forget(name) {
  const { [name]: _, ...rest } = given();
  localStorage.setItem(KEYS, JSON.stringify(rest));
}

/** Where keys of one's own are given; they stay in this browser. */
function keys({ name, theirs, others }, own, { origin, again }) {
  const field = el('textarea', { 'aria-label': 'Verifier key', rows: 2, spellcheck: 'false', autocomplete: 'off',
    placeholder: 'name+id+key, from whoever runs it; keys of witnesses below it' });
  field.value = theirs;
  const told = el('span', { class: 'finding', role: 'alert' });
  const form = el('form', { onsubmit: (event) => {
    event.preventDefault();
    remember(field.value.trim(), { name, origin }).then(again).catch((error) => { told.textContent = error.message; });
  } }, field, el('button', { type: 'submit' }, 'Check with it'), told);
  const kept = others.map((one) => el('p', { class: 'hint' }, 'You gave a key for ', el('b', {}, shown(one)), ', which this is not. If you '
    + 'mean this ledger too, give its own key. ', el('button', { type: 'button', class: 'link',
    onclick: () => forget(one).then(again) }, 'Forget the key that I gave')));
  return el('details', { class: 'own-key', open: others.length > 0 }, el('summary', {},
    theirs ? 'The key that you gave' : 'Check with a key of your own'), kept,
    el('p', { class: 'hint' }, 'A page could lie about the key with all the rest. ', el('code', {},
      'indelible keys show'),
      ' prints it where the ledger is. Keys of witnesses, one a line, check their cosignatures.'), form,
    own && el('p', { class: 'hint' }, 'The log names: ', el('code', { class: 'key' }, shown(own))));
}
