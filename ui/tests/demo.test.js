// What a newcomer sees: the page of `serve --demo`.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Place, browser, until, visit } from './support.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let place;
let chrome;
before(async () => {
  place = new Place();
  chrome = await browser();
  await place.serve({ demo: true });
  const records = async () => {
    const { tenants } = await (await fetch(`${place.url}/v1/tenants`)).json();
    return tenants.reduce((sum, tenant) => sum + tenant.records, 0);
  };
  await until(async () => await records() > 3000, 'the events of the last days');
});
after(async () => {
  await chrome?.close();
  await place?.remove();
});

const names = (page) => page.locator('#rows tr').evaluateAll((rows) => rows.map((row) => row.dataset.name));
const rowsAre = (page, test) => until(async () => test(await names(page)), 'the rows');

test('events arrive by themselves, newest on top, each once', async () => {
  await visit(chrome, place, {}, async (page) => {
    await rowsAre(page, (rows) => rows.length >= 15);
    const before = await names(page);
    await rowsAre(page, (rows) => rows[0] !== before[0] && rows.includes(before[0]));
    const now = await names(page);
    assert.equal(new Set(now).size, now.length, 'each once');
    const stayed = now.slice(now.indexOf(before[0]));
    assert.deepEqual(stayed, before.slice(0, stayed.length), 'what was there stays in its order');
    const times = await page.locator('#rows time').evaluateAll((all) => all.map((time) => time.dateTime));
    assert.deepEqual(times, times.toSorted().reverse(), 'newest on top');
    await page.getByRole('button', { name: 'Live' }).click();
    const paused = await names(page);
    await page.waitForTimeout(4500);
    assert.deepEqual(await names(page), paused, 'paused is paused');
  });
});

test('a search finds, stands in the address, and shows older pages', async () => {
  await visit(chrome, place, {}, async (page) => {
    await page.getByRole('combobox', { name: 'Query' }).fill('outcome:denied tenant:acme');
    await page.getByRole('button', { name: 'Search' }).click();
    const cells = (kind) => page.locator(`#rows td.${kind}`).allTextContents();
    await until(async () => {
      const outcomes = await cells('outcome');
      // What is asked for has perhaps not been played yet, and a search is of the moment it was made.
      if (outcomes.length === 0) await page.getByRole('button', { name: 'Search' }).click();
      return new Set(outcomes).size === 1;
    }, 'only one outcome');
    assert.deepEqual([...new Set(await cells('outcome'))], ['denied']);
    assert.deepEqual([...new Set(await cells('tenant'))], ['acme']);
    assert.equal(new URL(page.url()).searchParams.get('q'), 'outcome:denied tenant:acme');
    await page.goto(`${place.url}/?q=tenant%3Aacme`);
    await rowsAre(page, (rows) => rows.length >= 15);
    const loaded = () => page.locator('#table').getAttribute('aria-rowcount').then(Number);
    await until(async () => await loaded() > 90, 'the first page');
    const first = await loaded();
    await page.getByRole('button', { name: 'Older records' }).click();
    await until(async () => await loaded() > first + 100, 'older ones');
    assert.equal(await page.locator('#live').getAttribute('aria-pressed'), 'true', 'what is new still comes');
  });
});

test('Back goes to the query before, and Forward to the one after', async () => {
  await visit(chrome, place, {}, async (page) => {
    const search = page.getByRole('combobox', { name: 'Query' });
    const shows = (q, outcomes) => until(async () => await search.inputValue() === q
      && new Set(await page.locator('#rows td.outcome').allTextContents()).size >= outcomes, q);
    await shows('', 2);
    for (const q of ['outcome:denied', 'outcome:failure']) {
      await search.fill(q);
      await page.keyboard.press('Enter');
      await until(async () => (await page.locator('#rows td.outcome').first().textContent()) === q.slice(8), q);
    }
    await page.goBack();
    await shows('outcome:denied', 1);
    await until(async () => (await page.locator('#rows td.outcome').first().textContent()) === 'denied', 'denied');
    await page.goBack();
    await shows('', 2);
    assert.equal(new URL(page.url()).search, '');
    await page.goForward();
    await shows('outcome:denied', 1);
  });
});

test('a query that is wrong is told at its column, and another one helps', async () => {
  await visit(chrome, place, { expected: ['400 (Bad Request)'] }, async (page) => {
    await page.locator('#rows tr').first().click();
    await page.locator('#record').waitFor();
    await page.getByRole('combobox', { name: 'Query' }).fill('actor:dana outcom:denied');
    await page.keyboard.press('Enter');
    const alert = page.getByRole('alert');
    await alert.waitFor();
    const [line, drawn, carets] = (await alert.locator('pre').textContent()).split('\n');
    assert.match(line, /^column 12: .*`outcom`/);
    assert.equal(carets.indexOf('^'), drawn.indexOf('outcom:'), `${drawn}\n${carets}`);
    assert.equal(await page.getByRole('combobox', { name: 'Query' }).getAttribute('aria-invalid'), 'true');
    assert.deepEqual(await names(page), [], 'nothing stands there that answers another query');
    assert.equal(await page.locator('#table').isVisible(), false);
    assert.equal(await page.locator('#record').isVisible(), false);
    await page.getByRole('combobox', { name: 'Query' }).fill('actor:dana outcome:success');
    await page.keyboard.press('Enter');
    await alert.waitFor({ state: 'hidden' });
    await rowsAre(page, (rows) => rows.length > 0);
  });
});

test('the keyboard alone reaches everything', async () => {
  await visit(chrome, place, {}, async (page) => {
    await rowsAre(page, (rows) => rows.length >= 15);
    const live = (pressed) => page.locator(`#live[aria-pressed=${pressed}]`);
    await live(true).click();
    await live(false).waitFor();
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'q');
    const focused = () => page.evaluate(() => document.activeElement.closest('tr')?.dataset.name);
    const all = await names(page);
    await page.locator('#live').focus();
    for (let tabs = 0; !(await focused()) && tabs < 16; tabs += 1) await page.keyboard.press('Tab');
    assert.equal(await focused(), all[0], 'Tab reaches the first row');
    await page.keyboard.press('j');
    assert.equal(await focused(), all[1]);
    await page.keyboard.press('k');
    assert.equal(await focused(), all[0]);
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    assert.equal(await focused(), all[2]);
    await page.keyboard.press('Tab');
    assert.equal(await focused(), undefined, 'the list is one stop');
    await page.keyboard.press('Shift+Tab');
    assert.equal(await focused(), all[2]);
    await page.keyboard.press('Enter');
    await page.locator('.steps').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H2');
    await page.keyboard.press('Escape');
    await page.locator('#record').waitFor({ state: 'hidden' });
    assert.equal(await focused(), all[2], 'the focus comes back');
  });
});

for (const width of [1440, 1200, 800, 390]) {
  test(`nothing is cut off at ${width} pixels`, async () => {
    await visit(chrome, place, { width }, async (page) => {
      await rowsAre(page, (rows) => rows.length >= 15);
      const over = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(await over() <= 0, 'the page is no wider than the window');
      const cut = await page.locator('#rows td.outcome, #rows td.time').evaluateAll((cells) => cells
        // A row that left the list meanwhile has no width.
        .filter((cell) => cell.isConnected && (cell.scrollWidth > cell.clientWidth
          || cell.getBoundingClientRect().right > window.innerWidth
          || cell.getBoundingClientRect().width === 0))
        .map((cell) => cell.textContent));
      assert.deepEqual(cut, []);
      await page.locator('#rows tr').nth(1).click();
      await page.locator('.steps').waitFor();
      assert.ok(await over() <= 0, 'nor with a record open');
      const box = await page.locator('#record').boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width, JSON.stringify(box));
    });
  });
}

for (const [scheme, width] of [['light', 1440], ['dark', 1440], ['light', 390]]) {
  test(`axe finds no fault: ${scheme}, ${width} pixels`, async () => {
    await visit(chrome, place, { scheme, width }, async (page) => {
      const faults = async () => {
        // Fading colours have no contrast of their own.
        await page.emulateMedia({ reducedMotion: 'reduce' });
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => window.axe.run());
        return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`);
      };
      await rowsAre(page, (rows) => rows.length >= 15);
      await until(() => page.locator('#facets li').count(), 'facets');
      assert.deepEqual(await faults(), []);
      await page.locator('#rows tr').nth(1).click();
      await page.locator('.steps').waitFor();
      await page.locator('#record .verdict.good').waitFor();
      await page.getByText('The leaf, as it was hashed').click();
      assert.deepEqual(await faults(), [], 'with a record open');
      await page.goto(`${place.url}/docs`);
      await page.locator('.routes summary').first().click();
      assert.deepEqual(await faults(), [], 'the page of the API');
    });
  });
}

test('the page of the API has every operation', async () => {
  const { paths } = await (await fetch(`${place.url}/openapi.json`)).json();
  const wanted = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
  await visit(chrome, place, { path: '/docs' }, async (page) => {
    await page.locator('.routes summary').first().waitFor();
    const lines = page.locator('.routes summary:has(.method)');
    const shown = await lines.evaluateAll((all) => all.map((one) =>
      `${one.querySelector('.method').textContent} ${one.querySelector('code').textContent}`));
    assert.deepEqual(shown, wanted);
    const first = page.locator('#post_events');
    await first.locator('summary').first().click();
    await first.getByText('There is no such thing here: check the name').waitFor();
    await first.getByText('Example').first().click();
    await first.getByText('"content.publish"').waitFor();
    // A shape is a link away, and so are the shapes in it.
    await first.getByRole('link', { name: 'Event', exact: true }).click();
    const event = page.locator('#shape-Event');
    await event.getByText('spec/event.md').waitFor();
    assert.equal(await event.evaluate((shape) => shape.open && shape.contains(document.activeElement)), true);
    await event.getByRole('link', { name: 'Claim' }).click();
    await page.locator('#shape-Claim').getByText('"epoch"').first().waitFor();
    const targets = await page.locator('.routes a').evaluateAll((all) => all.map((one) => one.hash.slice(1)));
    const missing = await page.evaluate((ids) => ids.filter((id) => !document.getElementById(id)), targets);
    assert.deepEqual(missing, [], 'no link leads nowhere');
  });
});
