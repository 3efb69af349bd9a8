// Before and after of a change: what differs, place by place. It is no diff of texts, asks nobody, and runs in node as
// it does in a browser. What differs is always a line of its own, and the two sides of a line are never written alike.

import { pathName } from './json.js';

const plain = (value) => value === null || typeof value !== 'object';
const kindOf = (value) => (Array.isArray(value) ? 'list' : 'object');
const keysOf = (value) => (value === undefined || plain(value) ? [] : Object.keys(value));
const inner = (value, key) => (value !== undefined && Object.hasOwn(value, key) ? value[key] : undefined);

/** A value as it is read: a text as it stands, all else as JSON. */
export const textOf = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

/** A text as the eye has it, which sees no blanks at its ends and not how a letter is put together. */
const looks = (text) => text.replace(/\s+/g, ' ').trim().normalize();
const ascii = (text) => text.replace(/[^\x20-\x7e]/gu, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);

/** Both sides as texts: with quotes where they would be read as the same, to the code point where these look alike too. */
function told(old, now) {
  const sides = [old, now];
  if (old === undefined || now === undefined || looks(textOf(old.value)) !== looks(textOf(now.value))) {
    return sides.map((one) => one && textOf(one.value));
  }
  const quoted = sides.map(({ value, isNumber }) => (isNumber ? value : JSON.stringify(value)));
  return looks(quoted[0]) === looks(quoted[1]) ? quoted.map(ascii) : quoted;
}

/**
 * What differs between two values: of each place its name and both texts, of which one that is not there is undefined;
 * and how many places are the same. `digits` has of each value what `digitsIn` says of it: numbers that are held as
 * texts are no texts.
 */
export function differences(before, after, digits = {}) {
  const rows = [];
  let same = 0;
  const side = (value, number) => (value === undefined ? undefined
    : { value, isNumber: typeof value === 'string' && number === null });
  const compare = ([own, ownDigits], [other, otherDigits], path) => {
    const both = [own, other].filter((value) => value !== undefined);
    const isInside = both.every((value) => !plain(value)) && new Set(both.map(kindOf)).size === 1
      && both.some((value) => keysOf(value).length > 0);
    if (isInside) {
      for (const key of new Set([...keysOf(own), ...keysOf(other)])) {
        compare([inner(own, key), inner(ownDigits ?? undefined, key)],
          [inner(other, key), inner(otherDigits ?? undefined, key)], [...path, key]);
      }
      return;
    }
    const [old, now] = [side(own, ownDigits), side(other, otherDigits)];
    const isSame = old && now && old.isNumber === now.isNumber && JSON.stringify(own) === JSON.stringify(other);
    if (isSame) same += 1;
    else {
      const [was, is] = told(old, now);
      rows.push({ name: pathName(path), old: was, now: is });
    }
  };
  compare([before, digits.before], [after, digits.after], []);
  return { rows, same };
}
