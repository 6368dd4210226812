import { createHash } from 'node:crypto';
import { checkSeveral } from '../checks.js';
import { checkFolder, checkSameClasses } from '../data/dataset.js';
import { hiddenFiles } from '../data/hidden.js';
import { unreadImages } from '../data/ignored.js';
import type { DatasetFolders } from '../data/layout.js';
import {
  countSamples,
  type FolderSurvey,
  type Sample,
  sourceOf,
  statSamples,
} from '../data/samples.js';
import { readSource } from '../data/source.js';
import type { Dataset } from '../data/store.js';
import { surveyDataset } from '../data/survey.js';
import { sha256 } from '../files.js';
import { FEWEST_IMAGES } from '../model/guessing.js';
import { WARNINGS } from '../warnings.js';
import { count } from '../words.js';
import type { Topic } from './findings.js';

/** The pictures that were found. */
export interface Images {
  /** `null` where there is no such folder. */
  train: FolderSurvey | null;
  val: FolderSurvey | null;
  /** The dataset of a run; `null` where it would refuse the folders. */
  dataset: Dataset | null;
}

/** Training pictures of a class below which little is learnt of it. */
const FEW_TRAIN = 10;
/**
 * The number of times that the largest class may have the pictures of the smallest one. Beyond about ten, a network that
 * never answers with the small class loses hardly any accuracy, and the loss has little reason to change that.
 */
const IMBALANCE = 10;

/** Finds the pictures and counts them, without opening any. */
export async function surveyImages(folders: DatasetFolders, topic: Topic): Promise<Images> {
  const surveys = surveyDataset(folders);
  const train = await topic.attempt('train', () => surveys.train);
  const errorOf = (survey: Promise<unknown>) => survey.then(() => null).catch((error) => error);
  // Halves of one source fail together.
  const isLost = train === null && (await errorOf(surveys.train)) === (await errorOf(surveys.val));
  const val = isLost ? null : await topic.attempt('val', () => surveys.val);
  let isSound = true;
  for (const [split, survey] of [
    ['train', train],
    ['val', val],
  ] as const) {
    if (!survey) continue;
    isSound = (await topic.passes(split, () => checkFolder(survey))) && isSound;
    reportIgnored(survey, topic);
  }
  if (!train || !val) return { train, val, dataset: null };
  isSound = (await topic.passes('classes', () => checkClasses(train, val))) && isSound;
  checkCounts(train, val, topic);
  return { train, val, dataset: isSound ? { classes: train.classes, train, val } : null };
}

function checkClasses(train: FolderSurvey, val: FolderSurvey): void {
  checkSameClasses(train, val);
  if (train.classes.length > 0) checkSeveral(train.classes, train.root);
}

/** Reports files that an ImageFolder passes over. */
function reportIgnored(
  { root, loose, ignored, hidden, classes }: FolderSurvey,
  topic: Topic,
): void {
  const unread = unreadImages(ignored)?.files ?? [];
  if (unread.length > 0) {
    topic.warn(
      'passed-over',
      `${count(unread.length, 'picture is', 'pictures are')} passed over in ${root}: a dataset is read from files whose names end otherwise.`,
      'Convert them to PNG or JPEG (a .jfif is a JPEG: rename it), or remove them.',
      unread,
    );
  }
  if (loose.length > 0 && classes.length > 0) {
    topic.warn(
      'passed-over',
      `${count(loose.length, 'picture lies', 'pictures lie')} in ${root} itself, in no class, to be passed over.`,
      'Move them into the folders of their classes.',
      loose,
    );
  }
  const warning = hiddenFiles(hidden);
  if (warning) {
    const paths = hidden.map(({ path }) => path);
    topic.warn('hidden', warning.message, WARNINGS.WARN_HIDDEN_FILES.remedy, paths);
  } else if (hidden.length > 0) {
    topic.ok(
      'hidden',
      `${count(hidden.length, 'hidden file is', 'hidden files are')} passed over in ${root}.`,
    );
  }
  const rest = ignored.length - unread.length;
  if (rest > 0) {
    topic.ok(
      'passed-over',
      `${count(rest, 'file that is no picture is', 'files that are no pictures are')} passed over in ${root}.`,
    );
  }
}

/** Counts the pictures of each class by its name. */
export function countsOf({ classes, samples }: FolderSurvey): Map<string, number> {
  const counts = new Map(classes.map((name) => [name, 0]));
  for (const { label } of samples) {
    const name = classes[label];
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

function checkCounts(train: FolderSurvey, val: FolderSurvey, topic: Topic): void {
  const [trained, validated] = [countsOf(train), countsOf(val)];
  const { labelled, unlabeled } = countSamples(train);
  const names = [...new Set([...train.classes, ...val.classes])];
  topic.ok(
    'counts',
    `${count(labelled, 'training picture')} and ${count(val.samples.length, 'validation picture')} of ${count(names.length, 'class', 'classes')}${unlabeled > 0 ? `, and ${count(unlabeled, 'picture')} to train on without a class` : ''}.`,
    names.map((name) => `${name}: ${trained.get(name) ?? 0} and ${validated.get(name) ?? 0}`),
  );
  const filled = [...trained].filter(([, images]) => images > 0).sort((a, b) => a[1] - b[1]);
  const [smallest, largest] = [filled[0], filled.at(-1)];
  if (!smallest || !largest) return;

  if (largest[1] >= IMBALANCE * smallest[1]) {
    topic.warn(
      'balance',
      `'${largest[0]}' has ${largest[1]} training pictures and '${smallest[0]}' ${smallest[1]}: with ${IMBALANCE} times as many or more, a network can do well by hardly ever answering with the small class.`,
      'Add pictures to the small classes, or take fewer of the large ones.',
    );
  }
  const few = filled.filter(([, images]) => images < FEW_TRAIN);
  if (few.length > 0) {
    topic.warn(
      'few-pictures',
      `${count(few.length, 'class has', 'classes have')} fewer than ${FEW_TRAIN} training pictures.`,
      'Add pictures; `views` shows each one cut and mirrored in several ways.',
      few.map(([name, images]) => `${name}: ${images}`),
    );
  }
  const { length } = val.samples;
  if (length > 0 && length < FEWEST_IMAGES) {
    topic.warn(
      'few-pictures',
      `Of ${count(length, 'validation picture')} each one is ${(100 / length).toFixed(1)} points of accuracy: the best epoch is a matter of chance.`,
      `Take ${FEWEST_IMAGES} or more to validate with, out of the training pictures if need be.`,
    );
  }
}

/** Finds files with the same bytes in train/ and val/: a network would be validated on pictures that it was trained on. */
export async function checkDuplicates(
  { train, val }: Images,
  signal: AbortSignal | undefined,
  topic: Topic,
): Promise<void> {
  if (!train || !val) return;
  const bySize = new Map<number, { train: Sample[]; val: Sample[] }>();
  for (const [split, survey] of [
    ['train', train],
    ['val', val],
  ] as const) {
    for (const [i, { size }] of (await statSamples(survey)).entries()) {
      const same = bySize.get(size) ?? { train: [], val: [] };
      same[split].push(survey.samples[i] as Sample);
      bySize.set(size, same);
    }
  }
  const pairs: string[] = [];
  for (const files of bySize.values()) {
    // Only files of one size are read, and only where both folders have some.
    if (files.train.length === 0 || files.val.length === 0) continue;
    signal?.throwIfAborted();
    const trained = new Map<string, string>();
    for (const sample of files.train) trained.set(await digest(sample, signal), sample.path);
    for (const sample of files.val) {
      const same = trained.get(await digest(sample, signal));
      if (same !== undefined) pairs.push(`${sample.path} is ${same}`);
    }
  }
  if (pairs.length === 0) {
    topic.ok('duplicates', 'No file is in both train and val.');
    return;
  }
  topic.warn(
    'duplicates',
    `${count(pairs.length, 'validation picture is', 'validation pictures are')} among the training pictures, byte for byte: the validation accuracy will look better than it is.`,
    'Remove them from one of the two.',
    pairs,
  );
}

/** Returns the SHA-256 of a picture's bytes; of one that cannot be read its path, which no other has. */
async function digest(sample: Sample, signal: AbortSignal | undefined): Promise<string> {
  const source = sourceOf(sample);
  try {
    if (typeof source === 'string') return await sha256(source, signal);
    return createHash('sha256')
      .update(await readSource(source))
      .digest('hex');
  } catch {
    return sample.path;
  }
}
