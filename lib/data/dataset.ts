import { DistillError } from '../errors.js';
import { isUnicode } from '../names.js';
import { printable, quoted } from '../words.js';
import { surveyFolder } from './folder.js';
import { unreadHint } from './ignored.js';
import type { DatasetFolders } from './layout.js';
import { EXTENSIONS } from './listing.js';
import type { FolderSurvey, LabelledFolder } from './samples.js';
import { surveyDataset } from './survey.js';

/**
 * Finds the pictures of a folder (see {@link surveyFolder}), and refuses one that a run could not use.
 *
 * @throws {DistillError} `ERR_DATASET_NOT_FOUND` if there is no such folder, `ERR_DATASET_NO_CLASSES` if it has no
 *   class folders, `ERR_DATASET_CLASS_NAME` if a class's name is not UTF-8, `ERR_DATASET_EMPTY_CLASS` if a class
 *   has no picture.
 */
export async function scanFolder(root: string): Promise<LabelledFolder> {
  return usable(await surveyFolder(root));
}

function usable(survey: FolderSurvey): LabelledFolder {
  checkFolder(survey);
  const { loose, ...folder } = survey;
  return folder;
}

/** Refuses a folder without classes, or with one that has no picture, or whose name cannot be written as a class's. */
export function checkFolder({ root, classes, samples, loose, ignored }: FolderSurvey): void {
  if (classes.length === 0) {
    throw new DistillError(
      'ERR_DATASET_NO_CLASSES',
      `Expected one folder per class in ${root}, but it has none.` +
        (loose.length > 0
          ? ` ${loose.length} pictures lie directly in it: move them into folders.`
          : ''),
    );
  }
  const nameless = classes.filter((name) => !isUnicode(name));
  if (nameless.length > 0) {
    throw new DistillError(
      'ERR_DATASET_CLASS_NAME',
      `Expected names of classes in UTF-8, but in ${root} ${quoted(nameless.map(printable))} ${nameless.length === 1 ? 'is' : 'are'} not; rename ${nameless.length === 1 ? 'this folder' : 'these folders'}, such as with convmv.`,
    );
  }
  const filled = new Set(samples.map(({ label }) => label));
  const empty = classes.filter((_, label) => !filled.has(label));
  if (empty.length > 0) {
    throw new DistillError(
      'ERR_DATASET_EMPTY_CLASS',
      `Expected pictures (${EXTENSIONS.join(' ')}) in every class of ${root}, but ${quoted(empty)} ` +
        `${empty.length === 1 ? 'has' : 'have'} none. Add some or remove the folder.${unreadHint(ignored)}`,
    );
  }
}

/**
 * Finds the training and the validation pictures, whose classes must be the same.
 *
 * @throws {DistillError} `ERR_DATASET_CLASS_MISMATCH`, and what {@link scanFolder} and {@link surveyDataset} throw.
 */
export async function scanDataset(
  folders: DatasetFolders,
): Promise<{ classes: string[]; train: LabelledFolder; val: LabelledFolder }> {
  const surveys = surveyDataset(folders);
  const train = usable(await surveys.train);
  const val = usable(await surveys.val);
  checkSameClasses(train, val);
  return { classes: train.classes, train, val };
}

/** Refuses folders whose classes are not the same. */
export function checkSameClasses(train: LabelledFolder, val: LabelledFolder): void {
  const onlyTrain = train.classes.filter((name) => !val.classes.includes(name));
  const onlyVal = val.classes.filter((name) => !train.classes.includes(name));
  if (onlyTrain.length > 0 || onlyVal.length > 0) {
    const parts = [
      onlyTrain.length > 0 ? `only ${train.root} has ${quoted(onlyTrain)}` : '',
      onlyVal.length > 0 ? `only ${val.root} has ${quoted(onlyVal)}` : '',
    ];
    throw new DistillError(
      'ERR_DATASET_CLASS_MISMATCH',
      `Expected the same class folders for training and validation, but ${parts.filter(Boolean).join(' and ')}.${wholeHint(train)}${wholeHint(val)}`,
    );
  }
}

/** Returns a hint where a whole dataset is given as one of its halves. */
function wholeHint({ root, classes }: LabelledFolder): string {
  const isWhole = classes.includes('train') && classes.includes('val');
  return isWhole ? ` '${root}' holds train/ and val/: give it as \`dataset\`.` : '';
}
