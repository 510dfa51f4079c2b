// Opens the pages of a green and of a red run, and does what a reader does.
// Usage: node check.mjs FOLDER CHROMIUM PICTURES
import assert from 'node:assert/strict';
import path from 'node:path';
import { chromium } from 'playwright-core';

const [folder, executablePath, pictures] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let passed = 0;
const tests = [];
const test = (name, run) => tests.push([name, run]);

async function opened(name, colorScheme) {
  const page = await browser.newPage({ viewport: { width: 1500, height: 900 }, colorScheme });
  const file = 'file://' + path.join(folder, name, 'page.html');
  page.complaints = [];
  page.on('console', message => page.complaints.push(message.text()));
  page.on('pageerror', error => page.complaints.push(error.message));
  page.on('request', request => {
    if (request.url() !== file && !request.url().startsWith('data:')) page.complaints.push('asks for ' + request.url());
  });
  await page.goto(file);
  await page.waitForSelector('body[data-ready=yes]');
  await settled(page);
  return page;
}
// The page paints in the next frame.
const settled = page => page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
const press = async (page, ...keys) => { for (const key of keys) await page.keyboard.press(key); await settled(page); };
const chosen = page => page.evaluate(() => Number(document.getElementById('canvas').dataset.selected));
const shown = page => page.textContent('#shown').then(text => Number(text.split(' of ')[0].replaceAll(',', '')));
const moment = page => page.textContent('#moment');
// How many of the canvas's pixels are not like the page's first.
const ink = page => page.evaluate(() => {
  const canvas = document.getElementById('canvas');
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let strong = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 120 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 40) strong++;
  return strong;
});

for (const name of ['green', 'red']) for (const scheme of ['light', 'dark']) {
  test(`${name}, ${scheme}: it draws, complains of nothing and asks nobody`, async () => {
    const page = await opened(name, scheme);
    assert.equal(await page.textContent('#verdict'), name.toUpperCase());
    assert.match(await page.textContent('#command'), /^cargo sim replay \S+ --seed \d+$/);
    assert.ok(await ink(page) > 5000, 'something is drawn');
    assert.ok(await page.locator('#lanes button').count() >= 9);
    assert.ok(await page.locator('#faults button').count() >= 4);
    await page.screenshot({ path: path.join(pictures, `${name}-${scheme}.png`) });
    assert.deepEqual(page.complaints, []);
    await page.close();
  });
}
test('keys step from moment to moment, along a lane, to causes and effects', async () => {
  const page = await opened('green', 'light');
  await page.focus('#canvas');
  await press(page, 'ArrowRight');
  const first = await chosen(page);
  assert.ok(first >= 0);
  await press(page, 'j');
  assert.equal(await chosen(page), first + 1);
  await press(page, 'ArrowLeft');
  assert.equal(await chosen(page), first);
  await press(page, 'j', 'j', 'k');
  assert.equal(await chosen(page), first + 1);
  const lane = text => text.split(' · ')[1].split(/\s/)[0];
  const before = lane(await page.textContent('#moment .when') + ' ');
  await press(page, 'ArrowDown');
  assert.ok(await chosen(page) > first);
  assert.equal(lane(await page.textContent('#moment .when') + ' '), before);
  await press(page, 'f');
  assert.match(await moment(page), /FAULT/);
  assert.deepEqual(page.complaints, []);
  await page.close();
});
test('the filter leaves what it names', async () => {
  const page = await opened('green', 'light');
  const all = await shown(page);
  await press(page, '/');
  await page.keyboard.type('server-2: vote-asked');
  await settled(page);
  const some = await shown(page);
  assert.ok(some > 0 && some < all / 10, `${some} of ${all}`);
  await press(page, 'Escape');
  assert.equal(await shown(page), all);
  await page.click('#lanes button:has-text("client-1")');
  const lane = await shown(page);
  assert.ok(lane > 0 && lane < all / 3, `${lane} of ${all}`);
  await press(page, 'Escape');
  await page.uncheck('#beats');
  assert.ok(await shown(page) < all);
  await page.check('#beats');
  await page.selectOption('#session', { index: 1 });
  const session = await shown(page);
  assert.ok(session > 0 && session < all / 2, `${session} of ${all}`);
  await page.close();
});
test('pointing tells what a moment is and what it changed; zoom and drag move', async () => {
  const page = await opened('green', 'light');
  await page.focus('#canvas');
  await press(page, 'f', 'j', 'j');
  const box = await page.locator('#canvas').boundingBox();
  const found = [];
  for (let x = box.x + 20; x < box.x + box.width && !found.length; x += 7) {
    await page.mouse.move(x, box.y + box.height / 3);
    if (await page.isVisible('#tip')) found.push(await page.textContent('#tip'));
  }
  assert.match(found[0], /\d s/);
  const before = await page.locator('#canvas').screenshot();
  await page.mouse.wheel(0, -600);
  await settled(page);
  const near = await page.locator('#canvas').screenshot();
  assert.notDeepEqual(near, before);
  await page.mouse.down();
  await page.mouse.move(box.x + 300, box.y + 200, { steps: 4 });
  await page.mouse.up();
  await settled(page);
  assert.notDeepEqual(await page.locator('#canvas').screenshot(), near);
  await press(page, '?');
  assert.ok(await page.isVisible('#help'));
  await page.close();
});
test('the causes of a violation stand out, and can be widened to everything', async () => {
  const page = await opened('red', 'light');
  assert.match(await page.textContent('#invariant'), /^\w+ /);
  assert.match(await moment(page), /Goes back to/);
  const pressed = () => page.textContent('#cone [aria-pressed=true]');
  assert.equal(await pressed(), 'Causes');
  const causes = await ink(page);
  await press(page, 'x');
  assert.equal(await pressed(), 'Happened before');
  await press(page, 'x');
  assert.equal(await pressed(), 'Everything');
  assert.ok(await ink(page) > causes, 'more is drawn in full colour');
  await page.click('[data-cone="2"]');
  await page.focus('#canvas');
  const at = await chosen(page);
  await press(page, 'c');
  assert.ok(await chosen(page) < at, 'to a cause');
  const cause = await chosen(page);
  await press(page, 'ArrowRight');
  assert.ok(await chosen(page) > cause);
  await press(page, 'v');
  assert.equal(await chosen(page), at);
  assert.deepEqual(page.complaints, []);
  await page.close();
});

let failed = 0;
for (const [name, run] of tests) {
  try { await run(); passed++; console.log('ok   ' + name); } catch (error) { failed++; console.log('FAIL ' + name + '\n' + error.stack); }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
