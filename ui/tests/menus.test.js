// What is pressed, chosen and kept: views, times in UTC, the forms of the administration, and what a frame is given.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Place, browser, until, visit } from './support.js';

const KEPT = 'indelible-views';
const FAILED = ['Failed to load resource'];

let place;
let closed;
let chrome;
let admin;
let viewer;
let masked;
before(async () => {
  place = new Place();
  closed = new Place();
  chrome = await browser();
  await place.serve();
  await closed.serve();
  const at = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  await place.send([{ occurred_at: at(1) }, { occurred_at: at(200), outcome: 'denied' }]);
  const near = Array.from({ length: 9 }, (_, n) => ({ occurred_at: at(n * 60) }));
  await place.send([...near, { occurred_at: '1970-01-01T00:00:00Z' }], 'few');
  [masked] = await closed.send([{ actor: { type: 'user', id: 'dana@acme.example', name: 'Dana Petrov', email: 'dana@acme.example',
    ip: '192.0.2.17' } }, { outcome: 'denied' }]);
  admin = await closed.make({ role: 'admin', tenants: '*' });
  // What a viewer sees is what the key that made the token sees.
  const reader = await closed.make({ role: 'reader', tenants: ['acme'] }, { by: admin });
  viewer = await closed.make({ tenant: 'acme' }, { path: 'viewer-tokens', by: reader });
});
after(async () => {
  await chrome?.close();
  await place?.remove();
  await closed?.remove();
});

const onPage = (page) => page.evaluate(() => document.activeElement !== document.body);

test('one view more than are kept is refused in words, and none is thrown away', async () => {
  await visit(chrome, place, { path: '/?live=off&q=outcome:denied' }, async (page) => {
    await page.evaluate(([name, all]) => localStorage.setItem(name, JSON.stringify(all)),
      [KEPT, Array.from({ length: 50 }, (_, n) => ({ name: `view ${n}`, q: '', columns: '' }))]);
    await page.reload();
    const menu = page.locator('#views');
    await menu.locator('summary').click();
    await menu.getByLabel('Name of the view').fill('one more');
    await menu.getByRole('button', { name: 'Keep' }).click();
    await menu.getByRole('status').getByText('Not kept: 50 views are kept at most. Forget one first.').waitFor();
    assert.equal(await menu.getByLabel('Name of the view').inputValue(), 'one more', 'what was written stays');
    const kept = () => page.evaluate((name) => JSON.parse(localStorage.getItem(name)).map((one) => one.name), KEPT);
    assert.equal((await kept()).length, 50);
    // One that is there may be kept anew, and where one was forgotten is room.
    await menu.getByLabel('Name of the view').fill('view 7');
    await menu.getByRole('button', { name: 'Keep' }).click();
    await menu.getByRole('status').getByText('Kept: view 7').waitFor();
    await menu.getByRole('button', { name: 'Forget view 3', exact: true }).click();
    await menu.getByLabel('Name of the view').fill('one more');
    await menu.getByRole('button', { name: 'Keep' }).click();
    await menu.getByRole('status').getByText('Kept: one more').waitFor();
    assert.ok((await kept()).includes('one more') && !(await kept()).includes('view 3'));
  });
});

test('the menu of views keeps the keyboard, says what came of it, and Esc closes it', async () => {
  await visit(chrome, place, { path: '/?live=off&q=outcome:denied' }, async (page) => {
    const menu = page.locator('#views');
    const inMenu = () => menu.evaluate((one) => one.contains(document.activeElement));
    await menu.locator('summary').focus();
    await page.keyboard.press('Enter');
    await menu.getByLabel('Name of the view').focus();
    await page.keyboard.type('denied');
    await page.keyboard.press('Enter');
    await menu.getByRole('status').getByText('Kept: denied').waitFor();
    assert.ok(await inMenu(), 'the keyboard is in the menu');
    await menu.getByRole('button', { name: 'Forget denied' }).focus();
    await page.keyboard.press('Enter');
    await menu.getByRole('status').getByText('Forgotten: denied').waitFor();
    assert.ok(await inMenu());
    await page.keyboard.press('Escape');
    assert.equal(await menu.evaluate((one) => one.open), false);
    // What is kept in another form is none.
    await page.evaluate((name) => localStorage.setItem(name, JSON.stringify([{ name: 'odd', q: {} }, { name: 'fine', q: 'outcome:denied' }])), KEPT);
    await page.reload();
    await menu.locator('summary').click();
    assert.deepEqual(await menu.locator('li a').allTextContents(), ['fine']);
  });
});

test('times in UTC: the button says what was chosen, and the hours of the overview turn at once', async () => {
  await visit(chrome, place, { path: '/?live=off', zone: 'UTC' }, async (page) => {
    await page.locator('#rows tr').first().waitFor();
    assert.equal(await page.locator('#utc').getAttribute('aria-pressed'), 'false');
    await page.keyboard.press('u');
    assert.equal(await page.locator('#utc').getAttribute('aria-pressed'), 'true');
  });
  await visit(chrome, place, { path: '/?page=overview', zone: 'Asia/Kolkata' }, async (page) => {
    const ends = page.locator('.hours .ends');
    await ends.waitFor();
    const before = await ends.textContent();
    await page.keyboard.press('u');
    // Well before the page reads anew by itself.
    await page.waitForFunction((old) => document.querySelector('.hours .ends').textContent !== old, before, { timeout: 5000 });
    assert.match(await ends.textContent(), /:00/);
  });
});

test('one record of 1970 among ten does not stretch the histogram', async () => {
  await visit(chrome, place, { path: '/?live=off&q=tenant:few' }, async (page) => {
    const left = page.locator('#histogram .left');
    await until(async () => await left.count() && /^Not drawn: 1 older\.$/.test(await left.textContent()), 'what is not drawn');
    const most = Number(await page.locator('#histogram .field').getAttribute('aria-valuemax')) + 1;
    assert.ok(most > 5, `${most} bars`);
    assert.match(await page.locator('#histogram output').textContent(), /: \d+ records?$/);
  });
});

test('administration: what is pressed keeps the keyboard, what is missing is asked for, and its parts are a step away', async () => {
  await visit(chrome, closed, { path: '/?page=admin', expected: FAILED, width: 390 }, async (page) => {
    await page.getByLabel('This server asks for a key').fill(admin);
    await page.keyboard.press('Enter');
    const keys = page.locator('section', { has: page.getByRole('heading', { name: 'Keys' }) });
    await keys.getByLabel('Role', { exact: true }).selectOption('reader');
    const button = keys.getByRole('button', { name: 'Make a key' });
    await button.focus();
    await page.keyboard.press('Enter');
    await keys.locator('.finding').waitFor();
    assert.equal(await keys.locator('.finding').textContent(), 'Say for which tenants the key is: their names, parted by commas, or * for all.');
    const field = keys.getByLabel('Tenants, parted');
    assert.ok(await field.evaluate((one) => one === document.activeElement && one.ariaInvalid === 'true'));
    await field.fill('acme');
    await keys.getByLabel('Ends after').fill('a while');
    await button.focus();
    await page.keyboard.press('Enter');
    await until(async () => !/Say for which/.test(await keys.locator('.finding').textContent()), 'the refusal');
    assert.ok(await onPage(page), 'the keyboard stays');
    assert.doesNotMatch(await keys.locator('.finding').textContent(), /`/);
    await keys.getByLabel('Ends after').fill('');
    await button.focus();
    await page.keyboard.press('Enter');
    await keys.locator('.secret').waitFor();
    assert.ok(await button.evaluate((one) => one === document.activeElement), 'the keyboard is on the button');
    const jumps = page.getByRole('navigation', { name: 'On this page' });
    assert.deepEqual(await jumps.locator('a').allTextContents(), ['Tenants', 'Keys', 'Streams', 'Configuration in force']);
    await jumps.getByRole('link', { name: 'Configuration in force' }).click();
    const heading = page.getByRole('heading', { name: 'Configuration in force' });
    assert.ok(await heading.evaluate((one) => { const { top } = one.getBoundingClientRect(); return top >= 0 && top < innerHeight / 2; }));
    assert.ok(await page.locator('#admin-configuration').evaluate((one) => one === document.activeElement));
  });
});

test('a key that was put into the address of a frame is taken out of it, and stays refused', async () => {
  await visit(chrome, closed, { path: `/embed?q=outcome:denied#token=${admin}&accent=teal` }, async (page) => {
    const asked = [];
    page.on('request', (request) => { if (request.url().includes('/v1/')) asked.push(request.url()); });
    for (const step of ['come', 'reload']) {
      if (step === 'reload') await page.reload();
      await page.getByText('What this view was opened with is no viewer token').waitFor();
      assert.ok(!page.url().includes('ind_'), page.url());
      assert.ok(!JSON.stringify(await page.evaluate(() => history.state)).includes('ind_'));
    }
    assert.deepEqual(asked, []);
  });
});

for (const scheme of ['light', 'dark']) {
  for (const accent of ['%237a3e9d', '%23ffe14d', 'black', 'white']) {
    test(`a frame that is given one colour, ${decodeURIComponent(accent)}, can be read: ${scheme}`, async () => {
      await visit(chrome, closed, { path: `/embed#token=${viewer}&accent=${accent}`, scheme }, async (page) => {
        await page.locator('#rows tr').first().waitFor();
        const contrast = await page.evaluate(() => {
          const parts = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
          const light = (colour) => {
            const [r, g, b] = parts(colour).map((value) => value / 255)
              .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
          };
          const of = (one, other) => Math.max(light(one), light(other)) / Math.min(light(one), light(other));
          const { color, backgroundColor } = getComputedStyle(document.querySelector('button.main'));
          return [of(color, backgroundColor), of(backgroundColor, getComputedStyle(document.getElementById('top')).backgroundColor)];
        });
        for (const one of contrast) assert.ok(one >= 4.5, `${contrast}`);
      });
    });
  }
}

test('a customer is told of shapes without roles, and the name of the one tenant takes no room', async () => {
  const path = `/embed?record=acme%2F${masked.audit_id}#token=${viewer}`;
  await visit(chrome, closed, { path, width: 1280 }, async (page) => {
    await page.locator('#rows tr').nth(1).waitFor();
    for (const one of await page.locator('#table .tenant').all()) assert.equal(await one.isVisible(), false);
    await page.locator('#record .steps').waitFor();
    const text = await page.locator('#record').textContent();
    assert.match(text, /A personal value\. This view shows its shape alone, as the server says\./);
    assert.doesNotMatch(text, /privacy officer|the role of this key/i);
  });
});
