import { isDeepStrictEqual } from 'node:util';
import type { TeacherSource } from '../checks.js';
import type { DatasetFolders } from '../data/layout.js';
import type { Answering, StoreOptions } from '../data/store.js';
import {
  centerCropOf,
  IMAGE_SIZE,
  type Preprocessing,
  UNNORMALIZED,
} from '../model/preprocessing.js';
import { resolvePreprocessing } from '../model/resolve.js';
import type { CheckedDoctorOptions, Finding } from '../options/doctor.js';
import { checkViews, viewsOf } from '../training/views.js';
import { askTeacher, checkAnswers, type Scores } from './accuracy.js';
import { checkDuplicates, countsOf, type Images, surveyImages } from './dataset.js';
import { Findings } from './findings.js';
import { checkSizes, type Decoded, decodeAll, samplesOf } from './images.js';
import { examineMachine, type Machine } from './machine.js';
import { checkMemory, checkOutput, checkStore, type StoreNeeds } from './needs.js';
import { checkOrientation } from './orientation.js';
import { checkExists, examineTeacher, type Teacher } from './teacher.js';
import { type Estimate, estimate, measureSteps } from './time.js';

/** The outcome of an examination. What it could not find out is `null`. */
export interface DoctorResult {
  /** In the order in which they were found. */
  findings: Finding[];
  problems: number;
  warnings: number;
  machine: Machine;
  dataset: {
    /** The number of pictures of each class. */
    classes: { name: string; train: number; val: number }[];
    /** Pictures that do not decode. */
    undecodable: string[];
  } | null;
  teacher: {
    file: string;
    /** Such as 'densenet121'; `null` of a file of logits. */
    architecture: string | null;
    classes: number;
    /** On the validation pictures; with a file of logits that has none for these, on the training pictures. */
    scores: Scores | null;
  } | null;
  /** The place of the prepared pictures. */
  store: StoreNeeds | null;
  /** Bytes of memory that a run would take, by the steps that were measured. */
  memory: number | null;
  time: Estimate | null;
}

/** Options of an examination, and its findings so far. */
interface Examination {
  options: CheckedDoctorOptions;
  findings: Findings;
}

/** A teacher's answers. */
interface Asked {
  scores: Scores | null;
  /** Pictures a second that the teacher answers for; `null` where a file has the answers. */
  rate: number | null;
}

/** Examines a run: first what takes moments, then every picture, then a few real steps. */
export async function examine(
  options: CheckedDoctorOptions,
  folders: DatasetFolders | null,
  source: TeacherSource | null,
): Promise<DoctorResult> {
  const findings = new Findings(options.onFinding);
  const examination: Examination = { options, findings };
  const machine = await examineMachine(options, findings.about('machine'));
  const images = folders && (await surveyImages(folders, findings.about('dataset')));
  const teacher = source && (await findTeacher(examination, source, images, machine));
  const preprocessing = teacher?.preprocessing ?? (await findPreprocessing(examination, teacher));
  const files = {
    teacher: source?.file ?? null,
    classes: images?.dataset?.classes.length ?? null,
    hasAddon: machine.libtorch !== null,
    preprocessing: teacher?.preprocessing ?? null,
  };
  await checkOutput(options, files, findings.about('needs'));
  const store = images && (await findStore(examination, images, teacher, machine, preprocessing));

  const decoded = images && (await decode(examination, images, preprocessing));
  const asked =
    teacher && images && decoded ? await ask(examination, teacher, images, decoded, machine) : null;
  const time =
    teacher && images && decoded && asked && store
      ? await measure(examination, teacher, images, decoded, asked, machine, store)
      : null;
  const memory =
    time && store && machine.chosen
      ? await checkMemory(
          { store, free: machine.memory.free, device: machine.chosen.device },
          findings.about('needs'),
        )
      : null;

  const { all } = findings;
  return {
    findings: all,
    problems: all.filter(({ status }) => status === 'problem').length,
    warnings: all.filter(({ status }) => status === 'warning').length,
    machine,
    dataset: images && { classes: tableOf(images), undecodable: decoded?.bad ?? [] },
    teacher: teacher && {
      file: teacher.file,
      architecture: teacher.architecture,
      classes: teacher.classes,
      scores: asked?.scores ?? null,
    },
    store,
    memory,
    time,
  };
}

/** Returns the preprocessing where no teacher says it whole; that of no options where theirs is refused. */
async function findPreprocessing(
  { options, findings }: Examination,
  teacher: Teacher | null,
): Promise<Preprocessing> {
  const resolve = () => resolvePreprocessing(options, teacher);
  // A teacher's refusal has been reported.
  const resolved = teacher
    ? await resolve().catch(() => null)
    : await findings.about('dataset').attempt('preprocessing', resolve);
  return { ...UNNORMALIZED, ...(resolved ?? centerCropOf(options.imageSize ?? IMAGE_SIZE)) };
}

async function findTeacher(
  { options, findings }: Examination,
  source: TeacherSource,
  images: Images | null,
  { libtorch }: Machine,
): Promise<Teacher | null> {
  const topic = findings.about('teacher');
  if (libtorch) return examineTeacher(source, images, options, topic);
  await checkExists(source.file, topic);
  return null;
}

async function findStore(
  { options, findings }: Examination,
  { dataset }: Images,
  teacher: Teacher | null,
  { chosen, memory }: Machine,
  preprocessing: Preprocessing,
): Promise<StoreNeeds | null> {
  const topic = findings.about('needs');
  const views = await topic.attempt('views', () => {
    checkViews(options);
    return viewsOf(options, preprocessing);
  });
  if (!views || !dataset) return null;
  const answering: Answering | null =
    teacher?.preprocessing && chosen
      ? {
          sha256: teacher.sha256,
          averaged: teacher.averaged,
          logits: teacher.logits,
          device: chosen.device,
          precision: chosen.precision,
        }
      : null;
  const storeOptions: StoreOptions = {
    preprocessing,
    storeSize: views.storeSize,
    views: views.by && { count: options.views, by: views.by },
    teacher: answering,
    onBadImage: options.onBadImage,
    maxPixels: options.maxPixels,
    cacheMemory: options.cacheMemory,
    cacheDir: options.cacheDir,
  };
  return checkStore(dataset, storeOptions, memory.free, topic);
}

async function decode(
  { options, findings }: Examination,
  images: Images,
  preprocessing: Preprocessing,
): Promise<Decoded> {
  const topic = findings.about('dataset');
  const { maxPixels, signal } = options;
  const decoded = await decodeAll(images, { ...options, preprocessing }, topic);
  await checkSizes(images, { preprocessing, bad: decoded.bad, maxPixels, signal }, topic);
  const bad = new Set(decoded.bad);
  const good = samplesOf(images).filter(({ path }) => !bad.has(path));
  await checkOrientation(good, preprocessing, signal, topic);
  await checkDuplicates(images, signal, topic);
  return decoded;
}

/** Asks the teacher about pictures, where it can be asked and its classes are theirs. */
async function ask(
  { options, findings }: Examination,
  teacher: Teacher,
  images: Images,
  { bad }: Decoded,
  { chosen }: Machine,
): Promise<Asked | null> {
  const topic = findings.about('teacher');
  const { logits, preprocessing, classesFit } = teacher;
  const { train, val } = images;
  const isSame = !train || !val || isDeepStrictEqual(train.classes, val.classes);
  if (!classesFit || !isSame) return null;
  if (logits) return { scores: checkAnswers(logits, images, topic), rate: null };
  if (!preprocessing || !chosen || !val) return null;
  const { threads = 0 } = options;
  return askTeacher(
    { ...teacher, preprocessing },
    { train, val, bad },
    { ...options, ...chosen, threads },
    topic,
  );
}

async function measure(
  { options, findings }: Examination,
  { preprocessing, classes }: Teacher,
  { dataset }: Images,
  { pixels, rate: decode }: Decoded,
  { rate: teacher }: Asked,
  { chosen }: Machine,
  { reused }: StoreNeeds,
): Promise<Estimate | null> {
  if (!preprocessing || !dataset || !chosen || pixels.length === 0) return null;
  const topic = findings.about('time');
  const on = { ...chosen, classes, images: dataset.train.samples.length };
  const measured = await measureSteps(options, preprocessing, pixels, on, topic);
  if (!measured) return null;
  const { train, validate, steps } = measured;
  const rates = { decode, teacher, train, validate };
  const { device } = chosen;
  return estimate(dataset, options, rates, { steps, reused, device }, topic);
}

/** Counts the pictures of each class of either folder. */
function tableOf({ train, val }: Images): { name: string; train: number; val: number }[] {
  const [trained, validated] = [train, val].map((survey) =>
    survey ? countsOf(survey) : new Map<string, number>(),
  );
  const names = new Set([...(train?.classes ?? []), ...(val?.classes ?? [])]);
  return [...names].map((name) => ({
    name,
    train: trained?.get(name) ?? 0,
    val: validated?.get(name) ?? 0,
  }));
}
