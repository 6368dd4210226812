import { isDeepStrictEqual } from 'node:util';
import type { TeacherSource } from '../checks.js';
import type { DatasetFolders } from '../data/layout.js';
import { IMAGE_SIZE, type Preprocessing, UNNORMALIZED } from '../model/preprocessing.js';
import type { CheckedDoctorOptions } from '../options/doctor.js';
import { checkViews, viewsOf } from '../training/views.js';
import { askTeacher, checkAnswers, type Scores } from './accuracy.js';
import { checkDuplicates, countsOf, type Pictures, surveyPictures } from './dataset.js';
import { type Finding, Findings } from './findings.js';
import { examineMachine, type Machine } from './machine.js';
import { checkMemory, checkOutput, checkStore, type StoreNeeds } from './needs.js';
import { checkSizes, type Decoded, decodeAll } from './pictures.js';
import { checkThere, examineTeacher, type Teacher } from './teacher.js';
import { type Estimate, estimate, measureSteps } from './time.js';

/** What an examination came to. What it could not find out is `null`. */
export interface DoctorResult {
  /** In the order in which they were found. */
  findings: Finding[];
  problems: number;
  warnings: number;
  machine: Machine;
  dataset: {
    /** Pictures by class. */
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
  /** Where the prepared pictures would be kept. */
  store: StoreNeeds | null;
  /** Bytes of memory that a run would take, by the steps that were measured. */
  memory: number | null;
  time: Estimate | null;
}

/** What has been asked of a teacher. */
interface Asked {
  scores: Scores | null;
  /** Pictures a second that it answers for; `null` where it is not asked itself. */
  rate: number | null;
}

/** The course of one examination: what takes moments first, then what looks at every picture, then the measuring. */
export class Examination {
  readonly #options: CheckedDoctorOptions;
  readonly #findings: Findings;

  constructor(options: CheckedDoctorOptions) {
    this.#options = options;
    this.#findings = new Findings(options.onFinding);
  }

  async carryOut(
    folders: DatasetFolders | null,
    source: TeacherSource | null,
  ): Promise<DoctorResult> {
    const machine = await examineMachine(this.#options, this.#findings.about('machine'));
    const pictures = folders && (await surveyPictures(folders, this.#findings.about('dataset')));
    const teacher = source && (await this.#meet(source, pictures, machine));
    const preprocessing = teacher?.preprocessing ?? {
      ...UNNORMALIZED,
      imageSize: this.#options.imageSize ?? teacher?.metadata?.imageSize ?? IMAGE_SIZE,
    };
    await this.#checkOutput(source, pictures, machine);
    const store = pictures && (await this.#planStore(pictures, teacher, machine, preprocessing));

    const decoded = pictures && (await this.#decode(pictures, preprocessing));
    const asked =
      teacher && pictures && decoded ? await this.#ask(teacher, pictures, decoded, machine) : null;
    const time =
      teacher && pictures && decoded && asked && store
        ? await this.#measure(teacher, pictures, decoded, asked, machine, store)
        : null;
    const memory =
      time && store && machine.chosen
        ? await checkMemory(
            { store, free: machine.memory.free, device: machine.chosen.device },
            this.#findings.about('needs'),
          )
        : null;

    const { all } = this.#findings;
    return {
      findings: all,
      problems: all.filter(({ status }) => status === 'problem').length,
      warnings: all.filter(({ status }) => status === 'warning').length,
      machine,
      dataset: pictures && { classes: tableOf(pictures), undecodable: decoded?.bad ?? [] },
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

  async #meet(
    source: TeacherSource,
    pictures: Pictures | null,
    { libtorch }: Machine,
  ): Promise<Teacher | null> {
    const topic = this.#findings.about('teacher');
    if (libtorch) return examineTeacher(source, pictures, this.#options, topic);
    await checkThere(source.file, topic);
    return null;
  }

  #checkOutput(
    source: TeacherSource | null,
    pictures: Pictures | null,
    { libtorch }: Machine,
  ): Promise<void> {
    return checkOutput(
      this.#options,
      {
        teacher: source?.file ?? null,
        classes: pictures?.dataset?.classes.length ?? null,
        hasAddon: libtorch !== null,
      },
      this.#findings.about('needs'),
    );
  }

  async #planStore(
    { dataset }: Pictures,
    teacher: Teacher | null,
    { chosen, memory }: Machine,
    preprocessing: Preprocessing,
  ): Promise<StoreNeeds | null> {
    const topic = this.#findings.about('needs');
    const { onBadImage, maxPixels, cacheMemory, cacheDir } = this.#options;
    const views = await topic.attempt('views', () => {
      checkViews(this.#options);
      return viewsOf(this.#options, preprocessing);
    });
    if (!views || !dataset) return null;
    const { by, storeSize } = views;
    const answering = teacher?.preprocessing &&
      chosen && {
        sha256: teacher.sha256,
        logits: teacher.logits,
        device: chosen.device,
        precision: chosen.precision,
      };
    return checkStore(
      dataset,
      {
        preprocessing,
        storeSize,
        views: by && { count: this.#options.views, by },
        teacher: answering ?? null,
        onBadImage,
        maxPixels,
        cacheMemory,
        cacheDir,
      },
      memory.free,
      topic,
    );
  }

  async #decode(pictures: Pictures, preprocessing: Preprocessing): Promise<Decoded> {
    const topic = this.#findings.about('dataset');
    const { maxPixels, signal } = this.#options;
    const decoded = await decodeAll(pictures, { ...this.#options, preprocessing }, topic);
    await checkSizes(pictures, { preprocessing, bad: decoded.bad, maxPixels, signal }, topic);
    await checkDuplicates(pictures, signal, topic);
    return decoded;
  }

  /** Asks the teacher about pictures, where it can be and its classes are theirs. */
  async #ask(
    teacher: Teacher,
    pictures: Pictures,
    { bad }: Decoded,
    { chosen }: Machine,
  ): Promise<Asked | null> {
    const topic = this.#findings.about('teacher');
    const { logits, preprocessing, fits } = teacher;
    const { train, val } = pictures;
    const isSame = !train || !val || isDeepStrictEqual(train.classes, val.classes);
    if (!fits || !isSame) return null;
    if (logits) return { scores: checkAnswers(logits, pictures, topic), rate: null };
    if (!preprocessing || !chosen || !val) return null;
    const { threads = 0 } = this.#options;
    return askTeacher(
      { ...teacher, preprocessing },
      { val, bad },
      { ...this.#options, ...chosen, threads },
      topic,
    );
  }

  async #measure(
    { preprocessing, classes }: Teacher,
    { dataset }: Pictures,
    { pixels, rate: decode }: Decoded,
    { rate: teacher }: Asked,
    { chosen }: Machine,
    { reused }: StoreNeeds,
  ): Promise<Estimate | null> {
    if (!preprocessing || !dataset || !chosen || pixels.length === 0) return null;
    const topic = this.#findings.about('time');
    const on = { ...chosen, classes, pictures: dataset.train.samples.length };
    const measured = await measureSteps(this.#options, preprocessing, pixels, on, topic);
    if (!measured) return null;
    const { train, validate, steps } = measured;
    const rates = { decode, teacher, train, validate };
    const { device } = chosen;
    return estimate(dataset, this.#options, rates, { steps, reused, device }, topic);
  }
}

function tableOf({ train, val }: Pictures): { name: string; train: number; val: number }[] {
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
