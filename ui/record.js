// One record: its fields, its proof and the exact bytes that were hashed.

import { get, recordPath } from '/ui/api.js';
import { byId, el, fill, outcome } from '/ui/dom.js';

/** Shows a record of a list. */
export async function show(row) {
  const panel = byId('record');
  panel.hidden = false;
  const proof = el('div', { class: 'proof' }, el('p', { class: 'hint' }, 'asking for the proof …'));
  fill(panel, head(row, panel), fields(row), proof, leaf(row));
  panel.scrollIntoView({ block: 'nearest' });
  try {
    const found = await get(`${recordPath(row)}/proof`, { tenant: row.record.tenant_id });
    fill(proof, ...proved(row, found));
  } catch (problem) {
    fill(proof, el('p', { class: 'hint' }, `No proof: ${problem.message}`));
  }
}

function head(row, panel) {
  const { record } = row;
  const close = el('button', { type: 'button', 'aria-label': 'Close', class: 'close',
    onclick: () => { panel.hidden = true; } }, '×');
  return [
    el('div', { class: 'bar' },
      el('h2', {}, record.event.event_type ?? 'record'), outcome(record.event.outcome), close),
    el('p', { class: 'hint' }, `record ${record.sequence_number} of ${record.tenant_id}`),
  ];
}

function fields(row) {
  const list = el('dl', {});
  const put = (name, value) => list.append(el('dt', {}, name), el('dd', {}, value));
  put('ingested_at', row.record.ingested_at);
  walk(row.record.event, '', put);
  return list;
}

/** Every leaf value with its path. Numbers beyond what JavaScript holds are exact in the leaf. */
function walk(value, path, put) {
  if (value !== null && typeof value === 'object') {
    for (const [name, inner] of Object.entries(value)) {
      walk(inner, path ? `${path}.${name}` : name, put);
    }
  } else if (path !== 'outcome' && path !== 'event_type') {
    put(path, String(value));
  }
}

function proved(row, proof) {
  const checked = el('span', { class: 'hint' }, 'checking …');
  check(row).then((same) => {
    checked.className = `pill ${same ? 'good' : 'bad'}`;
    checked.textContent = same ? 'this browser computed the same hash' : 'the hash differs';
  }).catch(() => { checked.textContent = ''; });
  const lines = proof.registry.checkpoint.split('\n');
  return [
    el('h3', {}, 'Proof'),
    el('ol', { class: 'steps' },
      el('li', {}, 'SHA-256(0x00 ‖ leaf) is the record hash ', el('code', {}, row.record_hash), ' ', checked),
      el('li', {}, `${proof.log.path.length} hashes lead to the root of the log at ${proof.log.size} records`),
      el('li', {}, `${proof.snapshot.path.length} hashes lead from slot ${proof.snapshot.slot} to the snapshot of all logs`),
      el('li', {}, `${proof.registry.path.length} hashes lead to the registry of ${lines[1]} snapshots, signed as ${lines[0]}`)),
    el('p', {}, save('proof.json', JSON.stringify(proof), 'Save the proof'), ' and run ',
      el('code', {}, 'indelible verify --proof proof.json --key KEY')),
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
    el('summary', {}, 'The leaf, byte for byte'),
    el('p', { class: 'hint' }, 'These are the bytes that were hashed. Personal values are not in them.'),
    el('pre', {}, row.leaf));
}

function save(name, text, label) {
  return el('button', { type: 'button', onclick: () => {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
    el('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  } }, label);
}
