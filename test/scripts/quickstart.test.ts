import { type ChildProcess, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspect, predict } from '../../lib/index.js';
import { packageRoot } from '../../lib/package.js';
import { filesIn, temporaryFolder } from '../helpers/dataset.js';

const folder = temporaryFolder();
const script = path.join(packageRoot, 'scripts/quickstart/index.js');
const running = new Set<ChildProcess>();
afterAll(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** A quickstart that takes seconds. */
const TINY = {
  pictures: '4',
  'val-pictures': '2',
  'teacher-epochs': '1',
  'student-epochs': '1',
  seeds: '2',
  threads: '1',
};

/** @param watch Sees everything printed so far whenever there is more. */
function run(
  name: string,
  given: Record<string, string> = {},
  watch: (child: ChildProcess, printed: string) => void = () => {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const args = Object.entries({ folder: name, ...TINY, ...given });
  const child = spawn(
    process.execPath,
    [script, ...args.flatMap(([option, value]) => [`--${option}`, value])],
    {
      cwd: folder,
      env: { ...process.env, OMP_NUM_THREADS: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  running.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    watch(child, stdout);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, stdout, stderr });
    });
  });
}

const at = (...names: string[]) => path.join(folder, ...names);

/** The parts that a run says are there already. */
const reused = (stdout: string) =>
  [...stdout.matchAll(/^ {3}(.*): there already$/gm)].map(([, name]) => name);

const ALL = ['digits', 'teacher.pth', 'student.pth', 'compare.json', 'student.onnx'];

/** When each file was written. */
const written = (name: string) =>
  readdirSync(at(name), { recursive: true, encoding: 'utf8' })
    .sort()
    .map((file) => [file, statSync(at(name, file)).mtimeMs]);

/** A folder in which all is done. */
function done(name: string): string {
  cpSync(at('first'), at(name), { recursive: true });
  return name;
}

let first: Awaited<ReturnType<typeof run>>;
let second: typeof first;
beforeAll(async () => {
  // The second is begun when the first is under way.
  let begun: ReturnType<typeof run> | undefined;
  first = await run('first', {}, () => {
    begun ??= run('first');
  });
  second = (await begun) as typeof first;
});

test('a second one in the same folder waits, and takes what the first has made', () => {
  expect(second).toMatchObject({
    code: 0,
    stderr: 'quickstart: waiting for another one in this folder\n',
  });
  expect(reused(second.stdout)).toEqual(ALL);
});

describe('a first run', () => {
  test('shows its steps, a table and where everything lies', async () => {
    const { code, stdout, stderr } = first;
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(reused(stdout)).toEqual([]);
    expect(stdout.match(/^\d\. /gm)).toEqual(['1. ', '2. ', '3. ', '4. ', '5. ', '6. ']);
    expect(stdout).toMatch(/^Checked: onnxruntime-web .* answers as the student within/m);
    expect(stdout).toMatch(/^│ teacher +│ [01]\.\d{4} +│ 6,964,106 +│ 28\.\d +│ \d+\.\d\d +│$/m);
    for (const student of ['with the teacher', 'without it']) {
      const row = new RegExp(
        `^│ student ${student} +│ \\d\\.\\d{4} ± .*│ 423,562 +│ 1\\.7 +│`,
        'm',
      );
      expect(stdout).toMatch(row);
    }
    const listed = [...stdout.matchAll(/^first\/(\S+) {2,}\S/gm)].map(([, name]) => name as string);
    expect(listed.map((name) => path.normalize(`${name}/`).slice(0, -1)).sort()).toEqual(
      [...ALL].sort(),
    );
    expect(filesIn(at('first'))).toEqual([...ALL, 'quickstart.json'].sort());
  });

  test('leaves a dataset of digits', () => {
    const counts = Object.entries({ train: 4, val: 2, 'held-out': 1 });
    for (const [part, count] of counts) {
      expect(filesIn(at('first/digits', part))).toEqual([...'0123456789']);
      for (const digit of '0123456789') {
        expect(filesIn(at('first/digits', part, digit))).toHaveLength(count);
      }
    }
  });

  test('leaves models that load, and prints what the student says', async () => {
    expect(await inspect(at('first/teacher.pth'))).toMatchObject({ architecture: 'densenet121' });
    const lines: string[] = [];
    const images = at('first/digits/held-out');
    for await (const { path: file, label, probability } of predict({
      student: at('first/student.pth'),
      images,
      device: 'cpu',
      threads: 1,
    })) {
      lines.push(`${path.relative(at('first'), file ?? '')}\t${label}\t${probability.toFixed(4)}`);
    }
    expect(lines).toHaveLength(10);
    expect(first.stdout).toContain(`\n\n${lines.join('\n')}\n`);
  });
});

describe('a later run', () => {
  test('repeats no step, and prints the same', async () => {
    const before = written('first');
    const { code, stdout } = await run('first');
    expect(code).toBe(0);
    expect(reused(stdout)).toEqual(ALL);
    expect(written('first')).toEqual(before);
    const outcome = (text: string) => text.slice(text.indexOf('first/teacher.pth'));
    expect(outcome(stdout)).toBe(outcome(first.stdout));
  });

  test('makes again what is missing or damaged', async () => {
    const name = done('damaged');
    rmSync(at(name, 'digits/val/3/0.png'));
    writeFileSync(at(name, 'teacher.pth'), 'not a teacher');
    rmSync(at(name, 'student.onnx'));
    const { code, stdout } = await run(name);
    expect(code).toBe(0);
    // The digits and the teacher become what they were, so what was made from them is still right.
    expect(reused(stdout)).toEqual(['student.pth', 'compare.json']);
    expect(existsSync(at(name, 'digits/val/3/0.png'))).toBe(true);
    expect(await inspect(at(name, 'teacher.pth'))).toMatchObject({ architecture: 'densenet121' });
    expect(reused((await run(name)).stdout)).toEqual(ALL);
  });

  test('makes again what depends on a setting', async () => {
    const name = done('changed');
    const longer = { 'student-epochs': '2' };
    expect(reused((await run(name, longer)).stdout)).toEqual(['digits', 'teacher.pth']);
    expect(reused((await run(name, longer)).stdout)).toEqual(ALL);
    const { stdout } = await run(name, { ...longer, 'teacher-epochs': '2' });
    expect(reused(stdout)).toEqual(['digits']);
  });

  test('takes a damaged list for none', async () => {
    const name = done('unlisted');
    writeFileSync(at(name, 'quickstart.json'), '{"digits": ');
    const { code, stdout } = await run(name);
    expect({ code, reused: reused(stdout) }).toEqual({ code: 0, reused: [] });
  });
});

test.each([
  ['SIGINT', 'teacher.pth', 'teacher-epochs', 'epoch:2/'],
  ['SIGTERM', 'student.pth', 'student-epochs', 'epoch:2/'],
  ['SIGKILL', 'compare.json', 'seeds', 'distill compare'],
] as const)('after %s while it makes %s, a run goes on', async (signal, file, endless, shown) => {
  const name = done(signal);
  rmSync(at(name, file));
  let isSent = false;
  const stopped = await run(name, { [endless]: '1000' }, (child, printed) => {
    if (isSent || !printed.includes(shown)) return;
    isSent = true;
    child.kill(signal);
  });
  if (signal === 'SIGKILL') {
    expect(stopped.code).toBeNull();
  } else {
    expect(stopped.code).toBe(signal === 'SIGINT' ? 130 : 143);
    expect(stopped.stderr).toMatch(/^quickstart: Stopped\. What is done stays/m);
  }
  const { code, stdout } = await run(name);
  expect(code).toBe(0);
  // The same settings make the same file again.
  expect(reused(stdout)).toEqual(ALL.filter((made) => made !== file));
});

describe('says what is wrong', () => {
  test.each<[string, Record<string, string>, RegExp]>([
    ['a number', { pictures: '0' }, /'--pictures <n>' argument '0' is invalid. Expected 1 or more/],
    ['an option', { picture: '1' }, /unknown option '--picture'/],
    [
      'too many',
      { pictures: '900' },
      /mnist has 863 pictures of each digit, but 903 are asked for/,
    ],
  ])('with %s', async (_, given, message) => {
    const { code, stderr } = await run('wrong', given);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    rmSync(at('wrong'), { recursive: true, force: true });
  });

  test("with somebody else's folder, which stays as it is", async () => {
    mkdirSync(at('own/digits'), { recursive: true });
    const { code, stderr } = await run('own');
    expect(code).toBe(1);
    expect(stderr).toBe(
      `quickstart: ${at('own')} holds other files; name a new folder with --folder.\n`,
    );
    expect(filesIn(at('own'))).toEqual(['digits']);
  });

  test('but not with a folder in which a run was killed at once', async () => {
    mkdirSync(at('begun'));
    writeFileSync(at('begun/quickstart.json.part'), '{');
    const { stderr } = await run('begun', {}, (child) => child.kill('SIGKILL'));
    expect(stderr).toBe('');
    expect(filesIn(at('begun'))).toContain('quickstart.json');
  });

  test('with a step that fails', async () => {
    const name = done('failing');
    rmSync(at(name, 'teacher.pth'));
    mkdirSync(at(name, 'teacher.pth'));
    const { code, stderr } = await run(name);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^quickstart: `distill teach` failed, as it says above\./m);
  });
});
