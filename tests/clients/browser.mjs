// The pages in a real browser (Debian's chromium, driven by playwright-core):
// upload, ask, follow a citation to the marked words, delete; at 1280 and 390
// pixels, light and dark, with and without JavaScript; axe-core looks at each.
//
//   cd tests/clients && npm ci && node browser.mjs
//
// CARREL_BIN: the program (default build/release/carrel). CARREL_SHOTS: a folder
// for pictures of what was seen. Prints "N passed, N failed, N skipped".
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, serve } from './lib.mjs';
import { makePdf } from './pdf.mjs';

const chromiumPath = process.env.CHROMIUM || '/usr/bin/chromium';
const shots = process.env.CARREL_SHOTS;
const require = createRequire(import.meta.url);

if (!existsSync(chromiumPath)) {
  console.log(`skip  no browser at ${chromiumPath}\n0 passed, 0 failed, 1 skipped`);
  process.exit(0);
}
const { chromium } = await import('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const question = 'Why do sea otters hold hands?';
const answer = 'Sea otters hold hands while they sleep so that they do not drift apart.';
const report = makePdf([
  ['A report about otters', '', 'This report has two pages. The first one says little.',
    'It was written in a reading room near a river.'],
  ['Habits', '', answer, 'A river otter eats about fifteen percent of its weight in fish a day.']]);

// No violation of WCAG A/AA rules that axe calls serious or critical.
async function accessible(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run());
  const bad = found.violations.filter(v => v.impact === 'serious' || v.impact === 'critical');
  check(bad.length === 0, `${where}: ` + bad.map(v => `${v.id}: ${v.nodes[0].html}`).join('; '));
}

async function narrowEnough(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(over <= 0, `${where} is ${over} px wider than the window`);
}

async function look(page, name, where) {
  await accessible(page, `${where} ${name}`);
  await narrowEnough(page, `${where} ${name}`);
  if (shots) await page.screenshot({ path: join(shots, `${name}-${where}.png`) });
}

async function markIsSeen(page) {
  await page.waitForSelector('#cited');
  await page.waitForFunction(() => {
    const r = document.querySelector('#cited').getBoundingClientRect();
    return r.top >= 0 && r.bottom <= innerHeight && r.height > 0;
  });
  const marked = (await page.locator('mark').allTextContents()).join('').replace(/\s+/g, ' ');
  check(marked.includes('hold hands while they sleep'), `the mark holds "${marked}"`);
}

async function uploaded(page, name) {
  const row = page.locator('.doc', { hasText: name });
  await row.locator('.state.ready').waitFor({ timeout: 20000 });
  return row;
}

async function fromUploadToCitation(page, base, where) {
  await page.goto(base + '/');
  await look(page, 'home', where);
  await page.goto(base + '/documents');
  await page.setInputFiles('#file', { name: 'otters.pdf', mimeType: 'application/pdf',
    buffer: report });
  await uploaded(page, 'otters.pdf');
  await look(page, 'documents', where);
  await page.goto(base + '/');
  await page.fill('#q', question);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.answer .cards');
  check((await page.textContent('.answer .prose')).includes('drift apart'), 'no answer');
  await look(page, 'answer', where);
  await page.click('.answer .cite');
  await markIsSeen(page);
  check((await page.textContent('figcaption')).includes('Page 2 of 2'), 'not the cited page');
  check(await page.locator('.sheet .hit').count() > 0, 'nothing is marked on the page picture');
  await look(page, 'source', where);
  await page.goBack();
  await page.waitForSelector('.answer .cite');
  check((await page.textContent('.answer .prose')).includes('drift apart'), 'back loses the answer');
}

async function refusalAndErrors(page, base, where) {
  await page.goto(base + '/?q=' + encodeURIComponent('Which tax applies to zinc from Peru?'));
  await page.waitForSelector('.answer.refused');
  await look(page, 'refused', where);
  await page.goto(base + '/search?q=otters');
  await page.waitForSelector('.card');
  await look(page, 'search', where);
  await page.goto(base + '/nothing-here');
  check((await page.textContent('h1')) === 'Nothing here', 'no page for a wrong address');
  await look(page, 'error', where);
  await page.goto(base + '/login');
  await look(page, 'login', where);
}

async function dropAndDelete(page, base) {
  await page.goto(base + '/documents');
  await page.evaluate(() => {
    const data = new DataTransfer();
    data.items.add(new File(['Badgers dig setts under old woods.'], 'badgers.txt'));
    data.items.add(new File([''], 'empty <b>.pdf'));
    window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, cancelable: true }));
  });
  await uploaded(page, 'badgers.txt');
  const failed = page.locator('.doc', { hasText: 'empty <b>.pdf' });
  await failed.locator('.note.bad').waitFor({ timeout: 20000 });
  for (const name of ['badgers.txt', 'empty <b>.pdf']) {
    const row = page.locator('.doc', { hasText: name });
    await row.locator('a.delete').click();
    await accessible(page, 'delete dialog');
    await page.keyboard.press('Escape');
    check(await row.count() === 1, 'Escape deletes');
    await row.locator('a.delete').click();
    await page.click('dialog .main');
    await row.waitFor({ state: 'detached' });
  }
}

async function withoutJavaScript(page, base) {
  await page.goto(base + '/documents');
  await page.setInputFiles('#file', { name: 'plain.md', mimeType: 'text/markdown',
    buffer: Buffer.from(`# Plain\n\n${answer}\n`) });
  await page.click('#upload button');
  for (let i = 0; i < 100 && await page.locator('.doc .state.ready', ).count() === 0; i++)
    await page.goto(base + '/documents');
  await page.goto(base + '/');
  await page.fill('#q', question);
  await page.click('#ask button');
  await page.waitForSelector('.answer .cite');
  await page.click('.answer .cite >> nth=0');
  await page.waitForSelector('mark#cited');
  await page.goto(base + '/documents');
  await page.locator('.doc', { hasText: 'plain.md' }).locator('a.delete').click();
  await page.click('button.bad');
  await page.waitForURL(/\/documents/);
  check(await page.locator('.doc', { hasText: 'plain.md' }).count() === 0, 'not deleted');
}

// An OpenAI-compatible server for llm.remote that says a word whenever it is told to.
async function speaker() {
  const heard = [];
  let waiting = [];
  const wakeUp = () => { const all = waiting; waiting = []; all.forEach(f => f()); };
  const server = createServer((request, response) => {
    const one = { response, left: false };
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    response.flushHeaders();
    response.on('close', () => { one.left = true; wakeUp(); });
    request.resume();
    heard.push(one);
    wakeUp();
  });
  await new Promise(ok => server.listen(0, '127.0.0.1', ok));
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    async until(condition) {
      while (!condition(heard)) await new Promise(ok => waiting.push(ok));
      return heard.at(-1);
    },
    say(one, text, finish = null) {
      const delta = text ? { content: text } : {};
      one.response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
      if (finish) one.response.end('data: [DONE]\n\n');
    },
    close() { server.closeAllConnections(); server.close(); },
  };
}

const says = (page, words) => page.waitForFunction(
  text => document.querySelector('.answer .prose')?.textContent.includes(text), words);

// A language model's answer: word by word, what no source supports marked, stopped by hand.
async function fromAModel(page, base, where, far) {
  await page.goto(base + '/documents');
  await page.setInputFiles('#file', { name: 'otters.txt', mimeType: 'text/plain',
    buffer: Buffer.from(answer) });
  await uploaded(page, 'otters.txt');
  await page.goto(base + '/');
  check((await page.textContent('.standing')).includes('written by far, on another server'), 'who answers');
  await page.fill('#q', question);
  await page.keyboard.press('Enter');
  let one = await far.until(h => h.length === 1);
  await page.waitForSelector('.answer [role=status]');
  check((await page.textContent('.answer [role=status]')) === 'Reading a passage …', 'no status');
  far.say(one, 'Sea otters hold hands while they sleep ');
  await says(page, 'while they sleep');
  check(await page.locator('.cards').count() === 0, 'sources before the end');
  await look(page, 'streaming', where);
  far.say(one, 'so that they do not drift apart [1]. The moon is a b\u00f6rek \u{1F319}. ');
  far.say(one, '', 'stop');
  await page.waitForSelector('.answer .cards');
  const unsure = page.locator('.answer .unsure');
  check(await unsure.count() === 1, `${await unsure.count()} claims are marked`);
  check((await unsure.textContent()).startsWith('The moon is a b\u00f6rek \u{1F319}.'), await unsure.textContent());
  check((await unsure.locator('.hidden').textContent()).includes('no source supports this'), 'not for the ear');
  const line = await unsure.evaluate(e => getComputedStyle(e).textDecorationStyle);
  check(line === 'dotted', `underlined ${line}`);
  check((await page.textContent('.author')) === 'Written by far', 'no author');
  check(!await page.isVisible('text=Stop'), 'Stop after the end');
  await look(page, 'unsupported', where);

  await page.fill('#q', question + ' Tell me more.');
  await page.keyboard.press('Enter');
  one = await far.until(h => h.length === 2);
  far.say(one, 'Sea otters hold ');
  await says(page, 'Sea otters');
  await page.click('text=Stop');
  await page.waitForSelector('.answer .note');
  check((await page.textContent('.answer .note')).startsWith('Stopped.'), 'no word of it');
  await far.until(() => one.left);
  check(await page.isEnabled('#ask .main'), 'Ask stays closed');
  await look(page, 'stopped', where);

  await page.fill('#q', question + ' And more.');
  await page.keyboard.press('Enter');
  one = await far.until(h => h.length === 3);
  far.say(one, 'Sea otters hold ');
  await says(page, 'Sea otters');
  await page.goto(base + '/documents');
  await far.until(() => one.left);
}

const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath: chromiumPath, args: flags });
let passed = 0, failed = 0;

async function test(name, options, body, served = {}) {
  const server = await serve(served);
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = [];
  page.setDefaultTimeout(15000);
  page.on('pageerror', e => complaints.push(String(e)));
  page.on('console', m => {
    if (m.type() === 'error' && !m.text().includes('404')) complaints.push(m.text());
  });
  page.on('request', r => {
    if (!r.url().startsWith(server.url)) complaints.push(`asked for ${r.url()}`);
  });
  try {
    await body(page, server.url);
    check(complaints.length === 0, complaints.join('; '));
    passed++;
    console.log(`ok    ${name}`);
  } catch (e) {
    failed++;
    console.log(`FAIL  ${name}: ${e.message}`);
    if (shots) await page.screenshot({ path: join(shots, 'failure.png') }).catch(() => {});
  }
  await context.close();
  await server.stop();
}

for (const [width, height] of [[1280, 900], [390, 844]])
  for (const colorScheme of ['light', 'dark'])
    await test(`from upload to citation at ${width} px, ${colorScheme}`,
      { viewport: { width, height }, colorScheme }, async (page, base) => {
        await fromUploadToCitation(page, base, `${width}-${colorScheme}`);
        await refusalAndErrors(page, base, `${width}-${colorScheme}`);
      });
await test('files are dropped, a failure says why, and a dialog guards deleting',
  { viewport: { width: 1280, height: 900 } }, dropAndDelete);
await test('everything works without JavaScript',
  { viewport: { width: 390, height: 844 }, javaScriptEnabled: false }, withoutJavaScript);
for (const [width, height, colorScheme] of [[1280, 900, 'light'], [390, 844, 'dark']]) {
  const far = await speaker(), home = mkdtempSync(join(tmpdir(), 'carrel-client-'));
  const config = join(home, 'carrel.yaml');
  writeFileSync(config, `llm:\n  remote:\n    - name: far\n      url: ${far.url}\n      model: any\n`);
  await test(`a model's answer at ${width} px, ${colorScheme}`, { viewport: { width, height }, colorScheme },
    (page, base) => fromAModel(page, base, `${width}-${colorScheme}`, far), { args: ['--config', config] });
  far.close();
  rmSync(home, { recursive: true });
}
await browser.close();
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed ? 1 : 0);
