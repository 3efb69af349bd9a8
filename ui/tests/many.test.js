// A hundred thousand results: scrolled through by hand, with the browser's own trace of what it took.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Place, browser, until, visit } from './support.js';

const RECORDS = 100_000;
const BATCH = 10_000;
const FRAME_MS = 50;
/** What else runs on the machine only ever makes a task longer, so of some attempts the shortest counts. */
const ATTEMPTS = 4;

let place;
let chrome;
before(async () => {
  place = new Place();
  chrome = await browser();
  await place.serve();
  const begin = Date.now() - RECORDS * 1000;
  for (let from = 0; from < RECORDS; from += BATCH) {
    await place.send(Array.from({ length: BATCH }, (_, n) => ({
      occurred_at: new Date(begin + (from + n) * 1000).toISOString(), actor: { type: 'user', id: `user-${n % 97}` },
      outcome: n % 7 ? 'success' : 'denied', target: { type: 'document', id: `document-${from + n}` },
      description: `looked at page ${n} of ${from}`,
    })));
  }
});
after(async () => {
  await chrome?.close();
  await place?.remove();
});

/** What the main thread of the page did while `does` ran: each task, in milliseconds of its own time. */
async function traced(page, does) {
  const cdp = await page.context().newCDPSession(page);
  const events = [];
  cdp.on('Tracing.dataCollected', ({ value }) => events.push(...value));
  await cdp.send('Tracing.start', { transferMode: 'ReportEvents',
    traceConfig: { includedCategories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] } });
  await does();
  const complete = new Promise((done) => { cdp.once('Tracing.tracingComplete', done); });
  await cdp.send('Tracing.end');
  await complete;
  const main = new Set(events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
    .map(({ pid, tid }) => `${pid}/${tid}`));
  const tasks = events.filter(({ name, pid, tid }) => /RunTask$/.test(name) && main.has(`${pid}/${tid}`));
  // Other programs share the processor: what counts is how long the thread ran, not how long it waited to.
  return tasks.map(({ dur = 0, tdur }) => ({ ran: (tdur ?? dur) / 1000, took: dur / 1000 }));
}

test('no frame is over 50 ms', { timeout: 300_000 }, async () => {
  await visit(chrome, place, { path: '/?q=tenant%3Aacme&live=off' }, async (page) => {
    const loaded = () => page.locator('#table').getAttribute('aria-rowcount').then((text) => Number(text) - 1);
    await until(async () => (await page.locator('#count').textContent()).startsWith('100,001 records'), 'the count');
    await page.mouse.move(800, 600);
    const wheel = async (times, by) => {
      for (let n = 0; n < times; n += 1) {
        await page.mouse.wheel(0, by);
        await page.evaluate(() => new Promise((done) => { requestAnimationFrame(done); }));
      }
    };
    const worst = (tasks) => tasks.reduce((most, one) => (one.ran > most.ran ? one : most), { ran: 0, took: 0 });
    const longest = async (does, again) => {
      let least = worst(await traced(page, does));
      for (let n = 1; n < ATTEMPTS && least.ran >= FRAME_MS; n += 1) {
        await again();
        const other = worst(await traced(page, does));
        if (other.ran < least.ran) least = other;
      }
      return least;
    };
    // While pages are read by scrolling on and on …
    const reading = await longest(() => wheel(150, 700), async () => {
      await page.reload();
      await until(async () => (await page.locator('#count').textContent()).startsWith('100,001 records'), 'the count');
    });
    for (let tries = 0; await loaded() < RECORDS && tries < 1000; tries += 1) {
      await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
      await page.waitForTimeout(30);
    }
    assert.equal(await loaded(), RECORDS);
    await page.getByText('100,000 records are here, and no more will be').waitFor();
    // … and with all of them here: by the wheel, and in leaps from one end to the other.
    const scrolling = await longest(async () => {
      await wheel(80, -900);
      for (const part of [0, 0.5, 0.99, 0.25, 0.75, 0]) {
        await page.evaluate((to) => window.scrollTo(0, to * document.documentElement.scrollHeight), part);
        await wheel(10, 500);
      }
    }, () => page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight)));
    const rows = await page.locator('#rows tr').count();
    assert.ok(rows > 20 && rows < 80, `${rows} rows in the document`);
    console.log(`longest task: ${reading.ran.toFixed(1)} ms while reading (${reading.took.toFixed(1)} by the clock), `
      + `${scrolling.ran.toFixed(1)} ms of ${RECORDS} (${scrolling.took.toFixed(1)} by the clock)`);
    assert.ok(reading.ran < FRAME_MS, `${reading.ran} ms while reading`);
    assert.ok(scrolling.ran < FRAME_MS, `${scrolling.ran} ms while scrolling`);
    await page.keyboard.press('k');
    await until(() => page.evaluate(() => document.activeElement.closest('#rows') !== null), 'the keyboard works too');
  });
});
