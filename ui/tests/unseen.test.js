// What a reader could not see is shown as an escape; in node, without a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { legible } from '../dom.js';

test('what is shown as nothing stands as an escape, so that two names that differ never look alike', () => {
  const unseen = [0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x17b4, 0x180b, 0x180e, 0x200b, 0x200c, 0x200d, 0x200e, 0x202e, 0x2028, 0x2060,
    0x2064, 0x206f, 0x2800, 0x3164, 0xfe00, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0x1d173, 0x1bca0, 0xe0001, 0xe0061, 0xe007f, 0xe0100, 0];
  for (const code of unseen) {
    const hex = code.toString(16);
    const escape = hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, '0')}`;
    assert.equal(legible(`da${String.fromCodePoint(code)}na`), `da${escape}na`, hex);
    assert.equal(legible(`dana${String.fromCodePoint(code)}`), `dana${escape}`, hex);
  }
  assert.equal(legible('a\ud800b'), 'a\\ud800b');
  // Emoji keep what joins and dresses them as escapes.
  assert.equal(legible('\u2764\ufe0f \u{1f469}\u200d\u{1f4bb}'), '\u2764\\ufe0f \u{1f469}\\u200d\u{1f4bb}');
});

test('joiners stay where the eye sees what they do, and nowhere else', () => {
  for (const text of ['\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645', '\u0915\u094d\u200d\u0937', '\u0915\u094d\u200c\u0937', 'Zo\u00eb', '\u5c71\u7530\u3000\u592a\u90ce',
    '\u{1f600}', 'caf\u0065\u0301']) assert.equal(legible(text), text);
  // After a letter that joins no next one, twice, and at an end there is nothing to see.
  assert.equal(legible('\u0627\u200c\u0646'), '\u0627\\u200c\u0646');
  assert.equal(legible('\u0645\u200c\u200c\u062e'), '\u0645\\u200c\\u200c\u062e');
  assert.equal(legible('\u0645\u200c'), '\u0645\\u200c');
  assert.equal(legible('\u0915\u200d\u0937'), '\u0915\\u200d\u0937');
});
