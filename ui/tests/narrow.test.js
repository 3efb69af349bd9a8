// Where there is little room, and no pointer that rests or keyboard: a phone, a tablet, and a list beside a record.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { Place, addressOf, browser, changed, until, visit } from './support.js';

const ID = (number) => `019a9b00-0000-7000-8000-${String(number).padStart(12, '0')}`;
const ALL = 'time,actor,said,event,target,outcome,severity,tenant,service,ip,correlation,model,description,duration,number';
const PHONE = { width: 390, height: 844 };
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let place;
let closed;
let chrome;
let receipts;
const keys = {};
before(async () => {
  chrome = await browser();
  place = new Place();
  await place.serve();
  receipts = await place.send([{ audit_id: ID(1), occurred_at: '2026-03-01T22:59:58.250Z' },
    { audit_id: ID(2), outcome: 'denied', actor: { type: 'scheduler', id: 'nightly' } },
    { audit_id: ID(3), occurred_at: '0001-01-01T00:00:00Z', context: { trace_id: 'trace-1' } }]);
  closed = new Place();
  await closed.serve();
  await closed.send([{ audit_id: ID(1), target: undefined, actor: { type: 'user', id: 'dana', ip: '192.0.2.9' } }]);
  keys.admin = await closed.make({ role: 'admin', tenants: '*' });
  const make = (what) => closed.make(what, { by: keys.admin });
  keys.emitter = await make({ role: 'emitter', tenants: '*' });
  keys.bound = await make({ role: 'reader', tenants: ['acme'], query: 'outcome:denied actor:agent:reviewer -type:document.viewed',
    name: 'the reader of whoever is asked about what was denied' });
  keys.reader = await make({ role: 'reader', tenants: ['acme'] });
});
after(async () => {
  await chrome?.close();
  await place?.remove();
  await closed?.remove();
});

const rows = (page) => page.locator('#rows tr');
/** Rows are drawn once more when it is known how far they are signed for. */
const settled = (page) => page.locator('#rows .badge').first().waitFor();
const enter = async (page, key) => {
  await page.getByLabel('This server asks for a key').fill(key);
  await page.keyboard.press('Enter');
};
const faultless = async (page) => {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`), []);
};
/** Whether each of these stands wholly within the other. */
const within = async (inner, outer) => {
  const box = await outer.boundingBox();
  for (const one of await inner.all()) {
    const { x, width } = await one.boundingBox();
    assert.ok(x >= box.x - 0.5 && x + width <= box.x + box.width + 0.5, `${await one.textContent()}: ${x} to ${x + width}`);
  }
};

for (const width of [390, 768]) {
  test(`administration is read at ${width} pixels: a card for each row, and nothing broken into letters`, async () => {
    await visit(chrome, closed, { width, path: '/?page=admin', expected: ['401'] }, async (page) => {
      await enter(page, keys.admin);
      await page.getByRole('rowheader', { name: 'server.listen' }).waitFor();
      for (const code of await page.locator('.plain-table :is(th, td:not(.free)) code').all()) {
        const { lines, letters } = await code.evaluate((one) => ({ letters: one.textContent.length,
          lines: new Set([...one.getClientRects()].map(({ top }) => Math.round(top / 8))).size }));
        assert.ok(lines <= 1 + letters / 16, `${await code.textContent()} takes ${lines} lines`);
      }
      for (const box of await page.locator('.rows').all()) {
        assert.ok(await box.evaluate((one) => one.scrollWidth <= one.clientWidth), 'nothing is out of sight');
      }
      const card = page.getByRole('row', { name: keys.bound.split('_')[1] });
      const query = card.getByRole('cell').filter({ hasText: 'outcome:denied' });
      assert.match(await query.evaluate((one) => getComputedStyle(one, '::before').content), /^"Query"/);
      assert.equal(await page.getByRole('table').count(), await page.locator('.rows').count());
      await faultless(page);
      // A term of a query is not torn apart.
      for (const term of await query.locator('.term').all()) assert.equal(await term.evaluate((one) => one.offsetHeight < 24), true);
    });
  });
}

test('menus stay on the screen of a phone, whatever a view is called', async () => {
  await visit(chrome, place, { ...PHONE }, async (page) => {
    await rows(page).first().waitFor();
    await page.evaluate((names) => localStorage.setItem('indelible-views', JSON.stringify(names.map((name) => ({ name, q: '',
      columns: '' })))), ['short', 'x'.repeat(60), 'a name with words '.repeat(3)]);
    await page.reload();
    await page.locator('#views summary').click();
    const sheet = page.locator('#views .sheet');
    await within(sheet, page.locator('html'));
    await within(sheet.locator('a, button, input'), sheet);
    await page.locator('#columns summary').click();
    await within(page.locator('#columns .sheet'), page.locator('html'));
    await within(page.locator('.tools > *'), page.locator('#records'));
    await faultless(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
  });
});

test('on a phone a record says its time with year and UTC, and its link is copied', async () => {
  await visit(chrome, place, { ...PHONE, zone: 'Europe/Berlin', path: `/?q=id%3A${ID(1)}&live=off` }, async (page) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.getByRole('button', { name: 'Copy link' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    await rows(page).first().click();
    const panel = page.locator('#record');
    await panel.locator('.verdict.good').waitFor();
    assert.match(await panel.locator('.hint', { hasText: 'Record' }).first().textContent(),
      /01 Mar 23:59:58 \(2026-03-01 22:59:58\.250 UTC\)/);
    assert.equal(await panel.locator('dd .utc').count(), 2, 'when it happened, and when it was committed');
    await panel.getByRole('button', { name: 'Copy its link' }).click();
    await panel.getByRole('button', { name: 'Copied' }).waitFor();
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(copied, /record=acme%2F/);
    assert.equal(copied, page.url());
  });
});

test('times are told in UTC by a button, a key or a touch, and stay so', async () => {
  await visit(chrome, place, { ...PHONE, zone: 'Europe/Berlin', path: `/?q=id%3A${ID(1)}&live=off` }, async (page) => {
    const time = rows(page).locator('time');
    await time.waitFor();
    assert.equal(await time.textContent(), '01 Mar 23:59:58');
    const told = () => page.locator('.ends output').textContent();
    await until(async () => /^01 Mar, 23:59/.test(await told()) || /^1 Mar, 23:59/.test(await told()), 'the bar in the own zone');
    await page.getByRole('button', { name: 'UTC' }).click();
    assert.equal(await time.textContent(), '2026-03-01 22:59:58Z');
    assert.match(await time.getAttribute('title'), /1 Mar 2026, 23:59:58/);
    await until(async () => /1 Mar, 22:59/.test(await told()), 'the bar in UTC');
    assert.equal(await page.getByRole('button', { name: 'UTC' }).getAttribute('aria-pressed'), 'true');
    await page.reload();
    await until(async () => await time.textContent() === '2026-03-01 22:59:58Z', 'what was chosen');
    // Touched elsewhere than in a row, which opens its record.
    await page.goto(`${place.url}/?page=trust`);
    const other = page.getByRole('region', { name: 'The ledger' }).locator('time').first();
    await until(async () => /^\d{4}-\d\d-\d\d [\d:]+Z$/.test(await other.textContent()), 'UTC there too');
    await other.click();
    await until(async () => /^\d\d \w+ [\d:]+$/.test(await other.textContent()), 'the own zone');
    await page.keyboard.press('u');
    await until(async () => /Z$/.test(await other.textContent()), 'UTC by a key');
    assert.equal(await page.locator('#told').textContent(), 'Times are in UTC');
  });
});

test('beside a record names and times have room; on a phone the time of chosen columns takes little', async () => {
  await visit(chrome, place, { width: 1280, path: addressOf(receipts[1]) }, async (page) => {
    const row = rows(page).filter({ hasText: 'nightly' });
    await page.locator('#record .verdict.good').waitFor();
    await settled(page);
    for (const part of ['td.time', 'td.actor .tagged > bdi', 'td.actor .tag']) {
      assert.ok(await row.locator(part).evaluate((one) => one.scrollWidth <= one.clientWidth || !one.clientWidth), `${part} is whole`);
    }
    const name = await row.locator('.tagged').evaluate((one) => one.querySelector('bdi').getBoundingClientRect().right
      <= one.querySelector('.tag').getBoundingClientRect().left);
    assert.ok(name);
    assert.ok((await row.locator('td.actor').boundingBox()).width >= 145);
  });
  await visit(chrome, place, { ...PHONE, path: `/?live=off&columns=${ALL}` }, async (page) => {
    await settled(page);
    const { width } = await page.locator('td.time').first().boundingBox();
    assert.ok(width <= 110, `${width} pixels`);
    for (const time of await page.locator('td.time time').all()) {
      assert.ok(await time.evaluate((one) => one.scrollWidth <= one.closest('td').clientWidth));
    }
  });
});

for (const scheme of ['light', 'dark']) {
  test(`the place has the colour of its row, open or under the pointer: ${scheme}`, async () => {
    await visit(chrome, place, { width: 1280, scheme, path: `/?live=off&columns=${ALL}&record=acme%2F${ID(2)}` }, async (page) => {
      await page.emulateMedia({ reducedMotion: 'reduce' });
      const open = page.locator('#rows tr[aria-current]');
      await page.locator('#record .verdict.good').waitFor();
      await settled(page);
      const seen = async (row) => row.evaluate((one) => ({ row: getComputedStyle(one).backgroundColor,
        place: getComputedStyle(one.querySelector('td.number')).backgroundImage }));
      const alike = async (row) => {
        const { row: colour, place: image } = await seen(row);
        assert.ok(image.startsWith(`linear-gradient(${colour}`), `${image} over ${colour}`);
        return colour;
      };
      const plain = await alike(rows(page).filter({ hasNotText: 'nightly' }).first());
      const chosen = await alike(open);
      await open.hover({ position: { x: 60, y: 10 } });
      assert.equal(await alike(open), chosen, 'the one that is open stays so under the pointer');
      const other = rows(page).filter({ hasNotText: 'nightly' }).first();
      await other.hover({ position: { x: 60, y: 10 } });
      assert.equal(new Set([plain, chosen, await alike(other)]).size, 3);
    });
  });
}

test('the name of a log stands at the beginning of its card, with a number of records beside it or none', async () => {
  await visit(chrome, closed, { path: '/?page=trust', expected: ['401', '403'] }, async (page) => {
    await enter(page, keys.bound);
    const card = page.locator('.log');
    await card.first().waitFor();
    const [name, box] = [await card.first().locator('h2').boundingBox(), await card.first().boundingBox()];
    assert.ok(name.x - box.x < 30, `${name.x - box.x} pixels from the left`);
  });
});

test('what is wrong with a query is told once', async () => {
  await visit(chrome, place, { path: '/?q=since%3Anever', expected: ['400'] }, async (page) => {
    await page.getByText('Nothing was asked').waitFor();
    await page.waitForTimeout(500);
    const text = await page.locator('body').textContent();
    assert.equal(text.split('write a time like').length - 1, 1, text);
  });
});

test('whoever gives no key, or one that sends events, is told what to do in the place of the records', async () => {
  await visit(chrome, closed, { expected: ['401', '403'] }, async (page) => {
    const empty = page.locator('#empty');
    await empty.getByText('No records without a key').waitFor();
    await faultless(page);
    assert.match(await empty.textContent(), /Give one above.*indelible keys create --role reader --all-tenants --url http/);
    await enter(page, keys.emitter);
    await empty.getByText('The key that was given reads no records').waitFor();
    assert.match(await empty.textContent(), /of the role reader, auditor, privacy officer or admin; an admin makes it/);
    await page.getByRole('alert').getByText('The key in use is of the role emitter: it may send events, and read nothing.').waitFor();
    await enter(page, `${keys.reader.slice(0, -2)}00`);
    await empty.getByText('The key that was given is not in force').waitFor();
    await enter(page, keys.reader);
    await rows(page).first().waitFor();
    assert.equal(await empty.isVisible(), false);
  });
});

for (const width of [1280, 390]) {
  test(`many bars are drawn as some that can be seen, and none is left out: ${width} pixels`, async () => {
    const at = (minute) => new Date(Date.UTC(2026, 2, 1, 0, minute)).toISOString();
    const bars = Array.from({ length: 299 }, (_, minute) => ({ from: at(minute), until: at(minute + 1), count: 1 + minute % 3 }));
    const all = bars.reduce((sum, { count }) => sum + count, 0);
    await visit(chrome, place, { width, path: '/docs' }, async (page) => {
      await page.route('**/v1/counts?*', async (route) => route.fulfill({ json: changed((answer) => {
        if (answer.histogram) answer.histogram = { ...answer.histogram, every: 'minute', bars };
      })(await (await route.fetch()).text()) }));
      await page.goto(`${place.url}/?live=off`);
      await page.evaluate(() => { document.getElementById('narrow').open = true; });
      const field = page.getByRole('slider');
      await field.waitFor();
      const widths = await page.locator('#histogram rect').evaluateAll((rects) => rects.map((one) => one.getBoundingClientRect().width));
      assert.ok(Math.min(...widths) >= 3, `${Math.min(...widths)} pixels`);
      await field.focus();
      for (let n = 0; n < widths.length; n += 1) await page.keyboard.press(n ? 'Shift+ArrowLeft' : 'ArrowLeft');
      assert.match(await field.getAttribute('aria-valuetext'), new RegExp(`: ${all} records$`));
    });
  });
}

test('around a record of the first moment that there is a query finds it', async () => {
  await visit(chrome, place, { path: addressOf(receipts[2]) }, async (page) => {
    await page.locator('#record').getByRole('link', { name: '± 5 minutes' }).click();
    await until(async () => await rows(page).count() === 1, 'that one alone');
    assert.equal(await page.locator('#error').isVisible(), false);
  });
});

test('of a value that is masked no way leads on, and it says so', async () => {
  await visit(chrome, closed, { path: `/?record=acme%2F${ID(1)}`, expected: ['401'] }, async (page) => {
    await enter(page, keys.reader);
    const panel = page.locator('#record');
    await panel.getByText('Left out: same address.').waitFor();
    assert.deepEqual(await panel.locator('.ways a').allTextContents(), ['Same actor', 'Same action', '± 5 minutes']);
  });
});

test('no address of the frame has the token: it opens again, goes on and comes back all the same', async () => {
  const make = (query) => closed.make({ tenant: 'acme', query }, { path: 'viewer-tokens', by: keys.admin });
  const tokens = [await make('type:document.viewed'), await make('actor:dana')];
  await visit(chrome, closed, { path: `/embed?record=acme%2F${ID(1)}#token=${tokens[0]}&accent=rgb(1,2,3)` }, async (page) => {
    const panel = page.locator('#record');
    const clean = async () => {
      await panel.locator('.steps').waitFor();
      const all = await page.locator('a').evaluateAll((links) => links.map(({ href }) => href));
      assert.ok(all.length > 2);
      for (const one of [page.url(), ...all]) assert.ok(!one.includes('indv_'), one);
    };
    const accent = () => page.locator('html').evaluate((root) => root.style.getPropertyValue('--accent'));
    await clean();
    assert.equal(await panel.getByRole('button', { name: 'Copy its link' }).count(), 0, 'it would open nothing');
    await page.reload();
    await clean();
    assert.equal(await accent(), 'rgb(1,2,3)');
    await panel.getByRole('link', { name: 'Same action' }).click();
    await until(() => page.url().includes('type%3Adocument.viewed'), 'the query');
    await rows(page).first().waitFor();
    await page.reload();
    await rows(page).first().waitFor();
    await page.goBack();
    await clean();
    // The page around gives the next one, behind the same address.
    const asked = page.waitForRequest((request) => request.headers().authorization === `Bearer ${tokens[1]}`);
    await page.evaluate((token) => { location.hash = `token=${token}`; }, tokens[1]);
    await until(() => !page.url().includes('indv_'), 'the token to go');
    await page.getByRole('button', { name: 'Search' }).click();
    await asked;
  });
});
