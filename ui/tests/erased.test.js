// What the page says of erasing: a record of the log proves it, or it is what the server says. Nothing erases yet, so
// the ledger here is made by the test: two records, a snapshot and a checkpoint, signed (spec/receipt.md §2).

import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Place, browser, visit } from './support.js';

const SUBJECT = `sub_${'ab'.repeat(16)}`;
const ids = { person: '019a9b00-0000-7000-8000-000000000001', erasure: '019a9b00-0000-7000-8000-000000000002',
  none: '019a9b00-0000-7000-8000-000000000003' };
const hash = (...parts) => createHash('sha256').update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest();
const leafHash = (text) => hash([0], text);
const nodeHash = (left, right) => hash([1], left, right);

let place;
let chrome;
before(async () => {
  chrome = await browser();
  place = new Place();
  await place.serve();
});
after(async () => {
  await chrome?.close();
  await place?.remove();
});

/** The leaf of a record: its keys are in order as they are written here. */
const leafOf = (number, event, tenant = 'acme') => JSON.stringify({ event, ingested_at: `2026-01-02T03:04:0${number}.000000Z`,
  ledger: { policy: 1 }, previous_hash: '00'.repeat(32), record_version: 1, sequence_number: number, tenant_id: tenant });

/** A ledger of these leaves: what its server answers of each record, and the key. */
function ledger(leaves) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const name = 'indelible.dev/made';
  const bytes = Buffer.concat([Buffer.from([1]), publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)]);
  const id = hash(`${name}\n`, bytes).subarray(0, 4);
  const [first, second] = leaves.map(leafHash);
  const root = nodeHash(first, second).toString('hex');
  const slot = `{"log_id":"${'00'.repeat(16)}","root":"${root}","size":2}`;
  const line = `{"number":0,"root":"${leafHash(slot).toString('hex')}","slots":1,"time":"2026-01-02T03:05:00.000000Z"}`;
  const body = `${name}\n1\n${leafHash(line).toString('base64')}\n`;
  const signature = Buffer.concat([id, sign(null, Buffer.from(body), privateKey)]).toString('base64');
  const answer = (number, more) => {
    const { event, ...head } = JSON.parse(leaves[number]);
    return { record: { ...head, event }, leaf: leaves[number], record_hash: leafHash(leaves[number]).toString('hex'), ...more };
  };
  const proof = (number) => {
    const { event, ...head } = JSON.parse(leaves[number]);
    return { proof_version: 1, log: { log_id: '00'.repeat(16), path: [(number ? first : second).toString('hex')], root, size: 2 },
      receipt: { audit_id: event.audit_id, ingested_at: head.ingested_at, record_hash: leafHash(leaves[number]).toString('hex'),
        sequence_number: number, tenant_id: head.tenant_id },
      registry: { checkpoint: `${body}\n\u2014 ${name} ${signature}\n`, path: [] }, snapshot: { line, path: [], slot: 0 } };
  };
  return { answer, proof, key: `${name}+${id.toString('hex')}+${bytes.toString('base64')}` };
}

const sealed = { actor: { id: 'dana', type: 'user' }, audit_id: ids.person, event_type: 'document.viewed',
  occurred_at: '2026-01-02T03:04:00.000000Z', outcome: 'success', sealed: [{ root: '11'.repeat(32), subject: SUBJECT }] };
const erasure = { actor: { id: 'indelible', type: 'system' }, audit_id: ids.erasure, data: { subjects: [SUBJECT] },
  event_type: 'privacy.erased', occurred_at: '2026-01-02T03:04:01.000000Z', outcome: 'success' };

/** Opens the record of the person at a server that says these things; `lie` changes what it says of the erasure. */
async function said({ event = erasure, tenant, lie = () => {}, personal = 'sealed', opened = 0, given, verdict = 'good' }, look) {
  // `opened` is the number of the record that is looked at, and the erasure has the other.
  const leaves = [leafOf(opened, sealed), leafOf(1 - opened, event, tenant)];
  const made = ledger(opened ? leaves.reverse() : leaves);
  const erased = 1 - opened;
  const told = { list: [{ record: { tenant_id: 'acme', sequence_number: erased, event: erasure } }], record: made.answer(erased), proof: made.proof(erased) };
  lie(told, made);
  const json = (answer) => (route) => route.fulfill({ json: answer });
  await visit(chrome, place, { path: '/docs', expected: ['Failed to load resource'] }, async (page) => {
    await page.route(/\/v1\/records\?/, (route) => {
      const { searchParams } = new URL(route.request().url());
      const first = { record: { tenant_id: 'acme', sequence_number: 0, event: { event_type: 'log.created', data: { verifier_key: made.key } } } };
      const isErasure = searchParams.get('q')?.startsWith('type:privacy.erased');
      const records = isErasure ? told.list : searchParams.get('order') === 'seq' ? [first] : [];
      return route.fulfill({ json: { records, next_cursor: null } });
    });
    for (const [id, answer, proof] of [[ids.person, made.answer(opened, { personal }), made.proof(opened)],
      [ids.erasure, told.record, told.proof]]) {
      await page.route(new RegExp(`/v1/records/${id}\\?`), json(answer));
      await page.route(new RegExp(`/v1/records/${id}/proof`), json(proof));
      await page.route(new RegExp(`/v1/records/${id}/related`), json({ record: {}, ancestors: [], descendants: [], correlation: null,
        execution: null, above: { end: 'root' } }));
    }
    if (given) await page.evaluate((keys) => localStorage.setItem('indelible-verifier-keys', JSON.stringify(keys)), given(made));
    await page.goto(`${place.url}/?live=off&record=acme%2F${ids.person}`);
    await page.locator(`#record .proof .verdict.${verdict}`).waitFor();
    await look(page.locator('#record .hidden-values li'), page);
  });
}

test('an erasure that a record of the log proves is told as one, with the record', async () => {
  await said({}, async (line, page) => {
    await line.locator('.pill', { hasText: /^erased$/ }).waitFor();
    assert.match(await line.textContent(), /Erased, proved by record 1 of this log, under the key that the log names/);
    await line.getByRole('link', { name: 'The record that says so' }).click();
    await page.locator('#record h2', { hasText: 'privacy.erased' }).waitFor();
    await page.locator('#record .proof .verdict.good').waitFor();
  });
});

test('an erasure is looked up, and proved, where the server says masked too', async () => {
  await said({ personal: 'masked' }, async (line) => {
    await line.locator('.pill', { hasText: /^erased$/ }).waitFor();
    assert.equal(await line.count(), 1);
  });
});

test('an erasure that is older than the record is named as a contradiction', async () => {
  await said({ opened: 1 }, async (line) => {
    await line.locator('.pill.bad', { hasText: /^contradiction$/ }).waitFor();
    assert.match(await line.textContent(), /Record 0 of this log, which is proved, .* This record, number 1, was committed later/);
    assert.doesNotMatch(await line.textContent(), /Erased/);
  });
  // Nor does one that the server names before it make it good.
  const hide = (told) => { told.list.unshift({ record: { tenant_id: 'acme', sequence_number: 5, event: { ...erasure, audit_id: ids.none } } }); };
  await said({ opened: 1, lie: hide }, async (line) => {
    await line.locator('.pill.bad', { hasText: /^contradiction$/ }).waitFor();
  });
});

test('under the key of another ledger than somebody gave one for, nothing is proved, and no erasure', async () => {
  const given = (made) => ({ 'indelible.dev/mine': made.key.replace('indelible.dev/made', 'indelible.dev/mine') });
  await said({ given, verdict: 'bad' }, async (line) => {
    await line.getByText(/That is not proved/).waitFor();
    assert.match(await line.textContent(), /signed as another ledger, indelible\.dev\/made, than the one that you gave a key for, indelible\.dev\/mine/);
    assert.equal(await line.locator('.pill').textContent(), 'sealed');
  });
  await said({ given: (made) => ({ [made.key.split('+')[0]]: made.key }) }, async (line) => {
    await line.getByText('under the key that you gave').waitFor();
  });
});

const other = { ...erasure, data: { subjects: [`sub_${'cd'.repeat(16)}`] } };
for (const [name, how, why] of [
  ['a record that is of another type', { event: { ...erasure, event_type: 'privacy.asked' } }, /that record is none of an erasure/],
  ['a record that names another person', { event: other }, /that record does not name this person/],
  ['a record of another log', { tenant: 'globex' }, /Another record was asked for/],
  ['a record whose leaf does not say so', { event: other, lie: (told) => { told.record.record.event = erasure; } }, /not what was committed/],
  ['a record that is no part of the tree', { lie: (told) => { told.proof.log.path = ['22'.repeat(32)]; } }, /does not lead to the root/],
  ['a proof of another record', { lie: (told, made) => { told.proof = made.proof(0); } }, /the hash is not that of the leaf/],
  ['no proof', { lie: (told) => { told.proof = {}; } }, /another form than a proof/],
  ['a checkpoint that nobody signed', { lie: (told) => { const { registry } = told.proof;
    registry.checkpoint = registry.checkpoint.replace(/\n1\n/, '\n2\n'); } }, /signature/],
]) {
  test(`${name} proves no erasure: it is what the server says`, async () => {
    await said(how, async (line) => {
      await line.getByText(/That is not proved/).waitFor();
      const words = await line.textContent();
      assert.match(words, /The server says that this person was erased\. That is not proved: /);
      assert.match(words, why);
      assert.equal(await line.locator('.pill').textContent(), 'sealed');
    });
  });
}

test('values that are kept back, with nothing said of erasing, are the server\u2019s word', async () => {
  await said({ lie: (told) => { told.list = []; } }, async (line) => {
    assert.match(await line.textContent(), /^sealed .*The server says that it has none to open them by: that is its word, and no proof\./);
  });
});
