// What a record hides, and why: by the vectors of the specification, in node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { states, unshown } from '../hidden.js';
import { verbatim } from '../json.js';

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../spec/vectors/${name}.json`, import.meta.url), 'utf8'));
const { record } = vectors('sealing');
const leaf = `{"event":${record.sealed_event},"ledger":{}}`;
const sealed = verbatim(record.sealed_event);
/** A record as the page holds it, with one state for all its subjects. */
const row = (event, state, personal = []) => ({ record: { event }, leaf, personal: new Map(personal),
  subjects: new Map(sealed.sealed.map(({ subject }) => [subject, { state, why: 'it is not so' }])) });

test('a sealed event that was opened hides nothing', () => {
  const event = { ...verbatim(record.event), sealed: sealed.sealed };
  for (const state of ['checked', 'unchecked']) assert.deepEqual(states(row(event, state)), []);
});

test('one that was not opened is sealed, with marks where texts were masked', () => {
  const found = states(row(sealed, 'closed'));
  const of = (state) => found.filter((one) => one.state === state).map(({ where }) => where);
  assert.deepEqual(of('sealed').filter((where) => where.startsWith('sub_')),
    sealed.sealed.map(({ subject }) => subject));
  assert.ok(of('sealed').includes('data.publicIpsSet.0'));
  assert.ok(of('masked').includes('description'));
  assert.ok(found.every(({ why }) => why.length > 20));
});

test('a role that may not see personal values is told that it sees their shape', () => {
  const opened = verbatim(record.event);
  const event = { ...opened, sealed: sealed.sealed, actor: { ...opened.actor, name: '***', email: 'u***@d***.c***' } };
  const found = states(row(event, 'masked', [['actor.email', 'masked'], ['actor.name', 'masked']]));
  assert.deepEqual(found.filter(({ why }) => why.includes('privacy officer')).map(({ state, where }) => [state, where]),
    [['masked', 'actor.email'], ['masked', 'actor.name']]);
  assert.ok(found.every(({ state }) => state === 'masked'));
  });

test('values that do not lead to their commitment are sealed, with why, whatever the log says of erasing', () => {
  const [{ subject }] = sealed.sealed;
  const [one] = states(row(sealed, 'refused'), new Map([[subject, 7]]));
  assert.deepEqual([one.state, one.where], ['sealed', subject]);
  assert.match(one.why, /not shown: it is not so\./);
});

test('a subject is erased where a record that was proved says so; else it is what the server says, and sealed', () => {
  const [{ subject }, ...others] = sealed.sealed;
  const of = (said) => states(row(sealed, 'closed', []), new Map([[subject, said]])).filter(({ where }) => where.startsWith('sub_'));
  const [one, ...rest] = of({ isProved: true, number: 7, id: 'x', why: '' });
  assert.deepEqual([one.state, one.where, one.by], ['erased', subject, 'x']);
  assert.match(one.why, /^Erased, proved by record 7 of this log, under the key that the log names/);
  assert.deepEqual(rest.map(({ state }) => state), others.map(() => 'sealed'));
  for (const { why } of rest) assert.match(why, /The server says .* its word, and no proof/);
  const [told] = of({ isProved: false, id: 'y', why: 'the path does not lead to the root' });
  assert.deepEqual([told.state, told.by], ['sealed', 'y']);
  assert.match(told.why, /^The server says that this person was erased\. That is not proved: the path does not lead to the root\./);
});

test('each whose values are not shown is told, though the server sends no shape of them, and each for itself', () => {
  const handles = sealed.sealed.map(({ subject }) => subject);
  const whose = (said) => states(row(sealed, 'masked'), said).filter(({ where }) => where.startsWith('sub_'));
  assert.deepEqual(whose().map(({ state, where }) => [state, where]), handles.map((one) => ['masked', one]));
  assert.deepEqual(unshown(row(sealed, 'masked')), handles);
  assert.deepEqual(unshown(row(sealed, 'checked')), []);
  const [erased, told, ...masked] = whose(new Map([[handles[0], { isProved: true, number: 7, id: 'x', why: '' }],
    [handles[1], { isProved: false, id: 'y', why: 'it is not so' }]]));
  assert.deepEqual([erased.state, erased.by, told.state, told.by], ['erased', 'x', 'sealed', 'y']);
  assert.deepEqual(masked.map(({ state }) => state), handles.slice(2).map(() => 'masked'));
  for (const { why } of masked) assert.match(why, /no more than their shapes, where the server shows any: that is its word/);
});

test('an erasure that is older than the record is a contradiction, and erases nothing', () => {
  const [{ subject }] = sealed.sealed;
  for (const state of ['closed', 'masked']) {
    const { record, ...rest } = row(sealed, state);
    const [one] = states({ ...rest, record: { ...record, sequence_number: 9 } },
      new Map([[subject, { isProved: true, isOlder: true, number: 7, id: 'x', why: '' }]]));
    assert.deepEqual([one.state, one.where, one.by], ['contradiction', subject, 'x']);
    assert.match(one.why, /^Record 7 of this log, which is proved, .* This record, number 9, was committed later, .* Both cannot be/);
  }
});

test('a record of which only the hash is left is pruned; a secret that was taken out is told', () => {
  const [{ record_hash: hash }] = vectors('leaf').leaves;
  const [only, ...others] = states({ record: { audit_id: 'x' }, record_hash: hash });
  assert.deepEqual([only.state, others.length], ['pruned', 0]);
  const redacted = '{"event":{"data":{"token":"[redacted]"}},"ledger":{"redactions":["/data/token"]}}';
  const found = states({ record: JSON.parse(redacted), leaf: redacted, personal: new Map(), subjects: new Map() });
  assert.deepEqual(found.map(({ state, where }) => [state, where]), [['masked', '/data/token']]);
});
