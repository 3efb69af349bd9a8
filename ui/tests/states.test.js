// Where things are not as they should be: times that nobody meant, answers that are none, a server that is away,
// keys that may little, and a frame that was opened with the wrong thing.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Place, browser, until, visit } from './support.js';

const ID = (number) => `019a9b00-0000-7000-8000-${String(number).padStart(12, '0')}`;

let place;
let closed;
let chrome;
const keys = {};
before(async () => {
  chrome = await browser();
  place = new Place();
  await place.serve();
  const at = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  await place.send(Array.from({ length: 400 }, (_, n) => ({ occurred_at: at(n + 1), audit_id: ID(n + 1),
    outcome: n % 4 ? 'success' : 'denied' })));
  // What no clock should say, and some do.
  await place.send([{ occurred_at: '0001-01-01T00:00:00Z', audit_id: ID(901) }], 'odd');
  closed = new Place();
  await closed.serve();
  await closed.send([{ audit_id: ID(1) }, { audit_id: ID(2), outcome: 'denied' }]);
  await closed.send([{ audit_id: ID(3) }], 'globex');
  keys.admin = await closed.make({ role: 'admin', tenants: '*' });
  keys.reader = await closed.make({ role: 'reader', tenants: ['acme'] }, { by: keys.admin });
  keys.viewer = await closed.make({ tenant: 'acme' }, { path: 'viewer-tokens', by: keys.reader });
  keys.blind = await closed.make({ tenant: 'acme', query: 'actor:nobody-at-all' }, { path: 'viewer-tokens', by: keys.reader });
});
after(async () => {
  await chrome?.close();
  await place?.remove();
  await closed?.remove();
});

const total = (page) => page.locator('#count').textContent();
const pill = (page) => page.locator('#live').getAttribute('data-how');

test('a time that nobody meant takes away neither facets nor the histogram', async () => {
  await visit(chrome, place, {}, async (page) => {
    await until(async () => /^40[1-9] records$/.test(await total(page)), 'the count of all');
    await page.locator('[data-facet="outcome:denied"]').waitFor();
    const left = page.locator('.left');
    await until(async () => /^Not drawn: 1 older\.$/.test(await left.textContent()), 'what is not drawn');
    assert.ok(Number(await page.getByRole('slider').getAttribute('aria-valuemax')) > 5, 'hours are drawn, not centuries');
    await left.getByRole('link', { name: '1 older' }).click();
    await until(async () => await total(page) === '1 record', 'the one that is older');
    await page.locator('#rows tr', { hasText: 'odd' }).waitFor();
    // The day at a glance ends now.
    await page.goto(`${place.url}/?page=overview`);
    await page.locator('.hours .bars').waitFor();
    assert.equal(await page.locator('#error').isVisible(), false);
    assert.match(await page.locator('.hours .ends').textContent(), /\d\d:00.*in the fullest hour.*\d\d:00/);
    assert.ok(await page.locator('.hours rect').count() >= 6);
  });
});

test('a time of centuries has its count and its facets, and no error', async () => {
  await place.send([{ occurred_at: '1850-01-01T00:00:00Z', audit_id: ID(902) }], 'odd');
  await visit(chrome, place, { path: `/?q=${encodeURIComponent('tenant:odd until:1900-01-01')}` }, async (page) => {
    await until(async () => /^[2-9] records$/.test(await total(page)), 'the count');
    await page.locator('[data-facet="outcome:success"]').waitFor();
    assert.equal(await page.getByText('Not counted').count(), 0);
  });
});

test('a single record is one bar, and not a block', async () => {
  await visit(chrome, place, { path: `/?q=id%3A${ID(7)}` }, async (page) => {
    await until(async () => await total(page) === '1 record', 'the count');
    const { width } = await page.getByRole('slider').boundingBox();
    assert.ok(width <= 48, `${width} pixels`);
  });
});

test('what somebody looks at stays where it is while records come, by one row for each and no more', async () => {
  await visit(chrome, place, { path: '/?q=tenant%3Aacme' }, async (page) => {
    await until(async () => await pill(page) === 'on', 'the tail');
    await page.locator('#rows tr').first().waitFor();
    await page.mouse.move(800, 600);
    await page.mouse.wheel(0, 2600);
    await page.waitForTimeout(600);
    const seen = () => page.evaluate(() => {
      const row = document.elementFromPoint(800, 500).closest('tr');
      return { name: row.dataset.name, top: row.getBoundingClientRect().top };
    });
    const before = await seen();
    const many = async () => Number(await page.locator('#table').getAttribute('aria-rowcount'));
    for (let n = 0; n < 4; n += 1) {
      const had = await many();
      await place.send(Array.from({ length: 7 }, (_, one) => ({ audit_id: ID(2000 + n * 10 + one) })));
      await until(async () => await many() >= had + 7, 'what came');
      await page.waitForTimeout(150);
      const now = await seen();
      assert.equal(now.name, before.name);
      assert.ok(Math.abs(now.top - before.top) <= 2, `${before.top} became ${now.top}`);
    }
  });
});

test('columns that are chosen are there, and can be scrolled to', async () => {
  const columns = 'time,actor,said,event,target,outcome,severity,tenant,service,ip,number';
  for (const width of [1280, 390]) {
    await visit(chrome, place, { width, path: `/?columns=${encodeURIComponent(columns)}` }, async (page) => {
      await page.locator('#rows td.target').first().waitFor();
      for (const name of columns.split(',')) {
        // A row may be drawn anew while it is looked at.
        const wide = async () => (await page.locator(`#rows td.${name}`).first().boundingBox())?.width;
        await until(async () => await wide() > 80, `the width of ${name}`);
      }
      const box = page.locator('#wide');
      assert.equal(await box.getAttribute('tabindex'), '0');
      await box.focus();
      await page.keyboard.press('End');
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(over <= 0, 'the page is no wider than the window');
    });
  }
});

test('with one more column all are in sight at 1280 pixels; with many the place stays there', async () => {
  const asked = (columns) => `/?columns=${encodeURIComponent(columns)}`;
  const within = async (page, selector) => {
    const [cell, box] = [await page.locator(selector).first().boundingBox(), await page.locator('#wide').boundingBox()];
    return cell.x >= box.x - 1 && cell.x + cell.width <= box.x + box.width + 1;
  };
  await visit(chrome, place, { width: 1280, path: asked('time,actor,said,event,target,outcome,tenant,number') }, async (page) => {
    await page.locator('#rows td.target').first().waitFor();
    const over = await page.locator('#wide').evaluate((box) => box.scrollWidth - box.clientWidth);
    assert.ok(over <= 0, `${over} pixels are out of sight`);
    assert.ok(await within(page, '#rows td.number') && await within(page, '#rows td.tenant'));
    const titled = page.locator('#rows td.target span[title]').first();
    assert.equal(await titled.getAttribute('title'), await titled.textContent());
    // What is too long for its column stands whole where the pointer rests.
    const said = page.locator('#rows .sentence').first();
    assert.equal(await said.getAttribute('title'), await said.textContent());
  });
  const many = 'time,actor,said,event,target,outcome,severity,tenant,service,ip,correlation,model,description,number';
  for (const width of [1280, 390]) {
    await visit(chrome, place, { width, path: asked(many) }, async (page) => {
      await page.locator('#rows td.target').first().waitFor();
      const box = page.locator('#wide');
      assert.ok(await box.evaluate((one) => one.scrollWidth > one.clientWidth));
      for (const left of [0, 200, 10_000]) {
        await box.evaluate((one, to) => { one.scrollLeft = to; }, left);
        assert.ok(await within(page, '#rows td.number'), `the place is in sight ${left} pixels on`);
      }
    });
  }
});

test('on a phone a sentence that is too long is cut, and the kind of actor behind it is not', async () => {
  await place.send([{ audit_id: ID(951), actor: { type: 'agent', id: `agent:${'reviewer-'.repeat(6)}` } },
    { audit_id: ID(952), actor: { type: 'system', id: 'nightly-retention-job-of-all-tenants' } }]);
  for (const [id, kind, path] of [[951, 'agent', ''], [952, 'system', ''], [951, 'agent', '&columns=time,actor,said,number']]) {
    await visit(chrome, place, { width: 390, path: `/?q=id%3A${ID(id)}${path}` }, async (page) => {
      const tag = page.locator(path ? '#rows td.actor .tag' : '#rows td.said .kind');
      await tag.waitFor();
      assert.equal(await tag.textContent(), kind);
      const isWhole = await tag.evaluate((one) => {
        const { left, right } = one.getBoundingClientRect();
        const holders = [one, one.parentElement, one.closest('td')];
        return one.scrollWidth <= one.clientWidth && holders.every((box) => {
          const frame = box.getBoundingClientRect();
          return frame.left <= left + 0.5 && frame.right >= right - 0.5;
        });
      });
      assert.ok(isWhole, `${kind} is cut off`);
    });
  }
});

test('a time before there were zones is told in UTC, with all digits of its year', async () => {
  await visit(chrome, place, { path: `/?q=id%3A${ID(901)}&record=odd%2F${ID(901)}`, zone: 'Europe/Berlin' }, async (page) => {
    const time = page.locator('#rows td.time');
    await time.waitFor();
    assert.equal(await time.textContent(), '0001-01-01 00:00:00Z');
    await page.locator('#record dd', { hasText: '0001-01-01 00:00:00Z' }).first().waitFor();
    await until(async () => /^0001-01-01 00:00:00Z: 1 record$/.test(await page.locator('.ends output').textContent()), 'the bar');
    assert.equal(await page.locator('.hint').filter({ hasText: '00:53' }).count(), 0);
  });
});

test('a short name stands whole beside its kind, and a tenant where there is room', async () => {
  await place.send([{ audit_id: ID(950), actor: { type: 'anonymous', id: 'v. kim' } }], 'umbra-health');
  await visit(chrome, place, { width: 1280, path: `/?q=id%3A${ID(950)}` }, async (page) => {
    const row = page.locator('#rows tr');
    await row.waitFor();
    const cut = (selector) => row.locator(selector).evaluate((one) => one.scrollWidth > one.clientWidth);
    assert.equal(await row.locator('.tagged > bdi').evaluate((one) => one.offsetWidth < one.scrollWidth), false);
    assert.equal(await row.locator('.tagged .tag').textContent(), 'anonymous');
    assert.equal(await cut('td.tenant'), false);
  });
  await visit(chrome, place, { width: 390, height: 844, path: `/?q=id%3A${ID(950)}` }, async (page) => {
    const row = page.locator('#rows tr');
    await row.waitFor();
    await row.locator('td.said .kind', { hasText: 'anonymous' }).waitFor();
    await row.locator('td.number .badge').waitFor();
    const { y } = await row.boundingBox();
    assert.ok(y < 400, `the first row begins at ${y}`);
    for (const link of await page.locator('#nav a').all()) {
      const { x, width } = await link.boundingBox();
      assert.ok(x >= 0 && x + width <= 390, 'every page is in sight');
    }
  });
});

for (const [what, answer, words] of [
  ['a form that is unknown', { status: 200, contentType: 'application/json', body: '{"records": 7}' },
    /in a form that this page does not know/],
  ['an answer that was cut off', { status: 200, contentType: 'application/json', body: '{"records": [{"rec' },
    /ends too early/],
  ['a page of a proxy', { status: 502, contentType: 'text/html', body: '<h1>nginx</h1>' }, /a proxy before it, answered 502/],
  ['a server that has too much to do', { status: 503, headers: { 'retry-after': '9' }, contentType: 'application/json',
    body: '{"detail":"made-up detail","next":"send it again after Retry-After seconds"}' }, /made-up detail.*again in 9 s/s],
  ['a key that asks too often', { status: 429, headers: { 'retry-after': '7' }, contentType: 'application/json', body: '{}' },
    /More was asked for.*again in 7 s/s],
]) {
  test(`${what} is told in words, and asked again`, async () => {
    await visit(chrome, place, { expected: ['Failed to load'] }, async (page) => {
      await page.locator('#rows tr').first().waitFor();
      await page.route('**/v1/**', (route) => route.fulfill(answer));
      for (const path of ['/?q=outcome%3Adenied', '/?page=overview', '/?page=trust', '/?page=traces', '/?page=admin']) {
        await page.goto(place.url + path);
        const error = page.locator('#error');
        await error.waitFor();
        const text = await error.textContent();
        assert.match(text, words, path);
        assert.doesNotMatch(text, /is not a function|undefined|JSON|Unterminated|Retry-After/, path);
        await error.getByRole('button', { name: 'Try now' }).waitFor();
      }
      await page.goto(`${place.url}/?q=outcome%3Adenied`);
      await page.getByText('The records could not be read').waitFor();
      assert.notEqual(await pill(page), 'on');
      await page.unroute('**/v1/**');
      await page.getByRole('button', { name: 'Try now' }).click();
      await page.locator('#rows tr').first().waitFor();
      assert.equal(await page.locator('#error').isVisible(), false);
    });
  });
}

test('a connection that is lost is not shown as live', async () => {
  await visit(chrome, place, { expected: ['Failed to load', 'ERR_'], path: '/?q=tenant%3Aacme' }, async (page) => {
    await until(async () => await pill(page) === 'on', 'the tail');
    await page.route('**/v1/**', (route) => route.abort());
    await page.locator('#q').fill('outcome:denied');
    await page.keyboard.press('Enter');
    await page.locator('#error', { hasText: 'The server cannot be reached' }).waitFor();
    await page.getByText('The records could not be read').waitFor();
    assert.notEqual(await pill(page), 'on');
  });
});

test('an address that names no record or no page is told so', async () => {
  await visit(chrome, place, { path: '/?record=p1' }, async (page) => {
    await page.getByText('No record is called p1').waitFor();
    await until(async () => await pill(page) === 'on', 'the tail');
    assert.equal(await page.locator('#error').isVisible(), true, 'it stays');
    await page.goto(`${place.url}/?page=constructor`);
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
  });
});

const enter = async (page, key) => {
  await page.getByLabel('This server asks for a key').fill(key);
  await page.keyboard.press('Enter');
};

test('a reader is offered what a reader may, and an admin sees the whole configuration', async () => {
  await visit(chrome, closed, { path: '/', expected: ['401'] }, async (page) => {
    await enter(page, keys.reader);
    await page.locator('#rows tr').first().waitFor();
    assert.equal(await page.locator('#nav [data-page=admin]').isVisible(), false);
    const refused = [];
    page.on('response', (answer) => { if (answer.status() === 403) refused.push(answer.url()); });
    await page.goto(`${closed.url}/?page=admin`);
    await page.getByText('Keys and settings are for admins').waitFor();
    await page.getByRole('heading', { name: 'Tenants' }).waitFor();
    for (const name of ['Make its log', 'Make a key']) assert.equal(await page.getByRole('button', { name }).count(), 0);
    assert.deepEqual(refused, [], 'nothing is asked for that would be refused');
  });
  await visit(chrome, closed, { path: '/?page=admin', expected: ['401'] }, async (page) => {
    await enter(page, keys.admin);
    const settings = page.locator('section', { has: page.getByRole('heading', { name: 'Configuration in force' }) });
    const line = settings.locator('tr', { hasText: 'server.listen' });
    await line.waitFor();
    assert.match(await line.textContent(), /127\.0\.0\.1.*command line/);
    assert.ok(await settings.locator('tbody tr').count() > 30, 'defaults too');
    assert.equal(await page.locator('#nav [data-page=admin]').isVisible(), true);
  });
});

test('the frame takes a viewer token and nothing else, and says what to do', async () => {
  await visit(chrome, closed, { path: `/embed#token=${keys.admin}` }, async (page) => {
    const asked = [];
    page.on('request', (request) => { if (request.url().includes('/v1/')) asked.push(request.url()); });
    await page.getByText('is no viewer token, and is not used').waitFor();
    await page.reload();
    await page.getByText('is no viewer token, and is not used').waitFor();
    assert.deepEqual(asked, []);
  });
  await visit(chrome, closed, { path: '/embed', expected: ['401'] }, async (page) => {
    await page.getByText('opened without a viewer token').waitFor();
  });
  await visit(chrome, closed, { path: `/embed#token=${keys.blind}` }, async (page) => {
    await page.getByText('There is nothing to show in this view so far').waitFor();
    assert.doesNotMatch(await page.locator('body').textContent(), /The API|send one/);
  });
  await visit(chrome, closed, { path: `/embed#token=${keys.viewer}` }, async (page) => {
    await page.locator('#rows tr').first().waitFor();
    // Before anything is opened: by the proof of the newest record.
    await page.locator('#rows td.number .badge.signed').first().waitFor();
    // What is new is looked for now and then.
    await page.clock.install();
    await page.reload();
    await page.locator('#rows tr').first().waitFor();
    const sent = await fetch(`${closed.url}/v1/events?tenant=acme`, { method: 'POST', body: JSON.stringify({
      audit_id: ID(77), event_type: 'invoice.sent', outcome: 'success', actor: { type: 'user', id: 'later' } }),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${keys.admin}` } });
    assert.equal(sent.status, 201);
    assert.equal(await page.locator('#rows tr', { hasText: 'later' }).count(), 0);
    await page.clock.runFor(31_000);
    await page.locator('#rows tr', { hasText: 'later' }).waitFor();
  });
});

test('the keyboard: a way past the head, headings, few stops, and focus that is not lost', async () => {
  await visit(chrome, place, { path: '/?q=tenant%3Aacme' }, async (page) => {
    await page.locator('[data-facet="outcome:denied"]').waitFor();
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className
      || document.activeElement.tagName);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'skip');
    await page.keyboard.press('Enter');
    assert.equal(await focused(), 'heading');
    assert.equal(await page.locator('h1, h2').first().evaluate((one) => one.tagName), 'H1');
    // One stop for each facet; arrows move, minus leaves out.
    const stops = await page.locator('#facets section').first().locator('button').evaluateAll((all) => all
      .filter((one) => one.tabIndex === 0).length);
    assert.equal(stops, 1);
    await page.locator('[data-facet="outcome:success"]').focus();
    await page.keyboard.press('ArrowDown');
    assert.equal(await page.evaluate(() => document.activeElement.dataset.facet), 'outcome:denied');
    await page.keyboard.press('-');
    await until(() => new URL(page.url()).searchParams.get('q') === 'tenant:acme -outcome:denied', 'what is left out');
    await until(async () => /^\d+ records found$/.test(await page.locator('#told').textContent()), 'what is read out');
    assert.equal(await page.locator('#told').textContent(), `${await total(page)} found`);
    // The histogram is drawn anew and keeps the keyboard.
    await page.getByRole('slider').focus();
    await page.keyboard.press('ArrowLeft');
    const counted = page.waitForResponse((answer) => answer.url().includes('/v1/counts'));
    await page.keyboard.press('Enter');
    await counted;
    await until(async () => new URL(page.url()).searchParams.get('q').includes('until:'), 'the span');
    await page.waitForTimeout(500);
    assert.equal(await focused(), 'field');
    // Another page begins at its heading, and what was said of the list is said no more.
    await page.getByRole('link', { name: 'Trust' }).click();
    await page.locator('.log').first().waitFor();
    assert.equal(await focused(), 'H1');
    assert.equal(await page.locator('#told').textContent(), '');
    // A row keeps the keyboard while badges change.
    await page.getByRole('link', { name: 'Records' }).click();
    await until(async () => await focused() === 'heading', 'its heading');
    await page.locator('#rows tr').first().waitFor();
    await page.keyboard.press('j');
    assert.equal(await focused(), 'open');
    await page.evaluate(() => {
      document.dispatchEvent(new CustomEvent('checked', { detail: { key: document.activeElement.closest('tr').dataset.name,
        checked: { state: 'proved' } } }));
    });
    await page.locator('#rows .badge.proved').waitFor();
    assert.equal(await focused(), 'open');
    await page.getByRole('link', { name: 'Trust' }).click();
    await page.locator('.log').first().waitFor();
    // A view that is chosen closes its menu.
    await page.getByRole('link', { name: 'Records' }).click();
    await until(async () => await focused() === 'heading', 'its heading');
    await page.locator('#views summary').click();
    await page.getByLabel('Name of the view').fill('mine');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'mine' }).click();
    assert.equal(await page.locator('#views').evaluate((menu) => menu.open), false);
  });
});

test('how long events are on their way is told of those that came by themselves', async () => {
  await visit(chrome, place, { path: '/?page=overview&q=tenant%3Aacme' }, async (page) => {
    const figure = page.locator('.figure', { hasText: 'From event to log' });
    await figure.waitFor();
    const text = await figure.textContent();
    // Of the newest hundred those that were a minute old each an hour long, and not those before.
    assert.match(text, /the middle of \d+, without \d+ that came over an hour late/);
    assert.ok(Number.parseFloat(await figure.locator('b').textContent()) <= 60);
  });
});
