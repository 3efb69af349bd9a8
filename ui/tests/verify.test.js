// The page's own verifier against the vectors of the specification, in node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { checkProof, cosignatures, hex, included, leafHash, openCheckpoint, openNote, readKey, readKeys, rootOf }
  from '../verify.js';

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../spec/vectors/${name}.json`, import.meta.url), 'utf8'));
const unhex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
const flipped = (digits) => (digits[0] === '0' ? '1' : '0') + digits.slice(1);

test('every path of the trees leads to its root, and no changed one does', async () => {
  const { leaves_hex: leaves, roots, inclusion } = vectors('merkle');
  assert.ok(inclusion.length >= 7);
  for (const { size, index, proof } of inclusion) {
    const right = { hash: await leafHash(unhex(leaves[index])), index, size, path: proof, root: unhex(roots[size]) };
    await included(right);
    const wrong = [
      { root: unhex(flipped(roots[size])) }, { index: size }, { path: [...proof, roots[1]] },
      proof.length && { path: proof.slice(1) }, proof.length && { path: [flipped(proof[0]), ...proof.slice(1)] },
      size > 1 && { index: (index + 1) % size },
    ];
    for (const change of wrong.filter(Boolean)) {
      await assert.rejects(included({ ...right, ...change }), { name: 'Error' }, JSON.stringify([size, index, change]));
    }
  }
});

test('the root over leaves is that of the specification, for every number of them', async () => {
  const { leaves_hex: leaves, roots } = vectors('merkle');
  const hashes = await Promise.all(leaves.map((leaf) => leafHash(unhex(leaf))));
  for (const [size, root] of Object.entries(roots)) {
    assert.equal(hex(await rootOf(hashes.slice(0, Number(size)))), root, `of ${size}`);
  }
  assert.ok(Object.keys(roots).length >= 8);
});

test('leaves hash as the specification says', async () => {
  for (const { leaf, record_hash: hash } of vectors('leaf').leaves) assert.equal(hex(await leafHash(leaf)), hash);
});

test('notes and checkpoints are opened, and those that must be refused are', async () => {
  const { foreign, keys, checkpoint, refused } = vectors('checkpoint');
  assert.equal(await openNote(foreign.note, await readKey(foreign.vkey)), foreign.text);
  const key = await readKey(keys[0].vkey);
  const found = await openCheckpoint(checkpoint.note, key);
  assert.deepEqual([found.origin, Number(found.size), hex(found.root)],
    [checkpoint.origin, checkpoint.size, checkpoint.root]);
  assert.ok(refused.length >= 11);
  for (const { name, note } of refused) {
    await assert.rejects(openCheckpoint(note, key), { name: 'Error' }, name);
  }
});

test('cosignatures of witnesses hold by their keys, are not checked without, and are refused when they do not', async () => {
  const { keys: [own, ...others], checkpoint: { note } } = vectors('checkpoint');
  const { vkey, name } = others.find(({ witness }) => witness);
  const { line, witnesses } = await readKeys(`${own.vkey}\n${vkey}`);
  assert.deepEqual([line, witnesses.map((one) => one.name)], [own.vkey, [name]]);
  const [found, ...more] = await cosignatures(note, own.name, witnesses);
  assert.deepEqual([found.name, more.length], [name, 0]);
  assert.equal(new Date(found.time).getUTCFullYear(), 2026);
  assert.deepEqual(await cosignatures(note, own.name), [{ name, time: null }]);
  // A later time, under the same signature.
  const later = note.replace(/(\S+)\n$/, (whole, coded) => {
    const bytes = Buffer.from(coded, 'base64');
    bytes[11] ^= 1;
    return `${bytes.toString('base64')}\n`;
  });
  await assert.rejects(cosignatures(later, own.name, witnesses), { part: 'signature' });
  await assert.rejects(readKey(vkey), { part: 'key' }, 'no key of a ledger');
  await assert.rejects(readKeys(`${own.vkey} ${own.vkey}`), { part: 'key' });
  await assert.rejects(readKeys('x'), { part: 'key' });
});

test('a key that is not whole, or signs anything, is refused', async () => {
  const { vkey } = vectors('receipt');
  const [name, id, coded] = vkey.split('+');
  await readKey(vkey);
  for (const wrong of ['', 'x', `${name}+00000000+${coded}`, `other+${id}+${coded}`,
    `${name}+${id}+${coded.slice(4)}`]) {
    await assert.rejects(readKey(wrong), { part: 'key' }, wrong);
  }
});

test('proofs of records hold, and each part that is changed is what is named', async () => {
  const { vkey, leaves, proofs } = vectors('receipt');
  const key = await readKey(vkey);
  assert.ok(proofs.length >= 5);
  for (const [at, proof] of proofs.entries()) {
    const steps = [];
    const found = await checkProof(proof, { leaf: leaves[at], key, step: (name) => steps.push(name) });
    assert.deepEqual(steps, ['leaf', 'log', 'snapshot', 'checkpoint']);
    assert.equal(found.logId, proof.log.log_id);
    await checkProof(proof, { key });
    const changed = (change) => {
      const copy = structuredClone(proof);
      change(copy);
      return checkProof(copy, { leaf: leaves[at], key });
    };
    const cases = [
      ['proof', (one) => { one.proof_version = 2; }],
      ['leaf', (one) => { one.receipt.record_hash = flipped(one.receipt.record_hash); }],
      ['leaf', (one) => { one.receipt.tenant_id = 'globex'; }],
      ['leaf', (one) => { one.receipt.audit_id = '01932c3e-9a80-7abc-8def-00000000ffff'; }],
      ['leaf', (one) => { one.receipt.sequence_number += 1; }],
      ['leaf', (one) => { one.receipt.ingested_at = '2026-01-02T03:04:00.999999Z'; }],
      ['log', (one) => { one.log.path[0] = flipped(one.log.path[0]); }],
      ['log', (one) => { one.log.root = flipped(one.log.root); }],
      ['snapshot', (one) => { one.log.log_id = flipped(one.log.log_id); }],
      ['snapshot', (one) => { one.snapshot.slot += 1; }],
      ['snapshot', (one) => { one.snapshot.line = one.snapshot.line.replace(',', ', '); }],
      ['checkpoint', (one) => { one.snapshot.line = one.snapshot.line.replace(/"time":"2026/, '"time":"2027'); }],
      ['checkpoint', (one) => { one.registry.path.push(one.log.root); }],
      ['signature', (one) => { one.registry.checkpoint = one.registry.checkpoint.replace(/\n(\d+)\n/, '\n1$1\n'); }],
    ];
    for (const [part, change] of cases) await assert.rejects(changed(change), { part }, `${at}: ${change}`);
    await assert.rejects(checkProof(proof, { leaf: leaves[at].replace('acme', 'acmf'), key }), { part: 'leaf' });
    const other = await readKey(vectors('checkpoint').keys[0].vkey);
    await assert.rejects(checkProof(proof, { leaf: leaves[at], key: other }), { part: 'signature' });
  }
});
