import { native } from '../addon.js';
import { decodeBatches } from '../data/decode.js';
import { imageName, type TeacherLogits } from '../data/logits-file.js';
import { TEACHER_BATCH } from '../data/prepare.js';
import { type FolderSurvey, type Sample, sourceOf } from '../data/samples.js';
import { sampleEvenly } from '../data/sizes.js';
import { checkFinite, makeClassifier } from '../model/classifier.js';
import { describeAccuracy, GUESSES, isGuess } from '../model/guessing.js';
import type { Preprocessing } from '../model/preprocessing.js';
import type { NativeClassifier } from '../native.js';
import type { DoctorProgress } from '../options/doctor.js';
import { count } from '../words.js';
import type { Images } from './dataset.js';
import type { Topic } from './findings.js';
import type { Compute } from './machine.js';
import { optionsFor, reportRecipe, searchRecipe } from './recipes.js';
import type { Teacher } from './teacher.js';

/** A teacher's scores on pictures whose class is known. */
export interface Scores {
  /** The number of pictures that it answered for. */
  images: number;
  /** The share of pictures whose class is right, 0..1. */
  accuracy: number;
  /** Cross entropy. */
  loss: number;
}

/** Device, precision and reports of a teacher's answering. */
export interface Asking extends Compute {
  threads: number;
  maxPixels?: number | undefined;
  onProgress?: ((progress: DoctorProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** Pictures that a teacher is asked about at most: enough to know its accuracy to a point. */
const ASKED = 2000;
/** Pictures that its speed is measured with. */
const TRIED = 4 * TEACHER_BATCH;

/**
 * Asks the teacher about the validation pictures, and judges its accuracy.
 *
 * @param given.bad Pictures that do not decode.
 * @returns Its scores, and the pictures a second that it answers for; `null` where it cannot be asked.
 */
export async function askTeacher(
  teacher: Teacher & { preprocessing: Preprocessing },
  { train, val, bad }: { train: FolderSurvey | null; val: FolderSurvey; bad: readonly string[] },
  asking: Asking,
  topic: Topic,
): Promise<{ scores: Scores; rate: number } | null> {
  const skipped = new Set(bad);
  const isGood = ({ path, label }: Sample) => label >= 0 && !skipped.has(path);
  const good = val.samples.filter(isGood);
  const samples = sampleEvenly(good, ASKED);
  if (samples.length === 0) return null;
  return topic.attempt('accuracy', async () => {
    const { file, averaged, classes } = teacher;
    const classifier = makeClassifier(file, teacher.preprocessing, asking, { averaged, classes });
    try {
      await native(classifier.load());
      const { confusion, pixels } = await ask(classifier, samples, teacher, asking);
      // Where the classes seem to be in another order, right answers count as wrong ones.
      const trained = train?.samples.filter(isGood) ?? [];
      const search = confusion.renumbered
        ? null
        : await searchRecipe(teacher, { val: good, train: trained }, asking);
      const { preprocessing } = teacher;
      const other = search?.isClear ? optionsFor(preprocessing, search.best.preprocessing) : null;
      const part = samples.length < good.length ? 'a sample of ' : '';
      const which = part + count(samples.length, 'validation picture');
      judge(confusion, which, val.classes, other, topic);
      if (search && (search.isClear || !confusion.isGuess())) reportRecipe(search, topic);
      return { scores: confusion.scores(), rate: await rateOf(classifier, pixels) };
    } finally {
      await classifier.close();
    }
  });
}

async function ask(
  classifier: NativeClassifier,
  samples: Sample[],
  { file, preprocessing, classes }: Teacher & { preprocessing: Preprocessing },
  { maxPixels, onProgress, signal }: Asking,
) {
  const confusion = new ConfusionMatrix(classes);
  const kept: Uint8Array[] = [];
  const paths = samples.map(({ path }) => path);
  const batches = decodeBatches(samples.map(sourceOf), {
    preprocessing,
    batchSize: TEACHER_BATCH,
    maxPixels,
    signal,
  });
  // Kept pictures lie evenly over the classes, by which the samples are sorted.
  const place = (index: number) => Math.floor((index * TRIED) / Math.max(TRIED, samples.length));
  for await (const { pixels, indices } of batches) {
    const labels = Array.from(indices, (index) => samples[index]?.label ?? 0);
    const answers = await native(classifier.logits(pixels));
    checkFinite(answers, {
      rows: labels.length,
      model: file,
      nameOf: (row) => `the picture ${paths[indices[row] ?? 0]}`,
    });
    confusion.add(answers, labels);
    const bytes = pixels.length / labels.length;
    for (const [i, index] of indices.entries()) {
      if (index > 0 && place(index) === place(index - 1)) continue;
      kept.push(pixels.slice(i * bytes, (i + 1) * bytes));
    }
    onProgress?.({ check: 'accuracy', done: confusion.images, total: samples.length });
  }
  return { confusion, pixels: kept };
}

/** Measures pictures a second, once the teacher is warm and nothing else is done. */
async function rateOf(classifier: NativeClassifier, images: Uint8Array[]): Promise<number> {
  const batch = Buffer.concat(
    Array.from({ length: TEACHER_BATCH }, (_, i) => images[i % images.length] as Uint8Array),
  );
  const batches = Math.max(1, TRIED / TEACHER_BATCH - 1);
  await native(classifier.logits(batch));
  const started = performance.now();
  for (let i = 0; i < batches; i++) await native(classifier.logits(batch));
  return (batches * TEACHER_BATCH) / ((performance.now() - started) / 1000);
}

/** Judges the answers in a file of logits: for the validation pictures, or else for the training pictures. */
export function checkAnswers(
  logits: TeacherLogits,
  { train, val }: Images,
  topic: Topic,
): Scores | null {
  for (const [split, survey] of Object.entries({ val, train })) {
    if (!survey) continue;
    const names = survey.samples.map((sample) =>
      imageName(split as 'train' | 'val', survey, sample),
    );
    if (names.length === 0 || !logits.has(names)) continue;
    const confusion = new ConfusionMatrix(logits.classes);
    confusion.add(
      logits.rowsOf(names),
      survey.samples.map(({ label }) => label),
    );
    const which = split === 'val' ? 'validation picture' : 'training picture';
    judge(confusion, count(names.length, which), survey.classes, null, topic);
    return confusion.scores();
  }
  return null;
}

/** Counts answers by the right class. */
class ConfusionMatrix {
  readonly #classes: number;
  /** Numbers of pictures by the right class, then by the answer. */
  readonly #counts = new Map<number, Map<number, number>>();
  #loss = 0;
  images = 0;

  constructor(classes: number) {
    this.#classes = classes;
  }

  /** @param logits (n, classes), row by row. */
  add(logits: Float32Array, labels: readonly number[]): void {
    for (const [i, label] of labels.entries()) {
      const row = logits.subarray(i * this.#classes, (i + 1) * this.#classes);
      const counts = this.#counts.get(label) ?? new Map<number, number>();
      const answer = indexOfLargest(row);
      counts.set(answer, (counts.get(answer) ?? 0) + 1);
      this.#counts.set(label, counts);
      this.#loss += crossEntropy(row, label);
      this.images += 1;
    }
  }

  scores(): Scores {
    const right = sumOf([...this.#counts].map(([label, counts]) => counts.get(label) ?? 0));
    const { images } = this;
    return { images, accuracy: right / images, loss: this.#loss / images };
  }

  /** The largest class and its share, which is the accuracy of always answering with it. */
  get majority(): { share: number; label: number } {
    const sizes = [...this.#counts].map(
      ([label, counts]) => [label, sumOf(counts.values())] as const,
    );
    const [label, size] = sizes.reduce((a, b) => (b[1] > a[1] ? b : a));
    return { share: size / this.images, label };
  }

  isGuess(): boolean {
    const { accuracy, images } = this.scores();
    return isGuess({ accuracy, images, share: this.majority.share });
  }

  /** The class that nearly all answers are; `null` where there is none. */
  get favourite(): number | null {
    const answered = new Map<number, number>();
    for (const [answer, n] of [...this.#counts.values()].flatMap((counts) => [...counts])) {
      answered.set(answer, (answered.get(answer) ?? 0) + n);
    }
    return [...answered].find(([, n]) => n >= 0.95 * this.images)?.[0] ?? null;
  }

  /**
   * The usual answers by the right class where the classes seem to be in another order: each class has its own usual
   * answer, and these would be right for most pictures. Else `null`.
   */
  get renumbered(): Map<number, number> | null {
    const usual = [...this.#counts].map(([label, counts]) => {
      const [answer, n] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a));
      return { label, answer, n };
    });
    const isOneToOne = new Set(usual.map(({ answer }) => answer)).size === usual.length;
    const moved = usual.filter(({ label, answer }) => label !== answer);
    const isRight = sumOf(usual.map(({ n }) => n)) > 0.7 * this.images;
    if (!isOneToOne || !isRight || moved.length === 0) return null;
    return new Map(moved.map(({ label, answer }) => [label, answer]));
  }
}

function sumOf(values: Iterable<number>): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}

function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > (values[best] ?? 0) ? i : best), 0);
}

function crossEntropy(logits: Float32Array, label: number): number {
  const largest = logits[indexOfLargest(logits)] ?? 0;
  const sum = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
  return largest + Math.log(sum) - (logits[label] ?? 0);
}

/** Reports the accuracy, and the likely cause where it is poor. */
function judge(
  confusion: ConfusionMatrix,
  which: string,
  classes: readonly string[],
  other: string | null,
  topic: Topic,
): void {
  const { loss, ...scores } = confusion.scores();
  const { share, label } = confusion.majority;
  const result = describeAccuracy({ ...scores, share }, which, loss, `${classes[label]}`);
  const { renumbered, favourite } = confusion;
  if (renumbered) {
    const moved = [...renumbered].map(
      ([label, answer]) => `for '${classes[label]}' it answers '${classes[answer]}'`,
    );
    topic.warn(
      'accuracy',
      `${result}. Its classes seem to be in another order than the folders, which are sorted by name.`,
      'Name the class folders so that they sort as at its training.',
      moved,
    );
  } else if (confusion.isGuess()) {
    const only = favourite === null ? '' : ` It answers '${classes[favourite]}' for nearly all.`;
    topic.warn(
      'accuracy',
      `${result}: ${GUESSES}.${only}`,
      other
        ? `Give ${other}.`
        : '`mean`, `std` or `imageSize` are not those of its training (`distill inspect` shows what its file says), its classes are others than the folders, or it has not learnt these pictures.',
    );
  } else {
    topic.ok('accuracy', `${result}.`);
  }
}
