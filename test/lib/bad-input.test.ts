import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { beforeAll, describe, expect, test } from 'vitest';
import yauzl from 'yauzl';
import { type DistillError, type DistillOptions, distill, inspect } from '../../lib/index.js';
import { canMount, runChild, withDisk } from '../helpers/child.js';
import {
  filesIn,
  smallRun,
  temporaryFolder,
  writeStudent,
  writeTeacher,
} from '../helpers/dataset.js';
import { pickle, writePth, zip } from '../helpers/pth.js';
import { refusalOf } from '../helpers/results.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
beforeAll(async () => {
  base = await smallRun(folder);
});

/** The places where refused runs could leave something. */
const out = path.join(folder, 'refused');
const cacheDir = path.join(folder, 'refused-stores');

/** The refusal of a run that must leave nothing behind. */
async function refusal(more: Partial<DistillOptions>): Promise<DistillError> {
  mkdirSync(out, { recursive: true });
  const run = distill({ ...base, student: path.join(out, 'student.pth'), cacheDir, ...more });
  const error = await refusalOf(run);
  expect([...filesIn(out), ...filesIn(cacheDir)]).toEqual([]);
  return error;
}

/** A copy of the teacher with another value all over one of its tensors. */
async function alteredTeacher(name: string, tensor: string, value: number): Promise<string> {
  const { tensors } = await inspect(base.teacher);
  const altered = `data/${tensors.findIndex((entry) => entry.name === tensor)}`;
  const records: Record<string, Buffer> = {};
  const archive = await yauzl.openPromise(base.teacher, { autoClose: false });
  for await (const entry of archive.eachEntry()) {
    const record = entry.fileName.slice(entry.fileName.indexOf('/') + 1);
    const bytes = await buffer(await archive.openReadStreamPromise(entry));
    if (record === altered) for (let i = 0; i < bytes.length; i += 4) bytes.writeFloatLE(value, i);
    records[record] = bytes;
  }
  archive.close();
  return written(name, await zip(records));
}

function written(name: string, bytes: Buffer | string): string {
  const file = path.join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

describe('a teacher', () => {
  test.each<[string, string, () => string | Promise<string>]>([
    ['is missing', 'ERR_CHECKPOINT_NOT_FOUND', () => path.join(folder, 'none.pth')],
    ['is a folder', 'ERR_CHECKPOINT_FORMAT', () => folder],
    ['is empty', 'ERR_CHECKPOINT_CORRUPT', () => written('empty.pth', '')],
    ['is no checkpoint', 'ERR_CHECKPOINT_FORMAT', () => written('text.pth', 'weights: none\n')],
    [
      'is cut short',
      'ERR_CHECKPOINT_CORRUPT',
      () => {
        const file = path.join(folder, 'short.pth');
        cpSync(base.teacher, file);
        truncateSync(file, 20_000_000);
        return file;
      },
    ],
    [
      'has a flipped bit',
      'ERR_CHECKPOINT_CORRUPT',
      () => {
        const bytes = readFileSync(base.teacher);
        const middle = bytes.length >> 1;
        bytes[middle] = (bytes[middle] as number) ^ 4;
        return written('flipped.pth', bytes);
      },
    ],
    [
      'has NaN',
      'ERR_CHECKPOINT_NOT_FINITE',
      () => alteredTeacher('nan.pth', 'features.norm5.bias', NaN),
    ],
    [
      'has a negative variance',
      'ERR_CHECKPOINT_CORRUPT',
      () => alteredTeacher('negative.pth', 'features.norm5.running_var', -0.1),
    ],
    [
      'answers with infinity',
      'ERR_NOT_FINITE',
      () => alteredTeacher('infinite.pth', 'features.norm5.weight', 1e38),
    ],
    [
      'is another network',
      'ERR_TEACHER_ARCHITECTURE',
      () =>
        writePth(path.join(folder, 'resnet.pth'), {
          'conv1.weight': { shape: [2, 3, 1, 1], data: [1, 2, 3, 4, 5, 6] },
          'fc.weight': { shape: [2, 2], data: [1, 2, 3, 4] },
        }),
    ],
    [
      'is a student',
      'ERR_TEACHER_ARCHITECTURE',
      () => writeStudent(path.join(folder, 'as-teacher.pth')),
    ],
    [
      'knows other classes',
      'ERR_TEACHER_CLASSES',
      () => writeTeacher(path.join(folder, 'three.pth'), { classes: 3 }),
    ],
  ])('that %s is refused by name', async (_, code, make) => {
    const teacher = await make();
    const error = await refusal({ teacher });
    expect(error.code).toBe(code);
    expect(error.message).toContain(`'${teacher}'`);
    // One sentence or two for people, and nothing from inside.
    expect(error.message.replaceAll(folder, '')).not.toMatch(/\n|frame #|0x/);
    expect(error.message.length).toBeLessThan(600);
  });

  test('that belongs elsewhere is refused with its place', async () => {
    const student = await writeStudent(path.join(folder, 'a-student.pth'));
    expect((await refusal({ teacher: student })).message).toBe(
      `'${student}' holds a student; give the teacher that it learnt from as \`teacher\`.`,
    );
    const logits = await writePth(path.join(folder, 'logits.pth'), {
      logits: { shape: [1, 2], data: [1, 2] },
      paths: { shape: [1], data: [97], dtype: 'uint8' },
    });
    expect((await refusal({ teacher: logits })).message).toBe(
      `'${logits}' holds a teacher's logits and no network; give it as \`teacherLogits\`.`,
    );
  });

  test('that would run a command is refused by the command’s name, and nothing is run', async () => {
    const proof = path.join(folder, 'proof');
    const command = pickle.call(pickle.global('os', 'system'), pickle.text(`touch '${proof}'`));
    const teacher = written('evil.pth', await zip({ 'data.pkl': pickle.whole(command) }));
    const error = await refusal({ teacher });
    expect(error.code).toBe('ERR_CHECKPOINT_UNSAFE');
    expect(error.message).toContain("'os.system'");
    expect(error.message).toContain(teacher);
    expect(existsSync(proof)).toBe(false);
  });
});

describe('a dataset', () => {
  /** A copy of the dataset, changed. */
  const changed = (name: string, change: (root: string) => void) => {
    const root = path.join(folder, name);
    cpSync(base.dataset, root, { recursive: true });
    change(root);
    return root;
  };
  const remove = (...names: string[]) => rmSync(path.join(...names), { recursive: true });

  test.each<[string, string, RegExp, () => string]>([
    [
      'is missing',
      'ERR_DATASET_NOT_FOUND',
      /none.*there is nothing/,
      () => path.join(folder, 'none'),
    ],
    ['is a file', 'ERR_DATASET_NOT_FOUND', /teacher\.pth.*file/, () => base.teacher],
    [
      'has no validation pictures',
      'ERR_DATASET_NOT_FOUND',
      /no-val.val\b/,
      () => changed('no-val', (root) => remove(root, 'val')),
    ],
    [
      'has no class folders',
      'ERR_DATASET_NO_CLASSES',
      /no-classes.train/,
      () =>
        changed('no-classes', (root) => {
          remove(root, 'train');
          cpSync(path.join(base.dataset, 'train/ants'), path.join(root, 'train'), {
            recursive: true,
          });
        }),
    ],
    [
      'has one class',
      'ERR_DATASET_CLASSES',
      /one-class.*'ants'/,
      () =>
        changed('one-class', (root) => {
          remove(root, 'train/bees');
          remove(root, 'val/bees');
        }),
    ],
    [
      'has an empty class',
      'ERR_DATASET_EMPTY_CLASS',
      /empty-class.*"bees"/,
      () =>
        changed('empty-class', (root) => {
          remove(root, 'val/bees');
          mkdirSync(path.join(root, 'val/bees'));
        }),
    ],
    [
      'has other classes to validate',
      'ERR_DATASET_CLASS_MISMATCH',
      /"bees".*"wasps"/,
      () =>
        changed('mismatch', (root) => {
          cpSync(path.join(root, 'val/bees'), path.join(root, 'val/wasps'), { recursive: true });
          remove(root, 'val/bees');
        }),
    ],
    [
      'has more classes than the teacher',
      'ERR_TEACHER_CLASSES',
      /2 classes.*more-classes.*3 class folders \(ants, bees, wasps\)/,
      () =>
        changed('more-classes', (root) => {
          for (const split of ['train', 'val']) {
            cpSync(path.join(root, split, 'bees'), path.join(root, split, 'wasps'), {
              recursive: true,
            });
          }
        }),
    ],
    [
      'has a damaged picture in the middle',
      'ERR_BAD_IMAGE',
      /damaged.val.bees.1\.png/,
      () =>
        changed('damaged', (root) => {
          const file = path.join(root, 'val/bees/1.png');
          writeFileSync(file, readFileSync(file).subarray(0, 300));
        }),
    ],
  ])('that %s is refused', async (_, code, message, make) => {
    expect(await refusal({ dataset: make() })).toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

describe('an initial student', () => {
  test.each<[string, string, () => string | Promise<string>]>([
    ['is missing', 'ERR_CHECKPOINT_NOT_FOUND', () => path.join(folder, 'none.pth')],
    ['is a teacher', 'ERR_CHECKPOINT_MISMATCH', () => base.teacher],
    [
      'knows other classes',
      'ERR_CHECKPOINT_MISMATCH',
      () => writeStudent(path.join(folder, 'three-student.pth'), { classes: 3 }),
    ],
  ])('that %s is refused before anything is prepared', async (_, code, make) => {
    const initialStudent = await make();
    const error = await refusal({ initialStudent });
    expect(error.code).toBe(code);
    expect(error.message).toContain(`'${initialStudent}'`);
  });
});

describe('a place for the student', () => {
  test.each<[string, string, RegExp, () => string]>([
    ['is a folder', 'ERR_WRITE', /folder; name a file in it/, () => folder],
    ['lies in no folder', 'ERR_WRITE', /create its folder/, () => path.join(folder, 'none/s.pth')],
    ['lies in a file', 'ERR_WRITE', /folder/, () => path.join(base.teacher, 's.pth')],
    ['is a device', 'ERR_WRITE', /device/, () => '/dev/null'],
    ['has too long a name', 'ERR_WRITE', /shorter name/, () => path.join(out, 'x'.repeat(300))],
    ['is the teacher', 'ERR_OPTION', /teacher's own file/, () => base.teacher],
    [
      'is the teacher by another name',
      'ERR_OPTION',
      /teacher's own file/,
      () => {
        const link = path.join(folder, 'link-to-teacher.pth');
        symlinkSync(base.teacher, link);
        return link;
      },
    ],
  ])('that %s is refused', async (_, code, message, make) => {
    const teacher = readFileSync(base.teacher);
    const student = make();
    const error = await refusal({ student });
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    if (code === 'ERR_WRITE') expect(error.message).toContain(`'${student}'`);
    expect(readFileSync(base.teacher).equals(teacher)).toBe(true);
  });

  test('that is a link is written where it leads, and stays a link', async () => {
    const target = path.join(folder, 'out/behind-the-link.pth');
    const link = path.join(folder, 'link.pth');
    symlinkSync(target, link);
    writeFileSync(target, 'old');
    await distill({ ...base, student: link, overwrite: true });
    expect((await inspect(target)).architecture).toBe('cnn');
    expect((await inspect(link)).architecture).toBe('cnn');
    expect(filesIn(path.dirname(target)).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

describe.runIf(canMount)('a disk', () => {
  const disk = path.join(folder, 'disk');
  beforeAll(() => mkdirSync(disk));
  // Only the child sees the disk.
  const failing = `
    import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
    if (input.old) {
      writeFileSync(input.student, input.old);
      writeFileSync(input.disk + '/filler', Buffer.alloc(1_000_000));
    }
    const prepared = [];
    const { disk, old, ...options } = input;
    const error = await distill(options).on('prepare', ({ done }) => prepared.push(done)).catch((error) => error);
    const { name, code, message } = error;
    const files = readdirSync(disk);
    const after = old && readFileSync(input.student, 'utf8');
    console.log(JSON.stringify({ name, code, message, files, after, prepared }));`;
  const onDisk = async (options: string, more: object) => {
    const input = { ...base, disk, student: path.join(disk, 'student.pth'), ...more };
    const ended = await runChild(failing, { input, command: withDisk(disk, options) });
    expect(ended).toMatchObject({ code: 0, signal: null, stderr: '' });
    return JSON.parse(ended.stdout);
  };

  test('that fills up leaves the student that was there', async () => {
    const old = 'the student of an earlier run';
    const after = await onDisk('size=2m', { old, overwrite: true });
    expect(after).toMatchObject({
      name: 'DistillError',
      code: 'ERR_WRITE',
      after: old,
      message: expect.stringMatching(
        /disk.student\.pth'.*No space left on device.*free some space/,
      ),
    });
    expect(after.files.sort()).toEqual(['filler', 'student.pth']);
  });

  test('that is read-only is refused before anything is prepared', async () => {
    expect(await onDisk('ro', {})).toMatchObject({
      name: 'DistillError',
      code: 'ERR_WRITE',
      files: [],
      prepared: [],
      message: expect.stringMatching(/disk.student\.pth'.*choose a folder you may write to/),
    });
  });
});

test('a GPU that is not there is refused by name', async () => {
  // No machine has that many.
  expect(await refusal({ device: 'cuda:99' })).toMatchObject({
    code: 'ERR_DEVICE',
    message: expect.stringContaining('cuda:99'),
  });
});

test('a refused run does not keep the next from its work', async () => {
  await refusal({ teacher: path.join(folder, 'none.pth') });
  expect(await distill(base)).toMatchObject({ stopReason: 'completed', epochs: 2 });
});
