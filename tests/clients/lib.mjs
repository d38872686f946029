// What the client tests share: the program on a free port with a scratch folder.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));
export const binary = process.env.CARREL_BIN || join(root, 'build/release/carrel');

export function check(condition, message) {
  if (!condition) throw new Error(message);
}

// `prepare(data)` may fill the store's folder first; `args` are more arguments of serve.
export async function serve({ prepare, env, args = [] } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'carrel-client-')), data = join(home, 'data');
  mkdirSync(data);
  if (prepare) prepare(data);
  const child = spawn(binary, ['serve', '--data', data, '--listen', '127.0.0.1:0', ...args],
    { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, ...env } });
  const url = await new Promise((ok, bad) => {
    let said = '';
    child.stdout.on('data', d => {
      said += d;
      const found = said.match(/http:\/\/\S+/);
      if (found) ok(found[0]);
    });
    child.on('exit', code => bad(new Error(`serve ended with ${code}`)));
    child.on('error', bad);
  });
  return { url, data, async stop() {
    child.removeAllListeners('exit');
    const gone = new Promise(ok => child.once('exit', ok));
    child.kill('SIGTERM');
    await gone;
    rmSync(home, { recursive: true, force: true });
  } };
}
