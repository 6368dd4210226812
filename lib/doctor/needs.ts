import { access, constants, lstat, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { loadAddon, native } from '../addon.js';
import { checkInitialStudent, checkWidth } from '../checks.js';
import { type Dataset, planStore, type StoreOptions } from '../data/store.js';
import { DistillError } from '../errors.js';
import { refuseOthers, refuseSource } from '../model/output.js';
import type { Preprocessing } from '../model/preprocessing.js';
import type { CheckedDoctorOptions } from '../options/doctor.js';
import { checkNetwork } from '../training/network.js';
import { type DistillWarning, WARNINGS } from '../warnings.js';
import { count, size } from '../words.js';
import type { Topic } from './findings.js';

/** The place of the prepared pictures. */
export interface StoreNeeds {
  /** Bytes of one copy of them. */
  bytes: number;
  place: 'memory' | 'file';
  /** Bytes that are free there. */
  free: number;
  /** The folder of the file. */
  folder: string | null;
  /** Whether an earlier run has prepared these pictures already. */
  reused: boolean;
  /** Whether the run holds them in memory while it trains, those of a kept file as well. */
  inMemory: boolean;
}

/** Checks that the student can be written without a loss, and that it can start from `initialStudent`. */
export async function checkOutput(
  options: CheckedDoctorOptions,
  {
    teacher,
    classes,
    hasAddon,
    preprocessing,
  }: {
    teacher: string | null;
    classes: number | null;
    hasAddon: boolean;
    preprocessing: Preprocessing | null;
  },
  topic: Topic,
): Promise<void> {
  const { student, initialStudent, architecture, width, overwrite } = options;
  if (student !== undefined) {
    const passes = await topic.passes('output', async () => {
      if (hasAddon) await native(loadAddon().checkWritable(path.resolve(student)));
      else await checkFolder(student);
    });
    const isOther =
      teacher === null ||
      (await topic.passes(
        'output',
        () => refuseSource('teacher', teacher, 'student', student),
        'Name another file as `student`.',
      ));
    const isFree =
      !(passes && isOther && hasAddon) ||
      (await topic.passes('output', () =>
        refuseOthers({ option: 'student', file: student, kind: 'student', overwrite }),
      ));
    if (passes && isOther && isFree) await reportOutput(student, initialStudent, topic);
  }
  if (initialStudent !== undefined && hasAddon && classes !== null) {
    const checked = await topic.attempt(
      'initial-student',
      async () => ({
        other: await checkInitialStudent(
          initialStudent,
          { architecture, width, classes },
          preprocessing,
        ),
      }),
      'Give a student of these classes, or leave `initialStudent` out.',
    );
    if (checked?.other) {
      topic.warn('initial-student', checked.other, WARNINGS.WARN_INITIAL_PREPROCESSING.remedy);
    } else if (checked) {
      topic.ok('initial-student', `'${initialStudent}' is a student of these classes.`);
    }
  }
  if (hasAddon && classes !== null && preprocessing) {
    await checkStudent(options, { classes, preprocessing }, topic);
  }
}

/** Checks that the student's network can be made, and takes these pictures. */
async function checkStudent(
  options: CheckedDoctorOptions,
  pictures: { classes: number; preprocessing: Preprocessing },
  topic: Topic,
): Promise<void> {
  const warnings: DistillWarning[] = [];
  const found = await topic.attempt('student', () => {
    checkWidth(options);
    return checkNetwork(options, pictures, (warning) => warnings.push(warning));
  });
  for (const { code, message } of warnings) topic.warn('student', message, WARNINGS[code].remedy);
  if (!found || warnings.length > 0) return;
  const { architecture, parameters } = found;
  topic.ok('student', `The student is a ${architecture} of ${count(parameters, 'parameter')}.`);
}

async function checkFolder(file: string): Promise<void> {
  const folder = path.dirname(path.resolve(file));
  await access(folder, constants.W_OK).catch((cause) => {
    throw new DistillError('ERR_WRITE', `'${file}' cannot be written: ${cause.code}.`, { cause });
  });
}

async function reportOutput(
  student: string,
  initialStudent: string | undefined,
  topic: Topic,
): Promise<void> {
  const before = await stat(student).catch(() => null);
  if (!before || initialStudent === student) {
    topic.ok('output', `The student can be written to '${student}'.`);
    return;
  }
  topic.warn(
    'output',
    `'${student}' is there, from ${before.mtime.toISOString().slice(0, 10)}, and the first save replaces it.`,
    'Name another file as `student` if it is to be kept.',
  );
}

/** Checks that there is room for the prepared pictures. */
export async function checkStore(
  dataset: Dataset,
  options: StoreOptions,
  free: number,
  topic: Topic,
): Promise<StoreNeeds> {
  const { bytes, file, store } = await planStore(dataset, options);
  const { folder, place } = store;
  const what = `The prepared pictures take ${size(bytes)}`;
  const inMemory = place === 'memory';
  const withoutFile: StoreNeeds = {
    bytes,
    place: 'memory',
    free,
    folder: null,
    reused: false,
    inMemory,
  };
  if (inMemory && bytes > free) {
    topic.problem(
      'store',
      'ERR_OUT_OF_MEMORY',
      `${what}, which \`cacheMemory\` admits, but ${size(free)} of memory are free.`,
      { remedy: 'Leave `cacheMemory` out: beyond half of the free memory, a file is taken.' },
    );
    return withoutFile;
  }
  if (inMemory && file === null) {
    topic.ok('store', `${what} of memory, of which ${size(free)} are free.`);
    return withoutFile;
  }
  const room = await freeDisk(folder);
  const there = file === null ? null : await lstat(file).catch(() => null);
  const reused = there?.isFile() ?? false;
  // The file that the run works on, and the one that is kept.
  const files = (inMemory ? 0 : 1) + (file !== null && !reused ? 1 : 0);
  const wanted = files === 2 ? 'in each of two files' : 'in a file';
  if (files * bytes > room) {
    topic.problem(
      'store',
      'ERR_CACHE',
      `${what} ${wanted} in '${folder}', whose disk has ${size(room)} left.`,
      {
        remedy:
          'Name a folder with room as `cacheDir`, raise `cacheMemory`, or take fewer `views` or a smaller `imageSize`.',
      },
    );
  } else if (there && !reused) {
    topic.problem('store', 'ERR_CACHE', `'${file}' is not a store that this user has prepared.`, {
      remedy: 'Remove it, or name another folder as `cacheDir`.',
    });
  } else if (reused) {
    topic.ok('store', `'${file}' holds these pictures, prepared by an earlier run.`);
  } else {
    topic.ok('store', `${what} ${wanted} in '${folder}', whose disk has ${size(room)} left.`);
  }
  return { bytes, place: 'file', free: room, folder, reused, inMemory };
}

/** Returns the bytes left on the disk of a folder, which need not exist yet. */
async function freeDisk(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    const above = path.dirname(folder);
    if (above === folder) throw error;
    return freeDisk(above);
  }
}

/** Checks that the run fits into memory, by the most that the measured steps took; returns the bytes it takes. */
export async function checkMemory(
  { store, free, device }: { store: StoreNeeds; free: number; device: string },
  topic: Topic,
): Promise<number> {
  const { gpus } = await native(loadAddon().machine());
  const gpu = gpus.find((gpu) => gpu.device === device);
  if (gpu) {
    const { peak, memory } = gpu;
    topic.ok(
      'gpu-memory',
      `A run takes about ${size(peak)} of the ${size(memory)} of ${device}, and ${size(store.bytes)} more for the prepared pictures where half of what is free is enough for these.`,
    );
  }
  const peak = process.resourceUsage().maxRSS * 1024;
  const bytes = peak + (store.inMemory ? store.bytes : 0);
  const what = `A run takes about ${size(bytes)} of memory, by the steps that were measured`;
  if (bytes > free) {
    topic.warn(
      'memory',
      `${what}, and ${size(free)} are free.`,
      'Lower `batchSize`, `imageSize` or `cacheMemory`, or end other programs.',
    );
  } else {
    topic.ok('memory', `${what}; ${size(free)} are free.`);
  }
  return bytes;
}
