import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadAddon, native } from '../../../lib/addon.js';
import { type CheckpointContents, inspect } from '../../../lib/index.js';
import { python, runPython } from '../../helpers/python.js';
import { refusalOf } from '../../helpers/results.js';

// Checkpoints as training programs write them, by PyTorch itself: test/fixtures/make_checkpoints.py makes them of small
// networks, and says of each where the weights lie, and what is beside them.

const folder = mkdtempSync(path.join(tmpdir(), 'distill-training-checkpoints-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Readable {
  name: string;
  weights: 'plain' | 'averaged' | 'densenet';
  at: CheckpointContents['weights'];
  passedOver: string[];
  options: { averaged: boolean };
}
interface Refused {
  name: string;
  code: string;
  texts: string[];
}

const side = 32;
const pixels = Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 37) % 256);

/** Returns the answer of the network in a file. */
async function logitsOf(model: string, averaged = false): Promise<number[]> {
  const classifier = new (loadAddon().Classifier)({
    model,
    averaged,
    imageSize: side,
    mean: [0.5, 0.5, 0.5],
    std: [0.5, 0.5, 0.5],
    device: 'cpu',
    precision: 'fp32',
    threads: 1,
  });
  try {
    await native(classifier.load());
    return Array.from(await native(classifier.logits(pixels)));
  } finally {
    await classifier.close();
  }
}

const file = (name: string) => path.join(folder, 'out', name);
const sources = {
  plain: { architecture: 'cnn', classes: 3, seed: 1 },
  averaged: { architecture: 'cnn', classes: 3, seed: 2 },
  densenet: { architecture: 'densenet121', classes: 2, seed: 3 },
};

async function makeCases(): Promise<(Readable | Refused)[]> {
  if (python === null) return [];
  mkdirSync(path.join(folder, 'out'));
  const files: Record<string, string> = { out: path.join(folder, 'out') };
  for (const [name, source] of Object.entries(sources)) {
    files[name] = path.join(folder, `${name}.pth`);
    await native(loadAddon().createModel({ path: files[name], ...source }));
  }
  const script = path.join(import.meta.dirname, '../../fixtures/make_checkpoints.py');
  return runPython([script], files) as (Readable | Refused)[];
}

const cases = await makeCases();
const readable = cases.filter((one): one is Readable => 'weights' in one);
const refused = cases.filter((one): one is Refused => 'code' in one);

describe.skipIf(python === null)('a checkpoint of a training program', () => {
  test('there are of many kinds', () => {
    expect(readable.length).toBeGreaterThan(80);
    expect(refused.length).toBeGreaterThan(25);
  });

  const expected = new Map<string, Promise<number[]>>();
  const expectedOf = (weights: Readable['weights']) => {
    const known = expected.get(weights) ?? logitsOf(path.join(folder, `${weights}.pth`));
    expected.set(weights, known);
    return known;
  };

  test.each(readable)('$name is read', async ({ name, weights, at, passedOver, options }) => {
    const contents = await inspect(file(name), options);
    const { architecture, classes } = sources[weights];
    expect(contents).toMatchObject({ architecture, classes, problem: null, weights: at });
    expect(contents.passedOver.toSorted()).toEqual(passedOver.toSorted());
    expect(await logitsOf(file(name), options.averaged)).toEqual(await expectedOf(weights));
    rmSync(file(name));
  });

  test.each(refused)('$name is refused', async ({ name, code, texts }) => {
    const { code: found, message } = await refusalOf(logitsOf(file(name)));
    expect(found).toBe(code);
    for (const text of [file(name), ...texts]) expect(message).toContain(text);
    expect(message).not.toContain('\n');
  });

  test('nothing in them is run', () => {
    expect(existsSync(file('SHOULD-NOT-BE-HERE'))).toBe(false);
  });

  test('of one that is refused for its networks, inspect() tells the reason', async () => {
    const several = await inspect(file('several.pth'));
    expect(several).toMatchObject({ architecture: null, classes: null });
    expect(several.problem).toContain("holds several networks, under 'student'");
    const head = await inspect(file('mlp-fc.pth'));
    expect(head).toMatchObject({ architecture: null });
    expect(head.problem).toContain('densenet121 but for its head');
  });
});

const shared = path.join(import.meta.dirname, '../../../../shared');
const script = path.join(shared, 'cases/make_checkpoints.py');
const teacher = path.join(shared, 'teachers/hymenoptera-densenet121.pth');

describe.skipIf(python === null || !existsSync(script))('checkpoints of a trained teacher', () => {
  test('all give its own answers, or are refused', { timeout: 120_000 }, async () => {
    const out = path.join(folder, 'shared');
    const made = spawnSync(python ?? '', [script, teacher, out], { encoding: 'utf8' });
    expect(made.stderr).toBe('');
    const expected = await logitsOf(teacher);
    const names = readdirSync(path.join(out, 'readable'));
    expect(names).toHaveLength(28);
    for (const name of names) {
      expect(await logitsOf(path.join(out, 'readable', name)), name).toEqual(expected);
    }
    const refusals: Record<string, string> = {};
    for (const name of readdirSync(path.join(out, 'refused'))) {
      refusals[name] = (await refusalOf(logitsOf(path.join(out, 'refused', name)))).message;
    }
    expect(refusals).toEqual({
      'args-that-run.pth': expect.stringContaining("asks for the Python object 'posix.system'"),
      'head-mlp.pth': expect.stringContaining('is a densenet121 but for its head'),
      'whole-module.pth': expect.stringContaining('holds a whole module'),
    });
  });
});
