import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { DistillError } from '../errors.js';
import { isUnicode, systemPath } from '../names.js';
import { printable, quoted } from '../words.js';
import { unreadHint } from './ignored.js';
import { type DatasetFolders, explainMissing } from './layout.js';
import { EXTENSIONS, isImage, list, reason } from './listing.js';

/** A picture and its class. */
export interface Sample {
  path: string;
  /** The index of its class. */
  label: number;
}

/** A folder of class folders. */
export interface LabelledFolder {
  root: string;
  /** The names of the class folders, sorted by code point: a class is known by its index here. */
  classes: string[];
  /** By class, then by folder, then by file name. */
  samples: Sample[];
  /** Files in the class folders that are passed over, since their names have none of the endings. */
  ignored: string[];
}

/** The facts by which a cache recognises a file without opening it. */
export interface SampleStat {
  /** From the folder's root, with `/` on every system. */
  relativePath: string;
  /** Bytes. Zero, as the time, for a file that cannot be reached: decoding it says why. */
  size: number;
  /** Milliseconds since 1970. */
  mtimeMs: number;
}

/** The contents of a folder of class folders, whether a run would accept it or not. */
export interface FolderSurvey extends LabelledFolder {
  /** Pictures that lie in the folder itself, in no class. */
  loose: string[];
}

/**
 * Searches a folder as torchvision's `ImageFolder` does: every folder in it (or link to one) is a
 * class, classes are sorted by code point, and a class has all files below it that end in .jpg .jpeg .png .ppm
 * .bmp .pgm .tif .tiff or .webp. The order is torchvision's. Links are followed, except into a folder that holds
 * them. Names that are not UTF-8 are held as lib/names.ts describes.
 *
 * @throws {DistillError} `ERR_DATASET_NOT_FOUND` if there is no such folder.
 */
export async function surveyFolder(root: string): Promise<FolderSurvey> {
  const { folders, files } = await list(root);
  const classes = folders.sort(byCodePoint);
  const samples: Sample[] = [];
  const ignored: string[] = [];
  for (const [label, name] of classes.entries()) {
    const found = await filesBelow(path.join(root, name));
    for (const image of found.images) samples.push({ path: image, label });
    for (const file of found.ignored) ignored.push(file);
  }
  const loose = files.filter(isImage).map((file) => path.join(root, file));
  return { root, classes, samples, loose, ignored };
}

/**
 * Searches one of the two folders of a dataset.
 *
 * @throws DistillError `ERR_DATASET_NOT_FOUND` that says what there is instead, and what mends it.
 */
export async function surveySplit(
  folders: DatasetFolders,
  split: 'train' | 'val',
): Promise<FolderSurvey> {
  return surveyFolder(folders[split]).catch(async (error) => {
    throw await explainMissing(error, folders, split);
  });
}

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
  const { root, classes, samples, ignored } = survey;
  return { root, classes, samples, ignored };
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
 * @throws {DistillError} `ERR_DATASET_CLASS_MISMATCH`, and what {@link scanFolder} throws.
 */
export async function scanDataset(
  folders: DatasetFolders,
): Promise<{ classes: string[]; train: LabelledFolder; val: LabelledFolder }> {
  const train = usable(await surveySplit(folders, 'train'));
  const val = usable(await surveySplit(folders, 'val'));
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

/**
 * Finds the pictures of a list of inputs: a file is taken as it is, whatever its name ends in; a folder stands for all
 * pictures below it, sorted as in {@link scanFolder}.
 *
 * @returns `files`: paths, in the order of the inputs. `ignored`: files in folders that have none of the endings.
 * @throws DistillError `ERR_IMAGES_NOT_FOUND` where an input does not exist, or is a folder without a picture.
 */
export async function scanImages(
  inputs: string | readonly string[],
): Promise<{ files: string[]; ignored: string[] }> {
  const found: { files: string[]; ignored: string[] } = { files: [], ignored: [] };
  for (const input of typeof inputs === 'string' ? [inputs] : inputs) {
    const entry = await stat(systemPath(input)).catch((error: unknown) => {
      throw new DistillError(
        'ERR_IMAGES_NOT_FOUND',
        `Expected a picture or a folder of pictures at ${input}, but ${reason(error)}.`,
        { cause: error },
      );
    });
    const { images, ignored } = entry.isDirectory()
      ? await filesBelow(input)
      : { images: [input], ignored: [] };
    if (images.length === 0) {
      throw new DistillError(
        'ERR_IMAGES_NOT_FOUND',
        `Expected pictures (${EXTENSIONS.join(' ')}) in ${input}, but it has none.${unreadHint(ignored)}`,
      );
    }
    for (const image of images) found.files.push(image);
    for (const file of ignored) found.ignored.push(file);
  }
  return found;
}

/** Returns a sample's path from its folder's root, with `/` on every system. */
export function relativePath(folder: LabelledFolder, sample: Sample): string {
  return path.relative(folder.root, sample.path).replaceAll(path.sep, '/');
}

/** Returns sizes and times of a folder's samples, in their order. */
export async function statSamples(folder: LabelledFolder): Promise<SampleStat[]> {
  const stats: SampleStat[] = [];
  // A bounded number at a time: each waits for one of libuv's few threads.
  for (let from = 0; from < folder.samples.length; from += 64) {
    const some = folder.samples.slice(from, from + 64).map(async (sample) => {
      const { size, mtimeMs } = await stat(systemPath(sample.path)).catch(() => ({
        size: 0,
        mtimeMs: 0,
      }));
      return { relativePath: relativePath(folder, sample), size, mtimeMs };
    });
    stats.push(...(await Promise.all(some)));
  }
  return stats;
}

/** Finds the files below a folder: its folders sorted by their whole path, and in each the files by name. */
async function filesBelow(root: string): Promise<{ images: string[]; ignored: string[] }> {
  const folders: { name: string; files: string[] }[] = [];
  const walk = async (folder: string, name: string, above: string[]): Promise<void> => {
    const entries = await list(folder);
    const real = await realpath(systemPath(folder), 'latin1'); // bytes, one by one
    if (above.includes(real)) return; // A link back to a folder that we are in.
    const files = entries.files.sort(byCodePoint).map((file) => path.join(folder, file));
    folders.push({ name, files });
    for (const inner of entries.folders) {
      await walk(path.join(folder, inner), `${name}/${inner}`, [...above, real]);
    }
  };
  await walk(root, '', []);
  folders.sort((a, b) => byCodePoint(a.name, b.name));
  const files = folders.flatMap((folder) => folder.files);
  return {
    images: files.filter(isImage),
    ignored: files.filter((file) => !isImage(file)),
  };
}

/** Compares strings as Python does; JavaScript compares UTF-16 units, and a locale would change the classes. */
function byCodePoint(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a[i] === b[i]) i += 1;
  // In the middle of two pairs of surrogates, the second halves have the order of the characters.
  return (a.codePointAt(i) ?? -1) - (b.codePointAt(i) ?? -1);
}
