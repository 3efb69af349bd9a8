// Makes docs/images: each page at two widths and in both themes, of the demonstration. No test: somebody looks at them.
//
//     INDELIBLE_BINARY=target/debug/indelible node ui/tests/images.js  [one of the pages]

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Place, browser, until } from './support.js';

const OUT = new URL('../../docs/images/', import.meta.url).pathname;
const WIDTHS = [[1280, 860], [390, 844]];

const place = new Place();
place.env = { ...place.env, INDELIBLE_SERVER__FRAME_ANCESTORS: 'http://localhost:3000' };
const chrome = await browser();
try {
  await place.serve({ demo: true });
  const get = async (path) => (await fetch(place.url + path)).json();
  await until(async () => (await get('/v1/counts')).total > 3000, 'the events');
  await until(async () => (await get('/v1/tenants')).logs.anchored === 13, 'the verifier');
  const [changed] = (await get('/v1/records?q=type:user.role.changed%20tenant:acme&limit=1')).records;
  const [agent] = (await get('/v1/records?q=type:ticket.classified%20tenant:acme%20has:parent&order=oldest&limit=40')).records.slice(-6);
  const of = ({ record }) => `${record.tenant_id}%2F${record.event.audit_id}`;
  const pages = {
    list: ['/?live=off', '#facets li, #count:not(:empty)'],
    record: [`/?live=off&q=type%3Auser.role.changed&record=${of(changed)}`, '.verdict.good'],
    overview: ['/?page=overview', '.top-list a'],
    trust: ['/?page=trust', '.log .pill'],
    trace: [`/?page=traces&record=${of(agent)}`, '.node dl'],
    admin: ['/?page=admin', '.plain-table td'],
  };
  mkdirSync(OUT, { recursive: true });
  await take(pages);
  // A frame takes viewer tokens alone, and these come with keys: the server is closed from here on.
  const make = async (path, what, key) => {
    const headers = { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) };
    const made = await fetch(place.url + path, { method: 'POST', headers, body: JSON.stringify(what) });
    return (await made.json()).bearer;
  };
  const admin = await make('/v1/keys', { role: 'admin', tenants: '*' });
  const reader = await make('/v1/keys', { role: 'reader', tenants: ['acme'] }, admin);
  const viewer = await make('/v1/viewer-tokens', { tenant: 'acme' }, reader);
  const colours = 'accent=%239a63c4&on-accent=white&chosen=%239a63c433';
  await take({ embed: [`/embed#token=${viewer}&${colours}`, '#rows tr'] });
} finally {
  await chrome.close();
  await place.remove();
}

async function take(pages) {
  for (const scheme of ['light', 'dark']) {
    for (const [width, height] of WIDTHS) {
      const context = await chrome.newContext({ viewport: { width, height }, colorScheme: scheme,
        timezoneId: 'Europe/Berlin',
        reducedMotion: 'reduce' });
      const page = await context.newPage();
      for (const [name, [path, ready]] of Object.entries(pages)) {
        if (process.argv[2] && process.argv[2] !== name) continue;
        await page.goto('about:blank');
        await page.goto(place.url + path);
        await page.locator(ready).first().waitFor({ state: 'attached' });
        await page.waitForTimeout(900);
        await page.screenshot({ path: join(OUT, `${name}-${scheme}-${width}.png`) });
      }
      await context.close();
    }
  }
}
