// carrel's pages work without this file; it streams answers, uploads by drag and
// shows how far reading has come. Everything from outside goes in by textContent.
'use strict';
document.documentElement.classList.add('scripted');

const el = (tag, cls, text) => {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  if (text !== undefined) e.textContent = text;
  return e;
};

// ---- asking ---------------------------------------------------------------

const sourceLink = c => `/documents/${encodeURIComponent(c.document_id)}` +
  `?start=${c.span.start}&end=${c.span.end}#cited`;

// A source: where it is, and what is quoted from it.
function card(list, key) {
  const c = list[0];
  const li = el('li', 'card');
  li.id = `c${c.n}`;
  const n = el('span', 'n', String(c.n));
  n.setAttribute('aria-hidden', 'true');
  const body = el('div');
  const where = el('a', 'where', c.document_name + (c.page ? `, page\u00a0${c.page}` : ''));
  where.href = sourceLink(c);
  body.append(where);
  if (c.heading && c.heading.length) body.append(el('p', 'meta', c.heading.join(' › ')));
  for (const one of list) {
    const text = one[key] || '';
    const a = el('a', '', text.length > 420 ? text.slice(0, 420) + ' …' : text);
    a.href = sourceLink(one);
    const quote = el('blockquote');
    quote.append(a);
    if (one.page !== c.page) quote.append(' ', el('span', 'meta', `page\u00a0${one.page}`));
    body.append(quote);
  }
  li.append(n, body);
  return li;
}

function cards(title, list, key) {
  const ol = el('ol', 'cards');
  const byNumber = new Map();
  for (const c of list) byNumber.set(c.n, [...(byNumber.get(c.n) || []), c]);
  for (const group of byNumber.values()) ol.append(card(group, key));
  return [el('h2', '', title), ol];
}

// Where the marks of an answer stand, and what each cites. The k-th mark [n] belongs
// to the k-th citation of that number, or to its last; one whose citation has not come
// yet stays text.
function marksOf(text, citations) {
  const marks = [];
  const seen = new Map();
  for (const m of text.matchAll(/\[(\d{1,4})\]/g)) {
    const of = citations.filter(c => c.n === Number(m[1]));
    if (!of.length) continue;
    const k = seen.get(m[1]) || 0;
    seen.set(m[1], k + 1);
    marks.push({ from: m.index, to: m.index + m[0].length, n: m[1],
      citation: of[Math.min(k, of.length - 1)] });
  }
  return marks;
}

// Ranges in bytes of UTF-8 as ranges of this string.
function unitsOf(text, ranges) {
  const bytes = new TextEncoder().encode(text);
  const unit = at => new TextDecoder().decode(bytes.subarray(0, at)).length;
  return ranges.map(r => ({ from: unit(r.start), to: unit(r.end) }));
}

// The answer, or so much of it as there is; `unsupported` comes at its end.
function renderAnswer(box, text, citations, unsupported = []) {
  const marks = marksOf(text, citations);
  const part = (into, from, to) => {
    for (const m of marks) {
      if (m.from < from || m.from >= to) continue;
      const a = el('a', 'cite', m.n);
      a.href = sourceLink(m.citation);
      a.setAttribute('aria-label', `Source ${m.n}`);
      into.append(text.slice(from, m.from), a);
      from = m.to;
    }
    into.append(text.slice(from, to));
  };
  box.textContent = '';
  let from = 0;
  for (const range of unitsOf(text, unsupported)) {
    part(box, from, range.from);
    const span = el('span', 'unsure');
    span.title = 'No source supports this';
    part(span, range.from, range.to);
    span.append(el('span', 'hidden', ' (no source supports this)'));
    box.append(span);
    from = range.to;
  }
  part(box, from, text.length);
}

// Events of a fetch()ed stream: [name, value] pairs.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      let name = 'message', data = '';
      for (const line of block.split('\n')) {
        if (line.startsWith('event: ')) name = line.slice(7);
        if (line.startsWith('data: ')) data += line.slice(6);
      }
      if (data) yield [name, JSON.parse(data)];
    }
  }
}

// What a reader must know of the answer as a whole; pages_ask.c says the same.
function caveats(reply) {
  const notes = [];
  if (reply.grounded === 'none' && reply.finish_reason !== 'refused')
    notes.push('No source supports this answer.');
  else if (reply.grounded === 'partial')
    notes.push((reply.unsupported || []).length
      ? 'No source supports what is underlined with dots.' : 'Not every sentence has a source.');
  if (reply.finish_reason === 'length')
    notes.push('The answer was cut off at its greatest length.');
  return [...notes, ...(reply.degraded || [])].map(text => el('p', 'note warn', text));
}

// Between the search and the first word of a language model seconds may pass.
const reading = n => n === 1 ? 'Reading a passage …' : n ? `Reading ${n} passages …` : '';

function author(reply) {
  return el('p', 'meta author', reply.model === 'extractive'
    ? 'Word for word from the documents' : `Written by ${reply.model}`);
}

function ask(form) {
  const area = form.querySelector('textarea');
  const button = form.querySelector('button.main');
  const halt = el('button', 'halt', 'Stop');
  let running = null;
  halt.type = 'button';
  halt.hidden = true;
  halt.onclick = () => { running?.abort('stopped'); area.focus(); };
  button.before(halt);

  async function run(question, collection) {
    if (running) running.abort('replaced');
    const mine = running = new AbortController();
    document.querySelector('#answer')?.remove();
    document.querySelector('.standing')?.remove();
    document.querySelector('.hero')?.classList.replace('hero', 'hidden');
    const section = el('section', 'answer');
    section.id = 'answer';
    section.setAttribute('aria-label', 'Answer');
    section.setAttribute('aria-busy', 'true');
    const prose = el('div', 'prose working');
    prose.setAttribute('aria-live', 'polite');
    const status = el('p', 'meta');
    status.setAttribute('role', 'status');
    section.append(prose, status);
    form.after(section);
    button.disabled = true;
    halt.hidden = false;
    const citations = [];
    let text = '';
    let reply = null;
    try {
      const body = { question, stream: true };
      if (collection) body.collection = collection;
      const response = await fetch('/v1/ask', {
        method: 'POST', signal: mine.signal,
        headers: { 'Content-Type': 'application/json', 'Accept': 'text/event-stream' },
        body: JSON.stringify(body) });
      if (response.status === 401) return location.reload();
      if (!response.ok) throw new Error((await response.json()).error.message);
      for await (const [name, value] of events(response)) {
        if (name === 'sources') status.textContent = reading(value.hits.length);
        if (name === 'delta') {
          text += value.text;
          status.remove();
        }
        if (name === 'citation') citations.push(value);
        if (name === 'error') throw new Error(value.error.message);
        if (name === 'done') reply = value;
        else renderAnswer(prose, text, citations);
      }
      if (!reply) throw new Error('the connection ended before the answer did');
      finish(section, reply, reply.citations || citations, text);
    } catch (e) {
      if (mine.signal.aborted && mine.signal.reason !== 'stopped') return;
      section.append(mine.signal.aborted
        ? el('p', 'note warn', 'Stopped. The beginning of an answer is not checked against its sources.')
        : el('p', 'note bad', `${e.message}.`));
    } finally {
      prose.classList.remove('working');
      status.remove();
      section.removeAttribute('aria-busy');
      if (running === mine) {
        button.disabled = false;
        halt.hidden = true;
        running = null;
      }
    }
  }

  function finish(section, reply, citations, text) {
    const prose = section.querySelector('.prose');
    renderAnswer(prose, text, citations, reply.unsupported);
    if (reply.finish_reason === 'refused') {
      section.classList.add('refused');
      if (!text) prose.after(el('p', 'note', 'Nothing in these documents answers this question.'));
    } else {
      section.append(author(reply));
    }
    section.append(...caveats(reply));
    if (citations.length) section.append(...cards('Sources', citations, 'quote'));
    if (reply.grounded === 'none' && (reply.nearest || []).length)
      section.append(...cards('Nearest passages', reply.nearest.slice(0, 3), 'text'));
  }

  form.addEventListener('submit', e => {
    e.preventDefault();
    const question = area.value.trim();
    if (!question) return;
    const collection = form.elements.collection?.value || '';
    const address = new URLSearchParams({ q: question });
    if (collection) address.set('collection', collection);
    history.pushState(null, '', `/?${address}`);
    document.title = 'Answer · carrel';
    run(question, collection);
  });
  area.addEventListener('keydown', e => {
    if (e.key === 'Escape') running?.abort('stopped');
    if (e.key === 'Enter' && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      form.requestSubmit();
    }
  });
  window.addEventListener('popstate', () => location.reload());
}

// ---- documents ------------------------------------------------------------

function send(file, form, list) {
  const li = el('li', '', file.name);
  const bar = el('progress');
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute('aria-label', `Sending ${file.name}`);
  li.append(bar);
  list.append(li);
  const max = Number(form.dataset.max);
  const fail = why => { bar.remove(); li.append(el('p', 'note bad', why)); };
  if (file.size > max) {
    fail(`It is larger than the ${Math.floor(max / 1e6)} MB this box takes.`);
    return Promise.resolve();
  }
  return new Promise(done => {
    const data = new FormData();
    const collection = form.elements.collection?.value.trim();
    if (collection) data.append('collection', collection);
    data.append('file', file);
    const x = new XMLHttpRequest();
    x.open('POST', '/v1/documents');
    x.setRequestHeader('Accept', 'application/json');
    x.upload.onprogress = e => { if (e.lengthComputable) bar.value = e.loaded / e.total; };
    x.onerror = () => { fail('The connection broke. Nothing was stored.'); done(); };
    x.onload = () => {
      let reply = null;
      try { reply = JSON.parse(x.responseText); } catch { /* told below */ }
      if (x.status >= 300 || !reply) {
        fail(reply?.error ? `${reply.error.message}.` : `The box answered ${x.status}.`);
      } else {
        bar.remove();
        const same = reply.documents.every(d => d.duplicate);
        li.append(el('p', 'meta', same ? 'Already here.' : 'Stored.'));
        setTimeout(() => li.remove(), 4000);
      }
      done();
    };
    x.send(data);
  });
}

async function refresh() {
  const response = await fetch(location.href, { headers: { Accept: 'text/html' } });
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  const fresh = page.querySelector('#docs'), old = document.querySelector('#docs');
  if (!fresh || !old) return;
  if (!old.contains(document.activeElement)) old.replaceWith(fresh);
  document.querySelector('#list > .standing')?.remove();
}

function moving() {
  return document.querySelector('.doc[data-state=queued], .doc[data-state=running]') !== null;
}

function watch() {
  let wait = 700;
  const look = async () => {
    if (moving() && !document.hidden) {
      await refresh().catch(() => {});
      wait = Math.min(wait * 1.3, 4000);
    } else {
      wait = 700;
    }
    setTimeout(look, wait);
  };
  setTimeout(look, wait);
}

function uploads(form) {
  const list = form.querySelector('#uploads');
  const input = form.querySelector('input[type=file]');
  let tail = Promise.resolve();
  const take = files => {
    for (const file of files)
      tail = tail.then(() => send(file, form, list)).then(refresh).catch(() => {});
  };
  input.addEventListener('change', () => { take([...input.files]); input.value = ''; });
  form.addEventListener('submit', e => { e.preventDefault(); take([...input.files]); });
  let depth = 0;
  const over = on => form.classList.toggle('over', on);
  window.addEventListener('dragenter', e => { e.preventDefault(); depth++; over(true); });
  window.addEventListener('dragleave', () => { if (--depth <= 0) { depth = 0; over(false); } });
  window.addEventListener('dragover', e => e.preventDefault());
  window.addEventListener('drop', e => {
    e.preventDefault();
    depth = 0;
    over(false);
    take([...e.dataTransfer.files]);
  });
  watch();
}

function confirmDelete(link, id, name) {
  const dialog = el('dialog');
  dialog.setAttribute('aria-label', 'Delete');
  dialog.append(el('p', '', `Delete “${name}” with its passages and every answer that cites it?`));
  const row = el('div', 'row');
  const yes = el('button', 'main bad', 'Delete');
  const no = el('button', 'quiet', 'Keep it');
  row.append(yes, no);
  dialog.append(row);
  document.body.append(dialog);
  no.onclick = () => dialog.close();
  dialog.onclose = () => { dialog.remove(); link.focus(); };
  yes.onclick = async () => {
    yes.disabled = true;
    const response = await fetch(`/v1/documents/${id}`, { method: 'DELETE' });
    const item = link.closest('.doc');
    if (response.ok && item) {
      dialog.close();
      item.remove();
    } else if (response.ok) {
      location.href = '/documents';
    } else {
      dialog.querySelector('p').textContent = (await response.json()).error.message;
    }
  };
  dialog.showModal();
  no.focus();
}

document.addEventListener('click', e => {
  const link = e.target.closest?.('a.delete');
  if (!link || e.ctrlKey || e.metaKey || typeof HTMLDialogElement === 'undefined') return;
  const item = link.closest('.doc');
  const id = item?.dataset.id || link.dataset.id;
  const name = (item || document).querySelector('.name')?.textContent || '';
  if (!id) return;
  e.preventDefault();
  confirmDelete(link, id, name);
});

const askForm = document.querySelector('#ask');
if (askForm) ask(askForm);
const uploadForm = document.querySelector('#upload');
if (uploadForm) uploads(uploadForm);
