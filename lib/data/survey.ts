import path from 'node:path';
import { DistillError } from '../errors.js';
import { archivesAt } from './archive/index.js';
import { surveyArchives } from './archive/survey.js';
import { surveyFolder } from './folder.js';
import { scanImages } from './images.js';
import { type DatasetFolders, explainMissing, SPLIT_REMEDY, wholeFolder } from './layout.js';
import { surveyManifest } from './manifest.js';
import { isManifest } from './manifest-rows.js';
import { countSamples, type FolderSurvey, type Sample, type SplitSurvey } from './samples.js';
import { type ImageSource, isEntry, sourcePath } from './source.js';
import { type Split, splitSurvey } from './split.js';

/** The surveys of a dataset's two halves. One that fails is rejected, with the same error where both come from one place. */
export interface DatasetSurvey {
  train: Promise<FolderSurvey>;
  val: Promise<FolderSurvey>;
}

interface Halves {
  train: FolderSurvey;
  val: FolderSurvey;
}

/**
 * Searches both halves of a dataset. They are two folders or other sources, or come from one that says itself where they are
 * or is split by `valSplit`.
 *
 * The surveys reject with `ERR_DATASET_NOT_FOUND`, which says what there is instead and what mends it, with `ERR_OPTION` where
 * `valSplit` is given for a dataset that is split already, with `ERR_DATASET_EMPTY_CLASS` where a class cannot be split, and
 * with `ERR_MANIFEST` or `ERR_ARCHIVE`.
 */
export function surveyDataset(folders: DatasetFolders): DatasetSurvey {
  const whole = surveyWhole(folders);
  const half = async (split: 'train' | 'val') =>
    (await whole)?.[split] ?? surveyHalf(folders, split);
  const surveys = {
    train: half('train').then((train) => addUnlabeled(train, folders.unlabeled)),
    val: half('val'),
  };
  // Whoever awaits one that fails is told; until then it is not unhandled.
  for (const survey of Object.values(surveys)) survey.catch(() => {});
  return surveys;
}

/** Adds the pictures without a class, which come after the others. */
async function addUnlabeled(train: FolderSurvey, place: string | undefined): Promise<FolderSurvey> {
  if (place === undefined) return train;
  if (countSamples(train).unlabeled > 0) {
    throw new DistillError(
      'ERR_OPTION',
      `'${train.root}' has pictures without a class already; add those of \`unlabeled\` to its manifest.`,
    );
  }
  const { samples, ...others } = await unlabeledIn(place);
  const without = samples.map((sample) => ({ ...sample, label: -1 }));
  return {
    ...train,
    samples: [...train.samples, ...without],
    unlabeled: others.root,
    ignored: [...train.ignored, ...others.ignored],
    hidden: [...train.hidden, ...others.hidden],
  };
}

/** Finds the pictures of a folder, a manifest or an archive, whatever their classes. */
async function unlabeledIn(place: string): Promise<Omit<FolderSurvey, 'classes' | 'loose'>> {
  if (isManifest(place)) {
    const { train, val, unsplit } = await surveyManifest(place);
    const all = [train, val, unsplit].filter((survey) => survey !== null);
    return {
      root: path.dirname(path.resolve(place)),
      samples: all.flatMap(({ samples }) => samples),
      ignored: all.flatMap(({ ignored }) => ignored),
      hidden: all.flatMap(({ hidden }) => hidden),
    };
  }
  const { files, ignored, hidden } = await scanImages(place);
  return { root: place, samples: files.map(sampleOf), ignored, hidden };
}

function sampleOf(source: ImageSource): Sample {
  const sample: Sample = { path: sourcePath(source) ?? '', label: -1 };
  return isEntry(source) ? { ...sample, source } : sample;
}

/** Searches a dataset that both halves come from; `null` where they are two folders. */
async function surveyWhole(folders: DatasetFolders): Promise<Halves | null> {
  const { dataset, train, valSplit } = folders;
  const place = dataset ?? (valSplit ? train : null);
  if (place === null) return null;
  const found = await surveySource(place);
  if (found) return halvesOf(found, valSplit);
  return valSplit ? splitSurvey(await surveyFolder(await wholeFolder(folders)), valSplit) : null;
}

async function surveyHalf(folders: DatasetFolders, split: 'train' | 'val'): Promise<FolderSurvey> {
  const found = await surveySource(folders[split]);
  if (!found) {
    return surveyFolder(folders[split]).catch(async (error) => {
      throw await explainMissing(error, folders, split);
    });
  }
  const half = found.unsplit ?? found[split];
  if (half) return half;
  throw new DistillError(
    'ERR_DATASET_NOT_FOUND',
    `Expected pictures for \`${split}\` in '${found.place}', but those there are all for the other half.`,
  );
}

/**
 * Reads a source that is no folder of class folders: a manifest, or archives.
 *
 * @returns `null` of anything else.
 */
export async function surveySource(place: string): Promise<SplitSurvey | null> {
  if (isManifest(place)) return surveyManifest(place);
  const archives = await archivesAt(place);
  return archives && surveyArchives(place, archives);
}

/** Returns the halves of a source, which it says itself or which are split now. */
function halvesOf({ place, train, val, unsplit }: SplitSurvey, split: Split | undefined): Halves {
  const whole = unsplit ?? train;
  if (split && val) {
    throw new DistillError(
      'ERR_OPTION',
      `'${place}' has pictures to validate with; leave \`valSplit\` out.`,
    );
  }
  if (split && whole) return splitSurvey(whole, split);
  if (train && val) return { train, val };
  throw new DistillError(
    'ERR_DATASET_NOT_FOUND',
    val
      ? `Expected pictures to train with in '${place}', but all of them are to validate with.`
      : `Expected pictures to validate with in '${place}', but none is set aside for that; ${SPLIT_REMEDY}.`,
  );
}
