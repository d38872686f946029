// The official OpenAI client against our server: it was written by others, so what it
// reads is the wire format. Models from CARREL_DATA (none: skipped).
//
//   cd tests/clients && npm ci && node openai.mjs
//
// CARREL_BIN: the program. Prints "N passed, N failed, N skipped".
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { binary, check, root, serve } from './lib.mjs';

const given = join(process.env.CARREL_DATA || '', 'models/stories260K/stories260K-q8_0.gguf');
if (!existsSync(given)) {
  console.log('skipped: no data\n0 passed, 0 failed, 1 skipped');
  process.exit(0);
}
const stem = 'stories260K-q8_0';

function withModel(data) {
  mkdirSync(join(data, 'models'));
  copyFileSync(given, join(data, 'models', `${stem}.gguf`));
}

const client = (server, options = {}) =>
  new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0, ...options });

async function fails(call, status) {
  try {
    await call();
  } catch (e) {
    check(e instanceof OpenAI.APIError, `not an API error: ${e}`);
    check(e.status === status, `status ${e.status} (${e.message}), want ${status}`);
    return e;
  }
  throw new Error(`no failure, want ${status}`);
}

const story = [{ role: 'user', content: 'Once upon a time' }];
let model;

async function models(api) {
  const ids = [];
  for await (const m of api.models.list()) {
    check(m.object === 'model' && Number.isInteger(m.created) && m.owned_by, JSON.stringify(m));
    ids.push(m.id);
  }
  check(ids.includes('carrel') && ids.includes('carrel/default'), ids.join());
  model = ids.find(id => !id.startsWith('carrel'));
  check(model, `no local model among ${ids}`);
  check((await api.models.retrieve(model)).id === model, 'retrieve');
  check((await api.models.retrieve('carrel/default')).id === 'carrel/default', 'a name with a slash');
  const e = await fails(() => api.models.retrieve('gpt-9'), 404);
  check(e.code === 'model_not_found', e.code);
}

async function chat(api) {
  const ask = { model, messages: story, max_tokens: 24 };
  const a = await api.chat.completions.create(ask), b = await api.chat.completions.create(ask);
  check(a.object === 'chat.completion' && a.id.startsWith('chatcmpl-') && a.model === model, a.id);
  const [one] = a.choices;
  check(one.message.role === 'assistant' && one.message.refusal === null, JSON.stringify(one));
  check(one.finish_reason === 'length' && one.logprobs === null, one.finish_reason);
  check(one.message.content.length > 0 && one.message.content === b.choices[0].message.content,
    'greedy answers differ');
  check(a.usage.completion_tokens === 24 && a.usage.prompt_tokens > 0 &&
    a.usage.total_tokens === a.usage.prompt_tokens + 24, JSON.stringify(a.usage));
}

async function streamed(api) {
  const ask = { model, messages: story, max_tokens: 24 };
  const whole = (await api.chat.completions.create(ask)).choices[0].message.content;
  let text = '', finish, usage, ids = new Set(), role;
  for await (const c of await api.chat.completions.create({ ...ask, stream: true,
    stream_options: { include_usage: true } })) {
    ids.add(c.id);
    check(c.object === 'chat.completion.chunk', c.object);
    if (c.choices.length === 0) { usage = c.usage; continue; }
    role ??= c.choices[0].delta.role;
    text += c.choices[0].delta.content ?? '';
    finish = c.choices[0].finish_reason ?? finish;
  }
  check(text === whole, `streamed ${JSON.stringify(text)}, whole ${JSON.stringify(whole)}`);
  check(ids.size === 1 && role === 'assistant' && finish === 'length', `${ids.size} ${role} ${finish}`);
  check(usage?.completion_tokens === 24, JSON.stringify(usage));
  for await (const c of await api.chat.completions.create({ ...ask, stream: true }))
    check(!c.usage && c.choices.length === 1, 'usage that nobody asked for');
}

async function seeds(api) {
  const ask = seed => api.chat.completions.create({ model, messages: story, max_tokens: 32,
    temperature: 1.2, seed }).then(r => r.choices[0].message.content);
  const [a, b, c] = [await ask(7), await ask(7), await ask(8)];
  check(a === b, 'the same seed gives two answers');
  check(a !== c, 'two seeds give one answer');
}

async function stops(api) {
  const ask = { model, messages: story, max_tokens: 48 };
  const whole = (await api.chat.completions.create(ask)).choices[0].message.content;
  const stop = whole.slice(12, 15);
  const cut = (await api.chat.completions.create({ ...ask, stop: [stop, '\u0001'] })).choices[0];
  check(cut.finish_reason === 'stop', cut.finish_reason);
  check(cut.message.content === whole.slice(0, whole.indexOf(stop)), cut.message.content);
  let text = '';
  for await (const c of await api.chat.completions.create({ ...ask, stop, stream: true }))
    text += c.choices[0].delta.content ?? '';
  check(text === cut.message.content, `streamed ${text}`);
}

async function schema(api) {
  const response_format = { type: 'json_schema', json_schema: { name: 'pet', strict: true, schema: {
    type: 'object', properties: { name: { type: 'string', maxLength: 12 },
      kind: { enum: ['cat', 'dog'] }, age: { type: 'integer', minimum: 0, maximum: 30 } },
    required: ['name', 'kind', 'age'], additionalProperties: false } } };
  for (const stream of [false, true]) {
    const ask = { model, messages: story, max_tokens: 120, temperature: 1, seed: 3, response_format };
    let text = '';
    if (stream)
      for await (const c of await api.chat.completions.create({ ...ask, stream }))
        text += c.choices[0].delta.content ?? '';
    else
      text = (await api.chat.completions.create(ask)).choices[0].message.content;
    const pet = JSON.parse(text);
    check(typeof pet.name === 'string' && ['cat', 'dog'].includes(pet.kind) &&
      Number.isInteger(pet.age) && pet.age <= 30 && Object.keys(pet).length === 3, text);
  }
  const bad = { type: 'json_schema', json_schema: { name: 'x', schema: { not: {} } } };
  const e = await fails(() => api.chat.completions.create({ model, messages: story,
    response_format: bad, stream: true }), 400);
  check(e.message.includes('not'), e.message);
}

async function logprobs(api) {
  const r = await api.chat.completions.create({ model, messages: story, max_tokens: 5,
    logprobs: true, top_logprobs: 3 });
  const list = r.choices[0].logprobs.content;
  check(list.length === 5, `${list.length} tokens`);
  for (const t of list) {
    check(t.logprob <= 0 && t.top_logprobs.length === 3, JSON.stringify(t));
    check(Math.abs(t.top_logprobs[0].logprob - t.logprob) < 1e-6, 'greedy is the most likely');
  }
  check(Buffer.from(list.flatMap(t => t.bytes)).toString().trim() ===
    r.choices[0].message.content.trim(), 'bytes are the text');
}

async function completions(api) {
  const ask = { model, prompt: 'Once upon a time', max_tokens: 16 };
  const r = await api.completions.create(ask);
  check(r.object === 'text_completion' && r.choices[0].text.length > 0, JSON.stringify(r));
  let text = '';
  for await (const c of await api.completions.create({ ...ask, stream: true }))
    text += c.choices[0].text;
  check(text === r.choices[0].text, text);
}

async function errors(api, server) {
  const messages = story;
  await fails(() => api.chat.completions.create({ model: 'gpt-9', messages }), 404);
  let e = await fails(() => api.chat.completions.create({ model, messages, temperature: 9 }), 400);
  check(e.param === 'temperature' && e.requestID, `${e.param} ${e.requestID}`);
  e = await fails(() => api.chat.completions.create({ model, messages, n: 2 }), 400);
  check(e.param === 'n', e.param);
  await fails(() => api.chat.completions.create({ model, messages: [] }), 400);
  await fails(() => api.chat.completions.create({ model, messages: [{ role: 'user',
    content: [{ type: 'image_url', image_url: { url: 'data:,' } }] }] }), 400);
  await fails(() => api.chat.completions.create({ model, messages,
    tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] }), 400);
  e = await fails(() => api.chat.completions.create({ model,
    messages: [{ role: 'user', content: 'word '.repeat(20000) }] }), 400);
  check(e.code === 'context_length_exceeded', `${e.code} ${e.message}`);
  execFileSync(binary, ['key', 'add', 'someone', '--data', server.data, '--server', server.url],
    { stdio: 'pipe' });
  await fails(() => api.models.list(), 401);
  await fails(() => api.chat.completions.create({ model, messages }), 401);
}

// More than can run or wait at once: some are told to come again, and when.
async function tooMany(api) {
  const ask = () => api.chat.completions.create({ model, messages: story, max_tokens: 200 });
  const all = await Promise.allSettled(Array.from({ length: 120 }, ask));
  const refused = all.filter(r => r.status === 'rejected');
  check(refused.length > 0, 'nothing was refused');
  for (const { reason } of refused) {
    check(reason.status === 429, `${reason.status} ${reason.message}`);
    check(Number(reason.headers.get('retry-after')) > 0, 'no Retry-After');
  }
  check(all.some(r => r.status === 'fulfilled'), 'nobody was served');
}

const busy = async server => {
  const s = await (await fetch(`${server.url}/v1/status`)).json();
  return s.queue.questions.running + s.queue.questions.waiting;
};

async function aborted(api, server) {
  const stream = await api.chat.completions.create({ model, messages: story, max_tokens: 400,
    stream: true, temperature: 1, seed: 1 });
  let n = 0;
  for await (const _ of stream) if (++n === 3) break;
  for (let i = 0; i < 500 && await busy(server) > 0; i++);
  check(await busy(server) === 0, 'the answer goes on for nobody');
}

// From the documents: whatever the model babbles, every mark has its source.
async function fromDocuments(api, server) {
  execFileSync(binary, ['add', '--data', server.data, '--server', server.url,
    join(root, 'tests/corpus')], { stdio: 'pipe' });
  const messages = [{ role: 'user', content: 'When is the reading room open on Saturday?' }];
  const r = await api.chat.completions.create({ model: 'carrel', messages, max_tokens: 60 });
  const text = r.choices[0].message.content, notes = r.choices[0].message.annotations;
  check(Array.isArray(notes) && Array.isArray(r.citations), JSON.stringify(r));
  for (const m of text.matchAll(/\[(\d+)\]/g))
    check(r.citations.some(c => c.n === Number(m[1])), `${m[0]} has no citation`);
  for (const c of r.citations) {
    const stored = await (await fetch(`${server.url}/v1/documents/${c.document_id}/text?` +
      `start=${c.span.start}&end=${c.span.end}`)).text();
    check(stored === c.quote, `${stored} is not ${c.quote}`);
  }
  let streamed = '';
  for await (const c of await api.chat.completions.create({ model: 'carrel/default', messages,
    max_tokens: 60, stream: true }))
    streamed += c.choices[0]?.delta.content ?? '';
  check(streamed === text, `streamed ${JSON.stringify(streamed)}, whole ${JSON.stringify(text)}`);
  const gone = await api.chat.completions.create({ model: 'carrel', messages: [{ role: 'user',
    content: 'Which zeppelin won the 1931 tulip regatta of Neptune?' }] });
  check(gone.grounded === 'none' && gone.choices[0].message.content.length > 0, JSON.stringify(gone));
  await fails(() => api.chat.completions.create({ model: 'carrel/nowhere', messages }), 404);
}

const server = await serve({ prepare: withModel });
let passed = 0, failed = 0;
for (const [name, body] of Object.entries({ models, chat, streamed, seeds, stops, schema, logprobs,
  completions, aborted, tooMany, fromDocuments, errors })) {
  try {
    await body(client(server), server);
    passed++;
    console.log(`ok    ${name}`);
  } catch (e) {
    failed++;
    console.log(`FAIL  ${name}: ${e.message}`);
  }
}
await server.stop();
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed ? 1 : 0);
