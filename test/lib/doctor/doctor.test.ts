import { spawn } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  DistillError,
  type DistillOptions,
  type DoctorOptions,
  type DoctorResult,
  distill,
  doctor,
  type Finding,
  inspect,
  teach,
  teacherLogits,
} from '../../../lib/index.js';
import { loadAddon } from '../../../lib/native.js';
import { packageRoot } from '../../../lib/package.js';
import { span } from '../../../lib/words.js';
import { addonFile } from '../../../scripts/setup/build.js';
import { canMount, type Ended, runChild, runCommand, withDisk } from '../../helpers/child.js';
import {
  filesIn,
  mean,
  std,
  temporaryFolder,
  writePicture,
  writeStudent,
  writeTeacher,
} from '../../helpers/dataset.js';

// `distill doctor` on a good set-up and on broken ones. That a problem's code is the one that the run itself fails
// with is asked of the run itself.

const folder = temporaryFolder();
const at = (name: string) => path.join(folder, name);
/** One thread and the CPU, as other programs run beside this one. */
const quiet = { device: 'cpu', threads: 1 };
/** What a run is given; `teacher` says mean, std and classes itself, `bare` does not. */
let good: DistillOptions & { teacher: string; dataset: string };
let bare: string;

beforeAll(async () => {
  mkdirSync(at('out'));
  const dataset = await writeColours(at('dataset'));
  const teacher = at('teacher.pth');
  await teach({
    dataset,
    teacher,
    imageSize: 32,
    epochs: 8,
    batchSize: 8,
    lr: 2e-3,
    seed: 1,
    ...quiet,
  });
  good = { dataset, teacher, student: at('out/student.pth'), epochs: 3, ...quiet };
  bare = await writeBare(teacher, at('bare.safetensors'));
});

/** A class of reddish pictures and one of bluish ones, which a teacher learns in moments. */
async function writeColours(root: string): Promise<string> {
  let seed = 1;
  for (const split of ['train', 'val']) {
    for (let i = 0; i < 16; i++) {
      const of = (name: string) => path.join(root, split, name, `${i}.png`);
      await writePicture(of('ants'), seed++, { colour: [190, 90, 60] });
      await writePicture(of('bees'), seed++, { colour: [60, 90, 190] });
    }
  }
  return root;
}

/** A model without what this package keeps beside its weights, as other programs write them. */
async function writeBare(from: string, to: string): Promise<string> {
  const addon = loadAddon();
  const { tensors } = await inspect(from);
  const names = tensors.filter(({ dtype }) => dtype === 'float32').map(({ name }) => name);
  const read = await addon.readTensors(from, names);
  await addon.writeTensors({
    path: to,
    tensors: read.map((tensor, i) => ({ name: names[i] as string, ...tensor })),
    metadata: '',
  });
  return to;
}

let copies = 0;
/** A copy of the pictures to be broken. */
function copied(): string {
  const copy = at(`copy-${copies++}`);
  cpSync(good.dataset, copy, { recursive: true });
  return copy;
}

const examine = (more: Partial<DoctorOptions> = {}) => doctor({ ...good, ...more });

const ailing = ({ findings }: DoctorResult) => findings.filter(({ status }) => status !== 'ok');
const named = ({ findings }: DoctorResult, check: string) =>
  findings.filter((finding) => finding.check === check);

/** The one finding of a check that is not ok, whole. */
function found(result: DoctorResult, check: string): Finding {
  const [finding, ...others] = ailing(result).filter((finding) => finding.check === check);
  if (!finding) return expect.unreachable(`no ${check} in ${JSON.stringify(ailing(result))}`);
  expect(others).toEqual([]);
  // A sentence, and something to do about it.
  expect(finding.message).toMatch(/[.?]$/);
  expect(finding.remedy).toMatch(/^[A-Z`].*\.$/);
  return finding;
}

/** The same of a problem: the run itself ends with its code. */
async function problem(options: Partial<DistillOptions>, check: string): Promise<Finding> {
  const finding = found(await examine(options), check);
  expect(finding.status).toBe('problem');
  const refused = await distill({ ...good, ...options }).then(
    () => expect.unreachable('the run went on'),
    (error: unknown) => error,
  );
  expect(refused).toBeInstanceOf(DistillError);
  expect((refused as DistillError).code).toBe(finding.code);
  return finding;
}

describe('a good set-up', () => {
  let result: DoctorResult;
  const told: Finding[] = [];
  beforeAll(async () => {
    result = await examine({ onFinding: (finding) => told.push(finding) });
  });

  test('has no problem and no warning, and nothing is written', () => {
    expect(ailing(result).filter(({ check }) => check !== 'jpeg')).toEqual([]);
    expect(result.problems).toBe(0);
    expect(told).toEqual(result.findings);
    expect(filesIn(at('out'))).toEqual([]);
  });

  test('the machine is told', () => {
    const { libtorch, cpu, memory, chosen, auto, threads } = result.machine;
    expect(libtorch?.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(existsSync(path.join(libtorch?.folder ?? '', 'lib'))).toBe(true);
    expect(memory.free).toBeLessThanOrEqual(memory.total);
    expect({ chosen, threads }).toEqual({
      chosen: { device: 'cpu', precision: 'fp32' },
      threads: 1,
    });
    expect(auto?.device).toMatch(/^(cpu|cuda:0)$/);
    expect(cpu.cores).toBeGreaterThan(0);
    if (existsSync('/proc/cpuinfo') && process.arch === 'x64') {
      const flags = readFileSync('/proc/cpuinfo', 'utf8');
      expect(cpu.features.includes('AVX2')).toBe(/\bavx2\b/.test(flags));
      expect(cpu.features.includes('AVX-512')).toBe(/\bavx512f\b/.test(flags));
      expect(cpu.features.includes('bf16')).toBe(/\bavx512_bf16\b/.test(flags));
    }
    if (auto?.device === 'cpu') {
      expect(auto.precision).toBe(cpu.features.includes('bf16') ? 'bf16' : 'fp32');
    }
    expect(named(result, 'device')[0]?.message).toContain('`device` auto is');
    expect(named(result, 'precision')[0]?.message).toContain('`precision` auto is');
  });

  test('pictures and teacher are told', () => {
    expect(result.dataset).toEqual({
      classes: [
        { name: 'ants', train: 16, val: 16 },
        { name: 'bees', train: 16, val: 16 },
      ],
      undecodable: [],
    });
    expect(named(result, 'pictures')[0]?.message).toBe('All 64 pictures decode.');
    const { architecture, classes, scores } = result.teacher ?? {};
    expect({ architecture, classes }).toEqual({ architecture: 'densenet121', classes: 2 });
    expect(scores?.images).toBe(32);
    expect(scores?.accuracy).toBeGreaterThan(0.9);
  });

  test('the teacher has the accuracy and the loss of its own training', async () => {
    const { metadata } = await inspect(good.teacher);
    expect(result.teacher?.scores?.accuracy).toBeCloseTo(metadata?.metrics?.valAccuracy ?? 0, 6);
    expect(result.teacher?.scores?.loss).toBeCloseTo(metadata?.metrics?.valLoss ?? 0, 3);
  });

  test('the needs are those of a run', async () => {
    const { store, memory, time } = result;
    expect(store).toMatchObject({ place: 'memory', folder: null, reused: false });
    const cacheDir = at('stores');
    await distill({ ...good, student: at('kept.pth'), cacheDir });
    const [file = ''] = filesIn(cacheDir);
    const { size } = statSync(path.join(cacheDir, file));
    expect(store?.bytes).toBeLessThanOrEqual(size);
    expect(store?.bytes).toBeGreaterThan(size - 40_000); // a page for each part
    expect(memory).toBeGreaterThan(store?.bytes ?? 0);

    expect(time?.epochs).toBe(3);
    expect(time?.prepare).toBeGreaterThan(0);
    const { decode, teacher, train, validate } = time?.imagesPerSecond ?? {};
    expect(time?.prepare).toBeCloseTo(64 / (decode ?? 0) + 32 / (teacher ?? 0), 9);
    expect(time?.epoch).toBeCloseTo(32 / (train ?? 0) + 32 / (validate ?? 0), 9);
    expect(time?.total).toBeCloseTo((time?.prepare ?? 0) + 3 * (time?.epoch ?? 0), 9);

    // What that run has kept is found, and nothing is left to prepare.
    const again = await examine({ cacheDir });
    expect(again.store).toMatchObject({ reused: true, place: 'file', folder: cacheDir });
    expect(again.time?.prepare).toBe(0);
  });
});

test('without a dataset, machine and installation alone are looked at', async () => {
  const result = await doctor(quiet);
  expect(new Set(result.findings.map(({ topic }) => topic))).toEqual(new Set(['machine']));
  expect(result).toMatchObject({
    problems: 0,
    dataset: null,
    teacher: null,
    store: null,
    time: null,
  });
});

test('wrong options are refused as by the run', async () => {
  for (const [options, name] of [
    [{ epochs: 0 }, 'epochs'],
    [{ val: 'photos/val' }, 'dataset'],
    [{ teacher: 't', teacherLogits: 'l' }, 'teacherLogits'],
    [{ tacher: 't' }, 'teacher'],
  ] as const) {
    await expect(doctor(options as DoctorOptions)).rejects.toMatchObject({
      code: 'ERR_OPTION',
      message: expect.stringContaining(`\`${name}\``),
    });
  }
});

test('a signal ends it', async () => {
  const stopping = new AbortController();
  const reason = new Error('enough');
  const examination = examine({
    signal: stopping.signal,
    onProgress: () => stopping.abort(reason),
  });
  const aborted = { code: 'ERR_ABORTED', name: 'AbortError', cause: reason };
  await expect(examination).rejects.toMatchObject(aborted);
  await expect(examine({ signal: stopping.signal })).rejects.toMatchObject(aborted);
});

describe('pictures', () => {
  test('no folder: the teacher is looked at all the same', async () => {
    const dataset = at('nowhere');
    const { message, remedy } = await (async () => {
      const result = await examine({ dataset });
      expect(named(result, 'teacher')[0]?.status).toBe('ok');
      const [train, val] = ['train', 'val'].map((check) => found(result, check));
      expect(train).toMatchObject({ status: 'problem', code: 'ERR_DATASET_NOT_FOUND' });
      return val as Finding;
    })();
    expect(message).toContain(path.join(dataset, 'val'));
    expect(remedy).toContain('`dataset`');
  });

  test('no validation pictures: the others are decoded', async () => {
    const dataset = copied();
    rmSync(path.join(dataset, 'val'), { recursive: true });
    const result = await examine({ dataset });
    expect(named(result, 'pictures')[0]?.message).toBe('All 32 pictures decode.');
    const { message } = await problem({ dataset }, 'val');
    expect(message).toContain('there is nothing');
  });

  test('a class that is missing in val', async () => {
    const dataset = copied();
    rmSync(path.join(dataset, 'val/bees'), { recursive: true });
    const { message, remedy, code } = await problem({ dataset }, 'classes');
    expect(code).toBe('ERR_DATASET_CLASS_MISMATCH');
    expect(message).toContain('"bees"');
    expect(remedy).toContain('same class folders');
  });

  test('a class without a picture', async () => {
    const dataset = copied();
    for (const split of ['train', 'val']) mkdirSync(path.join(dataset, split, 'cats'));
    const result = await examine({ dataset });
    expect(result.dataset?.classes).toContainEqual({ name: 'cats', train: 0, val: 0 });
    const { code, message, remedy } = found(result, 'train');
    expect(code).toBe('ERR_DATASET_EMPTY_CLASS');
    expect(message).toContain('"cats"');
    expect(remedy).toContain('Add pictures to the class');
  });

  test('pictures that do not decode are all named', async () => {
    const dataset = copied();
    const cut = path.join(dataset, 'train/ants/3.png');
    truncateSync(cut, 1000);
    const text = path.join(dataset, 'val/bees/notes.jpg');
    writeFileSync(text, 'no picture');
    const { code, message, remedy, details } = await problem({ dataset }, 'pictures');
    expect(code).toBe('ERR_BAD_IMAGE');
    expect(message).toBe('2 of 65 pictures do not decode.');
    expect(remedy).toContain('`onBadImage`');
    expect(details[0]).toContain(`${cut} is not read: it is damaged or cut short`);
    expect(details[1]).toContain(`${text} is not read: it is not a JPEG`);

    const skipping = await examine({ dataset, onBadImage: 'skip' });
    expect(found(skipping, 'pictures').status).toBe('warning');
    expect(skipping.problems).toBe(0);
    expect(skipping.teacher?.scores?.images).toBe(32);
  });

  test('a class of which no picture decodes is lost to a run that skips', async () => {
    const dataset = copied();
    for (const name of filesIn(path.join(dataset, 'val/ants'))) {
      writeFileSync(path.join(dataset, 'val/ants', name), '');
    }
    const result = await examine({ dataset, onBadImage: 'skip' });
    const [told, lost] = named(result, 'pictures');
    expect(told).toMatchObject({ status: 'warning', message: '16 of 64 pictures do not decode.' });
    expect(lost).toMatchObject({ status: 'problem', code: 'ERR_DATASET_EMPTY_CLASS' });
    expect(lost?.message).toContain('"ants"');
    expect(lost?.remedy).toContain('remove the class');
  });

  test('a GIF, and pictures outside of the classes, are passed over', async () => {
    const dataset = copied();
    const gif = path.join(dataset, 'train/ants/moving.gif');
    writeFileSync(gif, 'GIF89a');
    writeFileSync(path.join(dataset, 'train/ants/about.txt'), '');
    copyFileSync(path.join(dataset, 'train/ants/1.png'), path.join(dataset, 'val/loose.png'));
    const [unread, text, loose] = named(await examine({ dataset }), 'passed-over');
    expect(unread).toMatchObject({ status: 'warning', details: [gif] });
    expect(unread?.remedy).toContain('Convert them');
    expect(text).toMatchObject({ status: 'ok' });
    expect(text?.message).toContain('1 file that is no picture is passed over');
    expect(loose).toMatchObject({ status: 'warning' });
    expect(loose?.message).toContain('1 picture lies in');
    expect(loose?.remedy).toContain('Move them');
  });

  test('the same file in train and val', async () => {
    const dataset = copied();
    const [from, to] = [
      path.join(dataset, 'val/ants/2.png'),
      path.join(dataset, 'train/bees/x.png'),
    ];
    copyFileSync(from, to);
    const { status, message, remedy, details } = found(await examine({ dataset }), 'duplicates');
    expect({ status, details }).toEqual({ status: 'warning', details: [`${from} is ${to}`] });
    expect(message).toContain('1 validation picture is among the training pictures');
    expect(remedy).toContain('Remove');
  });

  test('classes that are small, and too few pictures', async () => {
    const dataset = at('lopsided');
    for (let i = 0; i < 40; i++) {
      await writePicture(path.join(dataset, 'train/ants', `${i}.png`), i);
      if (i % 10 === 0) await writePicture(path.join(dataset, 'train/bees', `${i}.png`), 50 + i);
    }
    for (const name of ['ants', 'bees']) {
      await writePicture(path.join(dataset, 'val', name, '0.png'), name.charCodeAt(0));
    }
    const result = await doctor({ dataset, imageSize: 32, ...quiet });
    const { message, remedy } = found(result, 'balance');
    expect(message).toContain("'ants' has 40 training pictures and 'bees' 4");
    expect(remedy).toContain('Add pictures to the small classes');
    const [train, val] = named(result, 'few-pictures');
    expect(train).toMatchObject({ status: 'warning', details: ['bees: 4'] });
    expect(val?.message).toContain('each one is 50.0 points of accuracy');
    expect(result.problems).toBe(0);
  });

  test('pictures that are too small or too large for the crop', async () => {
    const small = found(await doctor({ dataset: good.dataset, imageSize: 224, ...quiet }), 'sizes');
    expect(small.message).toContain(
      '64 of 64 pictures have a side shorter than the crop of 224 pixels',
    );
    expect(small.message).toContain('32 x 32');
    expect(small.remedy).toContain('`imageSize`');
    const dataset = at('large');
    for (const file of ['train/a/0', 'train/b/0', 'val/a/0', 'val/b/0']) {
      await writePicture(path.join(dataset, `${file}.png`), file.length, { size: 400 });
    }
    const large = found(await doctor({ dataset, imageSize: 32, ...quiet }), 'sizes');
    expect(large.message).toContain('400 x 400 pixels, the crop of 32 pixels shows 0.6 %');
    expect(large.remedy).toContain('Resize them');
  });
});

describe('the teacher', () => {
  test('is not there, is cut short, or is no DenseNet', async () => {
    const there = await problem({ teacher: at('none.pth') }, 'teacher');
    expect(there.code).toBe('ERR_CHECKPOINT_NOT_FOUND');
    expect(there.remedy).toContain('Check the path');

    copyFileSync(good.teacher, at('cut.pth'));
    truncateSync(at('cut.pth'), 100_000);
    const cut = await problem({ teacher: at('cut.pth') }, 'teacher');
    expect(cut.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect(cut.remedy).toContain('again');

    const teacher = await writeStudent(at('student.pth'));
    const other = await problem({ teacher, mean, std, imageSize: 32 }, 'teacher');
    expect(other.code).toBe('ERR_TEACHER_ARCHITECTURE');
    expect(other.remedy).toContain('DenseNet');
  });

  test('has another number of classes', async () => {
    const teacher = await writeTeacher(at('three.pth'), { classes: 3 });
    const more = { teacher, mean, std, imageSize: 32 };
    const { code, message, remedy } = await problem(more, 'teacher-classes');
    expect(code).toBe('ERR_TEACHER_CLASSES');
    expect(message).toContain('has 3 classes');
    expect(remedy).toContain('class folders');
  });

  test('knows classes of other names', async () => {
    const dataset = copied();
    for (const split of ['train', 'val']) {
      renameSync(path.join(dataset, split, 'bees'), path.join(dataset, split, 'wasps'));
    }
    const { message } = await problem({ dataset }, 'teacher-classes');
    expect(message).toContain("is 'bees'");
  });

  test('comes without mean and std', async () => {
    const { code, message, remedy } = await problem({ teacher: bare }, 'preprocessing');
    expect(code).toBe('ERR_NO_METADATA');
    expect(message).toContain('mean, std');
    expect(remedy).toContain('0.485,0.456,0.406');
  });

  test('guesses with a wrong std; the right ones are found', async () => {
    // All pictures look blue.
    const given = { mean: [1, 0.5, 0], std: [0.1, 0.1, 0.1] } as const;
    const result = await examine({ teacher: bare, imageSize: 32, ...given });
    const { status, message, remedy } = found(result, 'accuracy');
    expect(status).toBe('warning');
    expect(message).toContain('no better than guessing');
    expect(remedy).toContain('`mean` 0.485,0.456,0.406 and `std` 0.229,0.224,0.225');
    // Where its file says others than are given, that is a warning by itself.
    const other = found(await examine(given), 'preprocessing');
    expect(other.message).toContain('was trained with mean 0.485,0.456,0.406');
    expect(other.remedy).toContain('Leave `mean` out');
  });

  test('has learnt nothing', async () => {
    const teacher = await writeTeacher(at('untrained.pth'));
    const { message, remedy } = found(
      await examine({ teacher, mean, std, imageSize: 32 }),
      'accuracy',
    );
    expect(message).toContain('no better than guessing');
    expect(remedy).toContain('it has not learnt these pictures');
  });

  test('has its classes in another order', async () => {
    const dataset = copied();
    for (const split of ['train', 'val']) {
      const of = (name: string) => path.join(dataset, split, name);
      renameSync(of('ants'), of('moved'));
      renameSync(of('bees'), of('ants'));
      renameSync(of('moved'), of('bees'));
    }
    const given = { dataset, teacher: bare, mean, std, imageSize: 32 };
    const { message, remedy, details } = found(await examine(given), 'accuracy');
    expect(message).toContain('another order');
    expect(remedy).toContain('sort');
    expect(details.sort()).toEqual([
      "for 'ants' it answers 'bees'",
      "for 'bees' it answers 'ants'",
    ]);
  });

  test('is given by its logits', async () => {
    const output = at('logits.safetensors');
    await teacherLogits({ teacher: good.teacher, dataset: good.dataset, output, ...quiet });
    const { teacher: _, ...others } = good;
    const whole = await doctor({ ...others, teacherLogits: output });
    expect(ailing(whole).filter(({ check }) => check !== 'jpeg')).toEqual([]);
    const asked = (await examine()).teacher?.scores;
    expect(whole.teacher?.scores?.accuracy).toBe(asked?.accuracy);
    expect(whole.teacher?.scores?.loss).toBeCloseTo(asked?.loss ?? 0, 5);
    expect(whole.time?.imagesPerSecond.teacher).toBeNull();

    const dataset = copied();
    await writePicture(path.join(dataset, 'train/ants/new.png'), 999);
    const lacking = await doctor({ ...others, dataset, teacherLogits: output });
    const { code, message, remedy } = found(lacking, 'rows');
    expect(code).toBe('ERR_TEACHER_LOGITS');
    expect(message).toContain("'train/ants/new.png'");
    expect(remedy).toContain('distill logits');
    const views = await doctor({ ...others, teacherLogits: output, views: 2 });
    expect(found(views, 'views').code).toBe('ERR_OPTION');
  });
});

describe('what the run needs', () => {
  test('a place to write to', async () => {
    const nowhere = await problem({ student: at('none/student.pth') }, 'output');
    expect(nowhere.code).toBe('ERR_WRITE');
    expect(nowhere.remedy).toContain('folder that is there');

    const own = await problem({ student: good.teacher }, 'output');
    expect(own.code).toBe('ERR_OPTION');
    expect(own.message).toContain("the teacher's own file");
    expect(own.remedy).toContain('Name another file');

    const student = at('older.pth');
    await distill({ ...good, student, epochs: 1 });
    const before = readFileSync(student);
    const older = found(await examine({ student }), 'output');
    expect(older.status).toBe('warning');
    expect(older.message).toContain('the first save replaces it');
    expect(older.remedy).toContain('if it is to be kept');
    expect(readFileSync(student)).toEqual(before);

    const foreign = await problem({ student: await writeStudent(at('foreign.pth')) }, 'output');
    expect(foreign.code).toBe('ERR_EXISTS');
    expect(foreign.remedy).toContain('`overwrite`');
  });

  test('a student of these classes to start from', async () => {
    const initialStudent = await writeStudent(at('four.pth'), { classes: 4 });
    const { code, remedy } = await problem({ initialStudent }, 'initial-student');
    expect(code).toBe('ERR_CHECKPOINT_MISMATCH');
    expect(remedy).toContain('`initialStudent`');
  });

  test('memory for the pictures', async () => {
    const views = { views: 1000, imageSize: 2048, cacheMemory: 1e15 };
    const { code, message, remedy } = found(
      await doctor({ dataset: good.dataset, ...views, ...quiet }),
      'store',
    );
    expect(code).toBe('ERR_OUT_OF_MEMORY');
    expect(message).toMatch(/take \d+\.\d GB, which `cacheMemory` admits/);
    expect(remedy).toContain('Leave `cacheMemory` out');
  });

  test.runIf(canMount)('a disk with room', async () => {
    const disk = at('disk');
    mkdirSync(disk);
    const { stdout, stderr } = await runChild(
      `const { findings } = await doctor(input);
       console.log(JSON.stringify(findings.filter(({ check }) => check === 'store')));
       console.log(await distill(input).catch(({ code }) => code));`,
      { input: { ...good, cacheDir: disk }, command: withDisk(disk, 'size=100k') },
    );
    expect(stderr).toBe('');
    const [findings = '', run] = stdout.split('\n');
    const [{ status, code, message, remedy }] = JSON.parse(findings);
    expect({ status, code }).toEqual({ status: 'problem', code: run });
    expect(message).toContain(`in a file in '${disk}', whose disk has 1 MB left`);
    expect(remedy).toContain('`cacheDir`');
  });

  test('a store that is one', async () => {
    const cacheDir = at('planted');
    const { store } = await distill({ ...good, student: at('planted.pth'), cacheDir });
    rmSync(store as string);
    symlinkSync('nowhere', store as string);
    const { code, message } = await problem({ cacheDir }, 'store');
    expect(code).toBe('ERR_CACHE');
    expect(message).toContain(`'${store}'`);
    const run = distill({ ...good, student: at('planted.pth'), cacheDir });
    await expect(run).rejects.toMatchObject({ code });
  });

  test('a device that is there', async () => {
    const gpus = (await loadAddon().machine()).gpus.length;
    const result = await examine({ device: 'cuda:99' });
    const { code, message, remedy } = found(result, 'device');
    expect(code).toBe('ERR_DEVICE');
    expect(message).toContain("'cuda:99'");
    expect(remedy).toContain('`device`');
    // All that needs no device is looked at.
    expect(named(result, 'pictures')[0]?.status).toBe('ok');
    expect(named(result, 'preprocessing')[0]?.status).toBe('ok');
    expect(result).toMatchObject({ time: null, machine: { chosen: null } });
    expect(result.machine.gpus).toHaveLength(gpus);
  });

  test('threads that have cores', async () => {
    const { status, message, remedy } = found(await doctor({ threads: 1000 }), 'processor');
    expect(status).toBe('warning');
    expect(message).toContain('1,000 threads');
    expect(remedy).toMatch(/^Set `threads` to \d+\.$/);
  });
});

describe('the command', () => {
  const given = () => ['doctor', good.dataset, '--teacher', good.teacher, '--device', 'cpu'];
  const events = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));

  test('takes what `train` takes', async () => {
    const flagsOf = async (command: string) => {
      const { stdout } = await runCommand([command, '--help']);
      return [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, flag]) => flag);
    };
    expect((await flagsOf('doctor')).sort()).toEqual((await flagsOf('train')).sort());
  });

  test('is for people: a line each, and an exit code', async () => {
    const { code, stdout, stderr } = await runCommand([...given(), '--epochs', '7']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^ok {7}LibTorch \d+\.\d+\.\d+/m);
    expect(stdout).toContain('--device auto is');
    expect(stdout).toMatch(/to prepare, .* an epoch, 7 epochs at most: .*; an estimate/);
    expect(stdout).toMatch(/\n(All is well|0 problems, \d+ warnings?)\.\n$/);
    expect(stdout).not.toContain('`');
  });

  test('fails with a problem, and says what mends it in its own words', async () => {
    const missing = [...given(), '--student', at('none/student.pth'), '--quiet'];
    const { code, stdout, stderr } = await runCommand(missing);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toMatch(/^problem {2}.*cannot be written.* \(ERR_WRITE\)\n {9}-> Name a file/m);
    expect(stdout).toMatch(/^1 problem, \d warnings?\.$/m);
    expect(stdout).not.toMatch(/^ok/m);
    const none = await runCommand(['doctor', good.dataset, '--teacher', bare, '--quiet']);
    expect(none.code).toBe(1);
    expect(none.stdout).toContain('-> Pass --mean and --std as the teacher was trained with');
  });

  test('is for machines: one object a line', async () => {
    const { code, stdout } = await runCommand([...given(), '--json']);
    expect(code).toBe(0);
    const told = events(stdout);
    const result = told.pop();
    expect(result).toMatchObject({ event: 'result', problems: 0, time: { epochs: 500 } });
    expect(told.map(({ event, ...finding }) => finding)).toEqual(result.findings);
  });

  test('wrong usage is told from a problem', async () => {
    const { code, stderr } = await runCommand(['doctor', good.dataset, '--epochs', 'many']);
    expect(code).toBe(2);
    expect(stderr).toContain('--epochs');
  });
});

describe('an installation', () => {
  let libraries: string;
  beforeAll(async () => {
    libraries = (await loadAddon().machine()).libtorch;
  });

  /** The package somewhere else, with an addon that is to look for LibTorch in `folder` (none: no addon). */
  function installed(name: string, libtorch?: string): string {
    const root = at(name);
    for (const part of ['scripts', 'dist', 'package.json']) {
      cpSync(path.join(packageRoot, part), path.join(root, part), { recursive: true });
    }
    symlinkSync(path.join(packageRoot, 'node_modules'), path.join(root, 'node_modules'));
    if (libtorch === undefined) return root;
    const file = addonFile(root);
    mkdirSync(path.dirname(file), { recursive: true });
    const addon = readFileSync(addonFile(packageRoot));
    const known = Buffer.from(path.join(libraries, 'lib'));
    const other = Buffer.alloc(known.length);
    if (other.write(path.join(libtorch, 'lib')) < libtorch.length) throw new Error('too long');
    const place = addon.indexOf(known);
    if (place < 0) throw new Error('the addon does not name its LibTorch');
    other.copy(addon, place);
    writeFileSync(file, addon);
    const cache = path.join(path.dirname(file), '../CMakeCache.txt');
    writeFileSync(cache, `LIBTORCH:PATH=${libtorch}\n`);
    return root;
  }

  /** The command of that package. */
  function command(root: string, args: string[]): Promise<Ended> {
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [path.join(root, 'scripts/distill.js'), ...args]);
      let [stdout, stderr] = ['', ''];
      child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
      child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
      child.on('error', reject);
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    });
  }

  /** What the doctor finds there, of the pictures too. */
  async function diagnose(root: string): Promise<DoctorResult> {
    const { code, stdout, stderr } = await command(root, [
      ...['doctor', good.dataset, '--teacher', at('none.pth'), '--student', at('none/s.pth')],
      ...['--image-size', '32', '--json'],
    ]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const result: DoctorResult = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    // What needs no addon is looked at all the same.
    expect(result.machine).toMatchObject({ libtorch: null, chosen: null });
    expect(result.machine.cpu.cores).toBeGreaterThan(0);
    expect(result.dataset?.classes).toHaveLength(2);
    expect(named(result, 'pictures')[0]?.message).toBe('All 64 pictures decode.');
    expect(found(result, 'teacher').code).toBe('ERR_CHECKPOINT_NOT_FOUND');
    expect(found(result, 'output').code).toBe('ERR_WRITE');
    return result;
  }

  test('without the addon', async () => {
    const { code, message, remedy } = found(await diagnose(installed('without')), 'addon');
    expect(code).toBe('ERR_ADDON_MISSING');
    expect(message).toContain('has not been built');
    expect(remedy).toContain('`npx distill setup`');
  });

  test.runIf(process.platform === 'linux')('whose LibTorch has gone', async () => {
    const gone = path.join(folder, 'gone');
    const { code, message, remedy } = found(await diagnose(installed('orphan', gone)), 'addon');
    expect(code).toBe('ERR_ADDON_MISSING');
    expect(message).toMatch(/does not load \(.*libtorch/);
    expect(remedy).toContain(`built with the LibTorch in ${gone}, which holds no`);
  });

  test.runIf(process.platform === 'linux')('whose LibTorch is of another version', async () => {
    const other = at('2.12');
    mkdirSync(other);
    symlinkSync(path.join(libraries, 'lib'), path.join(other, 'lib'));
    writeFileSync(path.join(other, 'version.py'), "__version__ = '2.12.0+cpu'\n");
    const { code, stdout } = await command(installed('newer', other), ['doctor', '--json']);
    expect(code).toBe(1);
    const {
      code: told,
      message,
      remedy,
    } = found(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), 'libtorch');
    expect(told).toBe('ERR_ADDON_MISSING');
    expect(message).toContain(`loads LibTorch 2.12.0+cpu from ${other}`);
    expect(remedy).toContain('`npx distill setup --force`');
  });

  test.runIf(process.platform === 'linux')(
    'whose LibTorch was replaced by one without its symbols',
    async () => {
      const other = at('2.4');
      mkdirSync(path.join(other, 'lib'), { recursive: true });
      mkdirSync(path.join(other, 'include/ATen'), { recursive: true });
      writeFileSync(path.join(other, 'include/ATen/ATen.h'), '');
      writeFileSync(path.join(other, 'version.py'), "__version__ = '2.4.1+cpu'\n");
      for (const name of ['c10', 'torch', 'torch_cpu']) {
        // Libraries without the symbols that the addon looks for.
        const real = path.join(libraries, 'lib/libc10.so');
        copyFileSync(real, path.join(other, `lib/lib${name}.so`));
      }
      const { message, remedy } = found(await diagnose(installed('other', other)), 'addon');
      expect(message).toContain('undefined symbol');
      expect(remedy).toMatch(
        /which is LibTorch 2\.4\.1\+cpu, and \d+\.\d+\.\d+( or \d+\.\d+\.\d+)? is needed/,
      );
    },
  );
});

test('spans are no finer than they can be foretold', () => {
  expect([0.04, 3.94, 17.6, 118, 200, 1980, 7500, 90_000].map(span)).toEqual([
    ...['0.0 s', '3.9 s', '18 s', '118 s', '3 min', '33 min', '2 h 5 min', '25 h 0 min'],
  ]);
});
