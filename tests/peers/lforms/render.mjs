// Fills a Questionnaire in LHC-Forms, in Chromium. In: a task as JSON on stdin, {questionnaire, version, fill, screenshot}.
// Out, as JSON: what the page said of its faults, which questions it shows, and the QuestionnaireResponse.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = fileURLToPath(new URL('package/dist/lforms/', import.meta.url));
const types = { js: 'text/javascript', css: 'text/css' };
const page = `<!doctype html><meta charset="utf-8"><title>form</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/webcomponent/styles.css">
<div id="form"></div>
<script src="/webcomponent/assets/lib/zone.min.js"></script>
<script src="/webcomponent/lhc-forms.js"></script>
<script src="/fhir/lformsFHIRAll.min.js"></script>`;

const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname;
  if (path === '/') return response.setHeader('content-type', 'text/html').end(page);
  try {
    const content = await readFile(here + path.replaceAll('..', ''));
    response.setHeader('content-type', types[path.split('.').pop()] ?? 'application/octet-stream').end(content);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

let input = '';
for await (const part of process.stdin) input += part;
const task = JSON.parse(input);
const quiet = ['disable-quic', 'no-first-run', 'disable-background-networking', 'disable-component-update', 'disable-sync'];
const browser = await chromium.launch({
  executablePath: task.browser,
  args: ['--no-sandbox', '--disable-gpu', ...quiet.map((name) => `--${name}`)],
});
const tab = await browser.newPage({ viewport: { width: task.width ?? 1100, height: 900 } });
const faults = [];
const origin = `http://127.0.0.1:${server.address().port}`;
tab.on('pageerror', (error) => faults.push(String(error)));
tab.on('console', (said) => said.type() === 'error' && faults.push(said.text()));
tab.on('request', (request) => request.url().startsWith('http') && !request.url().startsWith(origin)
  && faults.push(`asked ${request.url()}`));
try {
  await tab.goto(origin);
  await tab.evaluate(([questionnaire, fhirVersion]) =>
    LForms.Util.addFormToPage(questionnaire, 'form', { fhirVersion }), [task.questionnaire, task.version]);
  await tab.waitForSelector('.lhc-form-title');
  const question = (link) => tab.locator(`[id="item-${link}/1"], [id^="item-${link}/1/"]`).first();
  const shown = async () => tab.evaluate(() =>
    [...document.querySelectorAll('.lhc-item')].filter((one) => one.offsetParent).map((one) => one.id));
  const before = await shown();
  for (const { link, option, text, choose } of task.fill ?? []) {
    const at = question(link);
    if (option) await at.locator('label').filter({ hasText: new RegExp(`^\\s*${option}\\s*$`) }).first().click();
    else if (choose) {
      await at.locator('input').first().click();
      await at.locator('input').first().pressSequentially(choose);
      await tab.locator('#lhc-tools-searchResults li, #searchResults li').filter({ hasText: choose }).first().click();
    } else {
      await at.locator('input').first().fill(text);
      await at.locator('input').first().press('Enter');
    }
  }
  await tab.waitForTimeout(300);
  const after = await shown();
  const response = await tab.evaluate(([version]) =>
    LForms.Util.getFormFHIRData('QuestionnaireResponse', version), [task.version]);
  if (task.screenshot) await tab.screenshot({ path: task.screenshot, fullPage: true });
  process.stdout.write(JSON.stringify({ faults, before, after, response }));
} finally {
  await browser.close();
  server.close();
}
