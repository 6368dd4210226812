import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import { shellWord } from '../../../lib/cli/output.js';
import { printable } from '../../../lib/words.js';
import { runCommand } from '../../helpers/child.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-printable-'));
const at = (...names: string[]) => path.join(folder, ...names);
afterAll(() => rmSync(folder, { recursive: true }));

/** Characters that a terminal obeys instead of showing them, but for the ends of lines and the tabs between fields. */
const OBEYED = /[^\P{C}\n\t]/u;
const RED = '\x1b[31mred';
const NAMES = [
  'new\nline.png',
  'tab\t.png',
  `${RED}.png`,
  'turned\u202egnp.exe.png',
  'c1\x9b2J.png',
];
const SHOWN = [
  'new\\nline.png',
  'tab\\t.png',
  '\\x1b[31mred.png',
  'turned\\u202egnp.exe.png',
  'c1\\u009b2J.png',
];
const STUDENT = ['--student', at('student.pth')];

async function picture(...names: string[]): Promise<void> {
  mkdirSync(path.dirname(at(...names)), { recursive: true });
  const background = { r: 9, g: 99, b: 199 };
  await sharp({ create: { width: 32, height: 32, channels: 3, background } })
    .png()
    .toFile(at(...names));
}

beforeAll(async () => {
  for (const name of NAMES) await picture('pictures', name);
  for (const split of ['train', 'val']) {
    for (const name of ['ants', `bees${RED}\n`]) await picture('dataset', split, name, '0.png');
  }
  await loadAddon().createModel({
    path: at('teacher.pth'),
    architecture: 'densenet121',
    classes: 2,
    seed: 1,
  });
  const { code, stdout, stderr } = await runCommand([
    ...['train', at('dataset'), '--teacher', at('teacher.pth'), ...STUDENT, '--epochs', '1'],
    ...['--mean', '0.5,0.5,0.5', '--std', '0.5,0.5,0.5', '--image-size', '32'],
  ]);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  expect(stderr).toContain('of 2 classes: ants, bees\\x1b[31mred\\n\n');
  expect(stdout + stderr).not.toMatch(OBEYED);
});

test.each([
  ['a\nb\r\tc', 'a\\nb\\r\\tc'],
  ['\x00\x1b\x7f\x9b', '\\x00\\x1b\\x7f\\u009b'],
  ['\u2028\u202e\u2066\ud800', '\\u2028\\u202e\\u2066\\ud800'],
  ['é 蜜蜂 👩‍🔬 "\\"', 'é 蜜蜂 👩‍🔬 "\\"'],
])('%j is shown as %s', (text, shown) => {
  expect(printable(text)).toBe(shown);
});

test('a word with control characters is what bash makes of it', () => {
  for (const word of [`it's\n${RED}\\`, 'a b', "it's", 'a.png', '\x85\u202e']) {
    const shown = shellWord(word);
    expect(shown).not.toMatch(/[^\P{C}]/u);
    const env = { ...process.env, LC_ALL: 'C.UTF-8' };
    expect(execFileSync('bash', ['-c', `printf %s ${shown}`], { encoding: 'utf8', env })).toBe(
      word,
    );
  }
});

describe('predict', () => {
  test('prints a record of three fields a line', async () => {
    const { code, stdout, stderr } = await runCommand(['predict', at('pictures'), ...STUDENT]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const records = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(records.map(([name]) => path.basename(name ?? '')).sort()).toEqual([...SHOWN].sort());
    for (const [, label, probability, ...more] of records) {
      expect(label).toMatch(/^(ants|bees\\x1b\[31mred\\n)$/);
      expect(probability).toMatch(/^[01]\.\d{4}$/);
      expect(more).toEqual([]);
    }
    expect(stdout).not.toMatch(OBEYED);
  });

  test('is exact with --json', async () => {
    const { stdout } = await runCommand(['predict', at('pictures'), ...STUDENT, '--json']);
    const paths = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).path);
    expect(paths.sort()).toEqual(NAMES.map((name) => at('pictures', name)).sort());
  });

  test('says what is wrong with a file without obeying its name', async () => {
    mkdirSync(at('bad'));
    writeFileSync(at('bad', `${RED}\n.jpg`), 'x');
    const args = ['predict', at('bad'), ...STUDENT];
    const [failed, warned] = await Promise.all([
      runCommand(args),
      runCommand([...args, '--on-bad-image', 'skip']),
    ]);
    expect(failed).toMatchObject({ code: 1, stdout: '' });
    for (const { stderr } of [failed, warned]) {
      expect(stderr).toMatch(/^distill: .*\\x1b\[31mred\\n\.jpg is not read: .*\n$/);
    }
  });
});

test('inspect shows the names of classes', async () => {
  const { stdout } = await runCommand(['inspect', at('student.pth')]);
  expect(stdout).toMatch(/^names +ants, bees\\x1b\[31mred\\n$/m);
  expect(stdout).not.toMatch(OBEYED);
});

test('doctor shows the names of classes', async () => {
  const { stdout, stderr } = await runCommand(['doctor', at('dataset')]);
  expect(stdout).toContain('bees\\x1b[31mred\\n: 1 and 1');
  expect(stdout + stderr).not.toMatch(OBEYED);
});

test('wrong usage shows the words', async () => {
  const { code, stderr } = await runCommand([RED]);
  expect(code).toBe(2);
  expect(stderr).toBe("distill: unknown command '\\x1b[31mred' (ERR_USAGE)\n");
});
