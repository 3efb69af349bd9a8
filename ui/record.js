// One record: its fields, its proof and the exact bytes that were hashed.

import { get, text, verbatim } from '/ui/api.js';
import { byId, counted, el, fill, outcome, shown, when } from '/ui/dom.js';

const LONG_CHARS = 400;
const NARROW = matchMedia('(max-width: 70rem)');

const panel = byId('record');
let turn = 0;

/** Reads a record and shows it; whoever asks again meanwhile wins. */
export async function show(tenant, id) {
  const mine = ++turn;
  const path = `/v1/records/${encodeURIComponent(id)}`;
  const wanted = (promise) => promise.then((found) => (mine === turn ? found : null));
  fill(panel, head('Record'), el('p', { class: 'hint' }, 'Reading the record …'));
  open();
  try {
    const read = await wanted(text(path, { tenant }));
    if (!read) return;
    const row = verbatim(read);
    const proof = el('section', { class: 'proof', 'aria-label': 'Proof' }, el('h3', {}, 'Proof'),
      el('p', { class: 'hint' }, 'Asking for the proof …'));
    const { event } = row.record;
    fill(panel, head(event.event_type, event.outcome), sentence(row), fields(row), proof, leaf(row));
    panel.querySelector('h2').focus();
    const found = await wanted(text(`${path}/proof`, { tenant }).catch((problem) => problem));
    if (!found) return;
    if (found instanceof Error) {
      fill(proof, el('h3', {}, 'Proof'), failed(found, 'There is no proof.'));
      return;
    }
    const key = await wanted(named(tenant).catch(() => '').then((text) => ({ text })));
    if (key) fill(proof, proved(row, found, key.text));
  } catch (problem) {
    if (mine === turn) fill(panel, head('Record'), failed(problem, 'The record cannot be shown.'));
  }
}

/** Beside the list where there is room, else over it. */
function open() {
  if (panel.open) return;
  if (NARROW.matches) panel.showModal();
  else panel.show();
}

/** Puts the record away, if there is one. */
export function close() {
  if (panel.open) panel.close();
}

document.addEventListener('keydown', (press) => {
  if (press.key === 'Escape') close();
});
panel.addEventListener('close', () => {
  turn += 1;
  document.querySelector('tr[aria-current] .open')?.focus();
});

function failed(problem, words) {
  return el('p', { class: 'finding' }, `${words} ${problem.message}`);
}

function head(title, ended) {
  const close = el('button', { type: 'button', 'aria-label': 'Close', class: 'close',
    onclick: () => panel.close() }, '×');
  return el('div', { class: 'bar' },
    el('h2', { tabindex: -1, autofocus: true }, el('bdi', {}, shown(title ?? 'Record'))),
    ended && outcome(ended), close);
}

function sentence(row) {
  const { tenant_id: tenant, sequence_number: number, event } = row.record;
  return [
    event.description && el('p', { class: 'said' }, shown(event.description)),
    el('p', { class: 'hint' }, 'Record ', el('b', {}, Number(number).toLocaleString('en')),
      ' of ', el('b', {}, tenant)),
  ];
}

// What stands above the fields already.
const TOLD = new Set(['event_type', 'outcome', 'description', 'occurred_at']);

function fields(row) {
  const { event, ingested_at: ingested } = row.record;
  const inLeaf = new Set(walk(JSON.parse(row.leaf).event).map(([path]) => path));
  const list = el('dl', {});
  const put = (name, ...value) => list.append(el('dt', {}, broken(name)), el('dd', {}, ...value));
  put('happened', when(event.occurred_at));
  put('committed', when(ingested));
  for (const [path, value] of walk(event).filter(([path]) => !TOLD.has(path))) {
    const text = String(value);
    const inside = text.length > LONG_CHARS
      ? el('div', { class: 'long', tabindex: 0, role: 'region', 'aria-label': path }, shown(text))
      : shown(text);
    put(path, inside, !inLeaf.has(path) && personal());
  }
  return list;
}

/** A path that may be broken where its parts end. */
function broken(path) {
  return path.split(/(?<=[._])/).flatMap((part) => [shown(part), el('wbr')]);
}

function personal() {
  return el('span', { class: 'personal',
    title: 'A personal value: not in the leaf, where a commitment stands for it' }, 'personal');
}

/** Every leaf value with its path. */
function walk(value, path = '') {
  if (value === null || typeof value !== 'object') return [[path, value]];
  return Object.entries(value)
    .flatMap(([name, inner]) => walk(inner, path ? `${path}.${name}` : name));
}

/** The verifier key that a log names in its first record. */
async function named(tenant) {
  const { records } = await get('/v1/records', { tenant, order: 'seq', limit: 1 });
  return records[0]?.record.event.data?.verifier_key ?? '';
}

function proved(row, saved, named) {
  const proof = JSON.parse(saved);
  const checked = el('span', { class: 'pill plain' }, 'checking …');
  check(row).then((same) => {
    checked.className = `pill ${same ? 'good' : 'bad'}`;
    checked.textContent = same ? 'computed here too' : 'the hash differs';
  }).catch(() => { checked.textContent = 'this browser cannot compute it'; });
  const [origin, size] = proof.registry.checkpoint.split('\n');
  const step = (title, ...text) => el('li', {}, el('b', {}, title), el('p', {}, ...text));
  return [
    el('h3', {}, 'Proof'),
    el('ol', { class: 'steps' },
      step('Record hash', 'SHA-256 of a zero byte and the leaf ', checked,
        el('code', {}, row.record_hash)),
      step('Log', `${counted(proof.log.path.length, 'hash', 'hashes')} to the root over `
        + `${counted(proof.log.size, 'record')}`),
      step('Snapshot', `${counted(proof.snapshot.path.length, 'hash', 'hashes')} from slot `
        + `${proof.snapshot.slot} to the root over all logs`),
      step('Checkpoint', `${counted(proof.registry.path.length, 'hash', 'hashes')} to the signed root over `
        + `${counted(Number(size), 'snapshot')}`, el('code', {}, shown(origin)))),
    el('p', {}, save('proof.json', saved, 'Save the proof')),
    el('p', { class: 'hint' }, 'It is checked without this server: ',
      el('code', {}, 'indelible verify --proof proof.json --key KEY')),
    // After a recovery the ledger signs under another name than the one its older logs begin with.
    named.startsWith(`${origin}+`) && el('p', { class: 'hint' }, 'KEY, as this log names it: ',
      el('code', { class: 'key' }, shown(named))),
    el('p', { class: 'hint' }, 'A page could lie about the key with all the rest: take it from whoever runs the '
      + 'server, who has it from ', el('code', {}, 'indelible keys show'), '.'),
  ];
}

/** The record hash, computed here from the leaf's bytes. */
async function check(row) {
  const bytes = new TextEncoder().encode(row.leaf);
  const whole = new Uint8Array(bytes.length + 1);
  whole.set(bytes, 1);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex === row.record_hash;
}

function leaf(row) {
  return el('details', {},
    el('summary', {}, 'The leaf, as it was hashed'),
    el('p', { class: 'hint' }, 'Personal values are not in it.'),
    el('pre', { tabindex: 0, 'aria-label': 'The leaf' }, shown(row.leaf)),
    save('leaf.json', row.leaf, 'Save its bytes'));
}

function save(name, text, label) {
  return el('button', { type: 'button', onclick: () => {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    el('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  } }, label);
}
