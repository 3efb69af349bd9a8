// A ledger of one's own: empty, with what others wrote, damaged lines of communication, keys.

import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { join } from 'node:path';
import { Place, browser, until, visit } from './support.js';

let place;
let chrome;
before(async () => { chrome = await browser(); });
after(async () => { await chrome?.close(); });
beforeEach(async () => {
  place = new Place();
  await place.serve();
});
afterEach(async () => { await place.remove(); });

const count = (page) => page.locator('#rows tr').count();

test('an empty ledger says so, and the first record appears', async () => {
  await visit(chrome, place, {}, async (page) => {
    await page.getByText('No records yet').waitFor();
    await place.send([{ description: 'the first one' }]);
    await page.locator('#rows tr').first().waitFor();
    await page.getByRole('combobox', { name: 'Query' }).fill('outcome:denied');
    await page.keyboard.press('Enter');
    await page.getByText('Nothing was found').waitFor();
    await page.getByRole('button', { name: 'Show all records' }).click();
    await page.locator('#rows tr').first().waitFor();
  });
});

test('a record shows its fields and a proof that the command accepts', async () => {
  const actor = { type: 'user', id: 'dana', name: 'Dana Petrov', email: 'dana@acme.example' };
  const [receipt] = await place.send([{ actor, description: 'looked at it', data: { pages: 3 } }]);
  await visit(chrome, place, {}, async (page) => {
    await page.locator('#rows tr', { hasText: 'document.viewed' }).click();
    await page.locator('.steps').waitFor();
    const panel = page.locator('#record');
    await panel.locator('.verdict.good').waitFor();
    assert.equal(await field(page, 'actor.name'), 'Dana Petrovpersonal');
    assert.equal(await field(page, 'actor.id'), 'dana');
    assert.equal(await field(page, 'data.pages'), '3');
    assert.equal(await field(page, 'audit_id'), receipt.audit_id);
    assert.ok((await panel.textContent()).includes(receipt.record_hash));
    await panel.getByText('The leaf, as it was hashed').click();
    const leaf = await panel.locator('pre').textContent();
    assert.ok(leaf.includes(receipt.audit_id) && !leaf.includes('Petrov'), leaf);
    const saved = async (label) => {
      const download = page.waitForEvent('download');
      await panel.getByRole('button', { name: label }).click();
      const path = join(place.path, label);
      await (await download).saveAs(path);
      return path;
    };
    const proof = await saved('Save the proof');
    const key = place.run('keys', 'show', '--data', 'data').trim();
    place.run('verify', '--proof', proof, '--key', key);
    assert.equal(await panel.locator('.key').textContent(), key);
    // A key of one's own is what the proof is held against, and stays.
    await panel.getByText('Check with a key of your own').click();
    await panel.getByLabel('Verifier key').fill(key.replace(/\+[0-9a-f]{8}\+/, '+00000000+'));
    await panel.getByRole('button', { name: 'Check with it' }).click();
    await panel.getByText('the id is not that of the name and the key').waitFor();
    await panel.getByLabel('Verifier key').fill(key);
    await panel.getByRole('button', { name: 'Check with it' }).click();
    await panel.getByText('under the key that you gave').waitFor();
    await saved('Save its bytes');
  });
});

/** The value of a field in the record that is open. */
const field = (page, name) => page.locator('#record dt', { hasText: new RegExp(`^${name.replace('.', '\\.')}$`) })
  .locator('xpath=following-sibling::dd[1]').textContent();

test('numbers are shown as they were sent, to the digit', async () => {
  const numbers = { n: '12345678901234567890', m: '1.50', e: '-1E+2', small: '7', exact: '0.1' };
  const members = Object.entries(numbers).map(([name, token]) => `"${name}":${token}`).join();
  const text = 'say "1.0", \\\\ 12345678901234567890';
  const body = `{"event_type":"a.b","outcome":"success","actor":{"type":"user","id":"dana"},
    "data":{${members},"text":${JSON.stringify(text)}}}`;
  const response = await fetch(`${place.url}/v1/events?tenant=acme`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body,
  });
  assert.equal(response.status, 201);
  await visit(chrome, place, {}, async (page) => {
    await page.locator('#rows tr', { hasText: 'a.b' }).click();
    await page.locator('.steps').waitFor();
    for (const [name, token] of Object.entries(numbers)) assert.equal(await field(page, `data.${name}`), token);
    assert.equal(await field(page, 'data.text'), text);
  });
});

for (const width of [1280, 360]) {
  test(`words without a blank break, and no time is cut off, at ${width} pixels`, async () => {
    const long = 'w'.repeat(300);
    const times = ['2019-09-30T20:00:00Z', '2026-01-15T09:00:00Z', new Date().toISOString()];
    await place.send(times.map((occurred_at) => ({
      occurred_at, description: long, event_type: `a.${'b'.repeat(200)}`, error: { message: long },
      actor: { type: 'user', id: 'u', name: long }, target: { type: 'file', id: long }, data: { [long]: long },
    })), 't'.repeat(128));
    await visit(chrome, place, { width }, async (page) => {
      const first = page.locator('#rows tr', { hasText: 'bbb' }).first();
      await first.waitFor();
      const cut = await page.locator('#rows td.time').evaluateAll((cells) => cells
        .filter((cell) => cell.scrollWidth > cell.clientWidth || cell.clientWidth === 0)
        .map((cell) => cell.textContent));
      assert.deepEqual(cut, []);
      assert.equal(await page.locator('#rows td.time', { hasText: '2019' }).count(), 1);
      const { width: name } = await first.locator('td.said').boundingBox();
      assert.ok(name > 90, `the event has ${name} pixels`);
      await first.click();
      await page.locator('.steps').waitFor();
      const beyond = await page.locator('#record').evaluate((panel) => {
        const { right } = panel.getBoundingClientRect();
        return [...panel.querySelectorAll('*')]
          .filter((element) => element.getBoundingClientRect().right > Math.min(right, window.innerWidth) + 1)
          .map((element) => element.outerHTML.slice(0, 80));
      });
      assert.deepEqual(beyond, [], 'beyond the panel');
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(over <= 0, 'the page is no wider than the window');
    });
  });
}

const MARKUP = '<img src=x onerror=alert(1)><script>alert(2)</script>';
const TURNED = 'invoice\u202efdp.exe';

test('hostile contents are text, and what hides is shown', async () => {
  await place.send([
    { actor: { type: 'user', id: MARKUP }, target: { type: 'file', id: TURNED }, description: MARKUP,
      data: { [MARKUP]: 'javascript:alert(3)', none: 'a\u0000b', long: 'x'.repeat(58_000) } },
    { actor: { type: 'user', id: 'y'.repeat(200) }, description: 'z'.repeat(8_000) },
    { actor: { type: 'user', id: '__proto__', name: 'constructor' }, data: { constructor: { toString: 'x' } } },
    { actor: { type: 'user', id: 'ada\u00adm' }, target: { type: 'file', id: 'tag\u{e0061}\u3164' } },
  ]);
  await visit(chrome, place, { path: '/?columns=time,actor,event,target' }, async (page) => {
    const row = page.locator('#rows tr', { hasText: '<img' });
    await row.waitFor();
    assert.ok((await row.locator('td.actor').textContent()).startsWith('<img src=x onerror=alert(1)>'));
    assert.equal(await row.locator('td.target').textContent(), 'invoice\\u202efdp.exe');
    assert.equal(await row.locator('.unseen').textContent(), '\\u202e');
    const alike = page.locator('#rows tr', { hasText: 'ada\\u00adm' });
    assert.equal(await alike.locator('td.target').textContent(), 'tag\\u{e0061}\\u3164');
    assert.deepEqual(await alike.locator('td.actor > [title], td.target > [title]').evaluateAll((all) => all.map(({ title }) => title)),
      ['ada\\u00adm', 'tag\\u{e0061}\\u3164']);
    await row.click();
    const panel = page.locator('#record');
    await panel.locator('.steps').waitFor();
    await panel.locator('.verdict.good').waitFor();
    const text = await panel.textContent();
    for (const part of [MARKUP, 'javascript:alert(3)', 'a\\u0000b', TURNED.replace('\u202e', '\\u202e')]) {
      assert.ok(text.includes(part), part);
    }
    assert.ok(!text.includes('\u202e') && !text.includes('\u0000'));
    assert.equal((await panel.locator('.long').first().textContent()).length, 58_000);
    assert.ok((await panel.locator('.long').first().boundingBox()).height < 300, 'a long value scrolls');
    await panel.getByText('The leaf, as it was hashed').click();
    for (const part of ['img[src="x"]', 'script:not([src])', '[onerror]', 'a[href^="javascript"]']) {
      assert.equal(await page.locator(part).count(), 0, part);
    }
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(over <= 0, 'the page is no wider than the window');
    await page.keyboard.press('Escape');
    await page.locator('#rows tr', { hasText: 'constructor' }).click();
    await panel.locator('.verdict.good').waitFor();
  });
});

test('rows that are out of sight are not there, and what is kept of a record is small', async () => {
  const long = 'x'.repeat(55_000);
  const events = (at) => Array.from({ length: 50 }, (_, n) => ({
    occurred_at: new Date(Date.now() - 3_600_000 + (at * 50 + n) * 1000).toISOString(),
    actor: { type: 'user', id: `user-${at}` }, description: `number ${n}`, data: { long },
  }));
  for (let at = 0; at < 12; at += 1) await place.send(events(at));
  await visit(chrome, place, {}, async (page) => {
    const loaded = () => page.locator('#table').getAttribute('aria-rowcount').then((text) => Number(text) - 1);
    await until(async () => await loaded() >= 50, 'the first page');
    await until(async () => {
      await page.mouse.move(800, 700);
      await page.mouse.wheel(0, 20_000);
      return await loaded() === 601;
    }, 'all of them, by scrolling alone');
    assert.ok(await count(page) < 80, `${await count(page)} rows in the document`);
    const cdp = await page.context().newCDPSession(page);
    await cdp.send('HeapProfiler.collectGarbage');
    const { usedSize } = await cdp.send('Runtime.getHeapUsage');
    assert.ok(usedSize < 16 << 20, `${usedSize} bytes are held; the records have ${600 * long.length}`);
    // What comes leaves what is looked at where it is.
    const middle = () => page.evaluate(() => document.elementFromPoint(600, 500).closest('tr')?.dataset.name);
    const before = await middle();
    await place.send(Array.from({ length: 120 }, () => ({ actor: { type: 'user', id: 'burst' } })));
    await until(async () => await loaded() === 721, 'the burst');
    assert.equal(await middle(), before, 'what is looked at stays');
    await page.evaluate(() => window.scrollTo(0, 0));
    await until(async () => (await page.locator('#rows td.actor').first().textContent()) === 'burst', 'the newest');
    const numbers = (await page.locator('#rows td.number > span:first-child').allTextContents()).map(Number);
    numbers.forEach((number, n, all) => {
      if (n) assert.equal(number, all[n - 1] - 1, 'no record is missing between two rows');
    });
  });
});

test('loading is seen, errors are told, and it goes on when the server is back', async () => {
  await place.send([{ description: 'one' }]);
  const expected = ['Failed to load resource'];
  await visit(chrome, place, { expected }, async (page) => {
    await page.locator('#rows tr').first().waitFor();
    let release;
    const held = new Promise((done) => { release = done; });
    await page.route('**/v1/records?*', async (route) => { await held; await route.continue(); });
    await page.goto(place.url);
    await page.getByText('Reading the records').waitFor();
    assert.equal(await page.locator('#records').getAttribute('aria-busy'), 'true');
    release();
    await page.locator('#rows tr').first().waitFor();
    assert.equal(await page.getByText('Reading the records').isVisible(), false);
    await page.unroute('**/v1/records?*');
    const problem = { status: 503, detail: 'too many searches are waiting', next: 'send it again' };
    const refused = { status: 503, contentType: 'application/problem+json', body: JSON.stringify(problem) };
    await page.route('**/v1/records?*', (route) => route.fulfill(refused));
    await page.getByRole('button', { name: 'Search' }).click();
    const alert = page.locator('#error');
    await alert.getByText('too many searches are waiting').waitFor();
    await page.unroute('**/v1/records?*');
    await alert.waitFor({ state: 'hidden' });
    await page.route('**/v1/records/*', (route) => route.fulfill(refused));
    await page.locator('#rows tr').first().click();
    const record = page.locator('#record');
    await record.getByText('The record cannot be shown.').waitFor();
    await record.getByText(/^It is tried again in \d+ s\./).waitFor();
    await page.unroute('**/v1/records/*');
    await record.locator('.verdict.good').waitFor();
    await page.keyboard.press('Escape');
    await page.route('**/v1/records/*', (route) => route.fulfill(refused));
    await page.locator('#rows tr').first().click();
    await record.getByText('The record cannot be shown.').waitFor();
    await page.unroute('**/v1/records/*');
    await page.locator('#rows tr').first().click();
    await record.locator('.verdict.good').waitFor();
    await page.keyboard.press('Escape');
    const problems = page.locator('#error');
    const { port } = new URL(place.url);
    await place.stop();
    await problems.getByText('The server cannot be reached').waitFor();
    assert.ok(await count(page) > 0, 'what was read stays');
    await place.serve({ port });
    await problems.waitFor({ state: 'hidden' });
    await place.send([{ actor: { type: 'user', id: 'after-it' } }]);
    await page.locator('#rows tr', { hasText: 'after-it' }).waitFor();
  });
});

test('a server with keys asks for one', async () => {
  await place.send([{ description: 'one' }]);
  await place.stop();
  const create = (role) => place.run('keys', 'create', '--role', role, '--all-tenants', '--data', 'data').trim();
  // The first key is an admin's.
  create('admin');
  const key = create('reader');
  await place.serve();
  await visit(chrome, place, { expected: ['401 (Unauthorized)'] }, async (page) => {
    const field = page.getByLabel('This server asks for a key');
    await field.fill(`${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`);
    await field.press('Enter');
    await page.getByRole('alert').getByText('no key that is in force').waitFor();
    assert.equal(await count(page), 0);
    await field.fill(key);
    await field.press('Enter');
    await page.locator('#rows tr').first().waitFor();
    assert.equal(await field.isVisible(), false);
    assert.equal(await page.locator('#banner').isVisible(), false);
    await page.reload();
    await page.locator('#rows tr').first().waitFor();
  });
});

test('a server that is closed, or a key that is revoked, while the page is open', async () => {
  await place.send([{ description: 'one' }]);
  const manage = (key, ...words) => {
    place.env = { ...place.env, INDELIBLE_API_KEY: key };
    return place.run('keys', ...words, '--url', place.url).trim();
  };
  await visit(chrome, place, { expected: ['401 (Unauthorized)'] }, async (page) => {
    await page.locator('#rows tr').first().click();
    await page.locator('.steps').waitFor();
    const banner = page.locator('#banner');
    const command = `indelible keys create --role admin --url ${place.url}`;
    assert.ok((await banner.textContent()).includes(command), 'the banner says how to close it');
    const admin = manage('', ...command.split(' ').slice(2, 5));
    const reader = manage(admin, 'create', '--role', 'reader', '--all-tenants');
    const login = page.getByLabel('This server asks for a key');
    const shut = async () => {
      await login.waitFor();
      await until(async () => await count(page) === 0, 'the records to go');
      for (const gone of ['#record', '#banner', '#more', '#facets li', '#histogram .field']) {
        assert.equal(await page.locator(gone).first().isVisible(), false, gone);
      }
      assert.equal(await page.locator('#live').getAttribute('aria-pressed'), 'false');
      assert.equal(await page.evaluate(() => document.activeElement.id), 'key');
      assert.ok(!(await page.locator('body').textContent()).includes('Authorization'));
    };
    await shut();
    assert.equal(await page.getByRole('alert').isVisible(), false, 'nothing was wrong yet');
    let asked = 0;
    page.on('request', () => { asked += 1; });
    await page.waitForTimeout(6000);
    assert.equal(asked, 0, 'nobody is asked without a key');
    await login.fill(reader);
    await login.press('Enter');
    await page.locator('#rows tr').first().waitFor();
    assert.equal(await login.isVisible(), false);
    assert.equal(await page.locator('#live').getAttribute('aria-pressed'), 'true');
    manage(admin, 'revoke', reader.split('_')[1]);
    await shut();
    await page.getByRole('alert').getByText('no key that is in force').waitFor();
    await login.fill('ind_…');
    await login.press('Enter');
    await page.getByRole('alert').getByText('characters that no key has').waitFor();
  });
});
