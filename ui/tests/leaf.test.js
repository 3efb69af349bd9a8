// What is shown of a record comes from its leaf: by the vectors of the specification, in node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { verbatim } from '../json.js';
import { held } from '../leaf.js';

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../spec/vectors/${name}.json`, import.meta.url), 'utf8'));
const { record: { audit_id: id, ...texts } } = vectors('sealing');
const record = Object.fromEntries(['event', 'sealed_event'].map((name) =>
  [name, texts[name].replace(/^\{/, `{"audit_id":"${id}",`)]));
const HEAD = { ingested_at: '2026-01-02T03:04:05.000000Z', ledger: {}, previous_hash: '00', record_version: 1,
  sequence_number: 7, tenant_id: 'acme' };
const around = (event) => `{"event":${event},${JSON.stringify(HEAD).slice(1)}`;
const asked = { tenant: 'acme', id };

/** An answer with a leaf, and what the server says of its event. */
const answer = (leaf, event, more = {}) => ({ record: { ...HEAD, event }, leaf, ...more });
const hashed = async (whole, of = asked) => {
  const { record_hash: hash } = await held(whole, of);
  return { ...whole, record_hash: hash };
};
const sealed = () => answer(around(record.sealed_event), verbatim(record.event));
const plainEvent = { audit_id: id, actor: { id: 'dana', type: 'user' }, event_type: 'a.b', outcome: 'denied',
  data: { list: [1, 2], text: 'wrote to [email]', '[sealed]': '[sealed]' } };
const open = (change) => {
  const said = structuredClone(plainEvent);
  change(said);
  return answer(around(JSON.stringify(plainEvent)), said);
};

test('a sealed record that was opened differs in nothing, and what was put in is named', async () => {
  const found = await held(await hashed(sealed()), asked);
  assert.deepEqual(found.differs, []);
  for (const path of ['actor.email', 'actor.ip', 'actor.name', 'description']) assert.ok(found.filled.has(path), path);
  assert.ok(!found.filled.has('actor.type'));
  const { sealed: commitments, ...event } = found.record.event;
  assert.deepEqual(event, verbatim(record.event), 'the event before it was sealed');
  assert.ok(commitments.length > 0);
});

test('one that was not opened, or of which a role sees the shape, differs in nothing', async () => {
  const closed = answer(around(record.sealed_event), verbatim(record.sealed_event));
  const { differs, filled } = await held(await hashed(closed), asked);
  assert.deepEqual([differs, filled.size], [[], 0]);
  const masked = sealed();
  masked.record.event.actor.name = '***';
  masked.record.event.description = '***';
  assert.deepEqual((await held(await hashed(masked), asked)).differs, []);
});

test('what the server says and the leaf does not is named, and is not shown', async () => {
  const cases = [
    ['outcome', (event) => { event.outcome = 'success'; }],
    ['actor.id', (event) => { event.actor.id = 'framed'; }],
    ['actor.name', (event) => { event.actor.name = 'Framed Person'; }],
    ['actor.id', (event) => { delete event.actor.id; }],
    ['actor', (event) => { event.actor = 'dana'; }],
    ['data.list', (event) => { event.data.list.push(3); }],
    ['data.list.1', (event) => { event.data.list[1] = 20; }],
    ['data.text', (event) => { event.data.text = 'wrote to framed@acme.example'; }],
    ['data.[sealed]', (event) => { event.data['[sealed]'] = 'put in'; }],
    ['data', (event) => { event.data = [1]; }],
    ['decision', (event) => { event.decision = { result: 'approved' }; }],
    ['__proto__', (event) => { Object.defineProperty(event, '__proto__', { value: 1, enumerable: true }); }],
    ['sealed', (event) => { event.sealed = [{ subject: 'dana' }]; }],
  ];
  for (const [path, change] of cases) {
    const found = await held(await hashed(open(change)), asked);
    assert.deepEqual(found.differs, [path], String(change));
    assert.deepEqual([found.record.event, found.filled.size], [plainEvent, 0], path);
  }
  const { differs } = await held(await hashed(answer(around(JSON.stringify(plainEvent)), undefined)), asked);
  assert.deepEqual(differs, ['the event']);
});

test('in a sealed record, too, only what can be sealed may be put in', async () => {
  const cases = [
    ['outcome', (event) => { event.outcome = 'denied_'; }],
    ['category', (event) => { event.category = 'other'; }],
    ['severity', (event) => { event.severity = 'low_'; }],
    ['actor.type', (event) => { event.actor.type = 'system_'; }],
    ['description', (event) => { event.description = 'something else altogether'; }],
  ];
  for (const [path, change] of cases) {
    const one = sealed();
    change(one.record.event);
    const found = await held(await hashed(one), asked);
    assert.deepEqual(found.differs, [path], path);
    const [last, ...before] = path.split('.').reverse();
    const of = (event) => before.reverse().reduce((inner, name) => inner[name], event)[last];
    assert.equal(of(found.record.event), of(verbatim(record.sealed_event)), path);
  }
});

test('what stands beside the event is held against the leaf, and the hash is computed', async () => {
  const right = await hashed(open(() => {}));
  assert.deepEqual((await held(right, asked)).differs, []);
  const wrong = structuredClone(right);
  wrong.record.sequence_number = 8;
  wrong.record.ingested_at = '2020-01-01T00:00:00.000000Z';
  const found = await held(wrong, asked);
  assert.deepEqual(found.differs, ['ingested_at', 'sequence_number']);
  assert.deepEqual([found.record.sequence_number, found.record.ingested_at], [7, HEAD.ingested_at]);
  const { leaves: [leaf], proofs: [{ receipt }] } = vectors('receipt');
  const of = { tenant: receipt.tenant_id, id: receipt.audit_id };
  const said = { record: verbatim(leaf), leaf, record_hash: receipt.record_hash };
  assert.deepEqual((await held(said, of)).differs, []);
  const lied = await held({ ...said, record_hash: '00'.repeat(32) }, of);
  assert.deepEqual([lied.record_hash, lied.said_hash, lied.differs],
    [receipt.record_hash, '00'.repeat(32), ['record_hash']]);
});

test('another record than was asked for, and what is none, is refused in words', async () => {
  const right = await hashed(open(() => {}));
  await held(right, { tenant: 'acme', id: id.toUpperCase() });
  for (const of of [{ tenant: 'globex', id }, { tenant: 'acme', id: id.replace(/.$/, (one) => (one === '0' ? '1' : '0')) }]) {
    await assert.rejects(held(right, of), /Another record was asked for than the server sent/);
  }
  for (const whole of [null, 7, [], {}, { record: 7 }, { record: [] }, { record: { event: plainEvent } },
    { ...right, leaf: 7 }, { ...right, leaf: '{' }, { ...right, leaf: '7' }, { ...right, leaf: '{"event":{}}' }]) {
    await assert.rejects(held(whole, asked), /^Error: (?:What|Its leaf|The server) .*\.$/, JSON.stringify(whole));
  }
});

test('of a pruned record there is no leaf, and its id is still the one that was asked for', async () => {
  const [{ record_hash: hash }] = vectors('leaf').leaves;
  const found = await held({ record: { audit_id: id }, record_hash: hash }, asked);
  assert.equal(found.record_hash, hash);
  await assert.rejects(held({ record: { audit_id: 'x' }, record_hash: hash }, asked), /Another record/);
});
