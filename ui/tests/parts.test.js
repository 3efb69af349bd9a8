// Pages of which a part does not come: what answered is shown, what failed says why, and is tried again for itself.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Place, browser, until, visit } from './support.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let place;
let chrome;
before(async () => {
  chrome = await browser();
  place = new Place();
  await place.serve();
  const at = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  await place.send([...Array.from({ length: 30 }, (_, n) => ({ occurred_at: at(n * 70 + 2), outcome: n % 3 ? 'success' : 'denied',
    actor: { type: 'user', id: `user-${n % 4}`, ip: `192.0.2.${n % 5}` } })), { outcome: 'failure' }]);
});
after(async () => {
  await chrome?.close();
  await place?.remove();
});

const BUSY = { status: 503, headers: { 'retry-after': '9' }, contentType: 'application/json',
  body: '{"detail":"made-up detail","next":"another time"}' };

/** Opens a page of a server on which what matches a path fails, as long as `isDown.now`. */
async function without(which, path, look) {
  const isDown = { now: true, asked: 0 };
  await visit(chrome, place, { path: '/docs', expected: ['Failed to load resource'] }, async (page) => {
    await page.route((url) => which.test(url.pathname + url.search), (route) => {
      isDown.asked += 1;
      return isDown.now ? route.fulfill(BUSY) : route.continue();
    });
    await page.goto(place.url + path);
    await look(page, isDown);
  });
}

for (const [name, which, path, title, stays, store] of [
  ['trust without its streams', /^\/v1\/streams/, '/?page=trust', 'What is known of streams', '.log', /The store of streams \(\/v1\/streams\) answered 503/],
  ['trust without its logs', /^\/v1\/tenants/, '/?page=trust', 'The logs and their verdicts', 'text=The newest signed checkpoint is of', /The list of logs and verdicts \(\/v1\/tenants\) answered 503/],
  ['trust without its checkpoints', /^\/v1\/checkpoints/, '/?page=trust', 'The newest checkpoint', '.log', /\/v1\/checkpoints\) answered 503/],
  ['the overview without a count', /^\/v1\/counts.*denied/, '/?page=overview', 'Denied', '.figure >> text=Committed', /The index \(\/v1\/counts\) answered 503/],
  ['administration without its keys', /^\/v1\/keys/, '/?page=admin', 'Keys', 'text=server.listen', /The store of keys \(\/v1\/keys\) answered 503/],
]) {
  test(`${name}: the rest is shown, and that part is tried again for itself`, async () => {
    await without(which, path, async (page, isDown) => {
      const part = page.getByRole('region', { name: title, exact: true });
      await part.waitFor();
      await page.locator(stays).first().waitFor();
      const text = await part.textContent();
      assert.match(text, new RegExp(`${title} could not be read\\. made-up detail`));
      assert.match(text, store);
      assert.equal(await page.locator('#error').isVisible(), false, 'the page is there');
      assert.equal(await page.locator('#other .failed').count(), 1, 'it is said once');
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => window.axe.run());
      assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`), []);
      isDown.now = false;
      const others = [];
      page.on('request', (request) => { if (/\/v1\/(?!tail)/.test(request.url())) others.push(new URL(request.url())); });
      await part.getByRole('button', { name: 'Try now' }).click();
      await part.waitFor({ state: 'detached' });
      for (const url of others) assert.match(url.pathname + url.search, which, 'nothing else is asked again');
    });
  });
}

test('a part that takes long keeps no other from being shown', async () => {
  await visit(chrome, place, { path: '/docs' }, async (page) => {
    let goOn;
    const held = new Promise((done) => { goOn = done; });
    await page.route('**/v1/streams?*', async (route) => {
      await held;
      await route.continue();
    });
    await page.goto(`${place.url}/?page=trust`);
    await page.locator('.log').first().waitFor();
    await page.getByText('What is known of streams: reading …').waitFor();
    goOn();
    await page.getByText('What is known of streams: reading …').waitFor({ state: 'detached' });
    assert.ok(await page.locator('.log').count() > 0);
  });
});

test('a query that is wrong is told once, for the whole page', async () => {
  await visit(chrome, place, { path: '/?page=overview&q=outcome%3A%28', expected: ['Failed to load resource'] }, async (page) => {
    await page.locator('#error').waitFor();
    assert.equal(await page.locator('#q').getAttribute('aria-invalid'), 'true');
    assert.equal(await page.locator('#other .failed').count(), 0);
  });
});

test('a proof that cannot be had now is not said to be none, and is tried again', async () => {
  const [{ tenant_id: tenant, audit_id: id }] = await place.send([{}]);
  await without(/\/(?:proof|related)\?/, `/?live=off&record=${tenant}%2F${id}`, async (page, isDown) => {
    const proof = page.locator('#record .proof');
    await proof.getByText('The proof could not be read, so nothing is proved yet. made-up detail').waitFor();
    const text = await proof.textContent();
    assert.match(text, /The log, with its checkpoints \(\/v1\/records\/.*\/proof\) answered 503\./);
    assert.doesNotMatch(text, /There is no proof/);
    isDown.now = false;
    await proof.getByRole('button', { name: 'Try now' }).click();
    await proof.locator('.verdict.good').waitFor();
    await page.getByRole('region', { name: 'What belongs to it' }).getByRole('button', { name: 'Try now' }).click();
    await page.getByText('It names no parent').waitFor();
  });
});

test('the wait is counted down for the eye, is not read out, and ends with a try', async () => {
  await without(/^\/v1\/checkpoints/, '/?page=trust', async (page, isDown) => {
    const part = page.getByRole('region', { name: 'The newest checkpoint', exact: true });
    await part.waitFor();
    const seconds = part.locator('.seconds');
    const first = Number(await seconds.textContent());
    assert.ok(first >= 7 && first <= 9, `${first} s, as the server says`);
    await until(async () => Number(await seconds.textContent()) <= first - 2, 'the count to go down');
    assert.equal(await seconds.locator('xpath=..').getAttribute('aria-hidden'), 'true');
    assert.equal(await part.locator('[aria-live], [role=status], [role=alert]').count(), 0);
    const { asked } = isDown;
    isDown.now = false;
    await until(() => isDown.asked > asked, 'the next try');
    await part.waitFor({ state: 'detached' });
  });
});

test('waits grow where it fails again, and are short again on another page', async () => {
  const body = '{"detail":"made-up detail"}';
  await visit(chrome, place, { path: '/docs', expected: ['Failed to load resource'] }, async (page) => {
    await page.route('**/v1/records?*', (route) => route.fulfill({ status: 500, contentType: 'application/json', body }));
    await page.route('**/v1/counts?*', (route) => route.fulfill({ status: 500, contentType: 'application/json', body }));
    await page.goto(`${place.url}/`);
    const seconds = async () => Number(await page.locator('#error .seconds').textContent());
    const again = async () => {
      const answer = page.waitForResponse('**/v1/records?*');
      await page.locator('#error').getByRole('button', { name: 'Try now' }).click();
      await answer;
      await page.waitForTimeout(200);
    };
    await page.locator('#error .seconds').waitFor();
    assert.ok(await seconds() <= 3);
    await again();
    await again();
    assert.ok(await seconds() > 8, `${await seconds()} s after three in vain`);
    // Another query is another matter.
    await page.locator('#q').fill('outcome:denied');
    await page.keyboard.press('Enter');
    await until(async () => await seconds() <= 3, 'a short wait');
    await again();
    await page.getByRole('link', { name: 'Overview' }).click();
    const part = page.getByRole('region', { name: 'From event to log', exact: true });
    await part.waitFor();
    assert.ok(Number(await part.locator('.seconds').textContent()) <= 3);
    assert.equal(await page.locator('#error').isVisible(), false, 'each part says so itself');
    await page.getByRole('link', { name: 'Records' }).click();
    await page.locator('#error .seconds').waitFor();
    assert.ok(await seconds() <= 3);
  });
});

test('each figure of the overview says of which time it is, and its link finds as many', async () => {
  await visit(chrome, place, { path: '/?page=overview' }, async (page) => {
    await page.locator('.top-list a').first().waitFor();
    const figures = await page.locator('.figure').evaluateAll((all) => all.map((one) => [one.getAttribute('href'),
      ...[...one.children].map((part) => part.textContent)]));
    assert.deepEqual(figures.map(([, title, , window]) => [title, window]).slice(0, 4), [['Records', 'happened in the last 24 h'],
      ['Failures', 'happened in the last 24 h'], ['Denied', 'happened in the last 24 h'],
      ['Committed', 'committed in the last minute, whenever they happened']]);
    const lists = await page.locator('.top-list a').evaluateAll((all) => all.map((one) => [one.getAttribute('href'),
      one.textContent, one.querySelector('.number').textContent]));
    assert.ok(lists.length > 8);
    const asked = [...figures.slice(0, 4), ...lists];
    // More comes meanwhile: the link is to what was counted.
    await place.send([{}, { outcome: 'denied' }]);
    for (const [link, title, said] of asked) {
      const q = new URL(link, place.url).searchParams.get('q');
      const { total } = await (await fetch(`${place.url}/v1/counts?${new URLSearchParams({ q })}`)).json();
      assert.equal(total, Number(said.replace(/\D/g, '')), `${title}: ${q}`);
    }
    const whole = Number(figures[0][2]);
    assert.ok(whole > 15 && whole < 31, `${whole} of the last day`);
  });
});
