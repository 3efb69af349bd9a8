// What is shown of a record comes from its leaf: by the vectors of the specification, in node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { verbatim } from '../json.js';
import { held } from '../leaf.js';
import { namesIp } from '../sealed.js';
import { hex, leafHash, rootOf } from '../verify.js';

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../spec/vectors/${name}.json`, import.meta.url), 'utf8'));
const { record: { audit_id: id, values, ...texts } } = vectors('sealing');
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
/** As a server discloses the values: of each subject the texts, in the order of the vectors, which is that of pointers. */
const disclosed = () => [ACTOR, RECORD, TARGET].map((subject) => ({ subject,
  disclosures: values.filter((one) => one.subject === subject).map(({ disclosure }) => disclosure) }));
const sealed = (more = { disclosures: disclosed() }) => answer(around(record.sealed_event), verbatim(record.event), more);
const PERSONAL = values.map(({ pointer }) => pointer.slice(1).replaceAll('/', '.')).sort();
const [ACTOR, RECORD, TARGET] = [...new Set(values.map(({ subject }) => subject))];
const states = ({ subjects }) => Object.fromEntries([...subjects].map(([subject, { state }]) => [subject, state]));
const leafOf = (event) => JSON.parse(record.sealed_event)[event];
const plainEvent = { audit_id: id, actor: { id: 'dana', type: 'user' }, event_type: 'a.b', outcome: 'denied',
  data: { list: [1, 2], text: 'wrote to [email]', '[sealed]': '[sealed]' } };
const open = (change) => {
  const said = structuredClone(plainEvent);
  change(said);
  return answer(around(JSON.stringify(plainEvent)), said);
};

test('a sealed record is opened by what leads to its commitments, and each value is named as checked', async () => {
  const found = await held(await hashed(sealed()), asked);
  assert.deepEqual(found.differs, []);
  assert.deepEqual([...found.personal.keys()].sort(), PERSONAL);
  assert.deepEqual(new Set(found.personal.values()), new Set(['checked']));
  assert.deepEqual(states(found), { [ACTOR]: 'checked', [RECORD]: 'checked', [TARGET]: 'checked' });
  const { sealed: commitments, ...event } = found.record.event;
  assert.deepEqual(event, verbatim(record.event), 'the event before it was sealed');
  assert.ok(commitments.length > 0);
});

test('a personal value is marked where it stands, and nowhere else', async () => {
  const salt = 'ab'.repeat(32);
  const subject = 'sub_00000000000000000000000000000000';
  const disclosures = [JSON.stringify([salt, '/data/user.name', 'Dana'])];
  const inLeaf = { ...structuredClone(plainEvent), sealed: [{ root: hex(await rootOf(await Promise.all(disclosures.map(leafHash)))), subject }] };
  inLeaf.data = { user: { name: 'plain' } };
  const found = await held(await hashed(answer(around(JSON.stringify(inLeaf)), undefined, { disclosures: [{ subject, disclosures }] })), asked);
  assert.deepEqual([...found.personal], [['data."user.name"', 'checked']]);
});

test('one that stays closed, or of which a role sees the shape, differs in nothing', async () => {
  const closed = answer(around(record.sealed_event), verbatim(record.sealed_event), { personal: 'sealed' });
  const found = await held(await hashed(closed), asked);
  assert.deepEqual([found.differs, found.personal.size, new Set(Object.values(states(found)))], [[], 0, new Set(['closed'])]);
  const masked = answer(around(record.sealed_event), verbatim(record.sealed_event), { personal: 'masked' });
  Object.assign(masked.record.event.actor, { name: '***', email: 'b***@e***.c***', ip: '2001:***' });
  Object.assign(masked.record.event.data, { phoneNumber: '+1-***-****', contact: '192.***.***.***' });
  const seen = await held(await hashed(masked), asked);
  assert.deepEqual(seen.differs, []);
  assert.deepEqual([...seen.personal].sort(), ['actor.email', 'actor.ip', 'actor.name', 'data.contact', 'data.phoneNumber']
    .map((path) => [path, 'masked']));
  assert.deepEqual(new Set(Object.values(states(seen))), new Set(['masked']));
});

test('who sees shapes is shown shapes alone, where sealing leaves nothing, and no other value', async () => {
  for (const [path, change] of [
    ['actor.name', (event) => { event.actor.name = 'Framed Person'; }],
    ['actor.email', (event) => { event.actor.email = 'bob***@example.com'; }],
    ['actor.ip', (event) => { event.actor.ip = '2001:db8:***'; }],
    ['data.phone', (event) => { event.data.phone = 'b***@e***.c***'; }],
    ['data.code', (event) => { event.data.code = '+1-***-****'; }],
    ['metadata', (event) => { event.metadata = { any: '***' }; }],
    ['target.id', (event) => { event.target.id = '***'; }],
    ['description', (event) => { event.description = '***'; }],
    ['data.publicIpsSet.0', (event) => { event.data.publicIpsSet[0] = '***'; }],
    ['target.uid', (event) => { event.target.uid = '***'; }],
    ['category', (event) => { event.category = '***'; }],
  ]) {
    const one = answer(around(record.sealed_event), verbatim(record.sealed_event), { personal: 'masked' });
    change(one.record.event);
    const found = await held(await hashed(one), asked);
    assert.deepEqual([found.differs, found.personal.size], [[path], 0], path);
    assert.deepEqual(found.record.event, verbatim(record.sealed_event), path);
  }
  // Beside values that are told as they are there are no shapes.
  const one = sealed();
  one.record.event.actor.session = '***';
  assert.deepEqual((await held(await hashed(one), asked)).differs, ['actor.session']);
});

test('under the default policy shapes stand where that policy can have sealed, and of no more people than were committed to', async () => {
  const leaf = around(record.sealed_event).replace('"ledger":{}', '"ledger":{"policy":1}');
  const seen = async (change, sealedEvent = leaf) => {
    const one = answer(sealedEvent, verbatim(sealedEvent).event, { personal: 'masked' });
    one.record.ledger = { policy: 1 };
    change(one.record.event);
    return held(await hashed(one), asked);
  };
  for (const [path, shape] of [['actor.name', '***'], ['target.user_agent', '***'], ['data.contact', 'b***@e***.c***'],
    ['data.clientIp', '192.***.***.***'], ['data.phone', '***-***-****']]) {
    const [top, name] = path.split('.');
    const found = await seen((event) => { event[top][name] = shape; });
    assert.deepEqual([found.differs, [...found.personal]], [[], [[path, 'masked']]], path);
  }
  // A key that is written as a path is none.
  for (const name of ['actor/name', 'actor.name', 'raw/']) {
    const found = await seen((event) => { event[name] = '***'; });
    assert.deepEqual([found.differs, found.personal.size], [[name === 'actor.name' ? '"actor.name"' : name], 0], name);
  }
  for (const [path, shape] of [['data.Dana stole it', '***'], ['actor.session_id', '***'], ['data.host', '192.***.***.***'],
    ['context', '***'], ['data.note', '2001:***'], ['data.phone', '***']]) {
    const [top, name] = path.split('.');
    const found = await seen((event) => { if (name) event[top][name] = shape; else event[top] = shape; });
    assert.deepEqual([found.differs, found.personal.size], [[path], 0], path);
    assert.deepEqual(found.record.event, verbatim(record.sealed_event), path);
  }
  // One commitment is to the values of one person: names of two are more than there can be.
  const single = leaf.replace(/"sealed":\[(\{[^}]*\}).*?\]/, '"sealed":[$1]');
  const both = (event) => { event.actor.name = '***'; event.target.name = '***'; };
  assert.deepEqual((await seen(both, leaf)).differs, []);
  const found = await seen(both, single);
  assert.deepEqual([found.differs, found.personal.size], [['actor.name', 'target.name'], 0]);
});

test('which keys say that an address stands there is as the specification says', () => {
  const { ip_key: keys } = vectors('sealing-text');
  for (const key of keys.yes) assert.ok(namesIp(key), key);
  for (const key of keys.no) assert.ok(!namesIp(key), key);
});

test('what the server says of a sealed value is held against what leads to the commitment', async () => {
  for (const [path, change] of [
    ['actor.name', (event) => { event.actor.name = 'Framed Person'; }],
    ['target.id', (event) => { event.target.id = 'framed@example.com'; }],
    ['description', (event) => { event.description = 'mail framed@example.com "now"'; }],
    ['data.publicIpsSet.0', (event) => { event.data.publicIpsSet[0] = '203.0.113.6'; }],
    ['metadata', (event) => { event.metadata = { made: 'up' }; }],
    ['actor.name', (event) => { delete event.actor.name; }],
  ]) {
    const one = sealed();
    change(one.record.event);
    const found = await held(await hashed(one), asked);
    assert.deepEqual(found.differs, [path]);
    const { sealed: _, ...event } = found.record.event;
    assert.deepEqual(event, verbatim(record.event), `${path}: what was committed is shown`);
    assert.ok(!found.personal.has('metadata.made'));
  }
});

test('what does not lead to a commitment is refused for its subject alone, whose values are not shown', async () => {
  const changed = (change) => (all) => {
    const of = all.find(({ subject }) => subject === ACTOR);
    of.disclosures = change(of.disclosures);
    return all;
  };
  const other = (text) => text.replace('Bob', 'Rob');
  for (const [why, change] of [
    [/does not lead/, changed((texts) => texts.map(other))],
    [/does not lead/, changed((texts) => texts.map((text) => text.replace('"a2d3', '"a2d4')))],
    [/does not lead/, changed((texts) => texts.slice(1))],
    [/does not lead/, changed((texts) => texts.map((text) => text.replace(',"Bob', ', "Bob')))],
    [/order/, changed((texts) => texts.toReversed())],
    [/order/, changed((texts) => [texts[0], ...texts])],
    [/form/, changed((texts) => ['["00","/actor/name","Bob"]', ...texts])],
    [/form/, changed((texts) => texts.map((text) => JSON.parse(text)))],
    [/no JSON/, changed((texts) => texts.map((text) => text.slice(0, -1)))],
    [/nothing to check/, changed(() => [])],
    [/nothing to check/, (all) => all.filter(({ subject }) => subject !== ACTOR)],
    [/twice/, (all) => [...all, all.find(({ subject }) => subject === ACTOR)]],
  ]) {
    const found = await held(await hashed(sealed({ disclosures: change(disclosed()) })), asked);
    const { state, why: said } = found.subjects.get(ACTOR);
    assert.equal(state, 'refused', String(change));
    assert.match(said, why);
    assert.deepEqual(states(found), { [ACTOR]: 'refused', [RECORD]: 'checked', [TARGET]: 'checked' });
    assert.deepEqual(found.record.event.actor, leafOf('actor'), 'nothing of it is shown');
    assert.equal(found.record.event.target.name, 'Amy');
    assert.ok(found.differs.includes('actor.name'));
  }
  // Where the server sends none at all, to who is told values as they are, none are shown.
  const found = await held(await hashed(sealed({})), asked);
  assert.deepEqual(new Set(Object.values(states(found))), new Set(['refused']));
  assert.deepEqual([found.record.event, found.personal.size], [verbatim(record.sealed_event), 0]);
  // Nor where it says that they stay sealed, and shows them.
  for (const personal of ['sealed', 'masked']) {
    const lied = await held(await hashed(sealed({ personal })), asked);
    assert.deepEqual(lied.record.event, verbatim(record.sealed_event));
    assert.ok(lied.differs.includes('actor.name') && lied.differs.includes('target.id'));
  }
  const foreign = [...disclosed(), { subject: 'sub_00', disclosures: [values[0].disclosure] }];
  for (const disclosures of [foreign, [null], { [ACTOR]: [] }, 7]) {
    assert.ok((await held(await hashed(sealed({ disclosures })), asked)).differs.includes('disclosures'));
  }
});

test('a commitment opens nothing but what sealing can have taken out of the leaf', async () => {
  const salt = 'ab'.repeat(32);
  const subject = 'sub_00000000000000000000000000000000';
  const committed = async (disclosures, change = () => {}) => {
    const hashes = await Promise.all(disclosures.map(leafHash));
    const inLeaf = { ...structuredClone(plainEvent), sealed: [{ root: hex(await rootOf(hashes)), subject }] };
    change(inLeaf);
    const whole = answer(around(JSON.stringify(inLeaf)), undefined, { disclosures: [{ subject, disclosures }] });
    return held(await hashed(whole), asked);
  };
  const at = (pointer, value = 'put in') => [JSON.stringify([salt, pointer, value])];
  for (const pointer of ['/data/new', '/data/list/0', '/data/a~1b~0', '/__proto__', '/data/constructor']) {
    const found = await committed(at(pointer), ({ data }) => { data.list[0] = '[sealed]'; });
    assert.equal(found.subjects.get(subject).state, 'checked', pointer);
    const name = pointer.slice(1).split('/').map((one) => one.replaceAll('~1', '/').replaceAll('~0', '~')).join('.');
    assert.equal(found.personal.get(name), 'checked', pointer);
  }
  assert.equal({}.list, undefined);
  for (const pointer of ['/outcome', '/category', '/actor/id', '/actor/type', '/target', '/target/uid', '/sealed/0/root',
    '/data/text', '/data/list/0', '/data/list/2', '/data/list/length', '/data/list/00', '/data/[sealed]', '/no/where',
    '/outcome/of']) {
    const found = await committed(at(pointer));
    assert.equal(found.subjects.get(subject).state, 'refused', pointer);
    assert.match(found.subjects.get(subject).why, /does not fit the leaf/, pointer);
    const { sealed: _, ...event } = found.record.event;
    assert.deepEqual(event, plainEvent, pointer);
  }
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
    ['"actor.id"', (event) => { event['actor.id'] = 'dana'; }],
    ['data."a.b"', (event) => { event.data['a.b'] = 1; }],
    ['decision', (event) => { event.decision = { result: 'approved' }; }],
    ['__proto__', (event) => { Object.defineProperty(event, '__proto__', { value: 1, enumerable: true }); }],
    ['sealed', (event) => { event.sealed = [{ subject: 'dana' }]; }],
  ];
  for (const [path, change] of cases) {
    const found = await held(await hashed(open(change)), asked);
    assert.deepEqual(found.differs, [path], String(change));
    assert.deepEqual([found.record.event, found.personal.size], [plainEvent, 0], path);
  }
  const { differs } = await held(await hashed(answer(around(JSON.stringify(plainEvent)), undefined)), asked);
  assert.deepEqual(differs, ['the event']);
});

test('what no policy can seal stands in the leaf, in a sealed record too', async () => {
  for (const [path, change] of [
    ['outcome', (event) => { event.outcome = 'denied_'; }],
    ['category', (event) => { event.category = 'other'; }],
    ['severity', (event) => { event.severity = 'low_'; }],
    ['actor.type', (event) => { event.actor.type = 'system_'; }],
  ]) {
    const one = sealed();
    change(one.record.event);
    assert.deepEqual((await held(await hashed(one), asked)).differs, [path], path);
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
