// What the page asks for by each key: nothing that the key does not allow, since a refusal is recorded.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Place, browser, until, visit } from './support.js';

let place;
let chrome;
const keys = {};
before(async () => {
  chrome = await browser();
  place = new Place();
  await place.serve();
  keys.record = (await place.send([{ context: { request_id: 'run-1' }, actor: { type: 'agent', id: 'agent:a', name: 'Dana Petrov' },
    ai: { agent_type: 'a', trace: { node: 'plan' } } }]))[0].audit_id;
  await place.send([{}], 'globex');
  keys.admin = await place.make({ role: 'admin' });
  const make = (what) => place.make(what, { by: keys.admin });
  keys.emitter = await make({ role: 'emitter', tenants: ['acme'] });
  keys.reader = await make({ role: 'reader' });
  keys.bound = await make({ role: 'reader', tenants: ['acme'] });
  keys.narrowed = await make({ role: 'reader', tenants: ['acme'], query: 'actor.type:agent' });
  keys.auditor = await make({ role: 'auditor' });
  keys.theirs = await make({ role: 'auditor', tenants: ['acme'] });
  keys.officer = await make({ role: 'privacy_officer' });
  keys.viewer = await place.make({ tenant: 'acme' }, { path: 'viewer-tokens', by: keys.bound });
});
after(async () => {
  await chrome?.close();
  await place?.remove();
});

/** Opens pages with a key, one after the other, and gives what was refused meanwhile. */
async function by(key, paths, look) {
  const refused = [];
  await visit(chrome, place, { path: '/docs', expected: ['Failed to load'] }, async (page) => {
    page.on('response', (answer) => { if (answer.status() >= 400) refused.push(`${answer.status()} ${answer.url()}`); });
    for (const path of [paths].flat()) {
      await page.evaluate((one) => sessionStorage.setItem('indelible-key', one), key);
      await page.goto(place.url + path);
      await look?.(page, path);
    }
    // What is asked for is asked by now.
    await page.waitForTimeout(300);
  });
  return refused;
}

const record = () => `acme%2F${keys.record}`;
const PAGES = () => [`/?live=off&record=${record()}`, '/?page=overview', '/?page=trust', '/?page=trust&tenant=acme',
  '/?page=trust&tenant=no-such-log', '/?page=traces', `/?page=traces&record=${record()}`, '/?page=admin'];

test('a visit of every page by every kind of key asks for nothing that is refused, and leaves no access.denied', async () => {
  for (const name of ['reader', 'bound', 'narrowed', 'auditor', 'theirs', 'officer', 'admin', 'emitter', 'viewer']) {
    const look = async (page, path) => {
      const ready = path.includes('live=off') ? '#record .proof .verdict' : '#other .panel';
      await page.locator(name === 'emitter' || name === 'viewer' ? '#login:not([hidden])' : ready).first().waitFor();
      assert.equal(await page.locator('#other .failed').count(), 0, `${name} ${path}`);
      await page.waitForTimeout(100);
    };
    assert.deepEqual(await by(keys[name], PAGES(), look), [], name);
  }
  assert.deepEqual(await by('', `/embed?record=${record()}#token=${keys.viewer}`,
    (page) => page.locator('#record .proof .verdict').waitFor()), []);
  // What is noted is written when the server stops.
  const port = new URL(place.url).port;
  await place.stop();
  const denied = place.run('query', 'tenant:_system type:access.denied', '--data', 'data', '--json');
  assert.equal(denied.trim(), '', 'nothing was denied');
  await place.serve({ port });
});

test('what a key may not see is said in words', async () => {
  await by(keys.reader, '/?page=trust', async (page) => {
    const ledger = page.getByRole('region', { name: 'The ledger' });
    await ledger.getByText('The key in use is not shown signed checkpoints, which are for auditors.').waitFor();
    await page.locator('.log').first().waitFor();
  });
  await by(keys.narrowed, '/?page=trust', async (page) => {
    await page.getByText(/is not shown signed checkpoints.*; nor how many records logs have, their verdicts and their streams/).waitFor();
  });
  // Its badges are from proofs: how far whole logs are signed for it is not told.
  await by(keys.narrowed, '/?live=off', (page) => page.locator('#rows .badge.signed').first().waitFor());
  await by(keys.emitter, '/', async (page) => {
    const error = page.locator('#error');
    await error.getByText('The key in use is of the role emitter: it may send events, and read nothing.').waitFor();
    await error.getByText(/give a key of the role reader/).waitFor();
    // With a key that may, it goes on.
    await page.locator('#key').fill(keys.bound);
    await page.keyboard.press('Enter');
    await page.locator('#rows tr').first().waitFor();
    assert.equal(await error.isVisible(), false);
  });
  await by(keys.viewer, '/', (page) => page.getByText('This is a viewer token').waitFor());
});

test('who sees personal values as they are, and is sent shapes, is told that this is not as it should be', async () => {
  const path = `/?live=off&record=${record()}`;
  const words = /This is not as it should be: the key in use is of the role privacy officer, .* the server sends shapes/;
  await by(keys.officer, path, async (page) => {
    await page.locator('#record .proof .verdict.good').waitFor();
    assert.equal(await page.getByText(words).count(), 0);
    await page.route(/\/v1\/records\/[^/?]+(?:\?|$)/, async (route) => {
      const answer = await (await route.fetch()).json();
      delete answer.disclosures;
      answer.personal = 'masked';
      answer.record.event.actor.name = '***';
      await route.fulfill({ json: answer });
    });
    await page.reload();
    await page.locator('#record .verdict.warn', { hasText: words }).waitFor();
  });
  // To a reader shapes are what is to be expected, and a row that was proved says what of it was not.
  await by(keys.reader, path, async (page) => {
    await page.locator('#record .proof .verdict.good').waitFor();
    assert.equal(await page.locator('#record .verdict.warn').count(), 0);
    const badge = page.locator('#rows tr[aria-current] .badge.proved');
    await until(async () => /checked in this browser; masked values are the server.s word/.test(await badge.getAttribute('title')), 'the badge');
  });
});
