import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import {
  compare,
  convert,
  type DistillOptions,
  distill,
  doctor,
  exportOnnx,
  inspect,
  sweep,
  teach,
  teacherLogits,
} from '../../lib/index.js';
import { runCommand } from '../helpers/child.js';
import { batchOf, storeOf, trainConfigOf } from '../helpers/contract.js';
import { mean, smallRun, std, temporaryFolder, writeStudent } from '../helpers/dataset.js';
import { writePth } from '../helpers/pth.js';
import { refusalOf } from '../helpers/results.js';
import { safetensors } from '../helpers/safetensors.js';

// Files that are written never replace a file that is worth anything, unless asked to.

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
let base: Omit<DistillOptions, 'student'> & { teacher: string; dataset: string };

/** Files of every kind, by name. */
const FILES = [
  ...['student', 'teacher', 'logits', 'onnx', 'sweep', 'comparison'],
  ...['text', 'empty', 'cut', 'json', 'foreign student', 'foreign teacher', 'other network'],
  ...['foreign logits', 'foreign onnx'],
] as const;

beforeAll(async () => {
  const { student, ...rest } = await smallRun(folder);
  base = { ...rest, epochs: 1 };
  const { teacher, dataset } = base;
  mkdirSync(at('kinds'));
  const kind = (name: string) => at(`kinds/${name}`);
  await distill({ ...base, student: kind('student') });
  const { epochs, seed, device, threads, imageSize } = rest;
  const taught = { dataset, epochs, seed, device, threads, imageSize, batchSize: 4 };
  await teach({ ...taught, teacher: kind('teacher') });
  await teacherLogits({ teacher, dataset, mean, std, imageSize: 32, output: kind('logits') });
  const onWarning = () => {};
  await exportOnnx(kind('student'), kind('onnx'), { onWarning });
  const { seed: _, ...series } = base;
  await sweep({ ...series, out: kind('sweep') });
  await compare({ ...series, seeds: 1, out: kind('comparison') });

  writeFileSync(kind('text'), 'notes of a year');
  writeFileSync(kind('empty'), '');
  writeFileSync(kind('cut'), readFileSync(kind('student')).subarray(0, -100));
  writeFileSync(kind('json'), JSON.stringify({ points: [], withTeacher: {}, versions: {} }));
  await writeStudent(kind('foreign student'));
  copyFileSync(teacher, kind('foreign teacher'));
  await writePth(kind('other network'), { 'conv.weight': { shape: [1], data: [1] } });
  writeFileSync(
    kind('foreign logits'),
    safetensors(
      {
        logits: { dtype: 'F32', shape: [1, 2], data: Float32Array.of(1, 2) },
        paths: { dtype: 'U8', shape: [1], data: Uint8Array.of(97) },
      },
      { 'distill.json': JSON.stringify({ classes: ['a', 'b'], mean, std, imageSize: 32 }) },
    ),
  );
  // Another producer, of the same length.
  const onnx = readFileSync(kind('onnx'));
  onnx.write('node-distilt', onnx.indexOf('node-distill'));
  writeFileSync(kind('foreign onnx'), onnx);
});

/** Every function that writes a file, the option that names it, and the kind that it replaces. */
const writers: {
  name: string;
  option: string;
  kind: (typeof FILES)[number];
  write: (file: string, overwrite?: boolean) => PromiseLike<unknown>;
}[] = [
  {
    name: 'distill',
    option: 'student',
    kind: 'student',
    write: (student, overwrite) => distill({ ...base, student, overwrite }),
  },
  {
    name: 'teach',
    option: 'teacher',
    kind: 'teacher',
    write(teacher, overwrite) {
      const { dataset, epochs, seed, device, threads, imageSize } = base;
      const options = { dataset, epochs, seed, device, threads, imageSize, batchSize: 4 };
      return teach({ ...options, teacher, overwrite });
    },
  },
  {
    name: 'sweep',
    option: 'student',
    kind: 'student',
    write: (student, overwrite) => sweep({ ...series(), student, overwrite }),
  },
  {
    name: 'sweep',
    option: 'out',
    kind: 'sweep',
    write: (out, overwrite) => sweep({ ...series(), out, overwrite }),
  },
  {
    name: 'compare',
    option: 'student',
    kind: 'student',
    write: (student, overwrite) => compare({ ...series(), seeds: 1, student, overwrite }),
  },
  {
    name: 'compare',
    option: 'out',
    kind: 'comparison',
    write: (out, overwrite) => compare({ ...series(), seeds: 1, out, overwrite }),
  },
  {
    name: 'teacherLogits',
    option: 'output',
    kind: 'logits',
    write(output, overwrite) {
      const { teacher, dataset } = base;
      return teacherLogits({ teacher, dataset, mean, std, imageSize: 32, output, overwrite });
    },
  },
  {
    name: 'exportOnnx',
    option: 'output',
    kind: 'onnx',
    write: (output, overwrite) =>
      exportOnnx(at('kinds/student'), output, { overwrite, onWarning: () => {} }),
  },
  {
    name: 'convert a student',
    option: 'output',
    kind: 'student',
    write: (output, overwrite) =>
      convert(at('kinds/student'), output, { format: 'pth', overwrite }),
  },
  {
    name: 'convert a teacher',
    option: 'output',
    kind: 'teacher',
    write: (output, overwrite) =>
      convert(at('kinds/teacher'), output, { format: 'safetensors', overwrite }),
  },
];

function series() {
  const { seed, ...rest } = base;
  return rest;
}

describe.each(writers)('$name(), $option', ({ name, option, kind, write }) => {
  const target = (file: string) => {
    const made = at(`${name}-${option}-${file}`.replaceAll(' ', '-'));
    copyFileSync(at(`kinds/${file}`), made);
    return made;
  };

  test.each(FILES.filter((file) => file !== kind))('leaves what is there: %s', async (file) => {
    const there = target(file);
    const before = readFileSync(there);
    const { ino } = statSync(there);
    const error = await refusalOf(write(there));
    expect(error.code).toBe('ERR_EXISTS');
    expect(error.message).toMatch(/, with .+ in it, and only .+ by this package may be replaced;/);
    expect(error.message).toContain(`'${there}' is there already`);
    expect(error.message).toContain(`\`${option}\`, or set \`overwrite\`.`);
    expect(readFileSync(there).equals(before)).toBe(true);
    expect(statSync(there).ino).toBe(ino);
  });

  test('replaces its own kind, and anything where that is asked for', async () => {
    for (const [file, overwrite] of [
      [kind, undefined],
      ['text', true],
    ] as const) {
      const there = target(file);
      utimesSync(there, 0, 0);
      await write(there, overwrite);
      expect(statSync(there).mtimeMs).toBeGreaterThan(0);
    }
  });
});

describe('a file that comes there while the work goes on', () => {
  const appear = (file: string) => () => {
    if (!existsSync(file)) writeFileSync(file, 'precious');
  };

  test.each(['student', 'teacher', 'out', 'logits'])('is left: %s', async (what) => {
    const file = at(`appeared-${what}`);
    const { teacher, dataset, epochs, seed, device, threads, imageSize } = base;
    const taught = { dataset, epochs, seed, device, threads, imageSize, batchSize: 4 };
    const calls: Record<string, () => PromiseLike<unknown>> = {
      student: () => distill({ ...base, student: file }).on('prepare', appear(file)),
      teacher: () => teach({ ...taught, teacher: file }).on('prepare', appear(file)),
      out: () => sweep({ ...series(), out: file }).on('prepare', appear(file)),
      logits: () =>
        teacherLogits({
          teacher,
          dataset,
          mean,
          std,
          imageSize: 32,
          output: file,
          onProgress: appear(file),
        }),
    };
    const error = await refusalOf(calls[what]?.() ?? Promise.resolve());
    expect(error.code).toBe('ERR_EXISTS');
    expect(error.message).toContain(`'${file}'`);
    expect(readFileSync(file, 'utf8')).toBe('precious');
  });

  test('is replaced where that is asked for, also by a training that has saved before', async () => {
    const student = at('appeared-again.pth');
    const run = distill({
      ...base,
      student,
      epochs: 6,
      lr: 1e-3,
      monitor: 'loss',
      overwrite: true,
    });
    run.on('prepare', appear(student));
    await run.on('warning', () => {});
    expect((await inspect(student)).architecture).toBe('cnn');
  });
});

test('an earlier best student of the same run is replaced by a better one', async () => {
  const student = at('again-and-again.pth');
  let saves = 0;
  await distill({ ...base, student, epochs: 8, lr: 1e-3, monitor: 'loss' })
    .on('best', () => saves++)
    .on('warning', () => {});
  expect(saves).toBeGreaterThan(1);
});

test('the session itself leaves what is no network of the kind that it writes', async () => {
  const session = new (loadAddon().Session)({
    mean,
    std,
    imageSize: 32,
    device: 'cpu',
    precision: 'fp32',
    threads: 1,
  });
  await session.open();
  await session.createStore(
    storeOf({
      imageSize: 32,
      classes: 2,
      trainCapacity: 4,
      valCapacity: 4,
      place: 'memory',
      folder: '',
      fingerprint: '',
    }),
  );
  for (const split of ['train', 'val'] as const) {
    const pixels = Uint8Array.from({ length: 4 * 32 * 32 * 3 }, (_, i) => (i * i * 31) % 251);
    const labels = Int32Array.of(0, 1, 0, 1);
    const teacherLogits = new Float32Array(8);
    await session.append(batchOf({ split, pixels, labels, sources: labels, teacherLogits }));
  }
  await session.sealStore();
  const student = at('taught-there.pth');
  copyFileSync(at('kinds/teacher'), student);
  const given = trainConfigOf({
    lr: 1e-3,
    alpha: 0,
    batchSize: 2,
    sampler: 'sequential',
    files: [student],
    metadata: '{"teacher":{}}',
  });
  await expect(session.train(given, () => {})).rejects.toMatchObject({ code: 'ERR_EXISTS' });
  expect(readFileSync(student).equals(readFileSync(at('kinds/teacher')))).toBe(true);
  await session.train({ ...given, overwrite: true }, () => {});
  expect((await loadAddon().inspect(student, false)).architecture).toBe('cnn');
  await session.close();
});

describe('the command line', () => {
  const trainArgs = (student: string) => [
    ...['train', base.dataset, '--teacher', base.teacher, '--student', student, '--epochs', '1'],
    ...['--mean', `${mean}`, '--std', `${std}`, '--image-size', '32', '--device', 'cpu'],
  ];
  const exportArgs = (output: string) => ['export', at('kinds/student'), '-o', output];
  const logitsArgs = (output: string) => [
    ...['logits', base.dataset, '--teacher', base.teacher, '-o', output],
    ...['--mean', `${mean}`, '--std', `${std}`, '--image-size', '32', '--device', 'cpu'],
  ];
  const referenceArgs = (student: string) => [
    ...['--task', 'train', '--src_model', base.teacher, '--dst_model', student, '--epochs', '1'],
    ...['--dataset_path', base.dataset, '--mean', `(${mean})`, '--std', `(${std})`],
  ];

  test.each<[string, string, (file: string) => string[], string]>([
    ['train', 'train.pth', trainArgs, '--student'],
    ['export', 'export.onnx', exportArgs, '--output'],
    ['export', 'export.pth', exportArgs, '--output'],
    ['logits', 'logits.safetensors', logitsArgs, '--output'],
    ['the reference', 'reference.pth', referenceArgs, '--dst_model'],
  ])('%s asks for --force: %s', async (_, name, args, flag) => {
    const file = at(name);
    writeFileSync(file, 'notes of a year');
    const refused = await runCommand(args(file));
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(
      new RegExp(`name another file as ${flag}, or set --force\\. \\(ERR_EXISTS\\)\\n$`),
    );
    expect(readFileSync(file, 'utf8')).toBe('notes of a year');
    const forced = await runCommand([...args(file), '--force']);
    expect({ code: forced.code, stderr: forced.stderr }).toMatchObject({ code: 0 });
    expect(readFileSync(file, 'utf8')).not.toBe('notes of a year');
  });
});

test('the doctor tells of it before', async () => {
  const student = at('seen.pth');
  writeFileSync(student, 'notes of a year');
  const outputOf = async (more: { overwrite?: boolean }) => {
    const { findings } = await doctor({ student, ...more });
    return findings.find(({ check }) => check === 'output');
  };
  expect(await outputOf({})).toMatchObject({
    status: 'problem',
    code: 'ERR_EXISTS',
    message: expect.stringContaining(student),
    remedy: 'Name another file, or set `overwrite` if it is not to be kept.',
  });
  expect(await outputOf({ overwrite: true })).toMatchObject({ status: 'warning' });
  expect(readFileSync(student, 'utf8')).toBe('notes of a year');
});
