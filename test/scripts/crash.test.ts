import { spawnSync } from 'node:child_process';
import { realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../lib/package.js';
import { Bench, Subject } from '../../scripts/crash/campaign.js';
import { temporaryFolder } from '../helpers/dataset.js';

const script = path.join(packageRoot, 'scripts/crash/index.js');
const campaign = (...args: string[]) =>
  spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });

// The short form of `npm run check:crash`.
describe.runIf(process.platform === 'linux')('a campaign of kills and faults', () => {
  test('finds nothing wrong with what this package writes', () => {
    const commands = ['convert', 'train with a kept store'];
    const { status, stdout } = campaign('--kills', '20', ...commands);
    const rows = stdout.split('\n').filter((line) => line.startsWith('│'));
    const [kills = 0, faults = 0, ...defects] = rows.at(-1)?.match(/\d+/g)?.map(Number) ?? [];
    expect(rows).toHaveLength(1 + commands.length + 1);
    expect(kills + faults).toBeGreaterThanOrEqual(20);
    expect({ stdout, defects }).toEqual({ stdout, defects: [0, 0, 0, 0, 0] });
    expect(status).toBe(0);
  });

  test('does not stop at a temporary folder that cannot be removed', () => {
    const { status, stdout } = campaign('sweep', '--only', 'fresh/rmdir:EIO');
    expect({ status, stdout }).toEqual({ status: 0, stdout });
  });

  test('has only commands that there are', () => {
    const { status, stderr } = campaign('tarin');
    expect(status).toBe(2);
    expect(stderr).toContain('tarin is none of convert,');
  });
});

describe.runIf(process.platform === 'linux')('it finds', () => {
  const home = realpathSync(temporaryFolder());
  let bench: Bench;
  beforeAll(() => {
    const program = path.join(home, 'program.mjs');
    writeFileSync(program, PROGRAM);
    bench = new Bench(home, { program, limit: 3000 });
  });
  afterAll(() => bench.close());

  /** Writes a file in a way of its own: whole and in one step, but for the fault that it is called by. */
  const PROGRAM = `
    import fs from 'node:fs';
    const out = 'place/out', file = out + '/file.json', lock = out + '/lock.json';
    const temporary = /^\\.node-distill-[0-9a-z]{6}\\.part$/;
    function write(file, text) {
      const to = fs.openSync(file, 'w');
      fs.writeSync(to, text);
      return to;
    }
    function sync(to) {
      fs.fsyncSync(to);
      fs.closeSync(to);
    }
    export async function main([fault, seed]) {
      const text = JSON.stringify({ seed });
      if (fault !== 'leftovers') {
        const names = fs.readdirSync(out).filter((name) => temporary.test(name));
        for (const name of names) fs.rmSync(out + '/' + name, { recursive: true });
      }
      if (fault === 'errors') {
        if (fs.existsSync(lock)) return 1;
        sync(write(lock, '{}'));
      }
      if (fault === 'lost' && fs.existsSync(file)) fs.unlinkSync(file);
      const draft = fault === 'torn' ? file : out + '/.node-distill-' + process.hrtime.bigint().toString(36).slice(-6) + '.part';
      try {
        const to = write(draft, text);
        if (fault === 'unsynced') fs.closeSync(to);
        else sync(to);
        if (draft !== file) fs.renameSync(draft, file);
        sync(fs.openSync(out));
      } catch (error) {
        if (fault === 'stuck') await new Promise((resolve) => setTimeout(resolve, 1e6));
        if (draft !== file) fs.rmSync(draft, { force: true });
        console.error(error.code + '; try again' + (fault === 'unexplained' ? '' : ' (ERR_WRITE)'));
        return 1;
      }
      if (fault === 'errors') fs.rmSync(lock);
      return 0;
    }`;

  test.each([
    ['nothing', 'old/write:kill-halfway', []],
    ['nothing', 'old/rename:kill-before/rename:kill-after', []],
    ['nothing', 'fresh/write:ENOSPC', []],
    ['torn', 'old/write:kill-halfway', ['torn']],
    ['lost', 'old/unlink:kill-after', ['lost']],
    ['stuck', 'old/rename:ENOSPC', ['stuck']],
    ['leftovers', 'old/rename:kill-before', ['leftovers']],
    ['errors', 'old/rename:kill-after', ['errors']],
    ['unexplained', 'old/fsync:EDQUOT', ['errors']],
    ['unsynced', 'old', ['torn']],
  ])('in a program with the fault %s, by %s: %j', async (fault, trial, defects) => {
    const subject = new Subject(bench, { name: fault, args: (seed) => [fault, `${seed}`] });
    const findings = await subject.learn();
    findings.push(...(await subject.run(subject.parse(trial), () => {})));
    expect([...new Set(findings.map(({ defect }) => defect))]).toEqual(defects);
  });
});
