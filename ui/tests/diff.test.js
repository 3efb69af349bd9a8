// Before and after: what differs is told, and the two sides of a line are never written alike; in node.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differences } from '../diff.js';
import { digitsIn, pathName, verbatim } from '../json.js';

const lines = (before, after) => differences(before, after).rows.map(({ name, old, now }) => [name, old, now]);

test('a key with a dot hides no change below another key', () => {
  const { rows, same } = differences({ role: { admin: false }, 'role.admin': false }, { role: { admin: true }, 'role.admin': false });
  assert.deepEqual([rows, same], [[{ name: 'role.admin', old: 'false', now: 'true' }], 1]);
  assert.deepEqual(lines({ role: { admin: false } }, { 'role.admin': false }),
    [['role.admin', 'false', undefined], ['"role.admin"', undefined, 'false']]);
  const names = [['a.b'], ['a', 'b'], ['"a', 'b"'], ['"a.b"'], [''], [], ['', ''], ['"'], ['\\'], ['a', 'b.c'], ['a.b', 'c']].map(pathName);
  assert.equal(new Set(names).size, names.length, names.join(' '));
});

test('what is empty, of another kind or of another type is told as what it is', () => {
  for (const [before, after, old, now] of [
    [[], {}, '[]', '{}'], [{}, [], '{}', '[]'], [null, 'null', 'null', '"null"'], [1, '1', '1', '"1"'], ['true', true, '"true"', 'true'],
    [[], null, '[]', 'null'], ['[]', [], '"[]"', '[]'], ['', null, '', 'null'], [[1], { 0: 1 }, '[1]', '{"0":1}'],
    [{ a: 1 }, 'gone', '{"a":1}', 'gone'], ['dana', 'dana ', '"dana"', '"dana "'], ['a  b', 'a b', '"a  b"', '"a b"'],
    ['\u00e9', 'e\u0301', '"\\u{e9}"', '"e\\u{301}"'], [undefined, [], undefined, '[]'], [{}, undefined, '{}', undefined],
  ]) {
    assert.deepEqual(lines({ x: before, y: 1 }, { x: after, y: 1 }), [['x', old, now]], JSON.stringify([before, after]));
  }
  assert.deepEqual(lines({ roles: [] }, { roles: ['admin'] }), [['roles.0', undefined, 'admin']]);
  assert.deepEqual(lines('a', 'b'), [['', 'a', 'b']]);
  assert.deepEqual(differences({ a: [], b: {}, c: [1] }, { a: [], b: {}, c: [1] }), { rows: [], same: 3 });
  for (const key of ['__proto__', 'constructor', 'toString', 'length']) {
    assert.deepEqual(lines({}, JSON.parse(`{"${key}":{"x":1}}`)), [[`${key}.x`, undefined, '1']]);
  }
});

test('a number that JavaScript would write in another way is no text', () => {
  const json = '{"before":{"n":1.0,"m":2.50,"o":100000000000000000000},"after":{"n":"1.0","m":2.5,"o":100000000000000000000}}';
  const { before, after } = verbatim(json);
  const { rows, same } = differences(before, after, digitsIn(json));
  assert.deepEqual([rows, same], [[{ name: 'n', old: '1.0', now: '"1.0"' }, { name: 'm', old: '2.50', now: '2.5' }], 1]);
});
